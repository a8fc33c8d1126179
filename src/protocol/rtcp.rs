//! RTCP, RFC 3550 section 6: a compound packet is checked in place, nothing is copied.

/// What a checked compound packet says that the relay needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compound {
    /// SSRC of the sender of the first packet.
    pub sender: u32,
    /// Type of the first packet, 192 to 223.
    pub kind: u8,
    /// How many packets it is made of.
    pub packets: u32,
}

/// Why a datagram is no RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtcpError {
    /// Shorter than a header with a sender.
    Short,
    /// Version is not 2.
    Version,
    /// Not an RTCP packet type.
    Kind,
    /// A length field points beyond the datagram, or leaves a rest.
    Length,
    /// More report blocks, sources or chunks than the packet's length can hold.
    Count,
    /// Padding that is not in the last packet, not a multiple of 4, or too large.
    Padding,
}

/// Sender report.
pub const SENDER_REPORT: u8 = 200;
/// Receiver report.
pub const RECEIVER_REPORT: u8 = 201;
/// Source description.
pub const SOURCE_DESCRIPTION: u8 = 202;
/// Goodbye.
pub const GOODBYE: u8 = 203;
/// Application-defined.
pub const APPLICATION: u8 = 204;

/// Checks a compound packet (RFC 3550 appendix A.2). Reduced-size RTCP (RFC 5506), which does not
/// start with a report, is taken: phones send it without having negotiated it.
///
/// # Errors
/// [`RtcpError`].
pub fn check(datagram: &[u8]) -> Result<Compound, RtcpError> {
    let mut rest = datagram;
    let mut compound: Option<Compound> = None;
    while !rest.is_empty() {
        let &[first, kind, high, low] = rest.first_chunk::<4>().ok_or(RtcpError::Short)?;
        if first >> 6 != 2 {
            return Err(RtcpError::Version);
        }
        if !(192..=223).contains(&kind) {
            return Err(RtcpError::Kind);
        }
        let length = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        let (packet, after) = rest.split_at_checked(length).ok_or(RtcpError::Length)?;
        let mut body = packet.get(4..).unwrap_or(&[]);
        if first & 0x20 != 0 {
            body = without_padding(body, after.is_empty())?;
        }
        counts(kind, usize::from(first & 0x1f), body)?;
        match &mut compound {
            Some(compound) => compound.packets += 1,
            None => {
                let sender = body.first_chunk::<4>().map(|octets| u32::from_be_bytes(*octets));
                compound = Some(Compound {
                    sender: sender.ok_or(RtcpError::Short)?,
                    kind,
                    packets: 1,
                });
            }
        }
        rest = after;
    }
    compound.ok_or(RtcpError::Short)
}

/// Checks what stays in clear in SRTCP (RFC 3711 section 3.4): the first eight octets, and that
/// the datagram can hold the index.
///
/// # Errors
/// [`RtcpError`].
pub fn check_secure(datagram: &[u8]) -> Result<Compound, RtcpError> {
    let &[first, kind, _, _, s0, s1, s2, s3] = datagram.first_chunk::<8>().ok_or(RtcpError::Short)?;
    if first >> 6 != 2 {
        return Err(RtcpError::Version);
    }
    if !(192..=223).contains(&kind) {
        return Err(RtcpError::Kind);
    }
    if datagram.len() < 12 {
        return Err(RtcpError::Length);
    }
    Ok(Compound {
        sender: u32::from_be_bytes([s0, s1, s2, s3]),
        kind,
        packets: 1,
    })
}

/// RFC 3550 section 6.4.1: only the last packet may be padded, by a multiple of four.
fn without_padding(body: &[u8], last: bool) -> Result<&[u8], RtcpError> {
    let count = usize::from(body.last().copied().unwrap_or(0));
    if !last || count == 0 || !count.is_multiple_of(4) {
        return Err(RtcpError::Padding);
    }
    let keep = body.len().checked_sub(count).ok_or(RtcpError::Padding)?;
    Ok(body.get(..keep).unwrap_or(&[]))
}

/// Whether a packet of type `kind` can hold what its count field says.
fn counts(kind: u8, count: usize, body: &[u8]) -> Result<(), RtcpError> {
    let needed = match kind {
        SENDER_REPORT => 24 + count * 24,
        RECEIVER_REPORT => 4 + count * 24,
        GOODBYE => count * 4,
        APPLICATION => 8,
        SOURCE_DESCRIPTION => return chunks(count, body),
        205 | 206 => 8, // RFC 4585 section 6.1: sender and media source
        _ => 0,
    };
    if body.len() < needed {
        Err(RtcpError::Count)
    } else {
        Ok(())
    }
}

/// Source description: each chunk is an SSRC, items and a zero, padded to 32 bits.
fn chunks(count: usize, body: &[u8]) -> Result<(), RtcpError> {
    let mut rest = body;
    for _ in 0..count {
        let mut at = 4;
        loop {
            match rest.get(at) {
                None => return Err(RtcpError::Count),
                Some(0) => break,
                Some(_) => at += 2 + usize::from(*rest.get(at + 1).ok_or(RtcpError::Count)?),
            }
        }
        rest = rest.get((at / 4 + 1) * 4..).ok_or(RtcpError::Count)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::seeds;
    use proptest::prelude::*;

    fn receiver_report(count: u8, blocks: usize) -> Vec<u8> {
        let words = 1 + blocks * 6;
        let mut packet = vec![0x80 | count, RECEIVER_REPORT, (words >> 8) as u8, words as u8];
        packet.extend_from_slice(&0x1122_3344u32.to_be_bytes());
        packet.resize(8 + blocks * 24, 0);
        packet
    }

    #[test]
    fn compound() {
        let mut datagram = receiver_report(1, 1);
        datagram.extend_from_slice(&[
            0x81,
            SOURCE_DESCRIPTION,
            0,
            3,
            1,
            2,
            3,
            4,
            1,
            5,
            b'a',
            b'@',
            b'b',
            b'.',
            b'c',
            0,
        ]);
        datagram.extend_from_slice(&[0x81, GOODBYE, 0, 1, 1, 2, 3, 4]);
        assert_eq!(
            check(&datagram),
            Ok(Compound {
                sender: 0x1122_3344,
                kind: RECEIVER_REPORT,
                packets: 3
            })
        );
        for cut in 1..datagram.len() {
            // Cut between packets it is valid, else not.
            assert_eq!(check(&datagram[..cut]).is_ok(), cut == 32 || cut == 48, "cut at {cut}");
        }
    }

    #[test]
    fn counts_and_lengths() {
        assert_eq!(check(&receiver_report(31, 1)), Err(RtcpError::Count));
        assert!(check(&receiver_report(31, 31)).is_ok());
        assert_eq!(check(&[]), Err(RtcpError::Short));
        assert_eq!(check(&[0x80, 201, 0xff, 0xff, 0, 0, 0, 0]), Err(RtcpError::Length));
        assert_eq!(check(&[0x00, 201, 0, 1, 0, 0, 0, 0]), Err(RtcpError::Version));
        assert_eq!(check(&[0x80, 100, 0, 1, 0, 0, 0, 0]), Err(RtcpError::Kind));
        // Padding: none, too much, not in the last packet.
        assert_eq!(check(&[0xa0, 201, 0, 1, 0, 0, 0, 0]), Err(RtcpError::Padding));
        assert_eq!(check(&[0xa0, 201, 0, 1, 0, 0, 0, 8]), Err(RtcpError::Padding));
        assert_eq!(
            check(&[0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4]).map(|c| c.sender),
            Ok(1)
        );
        // An item of a source description that runs over the end.
        assert_eq!(
            check(&[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 200, 0, 0]),
            Err(RtcpError::Count)
        );
    }

    #[test]
    fn seeds_do_not_panic() {
        let all = seeds::files("media-seeds/pjsip-rtcp")
            .map(|(_, packet)| vec![packet])
            .chain(seeds::captures().map(|(_, packets)| packets));
        for packet in all.flatten() {
            for cut in 0..=packet.len() {
                let _ = check(&packet[..cut]);
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(mut datagram in proptest::collection::vec(any::<u8>(), 0..200), kind in 198u8..210) {
            let _ = check(&datagram);
            if let [first, second, high, _, ..] = &mut datagram[..] {
                *first = (*first & 0x3f) | 0x80;
                *second = kind;
                *high = 0;
            }
            let _ = check(&datagram);
            let _ = check_secure(&datagram);
        }
    }
}
