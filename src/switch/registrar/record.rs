//! An AOR's bindings as one run of octets: what memory holds, and, with wall-clock expiry, what
//! the journal and the database hold.

use crate::protocol::Path;
use crate::switch::target::{PATH, read_path, write_path};

/// One binding, borrowed from its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact<'a> {
    /// Contact URI, as sent.
    pub uri: &'a [u8],
    /// Call-ID of the REGISTER that made or refreshed it.
    pub call_id: &'a [u8],
    /// `+sip.instance` (RFC 5626), without quotes; may be empty.
    pub instance: &'a [u8],
    /// Path header values, comma separated (RFC 3327); may be empty.
    pub route: &'a [u8],
    /// User-Agent, cut to [`AGENT_MOST`] octets.
    pub agent: &'a [u8],
    /// Where the REGISTER came from, or where the URI says.
    pub path: Path,
    /// Seconds since the shard's time epoch in memory, since 1970 on disk.
    pub expires: u32,
    /// CSeq of the last REGISTER.
    pub cseq: u32,
    /// `reg-id` (RFC 5626); 0 when none.
    pub reg_id: u32,
    /// Preference, 0 to 1000.
    pub q: u16,
    /// [`FLOW`], [`KEEP_ALIVE`].
    pub flags: u8,
}

/// Requests go over the path in the record, not to the URI's host.
pub const FLOW: u8 = 1;
/// Behind NAT on UDP: kept open by OPTIONS.
pub const KEEP_ALIVE: u8 = 2;
/// How much of a User-Agent is kept.
pub const AGENT_MOST: usize = 40;

/// Fixed part: total length, expires, cseq, reg-id, q, flags, five lengths, path.
const FIXED: usize = 2 + 4 + 4 + 4 + 2 + 1 + 2 * 4 + 1 + PATH;
/// Where the expiry is in it.
const EXPIRES: usize = 2;

/// Appends a binding. One that is longer than a record can say is not taken; returns whether it was.
#[must_use]
pub fn push(out: &mut Vec<u8>, contact: &Contact<'_>) -> bool {
    let agent = contact.agent.get(..AGENT_MOST).unwrap_or(contact.agent);
    let texts = [contact.uri, contact.call_id, contact.instance, contact.route];
    let total = FIXED + texts.iter().map(|text| text.len()).sum::<usize>() + agent.len();
    let Ok(total) = u16::try_from(total) else { return false };
    let mut fixed = [0u8; FIXED];
    fixed[0..2].copy_from_slice(&total.to_le_bytes());
    fixed[EXPIRES..EXPIRES + 4].copy_from_slice(&contact.expires.to_le_bytes());
    fixed[6..10].copy_from_slice(&contact.cseq.to_le_bytes());
    fixed[10..14].copy_from_slice(&contact.reg_id.to_le_bytes());
    fixed[14..16].copy_from_slice(&contact.q.to_le_bytes());
    fixed[16] = contact.flags;
    for (length, text) in fixed[17..25].as_chunks_mut::<2>().0.iter_mut().zip(texts) {
        *length = (text.len() as u16).to_le_bytes();
    }
    fixed[25] = agent.len() as u8;
    write_path(&mut fixed[26..], &contact.path);
    out.extend_from_slice(&fixed);
    for text in texts {
        out.extend_from_slice(text);
    }
    out.extend_from_slice(agent);
    true
}

/// The bindings of a record. Ends early at anything that [`push`] did not write.
pub fn contacts(octets: &[u8]) -> impl Iterator<Item = Contact<'_>> {
    bindings(octets).map_while(read)
}

/// How many bindings a record of [`push`] has.
#[must_use]
pub fn count(octets: &[u8]) -> usize {
    bindings(octets).count()
}

/// The octets of each binding.
fn bindings(mut octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let total = usize::from(u16::from_le_bytes(*octets.first_chunk::<2>()?));
        // Shorter ones would not be told from the end, nor lead there.
        let (one, rest) = octets.split_at_checked(total).filter(|_| total >= FIXED)?;
        octets = rest;
        Some(one)
    })
}

fn read(one: &[u8]) -> Option<Contact<'_>> {
    let (fixed, mut texts) = one.split_at_checked(FIXED)?;
    let short = |at: usize| u16::from_le_bytes([fixed[at], fixed[at + 1]]);
    let long = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    let mut text = |length: usize| {
        let (head, rest) = texts.split_at_checked(length)?;
        texts = rest;
        Some(head)
    };
    Some(Contact {
        uri: text(usize::from(short(17)))?,
        call_id: text(usize::from(short(19)))?,
        instance: text(usize::from(short(21)))?,
        route: text(usize::from(short(23)))?,
        agent: text(usize::from(fixed[25]))?,
        path: read_path(&fixed[26..])?,
        expires: long(EXPIRES),
        cseq: long(6),
        reg_id: long(10),
        q: short(14),
        flags: fixed[16],
    })
}

/// Copies a record with every expiry moved by `convert`; bindings for which it gives `None` are
/// left out.
pub fn convert_expiry(out: &mut Vec<u8>, record: &[u8], convert: impl Fn(u32) -> Option<u32>) {
    for one in bindings(record) {
        let Some((head, rest)) = one.split_first_chunk::<{ EXPIRES + 4 }>() else {
            return;
        };
        let (total, expires) = head.split_at(EXPIRES);
        let old = expires.first_chunk().map_or(0, |octets| u32::from_le_bytes(*octets));
        if let Some(new) = convert(old) {
            out.extend_from_slice(total);
            out.extend_from_slice(&new.to_le_bytes());
            out.extend_from_slice(rest);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::protocol::Transport;
    use shards::{ConnId, ListenerId};

    pub(crate) fn sample(uri: &[u8]) -> Contact<'_> {
        Contact {
            uri,
            call_id: b"call@phone",
            instance: b"<urn:uuid:1>",
            route: b"<sip:edge;lr>",
            agent: b"Phone/1.0",
            path: Path {
                transport: Transport::Tcp,
                listener: ListenerId(1),
                peer: "[::1]:5070".parse().unwrap(),
                conn: ConnId::new(1, 9),
            },
            expires: 3600,
            cseq: 7,
            reg_id: 1,
            q: 800,
            flags: FLOW,
        }
    }

    #[test]
    fn a_record_reads_back() {
        let mut record = Vec::new();
        assert!(push(&mut record, &sample(b"sip:a@h")) && push(&mut record, &sample(b"sip:bb@h;x=y")));
        let read: Vec<_> = contacts(&record).collect();
        assert_eq!(read, [sample(b"sip:a@h"), sample(b"sip:bb@h;x=y")]);
        let mut moved = Vec::new();
        convert_expiry(&mut moved, &record, |expires| Some(expires + 1));
        let read: Vec<_> = contacts(&moved).map(|contact| (contact.uri, contact.expires)).collect();
        assert_eq!(read, [(&b"sip:a@h"[..], 3601), (b"sip:bb@h;x=y", 3601)]);
        assert_eq!(count(&moved), 2);
        moved.clear();
        convert_expiry(&mut moved, &record, |_| None);
        assert!(moved.is_empty());
    }

    #[test]
    fn every_truncation_and_flip_is_survived() {
        let mut record = Vec::new();
        assert!(push(&mut record, &sample(b"sip:a@h")));
        for cut in 0..record.len() {
            assert_eq!(contacts(&record[..cut]).count(), 0);
        }
        for at in 0..record.len() {
            let mut bad = record.clone();
            bad[at] ^= 0xff;
            contacts(&bad).for_each(drop);
        }
    }

    #[test]
    fn too_long_is_refused() {
        let uri = vec![b'a'; 70_000];
        let mut record = Vec::new();
        assert!(!push(&mut record, &sample(&uri)));
        assert!(record.is_empty());
    }
}
