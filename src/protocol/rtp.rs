//! RTP, RFC 3550 section 5: the fixed header in place. The packet is checked once; nothing is
//! copied.

/// Octets of the fixed header.
pub const FIXED: usize = 12;

/// A checked header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Marker bit.
    pub marker: bool,
    /// Padding bit.
    pub padding: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Media timestamp, in units of the codec's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Octets before the payload: fixed header, CSRC list, extension.
    pub length: u32,
}

/// Why a packet is no RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtpError {
    /// Shorter than the fixed header.
    Short,
    /// Version is not 2.
    Version,
    /// CSRC count or extension length point beyond the packet (CVE-2015-6360).
    Length,
    /// Padding count is 0 or larger than the payload.
    Padding,
}

/// Checks the header of a plain or secure RTP packet (RFC 3550 appendix A.1, the parts that
/// need no state). The padding count is not looked at: in SRTP it is encrypted.
///
/// # Errors
/// [`RtpError`].
#[inline]
pub fn check(packet: &[u8]) -> Result<Header, RtpError> {
    let Some((fixed, rest)) = packet.split_first_chunk::<FIXED>() else {
        return Err(RtpError::Short);
    };
    let &[first, second, seq0, seq1, t0, t1, t2, t3, s0, s1, s2, s3] = fixed;
    if first >> 6 != 2 {
        return Err(RtpError::Version);
    }
    let mut length = FIXED;
    // Almost every voice packet has neither, so both are one branch.
    if first & 0x1f != 0 {
        let csrc = usize::from(first & 0x0f) * 4;
        if rest.len() < csrc {
            return Err(RtpError::Length);
        }
        length += csrc;
        if first & 0x10 != 0 {
            let Some(&[_, _, high, low]) = rest.get(csrc..).and_then(|after| after.first_chunk::<4>()) else {
                return Err(RtpError::Length);
            };
            length += 4 + usize::from(u16::from_be_bytes([high, low])) * 4;
        }
        if length > packet.len() {
            return Err(RtpError::Length);
        }
    }
    Ok(Header {
        payload_type: second & 0x7f,
        marker: second & 0x80 != 0,
        padding: first & 0x20 != 0,
        sequence: u16::from_be_bytes([seq0, seq1]),
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
        length: length as u32,
    })
}

/// Checks a plain packet, padding count included.
///
/// # Errors
/// [`RtpError`].
#[inline]
pub fn check_plain(packet: &[u8]) -> Result<Header, RtpError> {
    let header = check(packet)?;
    if header.padding {
        let count = usize::from(packet.last().copied().unwrap_or(0));
        if count == 0 || header.length as usize + count > packet.len() {
            return Err(RtpError::Padding);
        }
    }
    Ok(header)
}

/// Whether a datagram on a port that carries both is RTCP (RFC 5761 section 4).
#[inline]
#[must_use]
pub fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet, [first, 192..=223, ..] if first >> 6 == 2)
}

/// Writes a fixed header without CSRC, extension and padding.
#[must_use]
pub fn header(payload_type: u8, marker: bool, sequence: u16, timestamp: u32, ssrc: u32) -> [u8; FIXED] {
    let mut header = [0; FIXED];
    header[0] = 0x80;
    header[1] = (payload_type & 0x7f) | (u8::from(marker) << 7);
    header[2..4].copy_from_slice(&sequence.to_be_bytes());
    header[4..8].copy_from_slice(&timestamp.to_be_bytes());
    header[8..12].copy_from_slice(&ssrc.to_be_bytes());
    header
}

/// Sets the sequence number of a checked packet.
#[inline]
pub fn set_sequence(packet: &mut [u8], sequence: u16) {
    put(packet, 2, sequence.to_be_bytes());
}

/// Sets the timestamp of a checked packet.
#[inline]
pub fn set_timestamp(packet: &mut [u8], timestamp: u32) {
    put(packet, 4, timestamp.to_be_bytes());
}

/// Sets the SSRC of a checked packet.
#[inline]
pub fn set_ssrc(packet: &mut [u8], ssrc: u32) {
    put(packet, 8, ssrc.to_be_bytes());
}

#[inline]
fn put<const N: usize>(packet: &mut [u8], at: usize, octets: [u8; N]) {
    debug_assert!(packet.len() >= FIXED, "set only in a checked packet");
    if let Some(field) = packet.get_mut(at..at + N) {
        field.copy_from_slice(&octets);
    }
}

/// Clock rate in Hz of a static payload type (RFC 3551 tables 4 and 5), 8,000 for others.
#[must_use]
pub const fn static_clock(payload_type: u8) -> u32 {
    match payload_type {
        6 => 16_000,
        10 | 11 => 44_100,
        16 => 11_025,
        17 => 22_050,
        14 | 25..=34 => 90_000,
        _ => 8_000, // G.722 (9) too: RFC 3551 section 4.5.2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::seeds;
    use proptest::prelude::*;
    use webrtc_util::Unmarshal;

    #[test]
    fn plain_header() {
        let mut packet = header(101, true, 0xfffe, 0x0102_0304, 0xdead_beef).to_vec();
        packet.extend_from_slice(&[0; 160]);
        let parsed = check_plain(&packet).unwrap();
        assert_eq!(
            parsed,
            Header {
                payload_type: 101,
                marker: true,
                padding: false,
                sequence: 0xfffe,
                timestamp: 0x0102_0304,
                ssrc: 0xdead_beef,
                length: 12,
            }
        );
        set_sequence(&mut packet, 7);
        set_timestamp(&mut packet, 8);
        set_ssrc(&mut packet, 9);
        let parsed = check(&packet).unwrap();
        assert_eq!((parsed.sequence, parsed.timestamp, parsed.ssrc), (7, 8, 9));
        assert_eq!((parsed.payload_type, parsed.marker), (101, true));
    }

    #[test]
    fn lengths_are_checked() {
        let base = |first: u8, rest: &[u8]| {
            let mut packet = header(0, false, 1, 2, 3).to_vec();
            packet[0] = first;
            packet.extend_from_slice(rest);
            packet
        };
        assert_eq!(check(&[0x80; 11]), Err(RtpError::Short));
        assert_eq!(check(&base(0x40, &[])), Err(RtpError::Version));
        // CVE-2015-6360: 15 CSRCs in a packet that holds 14, and an extension of 65,535 words.
        assert_eq!(check(&base(0x8f, &[0; 56])), Err(RtpError::Length));
        assert_eq!(check(&base(0x8f, &[0; 60])).unwrap().length, 72);
        assert_eq!(check(&base(0x90, &[0, 0, 0xff, 0xff])), Err(RtpError::Length));
        assert_eq!(check(&base(0x90, &[0, 0, 0])), Err(RtpError::Length));
        assert_eq!(check(&base(0x90, &[0, 0, 0, 1, 1, 2, 3, 4])).unwrap().length, 20);
        assert_eq!(check_plain(&base(0xa0, &[1, 2, 4])), Err(RtpError::Padding));
        assert_eq!(check_plain(&base(0xa0, &[1, 2, 0])), Err(RtpError::Padding));
        assert!(check_plain(&base(0xa0, &[1, 2, 3])).is_ok());
    }

    #[test]
    fn rtcp_is_told_apart() {
        assert!(is_rtcp(&[0x80, 200]));
        assert!(is_rtcp(&[0x80, 192]) && is_rtcp(&[0x80, 223]));
        assert!(!is_rtcp(&[0x80, 224]) && !is_rtcp(&[0x80, 0x80]) && !is_rtcp(&[0x80]));
        assert!(!is_rtcp(&[0x00, 200]));
    }

    /// What both agree on: a packet that the oracle takes, and whose lengths it checks.
    fn agrees(packet: &[u8]) {
        let mut cursor = packet;
        let Ok(theirs) = rtp::header::Header::unmarshal(&mut cursor) else {
            return;
        };
        let Ok(ours) = check(packet) else { return };
        assert_eq!(ours.payload_type, theirs.payload_type);
        assert_eq!(ours.marker, theirs.marker);
        assert_eq!(ours.padding, theirs.padding);
        assert_eq!(ours.sequence, theirs.sequence_number);
        assert_eq!(ours.timestamp, theirs.timestamp);
        assert_eq!(ours.ssrc, theirs.ssrc);
    }

    #[test]
    fn seeds_agree_with_the_oracle() {
        let mut valid = 0;
        for (name, packet) in seeds::files("media-seeds/pjsip-rtp").chain(seeds::files("media-seeds/pjsip-srtp")) {
            agrees(&packet);
            valid += usize::from(check(&packet).is_ok());
            for cut in 0..packet.len() {
                let _ = check_plain(&packet[..cut]);
            }
            let _ = name;
        }
        for (name, packets) in seeds::captures() {
            for packet in packets {
                agrees(&packet);
                valid += usize::from(check(&packet).is_ok());
            }
            let _ = name;
        }
        if seeds::present() {
            assert!(valid > 100, "the seeds hold real packets, {valid} are valid");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_lengths_hold(packet in proptest::collection::vec(any::<u8>(), 0..200)) {
            agrees(&packet);
            if let Ok(header) = check_plain(&packet) {
                prop_assert!(header.length as usize <= packet.len());
            }
        }

        #[test]
        fn valid_packets_agree(
            mut packet in proptest::collection::vec(any::<u8>(), 12..200), csrc in 0u8..4, marker: bool, pt in 0u8..128
        ) {
            packet[0] = 0x80 | csrc;
            packet[1] = pt | (u8::from(marker) << 7);
            let mut cursor = &packet[..];
            let theirs = rtp::header::Header::unmarshal(&mut cursor);
            prop_assert_eq!(theirs.is_ok(), check(&packet).is_ok());
            agrees(&packet);
        }

        #[test]
        fn payload_of_any_size(size in 0usize..65_496) {
            let mut packet = header(0, false, 1, 2, 3).to_vec();
            packet.resize(FIXED + size, 0);
            prop_assert!(check_plain(&packet).is_ok());
        }
    }
}
