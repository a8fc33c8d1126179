//! The RTP packet of the load: 12 octets of header, 160 of "audio" that say who sent it and when.
//!
//! A relay may rewrite the header (RFC 3550 section 5.1) but has to leave the payload alone, so
//! everything that is judged is read from the payload.

use std::time::Duration;

/// Octets of a packet: RTP header and 20 ms of PCMU.
pub const PACKET_OCTETS: usize = 172;
const HEADER_OCTETS: usize = 12;
const MAGIC: [u8; 4] = *b"RFm1";

/// What a packet says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which run of the tool; packets of an earlier run are not ours.
    pub run: u32,
    /// Stream number: call times two plus leg.
    pub stream: u32,
    /// Packet number in its stream, from 0.
    pub number: u32,
    /// Nanoseconds of the realtime clock when it was sent.
    pub sent_ns: u64,
}

impl Mark {
    /// Writes the whole packet.
    pub fn write(&self, packet: &mut [u8; PACKET_OCTETS]) {
        packet[0] = 0x80;
        packet[1] = if self.number == 0 { 0x80 } else { 0 };
        packet[2..4].copy_from_slice(&(self.number as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&self.number.wrapping_mul(160).to_be_bytes());
        packet[8..12].copy_from_slice(&(self.run ^ self.stream).to_be_bytes());
        let body = &mut packet[HEADER_OCTETS..];
        body[0..4].copy_from_slice(&MAGIC);
        body[4..8].copy_from_slice(&self.run.to_be_bytes());
        body[8..12].copy_from_slice(&self.stream.to_be_bytes());
        body[12..16].copy_from_slice(&self.number.to_be_bytes());
        body[16..24].copy_from_slice(&self.sent_ns.to_be_bytes());
    }

    /// Reads a received packet; `None` when it is not one of ours or was damaged.
    #[must_use]
    pub fn read(packet: &[u8]) -> Option<Mark> {
        if packet.len() != PACKET_OCTETS || packet[0] & 0xc0 != 0x80 || packet[1] & 0x7f != 0 {
            return None;
        }
        let body = &packet[HEADER_OCTETS..];
        let word = |at: usize| Some(u32::from_be_bytes(body.get(at..at + 4)?.try_into().ok()?));
        if body.get(..4)? != MAGIC {
            return None;
        }
        let sent_ns = u64::from_be_bytes(body.get(16..24)?.try_into().ok()?);
        Some(Mark {
            run: word(4)?,
            stream: word(8)?,
            number: word(12)?,
            sent_ns,
        })
    }
}

/// One packet every 20 ms and stream.
pub const INTERVAL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote_after_a_header_rewrite() {
        let mark = Mark {
            run: 7,
            stream: 1999,
            number: 70_000,
            sent_ns: 1 << 60,
        };
        let mut packet = [0; PACKET_OCTETS];
        mark.write(&mut packet);
        packet[2..12].fill(0x55);
        assert_eq!(Mark::read(&packet), Some(mark));
    }

    #[test]
    fn refuses_what_is_not_ours() {
        let mut packet = [0; PACKET_OCTETS];
        Mark {
            run: 1,
            stream: 0,
            number: 1,
            sent_ns: 0,
        }
        .write(&mut packet);
        assert!(Mark::read(&packet[..171]).is_none());
        packet[0] = 0;
        assert!(Mark::read(&packet).is_none());
    }
}
