//! SipHash-2-4 with 128 bits of output: Aumasson and Bernstein, "SipHash: a fast short-input
//! PRF". A nonce is a short input that a peer sees and must not be able to make; a keyed PRF of
//! that size takes some 30 ns where HMAC-SHA-256 takes four compressions.

use crate::protocol::sip::siphash::Sip128;

/// The 128-bit SipHash-2-4 of `message`.
pub(super) fn siphash128(key: &[u8; 16], message: &[u8]) -> [u8; 16] {
    let key = u128::from_le_bytes(*key);
    let mut hash = Sip128::new([key as u64, (key >> 64) as u64]);
    hash.write(message);
    hash.finish().to_le_bytes()
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
