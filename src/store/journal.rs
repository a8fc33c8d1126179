//! The record format of the binding logs.
//!
//! `[len u32 LE][crc32 u32 LE][key_len u16 LE][key][value]`: `len` counts the octets after the
//! checksum (so at least 2), the checksum covers the same octets. An empty value deletes the key.
//! A file is read until its end or its first record that is torn or damaged: what is read is always
//! a prefix of what was appended.

/// Octets before the checksummed part.
const HEAD: usize = 8;
/// Octets of `key_len`.
const KEY_LEN: usize = 2;
/// Longest record body (key and value with the key's length); longer ones are never written and
/// never read.
pub const MAX_BODY: usize = 1 << 20;

/// Appends one record; an empty `value` deletes the key. Allocates only to grow `out`.
///
/// A key over 65,535 octets or a body over [`MAX_BODY`] is the caller's bug: debug builds assert,
/// release builds append nothing.
pub fn append(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let body = KEY_LEN + key.len() + value.len();
    let (Ok(key_len), Ok(len), true) = (u16::try_from(key.len()), u32::try_from(body), body <= MAX_BODY) else {
        debug_assert!(false, "a journal record of {} + {} octets", key.len(), value.len());
        return;
    };
    out.reserve(HEAD + body);
    let start = out.len();
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&[0; 4]); // the checksum, once its octets lie in one piece
    out.extend_from_slice(&key_len.to_le_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value);
    if let Some((head, body)) = out.get_mut(start..).and_then(<[u8]>::split_first_chunk_mut::<HEAD>) {
        head[4..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    }
}

/// The records of a log, in order: key and value, the value empty for a deletion.
#[must_use]
pub fn replay(bytes: &[u8]) -> Replay<'_> {
    Replay { rest: bytes }
}

/// Iterator of [`replay`].
#[derive(Clone, Debug)]
pub struct Replay<'a> {
    rest: &'a [u8],
}

impl Replay<'_> {
    /// Once the iterator has ended: octets that were not understood, 0 for a whole log.
    #[must_use]
    pub fn ignored(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Replay<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (len, rest) = self.rest.split_first_chunk::<4>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_le_bytes(*len))
            .ok()
            .filter(|len| *len <= MAX_BODY)?;
        let (body, rest) = rest.split_at_checked(len)?;
        // A body of no octets would have the checksum 0: zeroed blocks after a power loss must not
        // pass for records, so `key_len` has to be there.
        let (key_len, fields) = body.split_first_chunk::<KEY_LEN>()?;
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let item = fields.split_at_checked(usize::from(u16::from_le_bytes(*key_len)))?;
        self.rest = rest;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Records = Vec<(Vec<u8>, Vec<u8>)>;

    fn written(records: &Records) -> (Vec<u8>, Vec<usize>) {
        let mut out = Vec::new();
        let mut ends = vec![0];
        for (key, value) in records {
            append(&mut out, key, value);
            ends.push(out.len());
        }
        (out, ends)
    }

    fn read(bytes: &[u8]) -> (Records, usize) {
        let mut replay = replay(bytes);
        let records = replay
            .by_ref()
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect();
        (records, replay.ignored())
    }

    fn records() -> impl Strategy<Value = Records> {
        let octets = |most| prop::collection::vec(any::<u8>(), 0..most);
        prop::collection::vec((octets(40), octets(80)), 0..8)
    }

    #[test]
    fn the_format_is_as_documented() {
        let mut out = Vec::new();
        append(&mut out, b"ab", b"xyz");
        assert_eq!(out[..4], 7u32.to_le_bytes());
        assert_eq!(out[4..8], crc32fast::hash(b"\x02\x00abxyz").to_le_bytes());
        assert_eq!(&out[8..], b"\x02\x00abxyz");
    }

    #[test]
    fn zeroed_blocks_are_no_records() {
        let (mut bytes, _) = written(&vec![(b"k".to_vec(), b"v".to_vec())]);
        bytes.extend_from_slice(&[0; 4096]);
        let (records, ignored) = read(&bytes);
        assert_eq!(records.len(), 1);
        assert_eq!(ignored, 4096);
    }

    #[test]
    fn a_body_over_the_limit_is_not_read() {
        let mut out = u32::try_from(MAX_BODY + 1).unwrap().to_le_bytes().to_vec();
        out.extend(vec![0; MAX_BODY + 100]);
        assert_eq!(read(&out).0.len(), 0);
    }

    #[test]
    fn appending_into_reserved_memory_does_not_move_it() {
        let mut out = Vec::with_capacity(4096);
        let place = out.as_ptr();
        for _ in 0..10 {
            append(&mut out, b"sip:1001@campus.example", &[7; 200]);
        }
        assert_eq!(out.as_ptr(), place);
        assert_eq!(out.capacity(), 4096);
    }

    proptest! {
        #[test]
        fn a_truncation_at_any_octet_leaves_a_prefix(records in records()) {
            let (bytes, ends) = written(&records);
            for cut in 0..=bytes.len() {
                let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
                let (read, ignored) = read(&bytes[..cut]);
                prop_assert_eq!(&read[..], &records[..whole]);
                prop_assert_eq!(ignored, cut - ends[whole]);
            }
        }

        #[test]
        fn a_flipped_bit_leaves_the_records_before_it(records in records()) {
            let (bytes, ends) = written(&records);
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                let whole = ends.iter().filter(|end| **end <= bit / 8).count() - 1;
                prop_assert_eq!(&read(&damaged).0[..], &records[..whole]);
            }
        }

        #[test]
        fn any_octets_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let (_, ignored) = read(&bytes);
            prop_assert!(ignored <= bytes.len());
        }
    }
}
