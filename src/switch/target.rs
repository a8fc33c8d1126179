//! Where a request may go next: a set of targets in one buffer, in the order in which to try them.
//!
//! The set is kept encoded, because it crosses the mesh, waits beside a call for serial forking,
//! and must not cost an allocation for each target.

use crate::protocol::{Path, Transport};
use shards::{Buf, ConnId, ListenerId};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// When to try the next group of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hunt {
    /// After any failure short of a 6xx: contacts of one AOR (RFC 3261 section 16.6).
    Any,
    /// Only when the next hop itself failed (503, 408 without any provisional, 500): trunks.
    Dead,
}

/// One target, borrowed from its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The Request-URI for it.
    pub uri: &'a [u8],
    /// Route header values to put on top (the binding's Path, RFC 3327); may be empty.
    pub route: &'a [u8],
    /// Where to send.
    pub path: Path,
    /// Preference, 0 to 1000 (RFC 3261 section 20.10, times 1000). Equal ones are tried at once.
    pub q: u16,
    /// True when `path` is the flow that the phone registered from, and not what its URI says:
    /// later requests of the dialog have to take the same flow.
    pub flow: bool,
}

/// Targets in order of preference.
#[derive(Clone, Debug, Default)]
pub struct TargetSet {
    octets: Buf,
    at: usize,
    left: u16,
}

impl TargetSet {
    /// Adds a target behind the others. The caller adds in order of falling `q`.
    pub fn push(&mut self, target: &Target<'_>) {
        let (Ok(uri), Ok(route)) = (u16::try_from(target.uri.len()), u16::try_from(target.route.len())) else {
            return;
        };
        let mut head = [0u8; HEAD];
        write_path(&mut head[..PATH], &target.path);
        head[PATH..PATH + 2].copy_from_slice(&target.q.to_le_bytes());
        head[PATH + 2] = u8::from(target.flow);
        head[PATH + 3..PATH + 5].copy_from_slice(&uri.to_le_bytes());
        head[PATH + 5..].copy_from_slice(&route.to_le_bytes());
        self.octets.extend_from_slice(&head);
        self.octets.extend_from_slice(target.uri);
        self.octets.extend_from_slice(target.route);
        self.left += 1;
    }

    /// The first target that was not taken yet.
    pub fn peek(&self) -> Option<Target<'_>> {
        read(&self.octets, self.at).map(|(target, _)| target)
    }

    /// Steps over the first target.
    pub fn skip(&mut self) {
        if let Some((_, next)) = read(&self.octets, self.at) {
            self.at = next;
            self.left -= 1;
        }
    }

    /// How many targets were not taken yet.
    pub fn len(&self) -> usize {
        usize::from(self.left)
    }

    /// True when all were taken.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// How many of the targets left share the highest preference: the next parallel group.
    pub fn group(&self) -> usize {
        let q = self.peek().map(|target| target.q);
        self.iter().take_while(|target| Some(target.q) == q).count()
    }

    /// The targets that were not taken yet.
    pub fn iter(&self) -> impl Iterator<Item = Target<'_>> {
        let mut at = self.at;
        std::iter::from_fn(move || {
            let (target, next) = read(&self.octets, at)?;
            at = next;
            Some(target)
        })
    }
}

fn read(octets: &[u8], at: usize) -> Option<(Target<'_>, usize)> {
    let head = octets.get(at..at + HEAD)?;
    let uri_len = usize::from(u16::from_le_bytes([head[PATH + 3], head[PATH + 4]]));
    let route_len = usize::from(u16::from_le_bytes([head[PATH + 5], head[PATH + 6]]));
    let uri_at = at + HEAD;
    let uri = octets.get(uri_at..uri_at + uri_len)?;
    let route = octets.get(uri_at + uri_len..uri_at + uri_len + route_len)?;
    let path = read_path(head)?;
    let q = u16::from_le_bytes([head[PATH], head[PATH + 1]]);
    Some((
        Target {
            uri,
            route,
            path,
            q,
            flow: head[PATH + 2] != 0,
        },
        uri_at + uri_len + route_len,
    ))
}

/// Octets of an encoded path.
pub(crate) const PATH: usize = 28;
const HEAD: usize = PATH + 7;
/// Marks an IPv6 peer in the transport octet.
const V6: u8 = 0x80;

/// Encodes a path into [`PATH`] octets.
pub(crate) fn write_path(into: &mut [u8], path: &Path) {
    let Some(into) = into.first_chunk_mut::<PATH>() else {
        return;
    };
    into[0] = path.transport as u8;
    into[1] = path.listener.0;
    into[2..10].copy_from_slice(&path.conn.0.to_le_bytes());
    into[10..12].copy_from_slice(&path.peer.port().to_le_bytes());
    match path.peer.ip() {
        IpAddr::V4(ip) => {
            into[12..16].copy_from_slice(&ip.octets());
            into[16..].fill(0);
        }
        IpAddr::V6(ip) => {
            into[12..28].copy_from_slice(&ip.octets());
            into[0] |= V6;
        }
    }
}

/// Decodes what [`write_path`] wrote.
pub(crate) fn read_path(from: &[u8]) -> Option<Path> {
    let from = from.first_chunk::<PATH>()?;
    let transport = match from[0] & !V6 {
        0 => Transport::Udp,
        1 => Transport::Tcp,
        2 => Transport::Tls,
        3 => Transport::Ws,
        4 => Transport::Wss,
        _ => return None,
    };
    let ip = if from[0] & V6 == 0 {
        IpAddr::V4(Ipv4Addr::from(*from[12..].first_chunk::<4>()?))
    } else {
        IpAddr::V6(Ipv6Addr::from(*from[12..].first_chunk::<16>()?))
    };
    let conn = u64::from_le_bytes(*from[2..].first_chunk::<8>()?);
    let port = u16::from_le_bytes([from[10], from[11]]);
    Some(Path {
        transport,
        listener: ListenerId(from[1]),
        peer: SocketAddr::new(ip, port),
        conn: ConnId(conn),
    })
}

/// A qvalue in thousandths (RFC 3261 section 25.1); nonsense counts as 1.
#[must_use]
pub fn qvalue(text: &[u8]) -> u16 {
    let digits = match text {
        [b'0'] => return 0,
        [b'0', b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return 1000,
    };
    let scale = [100, 10, 1];
    digits
        .iter()
        .zip(scale)
        .map(|(digit, weight)| u16::from(digit - b'0') * weight)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(peer: &str, transport: Transport) -> Path {
        Path {
            transport,
            listener: ListenerId(3),
            peer: peer.parse().unwrap(),
            conn: ConnId::new(2, 77),
        }
    }

    #[test]
    fn targets_come_back_in_order_and_by_group() {
        let mut set = TargetSet::default();
        for (uri, q, peer) in [
            ("sip:a@h", 1000, "127.0.0.1:5070"),
            ("sip:b@h", 1000, "[2001:db8::1]:5071"),
            ("sip:c@h", 500, "255.255.255.255:1"),
        ] {
            set.push(&Target {
                uri: uri.as_bytes(),
                route: b"<sip:edge;lr>",
                path: path(peer, Transport::Tcp),
                q,
                flow: q == 500,
            });
        }
        assert_eq!((set.len(), set.group()), (3, 2));
        let first = set.peek().unwrap();
        assert_eq!(
            (first.uri, first.path),
            (&b"sip:a@h"[..], path("127.0.0.1:5070", Transport::Tcp))
        );
        set.skip();
        assert_eq!(set.peek().unwrap().path.peer, "[2001:db8::1]:5071".parse().unwrap());
        set.skip();
        assert_eq!((set.group(), set.peek().unwrap().flow), (1, true));
        set.skip();
        set.skip();
        assert!(set.is_empty() && set.peek().is_none());
    }

    #[test]
    fn qvalues() {
        for (text, value) in [
            ("1", 1000),
            ("1.0", 1000),
            ("0", 0),
            ("0.5", 500),
            ("0.05", 50),
            ("0.123", 123),
            ("0.", 0),
            ("x", 1000),
            ("0.1234", 1000),
            ("", 1000),
        ] {
            assert_eq!(qvalue(text.as_bytes()), value, "{text}");
        }
    }
}
