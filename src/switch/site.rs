//! The site as all shards see it: the plan with what is derived from it once, read-only, shared.
//! A reload makes a new one and sends it to every shard.

use super::keyed::Keyed;
use super::secrets::Secrets;
use super::steering::Spread;
use crate::config::plan::{Host, Plan, Target as TrunkTarget, User};
use crate::protocol::sip::Uri;
use crate::protocol::sip::digest::hex_pair;
use crate::protocol::{Path, Transport};
use hashbrown::HashMap;
use shards::{ConnId, ListenerId, ShardId};
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, SocketAddr};

/// What a listener is called in messages.
#[derive(Debug)]
pub struct ListenerText {
    /// The transport.
    pub transport: Transport,
    /// The bound address.
    pub address: SocketAddr,
    /// `host:port` as Via, Contact and Record-Route show it.
    pub hostport: Vec<u8>,
    /// The address in `hostport`, unless it is a name, and the port.
    shown: (Option<IpAddr>, u16),
    /// `SIP/2.0/UDP host:port`.
    pub via: Vec<u8>,
    /// The URI parameter that names the transport, empty for UDP.
    pub param: &'static str,
}

/// Plan and look-up tables.
#[derive(Debug)]
pub struct Site {
    /// The resolved configuration.
    pub plan: Plan,
    /// One entry for each listener, by `ListenerId`.
    pub listeners: Vec<ListenerText>,
    /// With hashbrown's own quick hasher: peers look names up, but only the configuration puts
    /// names in, so that no peer can fill a bucket.
    users: HashMap<Vec<u8>, usize>,
    /// What is known beforehand of digests.
    pub secrets: Secrets,
    hasher: Keyed,
    spread: Spread,
    realm: Vec<u8>,
}

impl ListenerText {
    fn shown_host(&self) -> &[u8] {
        let end = self.hostport.iter().rposition(|&octet| octet == b':');
        self.hostport.get(..end.unwrap_or(self.hostport.len())).unwrap_or(&[])
    }
}

/// The address and the port of what a listener shows.
fn shown(hostport: &str, port: u16) -> (Option<IpAddr>, u16) {
    let text = format!("sip:{hostport}");
    let uri = Uri::parse(text.as_bytes());
    uri.map_or((None, port), |uri| (uri.host_ip(), uri.port.unwrap_or(port)))
}

impl Site {
    /// Derives the tables. `bound` are the listeners' real addresses (a plan may say port 0).
    /// `hasher` has to be the same in all sites of a process: it decides who is whose home.
    #[must_use]
    pub fn new(plan: Plan, bound: &[SocketAddr], hasher: Keyed) -> Self {
        let listeners = plan.sip.listeners.iter().enumerate().map(|(index, listener)| {
            let address = bound.get(index).copied().unwrap_or(listener.address);
            let hostport = if listener.advertised.is_empty() || listener.advertised == listener.address.to_string() {
                address.to_string()
            } else {
                listener.advertised.clone()
            };
            ListenerText {
                transport: listener.transport,
                address,
                via: format!("SIP/2.0/{} {hostport}", listener.transport.via()).into_bytes(),
                shown: shown(&hostport, address.port()),
                hostport: hostport.into_bytes(),
                param: match listener.transport {
                    Transport::Udp => "",
                    Transport::Tcp => ";transport=tcp",
                    Transport::Tls => ";transport=tls",
                    Transport::Ws => ";transport=ws",
                    Transport::Wss => ";transport=wss",
                },
            }
        });
        let users = plan
            .users
            .iter()
            .enumerate()
            .map(|(index, user)| (user.name.clone().into_bytes(), index))
            .collect();
        let realm = plan
            .sip
            .domains
            .first()
            .cloned()
            .unwrap_or_else(|| String::from("ringfort"))
            .into_bytes();
        Self {
            listeners: listeners.collect(),
            users,
            secrets: Secrets::new(&plan, &realm),
            spread: Spread::new(&hasher),
            hasher,
            realm,
            plan,
        }
    }

    /// The hasher, to make the next site of a reload.
    #[must_use]
    pub fn hasher(&self) -> Keyed {
        self.hasher.clone()
    }

    /// A keyed hash over several octet strings, the same in every shard of this process.
    #[must_use]
    pub fn hash_of(&self, parts: &[&[u8]]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        // Each but the last is told with its length, so that no octet can move to its neighbour.
        if let Some((last, others)) = parts.split_last() {
            for part in others {
                hasher.write_usize(part.len());
                hasher.write(part);
            }
            hasher.write(last);
        }
        hasher.finish()
    }

    /// The home shard of a Call-ID or an AOR.
    #[must_use]
    pub fn home(&self, key: &[u8]) -> ShardId {
        self.spread.home(key, self.plan.shards)
    }

    /// The home shard of a Call-ID: the one that minted it, else its hash.
    #[must_use]
    pub fn call_home(&self, call_id: &[u8]) -> ShardId {
        match minted_shard(call_id) {
            Some(shard) if usize::from(shard) < self.plan.shards => shard,
            _ => self.home(call_id),
        }
    }

    /// Index in the plan of the user with this name.
    #[must_use]
    pub fn user_index(&self, name: &[u8]) -> Option<usize> {
        self.users.get(name).copied()
    }

    /// The user with this name.
    #[must_use]
    pub fn user(&self, name: &[u8]) -> Option<&User> {
        self.users.get(name).and_then(|&index| self.plan.users.get(index))
    }

    /// Whether a host names one of our domains.
    #[must_use]
    pub fn is_domain(&self, host: &[u8]) -> bool {
        self.plan
            .sip
            .domains
            .iter()
            .any(|domain| domain.as_bytes().eq_ignore_ascii_case(host))
    }

    /// Whether a URI's host and port name us: one of our domains, or an address of a listener.
    /// A port that no listener has names somebody else on the same host.
    #[must_use]
    pub fn is_ours(&self, uri: &Uri<'_>) -> bool {
        let port_fits = |address: SocketAddr| uri.port.is_none_or(|port| port == address.port());
        if self.is_domain(uri.host) {
            return uri.port.is_none() || self.listeners.iter().any(|listener| port_fits(listener.address));
        }
        if let Some(ip) = uri.host_ip()
            && self.is_own_address(SocketAddr::new(ip, uri.port.unwrap_or(5060)))
        {
            return true;
        }
        // What we show to others: a name, or another address behind static NAT.
        self.listeners.iter().any(|listener| {
            let same_host = match listener.shown.0 {
                Some(ip) => uri.host_ip() == Some(ip),
                None => listener.shown_host().eq_ignore_ascii_case(uri.host),
            };
            same_host && (uri.port.is_none_or(|port| port == listener.shown.1) || port_fits(listener.address))
        })
    }

    /// Whether an address is one of our listeners, or what one shows to others: nothing may be sent
    /// there.
    #[must_use]
    pub fn is_own_address(&self, address: SocketAddr) -> bool {
        self.listeners.iter().any(|listener| {
            let shown = listener.shown == (Some(address.ip()), address.port());
            shown
                || listener.address.port() == address.port()
                    && (listener.address.ip() == address.ip()
                        || (listener.address.ip().is_unspecified() && address.ip().is_loopback()))
        })
    }

    /// The realm for a domain: itself when it is ours, else our first.
    #[must_use]
    pub fn realm(&self, host: &[u8]) -> &[u8] {
        self.plan
            .sip
            .domains
            .iter()
            .find(|domain| domain.as_bytes().eq_ignore_ascii_case(host))
            .map_or(&self.realm, |domain| domain.as_bytes())
    }

    /// The listener's texts; the first listener's for an unknown id.
    ///
    /// # Panics
    /// When the plan has no listener, which resolving the configuration rules out.
    #[must_use]
    pub fn listener(&self, id: ListenerId) -> &ListenerText {
        let index = usize::from(id.0);
        &self.listeners[if index < self.listeners.len() { index } else { 0 }]
    }

    /// A listener that can reach `peer` over `transport`; `preferred` when it can.
    #[must_use]
    pub fn listener_for(
        &self,
        transport: Transport,
        peer: IpAddr,
        preferred: Option<ListenerId>,
    ) -> Option<ListenerId> {
        let fits = |listener: &ListenerText| {
            listener.transport == transport
                && listener.address.is_ipv4() == peer.is_ipv4()
                && listener.address.ip().is_loopback() == peer.is_loopback()
        };
        let loose =
            |listener: &ListenerText| listener.transport == transport && listener.address.is_ipv4() == peer.is_ipv4();
        if let Some(id) = preferred
            && self.listeners.get(usize::from(id.0)).is_some_and(fits)
        {
            return Some(id);
        }
        let place = self
            .listeners
            .iter()
            .position(fits)
            .or_else(|| self.listeners.iter().position(loose))?;
        u8::try_from(place).ok().map(ListenerId)
    }

    /// The path to a literal address.
    #[must_use]
    pub fn path_to(&self, transport: Transport, peer: SocketAddr, preferred: Option<ListenerId>) -> Option<Path> {
        let listener = self.listener_for(transport, peer.ip(), preferred)?;
        Some(Path {
            transport,
            listener,
            peer,
            conn: ConnId::NONE,
        })
    }

    /// The path to a trunk's target; `None` for a name (names wait for the resolver) or when no
    /// listener can reach it.
    #[must_use]
    pub fn trunk_path(&self, target: &TrunkTarget) -> Option<Path> {
        let Host::Ip(ip) = target.host else { return None };
        let port = target
            .port
            .unwrap_or(if target.transport == Transport::Tls { 5061 } else { 5060 });
        self.path_to(target.transport, SocketAddr::new(ip, port), None)
    }

    /// Whether an address is trusted by some trunk.
    #[must_use]
    pub fn is_trusted(&self, address: IpAddr) -> bool {
        self.plan
            .trunks
            .iter()
            .any(|trunk| trunk.trusted.iter().any(|net| net.contains(address)))
    }

    /// Whether a dialled user part or URN is an emergency number.
    #[must_use]
    pub fn is_emergency(&self, uri: &[u8], user: &[u8]) -> bool {
        let sos = b"urn:service:sos";
        uri.get(..sos.len()).is_some_and(|head| head.eq_ignore_ascii_case(sos))
            || self
                .plan
                .emergency
                .numbers
                .iter()
                .any(|number| number.as_bytes() == user)
    }
}

/// Length of a Call-ID that we mint: `rf` shard (4 hex) `-` 24 hex.
pub(super) const MINTED: usize = 2 + 4 + 1 + 24;

/// Writes a Call-ID that names its home shard.
pub(crate) fn mint_call_id(out: &mut Vec<u8>, shard: ShardId, random: [u8; 12]) {
    out.extend_from_slice(b"rf");
    write_hex(out, &shard.to_be_bytes());
    out.push(b'-');
    write_hex(out, &random);
}

/// The shard named in a Call-ID that some shard minted.
pub(super) fn minted_shard(call_id: &[u8]) -> Option<ShardId> {
    if call_id.len() != MINTED || !call_id.starts_with(b"rf") || call_id.get(6) != Some(&b'-') {
        return None;
    }
    read_hex(call_id.get(2..6)?).and_then(|value| ShardId::try_from(value).ok())
}

/// Appends octets as lower-case hexadecimal.
pub(crate) fn write_hex(out: &mut Vec<u8>, octets: &[u8]) {
    for &octet in octets {
        out.extend_from_slice(&hex_pair(octet));
    }
}

/// Reads up to 16 lower- or upper-case hexadecimal digits.
pub(crate) fn read_hex(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    text.iter().try_fold(0u64, |value, &digit| {
        Some(value << 4 | u64::from(char::from(digit).to_digit(16)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Behind static NAT phones send to what we advertise, in any spelling; with `:5070` it is
    /// somebody else's.
    #[test]
    fn what_is_advertised_is_ours() {
        for (advertised, ours, foreign) in [
            ("192.0.2.1:5060", "sip:a@192.0.2.1", "sip:a@192.0.2.2"),
            ("192.0.2.1:5080", "sip:a@192.0.2.1:5080", "sip:a@192.0.2.1:5070"),
            (
                "[2001:db8::1]:5060",
                "sip:a@[2001:DB8:0::1]:5060",
                "sip:a@[2001:db8::2]",
            ),
            ("Edge.example:5060", "sip:a@edge.EXAMPLE", "sip:a@edge.example:5070"),
        ] {
            let mut plan = crate::config::demonstration("nowhere".into(), Vec::new());
            let address = SocketAddr::from(([10, 0, 0, 5], 5060));
            plan.sip.listeners = vec![crate::config::plan::Listener {
                transport: Transport::Udp,
                address,
                advertised: advertised.into(),
                media: Vec::new(),
            }];
            let site = Site::new(plan, &[address], Keyed::new([7; 32]));
            let is_ours = |text: &str| site.is_ours(&Uri::parse(text.as_bytes()).expect("a URI"));
            assert!(is_ours(ours), "{ours}");
            assert!(is_ours("sip:a@10.0.0.5"));
            assert!(!is_ours(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_minted_call_id_names_its_shard() {
        let mut id = Vec::new();
        mint_call_id(&mut id, 0x12, [0xab; 12]);
        assert_eq!(id.len(), MINTED);
        assert_eq!(minted_shard(&id), Some(0x12));
        assert_eq!(minted_shard(b"rf0012-short"), None);
        assert_eq!(minted_shard(b"a84b4c76e66710@pc33.example.com"), None);
    }
}
