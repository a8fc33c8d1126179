//! SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input
//! PRF", and the reference code's 128-bit variant). Peers choose what is hashed, so the key is
//! secret and random: nobody can aim at a bucket or make two transactions collide.

/// A hash in progress. Octets are fed with [`Sip128::write`].
pub(in crate::protocol::sip) struct Sip128 {
    v: [u64; 4],
    tail: u64,
    held: u32,
    length: u8,
}

impl Sip128 {
    /// Starts with a secret key.
    pub(in crate::protocol::sip) fn new(key: [u64; 2]) -> Self {
        let [k0, k1] = key;
        Self {
            v: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
            tail: 0,
            held: 0,
            length: 0,
        }
    }

    /// Feeds octets.
    pub(in crate::protocol::sip) fn write(&mut self, octets: &[u8]) {
        self.length = self.length.wrapping_add(octets.len() as u8);
        let (words, last) = octets.as_chunks::<8>();
        for word in words {
            self.feed(u64::from_le_bytes(*word), 8);
        }
        self.feed(little_endian(last), last.len() as u32);
    }

    /// Feeds octets in lower case.
    pub(in crate::protocol::sip) fn write_lower(&mut self, octets: &[u8]) {
        self.length = self.length.wrapping_add(octets.len() as u8);
        let (words, last) = octets.as_chunks::<8>();
        for word in words {
            self.feed(lower(u64::from_le_bytes(*word)), 8);
        }
        self.feed(lower(little_endian(last)), last.len() as u32);
    }

    /// The hash of what was fed.
    pub(in crate::protocol::sip) fn finish(mut self) -> u128 {
        let last = (u64::from(self.length) << 56) | self.tail;
        self.word(last);
        self.v[2] ^= 0xee;
        (0..4).for_each(|_| self.round());
        let low = self.v.iter().fold(0, |all, v| all ^ v);
        self.v[1] ^= 0xdd;
        (0..4).for_each(|_| self.round());
        let high = self.v.iter().fold(0, |all, v| all ^ v);
        (u128::from(high) << 64) | u128::from(low)
    }

    /// Takes `count` octets, at most eight, after those held back; what does not fill a word is
    /// held back. Octets of `octets` beyond `count` are zero.
    fn feed(&mut self, octets: u64, count: u32) {
        let word = self.tail | octets << (8 * self.held);
        if self.held + count < 8 {
            (self.tail, self.held) = (word, self.held + count);
            return;
        }
        self.word(word);
        self.tail = octets.checked_shr(8 * (8 - self.held)).unwrap_or(0);
        self.held = self.held + count - 8;
    }

    fn word(&mut self, word: u64) {
        self.v[3] ^= word;
        self.round();
        self.round();
        self.v[0] ^= word;
    }

    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.v;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.v = [a, b, c, d];
    }
}

/// Up to eight octets, the first one lowest.
fn little_endian(octets: &[u8]) -> u64 {
    match *octets {
        [] => 0,
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c] => u64::from(u32::from_le_bytes([a, b, c, 0])),
        [a, b, c, d, ref rest @ ..] => {
            // The last four may overlap the first four: what lies on itself stays what it is.
            let first = u64::from(u32::from_le_bytes([a, b, c, d]));
            let last = octets.last_chunk().map_or(0, |last| u32::from_le_bytes(*last));
            first | u64::from(last) << (8 * rest.len().min(4))
        }
    }
}

/// Eight octets in lower case: ASCII letters only, the others as they are.
const fn lower(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = word & (0x7f * EACH);
    // The high bit of an octet tells whether it is at least `A`, and whether it is past `Z`.
    let from_a = low + (0x80 - b'A' as u64) * EACH;
    let past_z = low + (0x7f - b'Z' as u64) * EACH;
    let upper = from_a & !past_z & !word & (0x80 * EACH);
    word | upper >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference's key, octets 0 to 15.
    const KEY: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

    fn hex(hash: u128) -> String {
        hash.to_le_bytes().iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// First rows of the reference implementation's `vectors_sip128`.
    #[test]
    fn reference_vectors() {
        assert_eq!(hex(Sip128::new(KEY).finish()), "a3817f04ba25a8e66df67214c7550293");
        let mut one = Sip128::new(KEY);
        one.write(&[0]);
        assert_eq!(hex(one.finish()), "da87c1d86b99af44347659119b22fc45");
    }

    #[test]
    fn pieces_do_not_matter() {
        let text: Vec<u8> = (0..100).collect();
        let mut whole = Sip128::new(KEY);
        whole.write(&text);
        let whole = whole.finish();
        for cut in 0..text.len() {
            for second in cut..text.len() {
                let mut parts = Sip128::new(KEY);
                parts.write(&text[..cut]);
                parts.write_lower(&text[cut..cut]);
                parts.write(&text[cut..second]);
                parts.write(&text[second..]);
                assert_eq!(parts.finish(), whole, "cuts at {cut} and {second}");
            }
        }
    }

    #[test]
    fn lower_case_is_ascii_only() {
        let text: Vec<u8> = (0..=255).chain([b'A'; 5]).collect();
        for from in 0..text.len() {
            let mut upper = Sip128::new(KEY);
            upper.write_lower(&text[from..]);
            let mut lower = Sip128::new(KEY);
            lower.write(&text[from..].to_ascii_lowercase());
            assert_eq!(upper.finish(), lower.finish(), "from {from}");
        }
    }
}
