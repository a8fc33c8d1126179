//! The small languages inside strings: listener addresses, targets, prefixes, port ranges, domains.

use crate::config::plan::{Cidr, Host, Target};
use crate::protocol::Transport;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What a listener's address looks like, for messages.
pub(super) const LISTEN: &str = "transport:address:port such as \"udp:127.0.0.1:5060\" or \"tcp:[::1]:5060\"";
/// What a target looks like, for messages.
pub(super) const TARGET: &str = "transport:host or transport:host:port such as \"udp:127.0.0.1:5080\"";

fn transport(name: &str) -> Option<Transport> {
    [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tls,
        Transport::Ws,
        Transport::Wss,
    ]
    .into_iter()
    .find(|transport| transport.param() == name)
}

/// `udp:127.0.0.1:5060`, `tcp:[::1]:5060`. The port may not be 0: all shards share it.
pub(super) fn listen(text: &str) -> Option<(Transport, SocketAddr)> {
    let (name, address) = text.split_once(':')?;
    let address: SocketAddr = address.parse().ok()?;
    (address.port() != 0).then_some((transport(name)?, address))
}

/// `udp:192.0.2.1:5080`, `udp:[2001:db8::1]`, `tcp:carrier.example`.
pub(super) fn target(text: &str) -> Option<Target> {
    let (name, rest) = text.split_once(':')?;
    let (host, port) = host_port(rest)?;
    Some(Target {
        transport: transport(name)?,
        host,
        port,
    })
}

/// `host` or `host:port`, an IPv6 address in brackets.
pub(super) fn host_port(text: &str) -> Option<(Host, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, port) = rest.split_once(']')?;
            let address: Ipv6Addr = inner.parse().ok()?;
            let port = if port.is_empty() {
                None
            } else {
                Some(port.strip_prefix(':')?)
            };
            (Host::Ip(address.into()), port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (name_or_v4(host)?, Some(port)),
            None => (name_or_v4(text)?, None),
        },
    };
    match port {
        None => Some((host, None)),
        Some(port) => Some((host, Some(port_number(port)?))),
    }
}

fn name_or_v4(text: &str) -> Option<Host> {
    if let Ok(IpAddr::V4(address)) = text.parse() {
        return Some(Host::Ip(address.into()));
    }
    host_name(text).map(Host::Name)
}

/// A port from 1 to 65535, decimal digits only.
fn port_number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

/// A host name in lower case: RFC 1123 labels; not all digits at its end (RFC 3261 `toplabel`).
pub(super) fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label = |label: &str| {
        let edge = |at: Option<char>| at.is_some_and(|c| c.is_ascii_alphanumeric());
        label.len() <= 63
            && edge(label.chars().next())
            && edge(label.chars().next_back())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let last = name.rsplit('.').next()?;
    let letter_first = last.starts_with(|c: char| c.is_ascii_alphabetic());
    (name.len() <= 253 && letter_first && name.split('.').all(label)).then_some(name)
}

/// A domain as in the host part of an AOR: a host name, or a literal address (IPv6 in brackets).
pub(super) fn domain(text: &str) -> Option<String> {
    match host_port(text)? {
        (Host::Name(name), None) => Some(name),
        (Host::Ip(IpAddr::V4(address)), None) => Some(address.to_string()),
        (Host::Ip(IpAddr::V6(address)), None) => Some(format!("[{address}]")),
        _ => None,
    }
}

/// What is wrong with a prefix.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CidrError {
    /// Not an address with an optional prefix length.
    Syntax,
    /// Prefix length over 32 or 128.
    Length {
        /// The longest for the family.
        most: u8,
    },
    /// Bits beyond the prefix are set: the network that was probably meant.
    HostBits(String),
}

/// `192.0.2.0/24`, `2001:db8::/32`, or one address. The prefix arithmetic that others got wrong
/// (CVE-2010-1224) stands here and in [`Cidr::contains`], under one table test.
pub(super) fn cidr(text: &str) -> Result<Cidr, CidrError> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let network: IpAddr = address.parse().map_err(|_| CidrError::Syntax)?;
    let most = if network.is_ipv4() { 32 } else { 128 };
    let mut prefix = match prefix {
        None => most,
        Some(digits) if !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|d| d.is_ascii_digit()) => {
            let prefix = digits.parse::<u16>().map_err(|_| CidrError::Syntax)?;
            u8::try_from(prefix)
                .ok()
                .filter(|prefix| *prefix <= most)
                .ok_or(CidrError::Length { most })?
        }
        Some(_) => return Err(CidrError::Syntax),
    };
    // `contains` compares IPv4-mapped addresses as IPv4, so the network is kept in that form too.
    let canonical = network.to_canonical();
    if canonical.is_ipv4() != network.is_ipv4() {
        prefix = prefix.checked_sub(96).ok_or(CidrError::Syntax)?;
    }
    let masked = mask(canonical, prefix);
    if masked != canonical {
        return Err(CidrError::HostBits(format!("{masked}/{prefix}")));
    }
    Ok(Cidr {
        network: canonical,
        prefix,
    })
}

fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(32 - prefix).unwrap_or(0)).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(128 - prefix).unwrap_or(0)).into()),
    }
}

/// `20000-39999`.
pub(super) fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-')?;
    Some((port_number(first.trim())?, port_number(last.trim())?))
}

/// The user part of an AOR that needs no escaping in a SIP URI (RFC 3261 `unreserved` and the
/// harmless part of `user-unreserved`).
pub(super) fn user_name(text: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,/".contains(c);
    !text.is_empty() && text.len() <= 128 && text.chars().all(fine)
}

/// The candidate nearest to `text` by edits, when it is near enough to be a slip.
pub(super) fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer texts are no slips of a key, and would make the comparison long.
    let length = text.chars().count();
    if length > 64 {
        return None;
    }
    let most = (length / 3).clamp(1, 3);
    let distance = |candidate: &str| edits(text, candidate);
    candidates
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(d, _)| *d <= most)
        .min()
        .map(|(_, c)| c)
}

/// Edit distance; an exchange of neighbours counts 1, like any slip.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, _) | (_, 0) => i + j,
                _ => {
                    let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let exchanged = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    let exchanged = if exchanged { rows[i - 2][j - 2] + 1 } else { usize::MAX };
                    replaced.min(exchanged).min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1)
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners() {
        let v4 = listen("udp:127.0.0.1:5060").unwrap();
        assert_eq!(v4, (Transport::Udp, "127.0.0.1:5060".parse().unwrap()));
        assert_eq!(
            listen("wss:[::1]:443").unwrap(),
            (Transport::Wss, "[::1]:443".parse().unwrap())
        );
        for wrong in [
            "",
            "udp",
            "udp:",
            "udp:1.2.3",
            "udp:1.2.3.4",
            "udp:::1:5060",
            "sctp:1.2.3.4:5060",
            "udp:1.2.3.4:0",
            "udp:1.2.3.4:65536",
            "udp:localhost:5060",
            "UDP:1.2.3.4:5060",
            " udp:1.2.3.4:5060",
        ] {
            assert_eq!(listen(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn targets() {
        let ip = |text: &str| Host::Ip(text.parse().unwrap());
        for (text, host, port) in [
            ("udp:127.0.0.1:5080", ip("127.0.0.1"), Some(5080)),
            ("udp:127.0.0.1", ip("127.0.0.1"), None),
            ("udp:[2001:db8::1]:5080", ip("2001:db8::1"), Some(5080)),
            ("udp:[2001:db8::1]", ip("2001:db8::1"), None),
            ("udp:Carrier.Example", Host::Name("carrier.example".into()), None),
        ] {
            assert_eq!(
                target(text),
                Some(Target {
                    transport: Transport::Udp,
                    host,
                    port
                }),
                "{text}"
            );
        }
        for wrong in [
            "udp:",
            "udp:1.2.3",
            "udp:1.2.3.4:",
            "udp:1.2.3.4:x",
            "udp:1.2.3.4:+5",
            "udp:[::1",
            "udp:[::1]5",
            "udp:-a.example",
            "udp:a..b",
            "udp:a_b.example",
            "127.0.0.1:5080",
        ] {
            assert_eq!(target(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn domains() {
        assert_eq!(domain("Campus.Example."), Some("campus.example".into()));
        assert_eq!(domain("127.0.0.1"), Some("127.0.0.1".into()));
        assert_eq!(domain("[2001:DB8::1]"), Some("[2001:db8::1]".into()));
        for wrong in [
            "",
            ".",
            "a b",
            "campus.example:5060",
            "sip:campus.example",
            "1.2.3",
            "user@campus.example",
            "2001:db8::1",
        ] {
            assert_eq!(domain(wrong), None, "{wrong}");
        }
    }

    /// SECURITY.md row 30: every prefix length, the last address inside and the first one outside.
    #[test]
    fn every_prefix_length_of_ipv4() {
        let base = u32::from_be_bytes([0b1010_1010, 0x55, 0xAA, 0x55]);
        for prefix in 0..=32_u32 {
            let host_mask = u32::MAX.checked_shr(prefix).unwrap_or(0);
            let network = base & !host_mask;
            let written = format!("{}/{prefix}", std::net::Ipv4Addr::from(network));
            let cidr = cidr(&written).unwrap();
            let inside = |bits: u32| cidr.contains(IpAddr::V4(bits.into()));
            assert!(inside(network) && inside(network | host_mask), "{written}");
            assert!(
                cidr.contains(IpAddr::V6(std::net::Ipv4Addr::from(network).to_ipv6_mapped())),
                "{written} mapped"
            );
            assert!(!cidr.contains("::1".parse().unwrap()), "{written} and the other family");
            for bit in 0..32 {
                let other = network ^ (1 << bit);
                assert_eq!(inside(other), bit < 32 - prefix, "{written} bit {bit}");
            }
        }
    }

    #[test]
    fn every_prefix_length_of_ipv6() {
        let base = 0x2001_0db8_aaaa_5555_aaaa_5555_aaaa_5555_u128;
        for prefix in 0..=128_u32 {
            let host_mask = u128::MAX.checked_shr(prefix).unwrap_or(0);
            let network = base & !host_mask;
            let written = format!("{}/{prefix}", Ipv6Addr::from(network));
            let cidr = cidr(&written).unwrap();
            let inside = |bits: u128| cidr.contains(IpAddr::V6(bits.into()));
            assert!(inside(network) && inside(network | host_mask), "{written}");
            for bit in 0..128 {
                assert_eq!(inside(network ^ (1 << bit)), bit < 128 - prefix, "{written} bit {bit}");
            }
        }
    }

    #[test]
    fn prefixes_that_are_none() {
        assert_eq!(cidr("10.0.0.0/33"), Err(CidrError::Length { most: 32 }));
        assert_eq!(cidr("::/129"), Err(CidrError::Length { most: 128 }));
        assert_eq!(cidr("10.0.0.0/300"), Err(CidrError::Length { most: 32 }));
        assert_eq!(cidr("10.1.2.3/8"), Err(CidrError::HostBits("10.0.0.0/8".into())));
        for wrong in [
            "",
            "10.0.0/8",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/ 8",
            "::ffff:10.0.0.0/90",
        ] {
            assert_eq!(cidr(wrong), Err(CidrError::Syntax), "{wrong}");
        }
        let mapped = cidr("::ffff:10.0.0.0/104").unwrap();
        assert_eq!((mapped.network, mapped.prefix), ("10.0.0.0".parse().unwrap(), 8));
    }

    #[test]
    fn the_nearest_key() {
        let keys = ["listen", "domains", "digest"];
        assert_eq!(nearest("lisen", keys), Some("listen"));
        assert_eq!(nearest("domain", keys), Some("domains"));
        assert_eq!(nearest("transport", keys), None);
        assert_eq!(nearest("spi", ["sip", "http"]), Some("sip"));
        assert_eq!(nearest("", keys), None);
    }
}
