//! A mark that hides in the low bit of each of the 160 octets of a 20 ms G.711 packet. The low
//! bit is the least step of the codec, so the audio stays audio; every relay that leaves the
//! payload alone (RFC 3550 section 7.1, translators) carries it.
//!
//! ```text
//! octets    0..32     32..64   64..96   96..128  128..160      one bit each, most significant first
//! word      check     stream   number   heard    sent_us
//! ```
//!
//! The check word is `(magic 8, run 24) xor hash(stream, number, heard, sent_us)`. So all of its 32
//! bits are a check (the stream's word is whitened by a constant): [`Mark::read`] alone takes one of 256 random payloads for a mark, and who
//! compares [`Mark::run`] too takes one of 2^32. Payloads of one repeated low bit, which is silence
//! in both laws, never read as a mark.

/// Octets of a marked payload: 20 ms at 8 kHz.
pub const PAYLOAD_OCTETS: usize = 160;
/// The bits of a run's number that a mark carries.
pub const RUN_MASK: u32 = 0x00ff_ffff;

const MAGIC: u32 = 0x5a00_0000;
/// Streams count from 1; with this their word looks like no silence and no counter.
const WHITE: u32 = 0x6d2b_79f5;
const LOW_BITS: u64 = 0x0101_0101_0101_0101;

/// What a packet says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Which run of the tool; only the low 24 bits travel ([`RUN_MASK`]).
    pub run: u32,
    /// The sending stream, from 1 (0 is "none" in `heard`).
    pub stream: u32,
    /// Packet number in its stream, from 0.
    pub number: u32,
    /// Stream number that the sender's call hears; 0 is nothing yet.
    pub heard: u32,
    /// Low 32 bits of the sender's clock in microseconds.
    pub sent_us: u32,
}

impl Mark {
    /// Hides the mark in a payload; the seven upper bits of each octet stay.
    #[inline]
    pub fn write(&self, payload: &mut [u8; PAYLOAD_OCTETS]) {
        let check = (MAGIC | (self.run & RUN_MASK)) ^ self.hash();
        let words = [check, self.stream ^ WHITE, self.number, self.heard, self.sent_us];
        let (groups, _) = payload.as_chunks_mut::<8>();
        for (group, byte) in groups.iter_mut().zip(words.iter().flat_map(|word| word.to_be_bytes())) {
            let audio = u64::from_be_bytes(*group) & !LOW_BITS;
            *group = (audio | scatter(byte)).to_be_bytes();
        }
    }

    /// Reads a payload; `None` when it carries no mark. One of 256 random payloads does, so
    /// compare the run.
    #[inline]
    #[must_use]
    pub fn read(payload: &[u8; PAYLOAD_OCTETS]) -> Option<Mark> {
        let (groups, _) = payload.as_chunks::<32>();
        let &[check, stream, number, heard, sent_us] = groups else {
            return None;
        };
        let mut mark = Mark {
            run: 0,
            stream: word(&stream) ^ WHITE,
            number: word(&number),
            heard: word(&heard),
            sent_us: word(&sent_us),
        };
        let head = word(&check) ^ mark.hash();
        mark.run = head & RUN_MASK;
        (head & !RUN_MASK == MAGIC).then_some(mark)
    }

    /// Mixes everything but the run. Multiplication carries upwards only, hence the folds.
    #[inline]
    fn hash(&self) -> u32 {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 over the golden ratio: bits well spread
        let first = (u64::from(self.stream) << 32 | u64::from(self.number)) ^ 0x2545_f491_4f6c_dd1d;
        let mixed = first.wrapping_mul(ODD);
        let second = (mixed ^ (mixed >> 32)) ^ (u64::from(self.heard) << 32 | u64::from(self.sent_us));
        let mixed = second.wrapping_mul(ODD);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(ODD);
        (mixed >> 32) as u32
    }
}

/// The stream word of a payload whose mark need not verify: whether a damaged payload was ours.
pub(super) fn stream_word(payload: &[u8]) -> Option<u32> {
    payload
        .get(32..)?
        .first_chunk::<32>()
        .map(|octets| word(octets) ^ WHITE)
}

#[inline]
fn word(octets: &[u8; 32]) -> u32 {
    let (groups, _) = octets.as_chunks::<8>();
    groups
        .iter()
        .fold(0, |word, group| word << 8 | gather(u64::from_be_bytes(*group)))
}

/// The low bits of eight octets as one octet, the first octet's the most significant. Bit 8k goes to
/// bit 56 + k, by a shift of 56 - 7k; the other products fall on bits of their own, so none carries.
#[inline]
fn gather(octets: u64) -> u32 {
    ((octets & LOW_BITS).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
}

/// The inverse of [`gather`]: copies of the octet, one bit of each kept and brought down.
#[inline]
fn scatter(byte: u8) -> u64 {
    let kept = u64::from(byte).wrapping_mul(LOW_BITS) & 0x8040_2010_0804_0201;
    // A kept bit is anywhere in its octet; adding 127 carries it to bit 7, except a kept bit 7,
    // which is there already: no carry leaves an octet (0x80 + 0x7f = 0xff).
    ((kept + 0x7f7f_7f7f_7f7f_7f7f) >> 7) & LOW_BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_go_where_the_picture_says() {
        let mut payload = [0; PAYLOAD_OCTETS];
        let stream = 0x8000_0001 ^ WHITE;
        Mark {
            stream,
            ..Mark::default()
        }
        .write(&mut payload);
        assert_eq!((payload[32], payload[33], payload[62], payload[63]), (1, 0, 0, 1));
        assert_eq!(stream_word(&payload), Some(stream));
        assert_eq!(stream_word(&payload[..63]), None);
        for byte in 0..=255 {
            assert_eq!(gather(scatter(byte)), u32::from(byte));
            assert_eq!(gather(scatter(byte) | !LOW_BITS), u32::from(byte));
        }
    }

    #[test]
    fn silence_and_simple_patterns_are_no_marks() {
        for octet in 0..=255u8 {
            assert_eq!(Mark::read(&[octet; PAYLOAD_OCTETS]), None, "{octet:#x}");
        }
        // Idle A-law alternates its sign; other testers count octets upwards.
        let alternating: [u8; PAYLOAD_OCTETS] = std::array::from_fn(|at| if at % 2 == 0 { 0xd5 } else { 0x54 });
        let counting: [u8; PAYLOAD_OCTETS] = std::array::from_fn(|at| at as u8);
        assert_eq!((Mark::read(&alternating), Mark::read(&counting)), (None, None));
    }

    #[test]
    fn random_audio_rarely_reads_as_a_mark() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as u8
        };
        let hits = (0..10_000)
            .filter_map(|_| Mark::read(&std::array::from_fn(|_| next())))
            .inspect(|mark| assert_ne!(mark.run, 7))
            .count();
        assert!((10..=80).contains(&hits), "about 39 of 10,000, not {hits}");
    }

    proptest! {
        #[test]
        fn reads_what_it_wrote(
            run in 0..=RUN_MASK, stream: u32, number: u32, heard: u32, sent_us: u32, noise in prop::array::uniform32(any::<u8>())
        ) {
            let mark = Mark { run, stream, number, heard, sent_us };
            let before: [u8; PAYLOAD_OCTETS] = std::array::from_fn(|at| noise[at % 32]);
            let mut payload = before;
            mark.write(&mut payload);
            prop_assert_eq!(Mark::read(&payload), Some(mark));
            prop_assert!(before.iter().zip(&payload).all(|(old, new)| (old ^ new) & 0xfe == 0));
        }

        #[test]
        fn one_flipped_bit_is_never_the_same_run(
            run in 0..=RUN_MASK, stream: u32, number: u32, heard: u32, sent_us: u32, at in 0..PAYLOAD_OCTETS
        ) {
            let mut payload = [0xff; PAYLOAD_OCTETS];
            Mark { run, stream, number, heard, sent_us }.write(&mut payload);
            payload[at] ^= 1;
            prop_assert!(Mark::read(&payload).is_none_or(|mark| mark.run != run));
        }
    }
}
