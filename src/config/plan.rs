//! The resolved configuration. Everything below `main` reads this and nothing else: no defaults
//! to apply, no strings to parse, no inconsistencies left.

use crate::protocol::Transport;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// What the appliance runs with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Signalling.
    pub sip: Sip,
    /// Media addresses and ports.
    pub media: Media,
    /// Web interface.
    pub http: Http,
    /// How many shards.
    pub shards: usize,
    /// Limits; each has a stated answer when it is reached.
    pub limits: Limits,
    /// Registrar policy.
    pub registrar: Registrar,
    /// Calls between users of our domains.
    pub local: CallPolicy,
    /// Users from the file (and, in the demonstration, from the store).
    pub users: Vec<User>,
    /// Trunks.
    pub trunks: Vec<Trunk>,
    /// Routes, first match wins.
    pub routes: Vec<Route>,
    /// Emergency numbers, exactly as dialled.
    pub emergency: Emergency,
    /// Built-in services.
    pub services: Services,
    /// Where data is kept.
    pub data: PathBuf,
    /// True when no configuration file was given.
    pub demonstration: bool,
    /// True lets the REST interface inject faults (a shard panic), for tests.
    pub fault_injection: bool,
}

/// `[sip]`.
#[derive(Clone, Debug)]
pub struct Sip {
    /// Listeners; the index is the `ListenerId`.
    pub listeners: Vec<Listener>,
    /// What we are the registrar of; each is a realm. Lower case.
    pub domains: Vec<String>,
    /// Digest algorithms offered, in this order.
    pub digest: Vec<DigestAlgorithm>,
    /// Beginnings of the User-Agent of phones that give up when they see a challenge with an
    /// algorithm other than MD5 (against RFC 8760 section 2.4); they are offered MD5 alone, where
    /// `digest` has it.
    pub md5_agents: Vec<String>,
    /// T1, T2, T4 and Timer C.
    pub timers: Timers,
    /// The value of Server and User-Agent.
    pub product: String,
    /// Seconds a session lives without refresh (RFC 4028), offered and accepted.
    pub session_expires: u32,
    /// Smallest session interval accepted (RFC 4028, at least 90).
    pub min_se: u32,
    /// Whether 3xx answers are followed by the proxy (else they are passed on).
    pub follow_redirects: bool,
}

/// One `listen` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Transport.
    pub transport: Transport,
    /// Bound address.
    pub address: SocketAddr,
    /// What Via, Contact and Record-Route show; the bound address unless configured.
    pub advertised: String,
    /// The media addresses that calls through this listener use; empty means `[media] address`.
    pub media: Vec<IpAddr>,
}

/// RFC 3261 section 17 timers.
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    /// Round-trip estimate, 500 ms.
    pub t1: Duration,
    /// Longest retransmit interval, 4 s.
    pub t2: Duration,
    /// Longest life of a message in the network, 5 s.
    pub t4: Duration,
    /// Proxy INVITE timeout, over 3 minutes.
    pub c: Duration,
}

/// Digest algorithm, RFC 8760.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    /// SHA-256.
    Sha256,
    /// MD5, for phones that know nothing else.
    Md5,
}

/// `[media]`.
#[derive(Clone, Debug)]
pub struct Media {
    /// Addresses that SDP shows; sockets are bound to them. More addresses multiply the ports.
    pub addresses: Vec<IpAddr>,
    /// What SDP shows instead of each bound address (static NAT); same length as `addresses`.
    pub advertised: Vec<IpAddr>,
    /// First and last port.
    pub ports: (u16, u16),
    /// A call whose media is silent in both directions for this long is ended.
    pub timeout: Duration,
    /// How long a released port rests before it is used again.
    pub quarantine: Duration,
    /// Whether a source may be learnt for a phone behind NAT.
    pub learn: Learn,
    /// Network devices where RTP goes past the kernel's IP stack (AF_XDP).
    pub xdp: Vec<String>,
}

/// Which RTP source may be learnt when it differs from the SDP's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learn {
    /// None: only the address that SDP gave.
    Never,
    /// Once, and only from the address that the leg's signalling comes from, and only when SDP
    /// shows another address than that (a phone behind NAT).
    Nat,
}

/// `[http]`.
#[derive(Clone, Debug)]
pub struct Http {
    /// Where to listen; `None` switches the interface off.
    pub listen: Option<SocketAddr>,
    /// File that holds the access token; made at the first start.
    pub token_file: PathBuf,
}

/// `[limits]`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Simultaneous calls.
    pub calls: u32,
    /// Bindings.
    pub registrations: u32,
    /// Simultaneous transactions, all shards.
    pub transactions: u32,
    /// Contacts an AOR.
    pub contacts: u16,
    /// Stream connections, all shards.
    pub connections: u32,
    /// Longest call; ghosts end here.
    pub call_time: Duration,
    /// After SIGTERM, how long calls may go on.
    pub drain: Duration,
    /// RFC 5393 Max-Breadth.
    pub breadth: u16,
}

/// `[registrar]`.
#[derive(Clone, Copy, Debug)]
pub struct Registrar {
    /// Below this 423 with Min-Expires.
    pub min_expires: u32,
    /// Longest granted.
    pub max_expires: u32,
    /// Granted when the phone names none.
    pub default_expires: u32,
    /// How often a phone behind NAT is sent an OPTIONS; zero never.
    pub keep_alive: Duration,
}

/// How calls are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallPolicy {
    /// Role.
    pub mode: Mode,
    /// Media path.
    pub media: MediaPath,
}

/// The role for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Stateful proxy.
    Proxy,
    /// Back-to-back user agent.
    B2bua,
    /// 302 with the targets.
    Redirect,
}

/// Who carries the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaPath {
    /// The ends between themselves.
    Direct,
    /// We relay (B2BUA only).
    Relay,
}

/// `[[user]]`.
#[derive(Clone, Debug)]
pub struct User {
    /// User part of the AOR, in each of our domains.
    pub name: String,
    /// Clear password (small sites, tests).
    pub password: String,
    /// Algorithms offered to this user; `None` means `[sip] digest`.
    pub digest: Option<Vec<DigestAlgorithm>>,
    /// Shown in the directory.
    pub display: Option<String>,
}

/// `[[trunk]]`.
#[derive(Clone, Debug)]
pub struct Trunk {
    /// Name.
    pub name: String,
    /// In order of preference.
    pub targets: Vec<Target>,
    /// Sources that need no digest.
    pub trusted: Vec<Cidr>,
}

/// A next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Transport.
    pub transport: Transport,
    /// Literal address, or a name to resolve (RFC 3263).
    pub host: Host,
    /// Port; `None` means the transport's default, or SRV.
    pub port: Option<u16>,
}

/// A host in a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Literal.
    Ip(IpAddr),
    /// To be resolved.
    Name(String),
}

/// An address prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// Network address.
    pub network: IpAddr,
    /// Prefix length, 0 to 32 or 128.
    pub prefix: u8,
}

impl Cidr {
    /// Whether `address` is inside. An IPv4-mapped IPv6 address counts as IPv4; families
    /// never match each other.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let masked = |bits: u128, width: u32| {
            let host = width.saturating_sub(u32::from(self.prefix));
            if host >= 128 { 0 } else { bits >> host }
        };
        match (self.network.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                masked(u128::from(net.to_bits()), 32) == masked(u128::from(ip.to_bits()), 32)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => masked(net.to_bits(), 128) == masked(ip.to_bits(), 128),
            _ => false,
        }
    }
}

/// `[[route]]`.
#[derive(Clone, Debug)]
pub struct Route {
    /// Pattern over the user part of the Request-URI.
    pub pattern: regex::bytes::Regex,
    /// Indices into `trunks`, in order.
    pub trunks: Vec<usize>,
    /// Role and media path.
    pub policy: CallPolicy,
    /// Who may use it.
    pub auth: RouteAuth,
    /// 1-based line in the file, for explanations.
    pub line: u32,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteAuth {
    /// Our users, by digest (and trusted trunk addresses).
    Digest,
    /// Only callers on a trusted address of a trunk.
    Trusted,
    /// Anyone.
    Open,
}

/// `[emergency]`.
#[derive(Clone, Debug)]
pub struct Emergency {
    /// Numbers, for example 911, 112, 999. `urn:service:sos` always counts.
    pub numbers: Vec<String>,
    /// Trunks tried in order; empty means the first matching route.
    pub trunks: Vec<usize>,
}

/// `[services]`.
#[derive(Clone, Debug)]
pub struct Services {
    /// Echo test number.
    pub echo: Option<String>,
    /// Music on hold number.
    pub music: Option<String>,
}
