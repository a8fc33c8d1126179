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
        self.feed_all(octets, |word| word);
    }

    /// Feeds a number, its lowest octet first.
    #[inline]
    pub(in crate::protocol::sip) fn write_number(&mut self, number: u32) {
        self.feed(u64::from(number), 4);
    }

    /// Feeds octets in lower case.
    pub(in crate::protocol::sip) fn write_lower(&mut self, octets: &[u8]) {
        self.feed_all(octets, lower);
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

    /// Feeds octets eight at a time, each word as `change` makes it.
    #[inline]
    fn feed_all(&mut self, octets: &[u8], change: impl Fn(u64) -> u64) {
        let (words, rest) = octets.as_chunks::<8>();
        for word in words {
            self.feed(change(u64::from_le_bytes(*word)), 8);
        }
        if !rest.is_empty() {
            let word = rest.iter().rev().fold(0, |word, &octet| (word << 8) | u64::from(octet));
            self.feed(change(word), rest.len() as u32);
        }
    }

    /// Feeds the lowest `count` octets of a word, 1 to 8; the others are 0.
    #[inline]
    fn feed(&mut self, word: u64, count: u32) {
        self.length = self.length.wrapping_add(count as u8);
        let full = self.tail | (word << (8 * self.held));
        let held = self.held + count;
        if held < 8 {
            (self.tail, self.held) = (full, held);
            return;
        }
        // Nothing is left over of a word that began on a boundary.
        self.tail = word.checked_shr(8 * (8 - self.held)).unwrap_or(0);
        self.held = held - 8;
        self.word(full);
    }

    #[inline]
    fn word(&mut self, word: u64) {
        self.v[3] ^= word;
        self.round();
        self.round();
        self.v[0] ^= word;
    }

    #[inline]
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

/// ASCII capitals in lower case, in all eight octets at once.
const fn lower(word: u64) -> u64 {
    const ALL: u64 = 0x0101_0101_0101_0101;
    let low = word & (0x7f * ALL);
    let from_a = low + (0x80 - b'A' as u64) * ALL;
    let beyond_z = low + (0x7f - b'Z' as u64) * ALL;
    let capital = (from_a ^ beyond_z) & !word & (0x80 * ALL);
    word | (capital >> 2)
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
            let mut parts = Sip128::new(KEY);
            parts.write(&text[..cut]);
            parts.write_lower(&text[cut..cut]);
            parts.write(&text[cut..]);
            assert_eq!(parts.finish(), whole, "cut at {cut}");
        }
        let mut numbers = Sip128::new(KEY);
        text.as_chunks::<4>()
            .0
            .iter()
            .for_each(|four| numbers.write_number(u32::from_le_bytes(*four)));
        assert_eq!(numbers.finish(), whole);
    }

    #[test]
    fn lower_case_is_that_of_ascii() {
        for octet in 0..=u8::MAX {
            for at in 0..8 {
                let mut octets = *b"aZ\xc0[@zA`";
                octets[at] = octet;
                assert_eq!(
                    lower(u64::from_le_bytes(octets)).to_le_bytes(),
                    octets.map(|octet| octet.to_ascii_lowercase())
                );
            }
        }
        let all: Vec<u8> = (0..=u8::MAX).collect();
        for length in 0..all.len() {
            let (mut lowered, mut plain) = (Sip128::new(KEY), Sip128::new(KEY));
            lowered.write_lower(&all[..length]);
            plain.write(&all[..length].to_ascii_lowercase());
            assert_eq!(lowered.finish(), plain.finish());
        }
    }
}
