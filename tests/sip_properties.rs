//! Properties of the message layer over arbitrary octets and over mutated good messages.

use proptest::prelude::*;
use ringfort::protocol::sip::digest::Credentials;
use ringfort::protocol::sip::{
    Carrier, Forward, Message, Name, NameAddr, Reply, Spans, Uri, Via, forward_response, frame, params, parse,
    respond_malformed,
};
use shards::Frame;
use std::net::SocketAddr;

const GOOD: [&str; 3] = [
    "INVITE sip:2002@campus.example;user=phone SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKa1;rport, SIP/2.0/TCP h\r\n\
     Route: <sip:p1;lr>,\r\n <sip:p2;lr>\r\nMax-Forwards: 70\r\nFrom: \"Room \\\"1\\\"\" <sip:1001@campus.example>;tag=f1\r\n\
     To: <sip:2002@campus.example>\r\nCall-ID: c1@192.0.2.10\r\nCSeq: 7 INVITE\r\nContact: <sip:1001@192.0.2.10>\r\n\
     Authorization: Digest username=\"1001\", realm=\"campus.example\", nonce=\"n\", uri=\"sip:x\", qop=auth, nc=00000001, \
     cnonce=\"c\", response=\"0123456789abcdef0123456789abcdef\"\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n",
    "SIP/2.0 180 Ringing\r\nv: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKus\r\nv: SIP/2.0/UDP 192.0.2.10;received=10.0.0.1;rport=5\r\n\
     f: <sip:a@b>;tag=1\r\nt: <sip:c@d>;tag=2\r\ni: x\r\nCSeq: 7 INVITE\r\nm: <sip:c@[2001:db8::1]:5061;transport=tls>\r\nl: 0\r\n\r\n",
    "REGISTER sip:campus.example SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bKq\nFrom: sip:a@b;tag=1\nTo: sip:a@b\nCall-ID: y\n\
     CSeq: 1 REGISTER\nContact: *\nExpires: 0\n\n",
];

fn source() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 77], 5099))
}

/// Every slice that an accessor gives must lie inside the input.
fn inside(whole: &[u8], part: &[u8]) {
    let (start, end) = (whole.as_ptr().addr(), whole.as_ptr().addr() + whole.len());
    let at = part.as_ptr().addr();
    assert!(part.is_empty() || (at >= start && at + part.len() <= end));
}

fn look_at(whole: &[u8], message: &Message<'_>) {
    let (via, from, to) = (message.via(), message.from(), message.to());
    let parts = [
        message.bytes(),
        message.method_text(),
        message.uri(),
        message.reason(),
        message.call_id(),
        message.cseq().method,
        message.from_tag(),
        message.to_tag().unwrap_or_default(),
        message.body(),
        via.raw,
        via.host,
        via.transport,
        via.branch.unwrap_or_default(),
        via.maddr.unwrap_or_default(),
        from.display,
        from.uri,
        from.params,
        to.display,
        to.uri,
        to.params,
    ];
    parts.into_iter().for_each(|part| inside(whole, part));
    for line in message.lines() {
        [line.name_text, line.value, line.raw]
            .into_iter()
            .for_each(|part| inside(whole, part));
        message.values(line.name).for_each(|value| inside(whole, value));
    }
    assert!(!message.call_id().is_empty() && !via.host.is_empty() && !message.method_text().is_empty());
    assert_eq!(message.is_request(), message.status() == 0);
}

/// What was accepted can be answered and passed on, and that is accepted again with the same
/// meaning.
fn pass_on(message: &Message<'_>) {
    let mut out = Vec::new();
    let mut spans = Spans::default();
    if !message.is_request() {
        forward_response(&mut out, message);
        if let Ok(again) = parse(&out, &mut spans, Carrier::Stream) {
            assert_eq!(
                (again.call_id(), again.body(), again.status()),
                (message.call_id(), message.body(), message.status())
            );
        }
        return;
    }
    let reply = Reply {
        status: 486,
        phrase: "Busy Here",
        to_tag: b"tt",
        headers: &[],
        body: None,
        record_route: true,
    };
    reply.write(&mut out, message, source());
    let again = parse(&out, &mut spans, Carrier::Stream).expect("a response");
    assert_eq!(
        (again.call_id(), again.cseq(), again.from_tag()),
        (message.call_id(), message.cseq(), message.from_tag())
    );
    assert_eq!(again.to_tag(), message.to_tag().or(Some(b"tt")));
    assert_eq!(again.via().branch, message.via().branch);

    out.clear();
    let forward = Forward {
        uri: b"sip:next@example.com",
        via: b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours",
        source: source(),
        max_forwards: 3,
        record_routes: &[b"<sip:us;lr>"],
        drop_routes: 1,
        routes: &[],
        remove: &|_| false,
        add: &[],
        body: None,
    };
    forward.write(&mut out, message);
    let again = parse(&out, &mut spans, Carrier::Stream).expect("a request");
    assert_eq!(
        (again.call_id(), again.cseq(), again.body()),
        (message.call_id(), message.cseq(), message.body())
    );
    assert_eq!(again.values(Name::Via).count(), message.values(Name::Via).count() + 1);
    assert_eq!(
        again.values(Name::Route).count(),
        message.values(Name::Route).count().saturating_sub(1)
    );
    assert_eq!(again.max_forwards(), Some(3));
}

fn everything(bytes: &[u8]) {
    for carrier in [Carrier::Datagram, Carrier::Stream] {
        let mut spans = Spans::default();
        match parse(bytes, &mut spans, carrier) {
            Ok(message) => {
                look_at(bytes, &message);
                pass_on(&message);
            }
            Err(malformed) => {
                let mut out = Vec::new();
                let said = respond_malformed(&mut out, bytes, &malformed, source());
                assert_eq!(said, !out.is_empty());
                assert!(malformed.status.is_some() || !said);
            }
        }
    }
    if let Frame::Message { len } = frame(bytes) {
        // The parser never finds another end than the framing did.
        let mut spans = Spans::default();
        if let Ok(message) = parse(&bytes[..len], &mut spans, Carrier::Stream) {
            assert_eq!(message.bytes().len(), len);
        }
    }
    let _ = Via::parse(bytes).map(|via| via.reply_to());
    let _ = NameAddr::parse(bytes).map(|address| address.param("tag").is_some());
    let _ = Credentials::parse(bytes).map(|credentials| credentials.username_eq(b"x"));
    assert!(params(bytes).count() <= bytes.len());
    if let Ok(uri) = Uri::parse(bytes) {
        let mut out = Vec::new();
        uri.write_aor(&mut out);
        uri.write_user_decoded(&mut out);
        assert!(uri.equivalent(&uri), "a URI is equivalent to itself");
    }
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec(
        (
            any::<prop::sample::Index>(),
            0u8..5,
            any::<u8>(),
            any::<prop::sample::Index>(),
        ),
        1..4,
    );
    (0..GOOD.len(), edits).prop_map(|(which, edits)| {
        let mut bytes = GOOD[which].as_bytes().to_vec();
        for (at, kind, octet, to) in edits {
            if bytes.is_empty() {
                break;
            }
            let (at, to) = (at.index(bytes.len()), to.index(bytes.len()));
            // Octets that mean something are the ones that hurt.
            let sharp = b"\r\n \t:;,<>\"\\@%[]=?/\0\xff0"[usize::from(octet) % 20];
            match kind {
                0 => bytes[at] = octet,
                1 => bytes.insert(at, sharp),
                2 => drop(bytes.remove(at)),
                3 => bytes.truncate(at),
                _ => {
                    let piece = bytes[at.min(to)..at.max(to)].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_octets(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        everything(&bytes);
    }

    #[test]
    fn arbitrary_text(text in "[ -~\r\n\t;<>\"\\\\@:%=,]{0,200}") {
        everything(text.as_bytes());
        everything(format!("sip:{text}").as_bytes());
        everything(format!("Digest {text}").as_bytes());
        everything(format!("SIP/2.0/UDP {text}").as_bytes());
    }

    #[test]
    fn mutated_messages(bytes in mutated()) {
        everything(&bytes);
    }

    /// Framing a prefix never contradicts framing the whole.
    #[test]
    fn frames_of_prefixes(bytes in mutated(), cut in any::<prop::sample::Index>()) {
        let prefix = frame(&bytes[..cut.index(bytes.len() + 1)]);
        prop_assert!(prefix == Frame::Partial || prefix == frame(&bytes));
    }

    #[test]
    fn the_scratch_remembers_nothing(first in mutated(), second in mutated()) {
        let mut used = Spans::default();
        let _ = parse(&first, &mut used, Carrier::Datagram).map(|message| message.is_request());
        let mut fresh = Spans::default();
        let again = parse(&second, &mut used, Carrier::Datagram);
        let alone = parse(&second, &mut fresh, Carrier::Datagram);
        match (again, alone) {
            (Ok(again), Ok(alone)) => {
                prop_assert_eq!(again.bytes(), alone.bytes());
                prop_assert_eq!(again.lines().count(), alone.lines().count());
                for line in alone.lines() {
                    prop_assert_eq!(again.header(line.name), alone.header(line.name));
                }
            }
            (Err(again), Err(alone)) => prop_assert_eq!(again, alone),
            _ => prop_assert!(false, "the scratch changed the verdict"),
        }
    }
}

#[test]
fn the_good_messages_are_good() {
    for text in GOOD {
        let mut spans = Spans::default();
        assert!(parse(text.as_bytes(), &mut spans, Carrier::Datagram).is_ok(), "{text}");
    }
}
