//! From a URI to a path: RFC 3263 for literal addresses. Names wait for the resolver.

use super::site::Site;
use crate::protocol::sip::{Message, Name, NameAddr, Scheme, Uri};
use crate::protocol::{Path, Transport};
use shards::ListenerId;
use std::net::{IpAddr, SocketAddr};

/// Why a URI gives no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPath {
    /// It is no SIP URI.
    Malformed,
    /// Its host is a name, and there is no resolver yet.
    Name,
    /// Its address is one that nothing may be sent to (RFC 3261 gives no use to it, SECURITY row
    /// 33), or our own.
    Forbidden,
    /// No listener has that transport and address family.
    NoListener,
}

impl NoPath {
    /// The answer to give.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            NoPath::Malformed => 400,
            NoPath::Name | NoPath::NoListener => 503,
            NoPath::Forbidden => 403,
        }
    }
}

/// Where a request with this next-hop URI goes (RFC 3263 section 4, literal addresses).
///
/// # Errors
/// [`NoPath`].
pub fn resolve(site: &Site, raw: &[u8], preferred: ListenerId) -> Result<Path, NoPath> {
    resolve_uri(site, &Uri::parse(raw).map_err(|_| NoPath::Malformed)?, preferred)
}

/// [`resolve`] for a URI that was read already.
///
/// # Errors
/// [`NoPath`].
pub fn resolve_uri(site: &Site, uri: &Uri<'_>, preferred: ListenerId) -> Result<Path, NoPath> {
    let transport = match (uri.scheme, uri.param("transport")) {
        (Scheme::Sips, _) => Transport::Tls,
        (Scheme::Sip, None) => Transport::Udp,
        (Scheme::Sip, Some(text)) => transport_named(text).ok_or(NoPath::NoListener)?,
        _ => return Err(NoPath::Malformed),
    };
    // RFC 3261 section 19.1.1: maddr overrides the host.
    let ip = match uri.param("maddr") {
        Some(text) => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.trim_matches(['[', ']']).parse().ok()),
        None => uri.host_ip(),
    };
    let port = uri
        .port
        .unwrap_or(if transport == Transport::Tls { 5061 } else { 5060 });
    let peer = SocketAddr::new(ip.ok_or(NoPath::Name)?, port);
    let near = site.listener(preferred).address.ip();
    if !is_sendable(peer) || !is_within_reach(peer.ip(), near) || site.is_own_address(peer) {
        return Err(NoPath::Forbidden);
    }
    site.path_to(transport, peer, Some(preferred)).ok_or(NoPath::NoListener)
}

/// Whether requests to the sender have to take the path that its request came over: it is a stream,
/// or the Contact shows another address than the one that the request came from (NAT).
#[must_use]
pub fn needs_flow(request: &Message<'_>, path: &Path) -> bool {
    let contact = request
        .header(Name::Contact)
        .and_then(|value| NameAddr::parse(value).ok());
    let uri = contact.and_then(|contact| Uri::parse(contact.uri).ok());
    path.transport.is_reliable() || uri.and_then(|uri| uri.host_ip()) != Some(path.peer.ip())
}

/// A transport by its name in a URI.
#[must_use]
pub fn transport_named(text: &[u8]) -> Option<Transport> {
    [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tls,
        Transport::Ws,
        Transport::Wss,
    ]
    .into_iter()
    .find(|transport| transport.param().as_bytes().eq_ignore_ascii_case(text))
}

/// Whether a datagram or connection may be aimed at an address at all.
#[must_use]
pub fn is_sendable(peer: SocketAddr) -> bool {
    if peer.port() == 0 {
        return false;
    }
    match peer.ip().to_canonical() {
        // 0/8 is "this network", 240/4 reserved with broadcast in it (RFC 6890).
        IpAddr::V4(ip) => !ip.is_multicast() && ip.octets()[0] != 0 && ip.octets()[0] < 240,
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
    }
}

/// Whether a peer that is heard over a listener at `near` may name this address as a target: what
/// only this host or only one link can reach is named by those who are there themselves
/// (CVE-2020-26262). A demonstration listens on loopback, so that its phones may.
#[must_use]
pub fn is_within_reach(ip: IpAddr, near: IpAddr) -> bool {
    let (ip, near) = (ip.to_canonical(), near.to_canonical());
    (!ip.is_loopback() || near.is_loopback()) && (!is_link_local(ip) || is_link_local(near))
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_addresses() {
        for bad in [
            "0.0.0.0:5060",
            "255.255.255.255:5060",
            "224.0.0.1:5060",
            "[::]:5060",
            "[ff02::1]:5060",
            "192.0.2.1:0",
            "0.1.2.3:5060",
            "240.0.0.1:5060",
            "[::ffff:224.0.0.1]:5060",
        ] {
            assert!(!is_sendable(bad.parse().unwrap()), "{bad}");
        }
        for good in ["192.0.2.1:5060", "[2001:db8::1]:1", "127.0.0.1:9"] {
            assert!(is_sendable(good.parse().unwrap()), "{good}");
        }
    }

    #[test]
    fn who_may_name_addresses_of_this_host_and_link() {
        for (ip, near, reach) in [
            ("127.0.0.1", "10.0.0.1", false),
            ("127.8.8.8", "0.0.0.0", false),
            ("::ffff:127.0.0.1", "::", false),
            ("::1", "2001:db8::1", false),
            ("169.254.1.1", "10.0.0.1", false),
            ("fe80::1", "2001:db8::1", false),
            ("127.0.0.9", "127.0.0.1", true),
            ("::1", "::1", true),
            ("169.254.1.1", "169.254.9.9", true),
            ("10.0.0.9", "127.0.0.1", true),
            ("2001:db8::9", "2001:db8::1", true),
        ] {
            let reached = is_within_reach(ip.parse().unwrap(), near.parse().unwrap());
            assert_eq!(reached, reach, "{ip} over {near}");
        }
    }
}
