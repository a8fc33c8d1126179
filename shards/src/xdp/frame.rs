//! Ethernet, IPv4 and UDP headers of media frames: read, and written.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Octets of the link layer's two addresses.
pub(super) const LINK: usize = 12;
// Where things are in a frame without VLAN tags and IP options.
pub(super) const TYPE: usize = 12;
pub(super) const VERSION: usize = 14;
pub(super) const FRAGMENT: usize = 20;
pub(super) const PROTOCOL: usize = 23;
/// The destination's IP address.
pub(super) const ADDRESS: usize = 30;
/// The destination's port.
pub(super) const PORT: usize = 36;
/// Octets of all headers.
pub(super) const HEADERS: usize = 42;

const IP: usize = 14;
const UDP: usize = 34;

/// A media frame that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// The link layer's addresses with which an answer comes to the sender.
    pub(super) link: [u8; LINK],
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
    /// Octets of the UDP payload, from [`HEADERS`] on.
    pub(super) len: usize,
}

/// Reads a frame that the filter let through; `None` where its lengths contradict each other.
pub(super) fn read(frame: &[u8]) -> Option<Heard> {
    let headers: &[u8; HEADERS] = frame.first_chunk()?;
    let half = |at: usize| u16::from_be_bytes([headers[at], headers[at + 1]]);
    let address = |at: usize| Ipv4Addr::new(headers[at], headers[at + 1], headers[at + 2], headers[at + 3]);
    if half(TYPE) != 0x0800 || headers[VERSION] != 0x45 || i32::from(headers[PROTOCOL]) != libc::IPPROTO_UDP {
        return None;
    }
    let len = usize::from(half(UDP + 4)).checked_sub(8)?;
    // Ethernet pads short frames: the frame may be longer than the datagram, never shorter.
    if usize::from(half(IP + 2)) != 28 + len || frame.len() < HEADERS + len {
        return None;
    }
    let mut link = [0; LINK];
    link[..6].copy_from_slice(&headers[6..12]);
    link[6..].copy_from_slice(&headers[..6]);
    Some(Heard {
        link,
        from: SocketAddrV4::new(address(ADDRESS - 4), half(UDP)),
        to: SocketAddrV4::new(address(ADDRESS), half(PORT)),
        len,
    })
}

/// Writes the headers before `len` octets of payload, which are in place.
pub(super) fn write(frame: &mut [u8], link: &[u8; LINK], from: SocketAddrV4, to: SocketAddrV4, len: usize) {
    let Some((headers, payload)) = frame.split_first_chunk_mut::<HEADERS>() else {
        return;
    };
    let payload = payload.get(..len).unwrap_or_default();
    headers[..LINK].copy_from_slice(link);
    headers[TYPE..IP].copy_from_slice(&[0x08, 0x00]);
    // RFC 791: no identification where nothing is fragmented (RFC 6864 section 4.1).
    headers[IP..IP + 12].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, libc::IPPROTO_UDP as u8, 0, 0]);
    headers[IP + 2..IP + 4].copy_from_slice(&((28 + len) as u16).to_be_bytes());
    headers[IP + 12..IP + 16].copy_from_slice(&from.ip().octets());
    headers[IP + 16..UDP].copy_from_slice(&to.ip().octets());
    let check = !folded(sum(&headers[IP..UDP]));
    headers[IP + 10..IP + 12].copy_from_slice(&check.to_ne_bytes());
    headers[UDP..UDP + 2].copy_from_slice(&from.port().to_be_bytes());
    headers[UDP + 2..UDP + 4].copy_from_slice(&to.port().to_be_bytes());
    headers[UDP + 4..UDP + 6].copy_from_slice(&((8 + len) as u16).to_be_bytes());
    headers[UDP + 6..].fill(0);
    // RFC 768: over the addresses, the protocol, the length, header and payload.
    let pseudo = u64::from((libc::IPPROTO_UDP as u16).to_be()) + u64::from(((8 + len) as u16).to_be());
    let check = !folded(sum(&headers[IP + 12..]) + pseudo + sum(payload));
    // Zero says "none": the other form of it is sent.
    let check = if check == 0 { u16::MAX } else { check };
    headers[UDP + 6..].copy_from_slice(&check.to_ne_bytes());
}

/// Sum of the 16-bit words (RFC 1071), in the machine's order, not yet folded.
fn sum(octets: &[u8]) -> u64 {
    let mut words = octets.chunks_exact(4);
    let mut all: u64 = 0;
    for word in &mut words {
        all += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut rest = [0; 4];
    rest[..words.remainder().len()].copy_from_slice(words.remainder());
    all + u64::from(u32::from_ne_bytes(rest))
}

fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> (SocketAddrV4, SocketAddrV4) {
        let from = "192.0.2.1:16384".parse().expect("an address");
        (from, "198.51.100.7:40001".parse().expect("an address"))
    }

    #[test]
    fn what_is_written_is_read_with_its_links_turned() {
        let (from, to) = ends();
        for len in [0, 1, 2, 3, 172, 1472] {
            let mut frame: Vec<u8> = (0..HEADERS + len).map(|at| (at * 7) as u8).collect();
            write(&mut frame, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], from, to, len);
            let link = [7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6];
            assert_eq!(read(&frame), Some(Heard { link, from, to, len }));
            // Both checksums come out as the receiver wants them.
            assert_eq!(folded(sum(&frame[IP..UDP])), u16::MAX);
            let pseudo = u64::from(17_u16.to_be()) + u64::from(((8 + len) as u16).to_be());
            assert_eq!(folded(sum(&frame[IP + 12..]) + pseudo), u16::MAX, "{len} octets");
            frame.extend([0; 9]);
            assert_eq!(read(&frame).map(|heard| heard.len), Some(len), "padded");
        }
    }

    /// RFC 1071 section 3's example.
    #[test]
    fn the_sum_of_the_rfc() {
        let sum = folded(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]));
        assert_eq!(sum.to_be(), 0xddf2);
    }

    #[test]
    fn lengths_that_contradict_are_refused() {
        let (from, to) = ends();
        let mut frame = vec![0; HEADERS + 20];
        write(&mut frame, &[0; LINK], from, to, 20);
        for cut in 0..frame.len() {
            assert_eq!(read(&frame[..cut]), None, "{cut}");
        }
        for (at, value) in [
            (UDP + 5, 7),
            (UDP + 5, 29),
            (UDP + 4, 9),
            (IP + 3, 47),
            (VERSION, 0x46),
            (TYPE + 1, 6),
        ] {
            let mut frame = frame.clone();
            frame[at] = value;
            assert_eq!(read(&frame), None, "{at}");
        }
    }
}
