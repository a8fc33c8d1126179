//! From a captured frame to the UDP payload in it: link layer, IPv4 or IPv6, UDP. Numbers of link
//! types are <https://www.tcpdump.org/linktypes.html>'s.

use std::net::{IpAddr, SocketAddr};

/// Where the IP packet of a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// IP after so many octets: loopback (whose protocol family is the writer's own number) and raw IP.
    Plain(usize),
    /// An Ethernet type at this offset, then perhaps VLAN tags, then IP after so many more octets.
    Typed { at: usize, skip: usize },
}

impl Link {
    pub(super) fn of(number: i32) -> Option<Self> {
        match number {
            0 | 108 => Some(Self::Plain(4)),
            12 | 14 | 101 | 228 | 229 => Some(Self::Plain(0)),
            1 => Some(Self::Typed { at: 12, skip: 0 }),
            113 => Some(Self::Typed { at: 14, skip: 0 }),
            276 => Some(Self::Typed { at: 0, skip: 18 }),
            _ => None,
        }
    }

    fn ip(self, frame: &[u8]) -> Option<&[u8]> {
        let (mut at, skip) = match self {
            Self::Plain(at) => return frame.get(at..),
            Self::Typed { at, skip } => (at, skip),
        };
        let mut kind = be16(frame, at)?;
        at += 2 + skip;
        // 802.1Q, 802.1ad and its forerunner: two octets of tag, then the type of what follows.
        while matches!(kind, 0x8100 | 0x88a8 | 0x9100) {
            kind = be16(frame, at + 2)?;
            at += 4;
        }
        matches!(kind, 0x0800 | 0x86dd).then(|| frame.get(at..))?
    }
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram<'a> {
    pub(super) source: SocketAddr,
    pub(super) target: SocketAddr,
    pub(super) payload: &'a [u8],
    /// The capture holds less than was sent.
    pub(super) cut: bool,
}

/// The datagram in a frame; `None` when it is something else, or a fragment.
pub(super) fn datagram(link: Link, frame: &[u8]) -> Option<Datagram<'_>> {
    let ip = link.ip(frame)?;
    let (source, target, udp) = match ip.first()? >> 4 {
        4 => ipv4(ip)?,
        6 => ipv6(ip)?,
        _ => return None,
    };
    let payload = udp.get(8..)?;
    // Ethernet pads short frames: the length counts. It is 0 where the network card cuts later.
    let length = match usize::from(be16(udp, 4)?) {
        0 => payload.len(),
        length => length.checked_sub(8)?,
    };
    Some(Datagram {
        source: SocketAddr::new(source, be16(udp, 0)?),
        target: SocketAddr::new(target, be16(udp, 2)?),
        payload: payload.get(..length).unwrap_or(payload),
        cut: length > payload.len(),
    })
}

const UDP: u8 = 17;

fn ipv4(ip: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let header = ip.first_chunk::<20>()?;
    let address = |at| Some(IpAddr::from(*header.get(at..)?.first_chunk::<4>()?));
    // More fragments, or not the first.
    let fragment = be16(header, 6)? & 0x3fff != 0;
    if header[9] != UDP || fragment {
        return None;
    }
    Some((address(12)?, address(16)?, ip.get(usize::from(header[0] & 0x0f) * 4..)?))
}

fn ipv6(ip: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let (header, mut rest) = ip.split_first_chunk::<40>()?;
    let address = |at| Some(IpAddr::from(*header.get(at..)?.first_chunk::<16>()?));
    let mut next = header[6];
    // Hop-by-hop, routing and destination options (RFC 8200 section 4) have one form.
    while matches!(next, 0 | 43 | 60) {
        let &[following, words] = rest.first_chunk()?;
        rest = rest.get(usize::from(words) * 8 + 8..)?;
        next = following;
    }
    (next == UDP).then_some((address(8)?, address(24)?, rest))
}

fn be16(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().map(|&pair| u16::from_be_bytes(pair))
}
