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
    if !is_sendable(peer) || site.is_own_address(peer) {
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
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
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
        ] {
            assert!(!is_sendable(bad.parse().unwrap()), "{bad}");
        }
        for good in ["192.0.2.1:5060", "[2001:db8::1]:1", "127.0.0.1:9"] {
            assert!(is_sendable(good.parse().unwrap()), "{good}");
        }
    }
}
