//! SipHash-2-4 with 128 bits of output: Aumasson and Bernstein, "SipHash: a fast short-input
//! PRF". A nonce is a short input that a peer sees and must not be able to make; a keyed PRF of
//! that size takes some 30 ns where HMAC-SHA-256 takes four compressions.

/// The 128-bit SipHash-2-4 of `message`.
pub(super) fn siphash128(key: &[u8; 16], message: &[u8]) -> [u8; 16] {
    let (k0, k1) = halves(key);
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let (blocks, tail) = message.as_chunks::<8>();
    for block in blocks {
        absorb(&mut state, u64::from_le_bytes(*block));
    }
    let mut last = [0u8; 8];
    for (to, from) in last.iter_mut().zip(tail) {
        *to = *from;
    }
    absorb(&mut state, u64::from_le_bytes(last) | (message.len() as u64) << 56);
    state[2] ^= 0xee;
    let low = squeeze(&mut state);
    state[1] ^= 0xdd;
    let high = squeeze(&mut state);
    (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
}

fn halves(key: &[u8; 16]) -> (u64, u64) {
    let key = u128::from_le_bytes(*key);
    (key as u64, (key >> 64) as u64)
}

fn absorb(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    round(state);
    state[0] ^= word;
}

fn squeeze(state: &mut [u64; 4]) -> u64 {
    for _ in 0..4 {
        round(state);
    }
    state[0] ^ state[1] ^ state[2] ^ state[3]
}

fn round(state: &mut [u64; 4]) {
    let [mut a, mut b, mut c, mut d] = *state;
    a = a.wrapping_add(b);
    c = c.wrapping_add(d);
    b = b.rotate_left(13) ^ a;
    d = d.rotate_left(16) ^ c;
    a = a.rotate_left(32).wrapping_add(d);
    c = c.wrapping_add(b);
    d = d.rotate_left(21) ^ a;
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    *state = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the reference implementation's `vectors_sip128`: key 00..0f, messages of 0, 1, 8
    /// and 15 octets 00, 01, 02, ...
    #[test]
    fn reference_vectors() {
        let key: [u8; 16] = std::array::from_fn(|index| index as u8);
        let message: [u8; 15] = std::array::from_fn(|index| index as u8);
        let hex = |length: usize| {
            siphash128(&key, &message[..length])
                .iter()
                .map(|octet| format!("{octet:02x}"))
                .collect::<String>()
        };
        assert_eq!(hex(0), "a3817f04ba25a8e66df67214c7550293");
        assert_eq!(hex(1), "da87c1d86b99af44347659119b22fc45");
        assert_eq!(hex(8), "3b62a9ba6258f5610f83e264f31497b4");
        assert_eq!(hex(15), "5493e99933b0a8117e08ec0f97cfc3d9");
    }
}
