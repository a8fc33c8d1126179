//! What the advisories share: a siege in either role, and requests with one thing changed.

use ringfort::config::Plan;
use ringfort::config::plan::{MediaPath, Mode};
use ringfort_sim::siege::{STRANGER, Siege};
use ringfort_sim::stage::{DOMAIN, Setup};

pub(crate) fn relayed(plan: &mut Plan) {
    plan.local.mode = Mode::B2bua;
    plan.local.media = MediaPath::Relay;
}

pub(crate) fn proxied(plan: &mut Plan) {
    plan.local.mode = Mode::Proxy;
    plan.local.media = MediaPath::Direct;
}

pub(crate) fn siege(seed: u64, change: fn(&mut Plan), trusted: bool) -> Siege {
    let setup = Setup {
        seed,
        change,
        ..Setup::default()
    };
    Siege::new(&setup, trusted)
}

/// The three kinds: a trusted peer whose calls are relayed, one whose calls are proxied, a stranger.
pub(crate) fn sieges(seed: u64) -> [Siege; 3] {
    [
        siege(seed, relayed, true),
        siege(seed, proxied, true),
        siege(seed, relayed, false),
    ]
}

/// A valid description.
pub(crate) const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.9.0.66\r\ns=-\r\nc=IN IP4 10.9.0.66\r\nt=0 0\r\n\
m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
a=ptime:20\r\na=sendrecv\r\n";

/// A valid request of the stranger to a registered user; `number` makes it a new one.
pub(crate) fn request(siege: &Siege, method: &str, number: u64, extra: &str, kind: &str, body: &str) -> String {
    let uri = format!("sip:{}@{DOMAIN}", siege.number);
    let kind = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Type: {kind}\r\n")
    };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {STRANGER};branch=z9hG4bKx{number};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:mallory@{DOMAIN}>;tag=m{number}\r\nTo: <{uri}>\r\nCall-ID: m{number}@x\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:mallory@{STRANGER}>\r\n{extra}{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// An INVITE with an offer.
pub(crate) fn invite(siege: &Siege, number: u64, sdp: &str) -> String {
    request(siege, "INVITE", number, "", "application/sdp", sdp)
}

/// Every octet of it is sent, and a valid call goes through after it; nothing is left at the end.
/// Returns the statuses of each.
pub(crate) fn endure(siege: &mut Siege, messages: &[Vec<u8>]) -> Vec<Vec<u16>> {
    let mut statuses = Vec::new();
    for (place, octets) in messages.iter().enumerate() {
        statuses.push(Siege::statuses(&siege.datagram(octets).concat()));
        siege
            .call()
            .unwrap_or_else(|missing| panic!("after message {place}, {:?}: {missing}", head(octets)));
    }
    let left = siege.rest();
    assert!(left.is_empty(), "{left:#?}");
    statuses
}

fn head(octets: &[u8]) -> String {
    String::from_utf8_lossy(&octets[..octets.len().min(600)]).into_owned()
}
