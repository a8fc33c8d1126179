//! STUN, RFC 8489 section 5: recognised only. We are no ICE agent: such a datagram is dropped
//! and counted, and never changes an address (CVE-2026-116790).

/// Whether a datagram on a media port is STUN: first two bits zero, magic cookie, and a length
/// that is a multiple of four (RFC 7983 demultiplexing).
#[inline]
#[must_use]
pub fn is_stun(datagram: &[u8]) -> bool {
    matches!(datagram, [0..=3, _, _, low, 0x21, 0x12, 0xa4, 0x42, ..] if low % 4 == 0 && datagram.len() >= HEADER)
}

/// Octets of a STUN header.
const HEADER: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{rtp, seeds};

    #[test]
    fn binding_request() {
        let mut request = [0u8; 20];
        request[1] = 1;
        request[4..8].copy_from_slice(&0x2112_a442u32.to_be_bytes());
        assert!(is_stun(&request));
        assert!(!is_stun(&request[..19]));
        assert!(!is_stun(&rtp::header(0, false, 1, 2, 3)));
        request[0] = 0x80;
        assert!(!is_stun(&request));
    }

    #[test]
    fn seeds_are_never_taken_for_rtp() {
        for (name, packet) in seeds::files("media-seeds/pjsip-stun") {
            if is_stun(&packet) {
                assert!(rtp::check(&packet).is_err(), "{name}");
            }
        }
    }
}
