//! Strict latching: which source may speak for a negotiated address. Pure; one per socket.
//!
//! The description's address wins. Another source is learnt at most once, only from the address
//! that the leg's signalling comes from, and only when the description shows a different address
//! (a phone behind NAT): see CVE-2017-14099 (RTP bleed) and CVE-2025-53399.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// No address: what nothing comes from and nothing is sent to.
pub const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// One socket's rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latch {
    /// The negotiated address as described.
    described: SocketAddr,
    /// Whether it can be a source and a destination.
    usable: bool,
    /// The only address that a source may be learnt from.
    candidate: Option<IpAddr>,
    phase: Phase,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing heard yet.
    Waiting,
    /// Heard from the negotiated address; nothing else can be learnt any more.
    Matched,
    /// A source was learnt; only the negotiated address could still replace it.
    Learnt,
}

/// What a packet's source means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// From the negotiated address: use it from now on.
    Match,
    /// Learnt: use this source from now on.
    Learn,
    /// Not to be listened to.
    Refuse,
}

impl Latch {
    /// Nobody may be the source.
    pub const NOWHERE: Latch = Latch {
        described: NOWHERE,
        usable: false,
        candidate: None,
        phase: Phase::Waiting,
    };

    /// For a negotiated address, whether it is usable, and who may be learnt instead.
    #[must_use]
    pub fn new(described: SocketAddr, usable: bool, candidate: Option<IpAddr>) -> Self {
        Self {
            described,
            usable,
            candidate,
            phase: Phase::Waiting,
        }
    }

    /// A packet came from `from`, and it is not the source in use.
    pub fn hear(&mut self, from: SocketAddr) -> Heard {
        if from == self.described && self.usable {
            self.phase = Phase::Matched;
            self.candidate = None;
            return Heard::Match;
        }
        if self.phase == Phase::Waiting && self.candidate == Some(from.ip()) {
            self.phase = Phase::Learnt;
            self.candidate = None;
            return Heard::Learn;
        }
        Heard::Refuse
    }

    /// The companion socket (RTP's RTCP, RTCP's RTP) heard from the negotiated address: this
    /// phone's addresses are true, so nothing may be learnt here either.
    pub fn companion_matched(&mut self) {
        self.candidate = None;
    }

    /// How far it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether a renegotiation to `newer` changes nothing.
    #[must_use]
    pub fn describes_as(&self, newer: &Latch) -> bool {
        (self.described, self.usable) == (newer.described, newer.usable)
    }

    /// The same as seen from a socket of one address family: an address of the other one can
    /// neither send to it nor be reached.
    #[must_use]
    pub fn from_socket(self, v6: bool) -> Latch {
        Latch {
            usable: self.usable && self.described.is_ipv6() == v6,
            ..self
        }
    }

    /// The source before anything was heard; [`NOWHERE`] when the description's is not usable.
    #[must_use]
    pub fn expected(&self) -> SocketAddr {
        if self.usable { self.described } else { NOWHERE }
    }
}

/// Who may be learnt for a leg: the signalling's address when the description shows another.
#[must_use]
pub fn candidate(described: Option<IpAddr>, signalling: IpAddr) -> Option<IpAddr> {
    let signalling = signalling.to_canonical();
    (described?.to_canonical() != signalling && is_unicast(signalling)).then_some(signalling)
}

/// Whether a described address may be sent to at all, given where the leg's signalling comes from
/// (CVE-2020-26262: no relaying to loopback and the like).
#[must_use]
pub fn is_usable(ip: IpAddr, signalling: IpAddr) -> bool {
    let (ip, signalling) = (ip.to_canonical(), signalling.to_canonical());
    is_unicast(ip)
        && (!ip.is_loopback() || signalling.is_loopback())
        && (!is_link_local(ip) || is_link_local(signalling))
}

fn is_unicast(ip: IpAddr) -> bool {
    match ip {
        // 0/8 is "this network", 240/4 reserved with broadcast in it (RFC 6890).
        IpAddr::V4(v4) => !v4.is_multicast() && v4.octets()[0] != 0 && v4.octets()[0] < 240,
        IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unspecified(),
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn table() {
        use Heard::{Learn, Match, Refuse};
        let sdp = "192.168.1.5:4000";
        let nat = "203.0.113.9";
        // (candidate, sources in order, what each means)
        type Case<'a> = (Option<&'a str>, &'a [(&'a str, Heard)]);
        let table: &[Case<'_>] = &[
            // SDP shows the signalling's address: nothing is ever learnt, not even another port.
            (
                None,
                &[
                    ("192.168.1.5:4002", Refuse),
                    ("6.6.6.6:4000", Refuse),
                    (sdp, Match),
                    ("192.168.1.5:4002", Refuse),
                ],
            ),
            // NAT: one source of that address, once.
            (
                Some(nat),
                &[
                    ("6.6.6.6:4000", Refuse),
                    ("203.0.113.9:1", Learn),
                    ("203.0.113.9:2", Refuse),
                    ("6.6.6.6:1", Refuse),
                ],
            ),
            // A matching one was seen: no learning any more.
            (
                Some(nat),
                &[(sdp, Match), ("203.0.113.9:1", Refuse), ("6.6.6.6:1", Refuse)],
            ),
            // The description's address wins even after learning, for good.
            (
                Some(nat),
                &[
                    ("203.0.113.9:1", Learn),
                    (sdp, Match),
                    ("203.0.113.9:1", Refuse),
                    ("203.0.113.9:7", Refuse),
                ],
            ),
        ];
        for (candidate, steps) in table {
            let mut latch = Latch::new(at(sdp), true, candidate.map(|ip| ip.parse().unwrap()));
            for (from, heard) in *steps {
                assert_eq!(latch.hear(at(from)), *heard, "{candidate:?} {steps:?} at {from}");
            }
        }
    }

    #[test]
    fn companion() {
        let mut latch = Latch::new(at("192.168.1.5:4001"), true, Some("203.0.113.9".parse().unwrap()));
        latch.companion_matched();
        assert_eq!(latch.hear(at("203.0.113.9:1")), Heard::Refuse);
        assert_eq!(latch.hear(at("192.168.1.5:4001")), Heard::Match);
    }

    #[test]
    fn an_unusable_address_matches_nothing() {
        let mut latch = Latch::new(at("127.0.1.1:4000"), false, None);
        assert_eq!(latch.expected(), NOWHERE);
        assert_eq!(latch.hear(at("127.0.1.1:4000")), Heard::Refuse);
        assert_eq!({ Latch::NOWHERE }.hear(NOWHERE), Heard::Refuse);
    }

    #[test]
    fn candidates() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(candidate(Some(ip("10.0.0.1")), ip("10.0.0.1")), None);
        assert_eq!(candidate(Some(ip("10.0.0.1")), ip("::ffff:10.0.0.1")), None);
        assert_eq!(candidate(Some(ip("10.0.0.1")), ip("5.5.5.5")), Some(ip("5.5.5.5")));
        assert_eq!(candidate(None, ip("5.5.5.5")), None, "a name is no address");
        assert_eq!(candidate(Some(ip("10.0.0.1")), ip("0.0.0.0")), None);
    }

    #[test]
    fn usable_addresses() {
        let table = [
            ("0.0.0.0", "5.5.5.5", false),
            ("0.1.2.3", "5.5.5.5", false),
            ("::", "5.5.5.5", false),
            ("255.255.255.255", "5.5.5.5", false),
            ("240.0.0.1", "5.5.5.5", false),
            ("224.0.0.1", "5.5.5.5", false),
            ("ff02::1", "5.5.5.5", false),
            ("127.0.0.1", "5.5.5.5", false),
            ("127.8.8.8", "127.0.0.1", true),
            ("::ffff:127.0.0.1", "5.5.5.5", false),
            ("::1", "2001:db8::1", false),
            ("::1", "::1", true),
            ("169.254.1.1", "5.5.5.5", false),
            ("169.254.1.1", "169.254.9.9", true),
            ("fe80::1", "2001:db8::1", false),
            ("192.168.1.5", "5.5.5.5", true),
            ("2001:db8::5", "5.5.5.5", true),
        ];
        for (ip, signalling, usable) in table {
            assert_eq!(
                is_usable(ip.parse().unwrap(), signalling.parse().unwrap()),
                usable,
                "{ip} via {signalling}"
            );
        }
    }
}
