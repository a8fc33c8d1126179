//! Whole messages: what is accepted lies inside the input, can be answered, passed on and written
//! anew, and means the same afterwards.

use ringfort::protocol::sip::{
    Carrier, Forward, Message, Method, Name, Peek, Reply, Spans, forward_response, parse, peek, respond_malformed,
};
use std::net::SocketAddr;

/// Beyond these, what we add to a message on its way may make it too large to be read again.
const ROOM: (usize, usize) = (248, 60_000);

pub(super) fn source() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 77], 5099))
}

pub(super) fn message(octets: &[u8]) {
    for carrier in [Carrier::Datagram, Carrier::Stream] {
        let mut spans = Spans::default();
        match parse(octets, &mut spans, carrier) {
            Ok(message) => {
                lies_inside(octets, &message);
                if message.lines().count() <= ROOM.0 && octets.len() <= ROOM.1 {
                    written_anew(&message);
                    if message.is_request() {
                        answered_and_forwarded(&message)
                    } else {
                        passed_back(&message)
                    }
                }
                if carrier == Carrier::Datagram {
                    peeked(octets, &message);
                }
            }
            Err(malformed) => {
                let mut out = Vec::new();
                let said = respond_malformed(&mut out, octets, &malformed, source());
                assert_eq!(said, !out.is_empty());
                assert!(malformed.status.is_some() || !said);
                assert!(!said || out.starts_with(b"SIP/2.0 ") && out.ends_with(b"\r\n\r\n"));
            }
        }
    }
}

/// Every slice that an accessor gives lies inside the input.
fn lies_inside(whole: &[u8], message: &Message<'_>) {
    let (start, end) = (whole.as_ptr().addr(), whole.as_ptr().addr() + whole.len());
    let inside = |part: &[u8]| {
        let at = part.as_ptr().addr();
        assert!(part.is_empty() || (at >= start && at + part.len() <= end));
    };
    let (via, from, to) = (message.via(), message.from(), message.to());
    let texts = [
        message.bytes(),
        message.method_text(),
        message.uri(),
        message.reason(),
        message.call_id(),
    ];
    let facts = [
        message.cseq().method,
        message.from_tag(),
        message.to_tag().unwrap_or_default(),
        message.body(),
    ];
    let of_via = [
        via.raw,
        via.host,
        via.transport,
        via.branch.unwrap_or_default(),
        via.maddr.unwrap_or_default(),
    ];
    let addresses = [from.display, from.uri, from.params, to.display, to.uri, to.params];
    texts
        .into_iter()
        .chain(facts)
        .chain(of_via)
        .chain(addresses)
        .for_each(inside);
    for line in message.lines() {
        [line.name_text, line.value, line.raw].into_iter().for_each(inside);
        message.values(line.name).for_each(inside);
    }
    assert!(!message.call_id().is_empty() && !via.host.is_empty() && !message.method_text().is_empty());
    assert_eq!(message.is_request(), message.status() == 0);
    assert!(message.cseq().number < 1 << 31, "RFC 3261 section 8.1.1.5");
}

/// What a message says, in a form that can be compared.
type Facts<'a> = (
    bool,
    u16,
    &'a [u8],
    &'a [u8],
    &'a [u8],
    u32,
    &'a [u8],
    Option<&'a [u8]>,
    &'a [u8],
);

fn facts<'a>(message: &Message<'a>) -> Facts<'a> {
    (
        message.is_request(),
        message.status(),
        message.method_text(),
        message.uri(),
        message.call_id(),
        message.cseq().number,
        message.from_tag(),
        message.to_tag(),
        message.body(),
    )
}

/// Each line written plainly, one fold a space, gives the same message again.
fn written_anew(message: &Message<'_>) {
    let mut out = Vec::new();
    if message.is_request() {
        out.extend([message.method_text(), b" ", message.uri(), b" SIP/2.0\r\n"].concat());
    } else {
        out.extend(format!("SIP/2.0 {} ", message.status()).as_bytes());
        out.extend([message.reason(), b"\r\n"].concat());
    }
    for line in message.lines().filter(|line| line.name != Name::ContentLength) {
        out.extend([line.name_text, b": "].concat());
        out.extend(
            line.value
                .iter()
                .map(|octet| if matches!(octet, b'\r' | b'\n') { b' ' } else { *octet }),
        );
        out.extend(b"\r\n");
    }
    out.extend(format!("Content-Length: {}\r\n\r\n", message.body().len()).as_bytes());
    out.extend(message.body());
    let mut spans = Spans::default();
    let again = parse(&out, &mut spans, Carrier::Stream).unwrap_or_else(|fault| panic!("{fault:?}: {}", show(&out)));
    // A fold inside one of these becomes a space; all others hold none.
    assert_eq!(facts(&again), facts(message), "{}", show(&out));
    assert_eq!(again.via().branch.map(unfolded), message.via().branch.map(unfolded));
    for name in [Name::Via, Name::Route, Name::RecordRoute, Name::Contact] {
        assert!(
            again.values(name).map(unfolded).eq(message.values(name).map(unfolded)),
            "{name:?}: {}",
            show(&out)
        );
    }
    assert_eq!(again.bytes().len(), out.len());
}

fn unfolded(text: &[u8]) -> Vec<u8> {
    text.iter()
        .map(|octet| if matches!(octet, b'\r' | b'\n') { b' ' } else { *octet })
        .collect()
}

fn answered_and_forwarded(message: &Message<'_>) {
    let mut out = Vec::new();
    let mut spans = Spans::default();
    let reply = Reply {
        to_tag: b"tt",
        record_route: true,
        ..Reply::of(486)
    };
    reply.write(&mut out, message, source());
    let again = parse(&out, &mut spans, Carrier::Stream).expect("a response");
    assert_eq!(again.via().branch.map(unfolded), message.via().branch.map(unfolded));
    assert_eq!(
        (again.call_id(), again.cseq().number, again.from_tag()),
        (message.call_id(), message.cseq().number, message.from_tag())
    );
    assert_eq!(
        again.to_tag(),
        message.to_tag().or(Some(b"tt")),
        "RFC 3261 section 8.2.6.2"
    );
    assert_eq!(again.values(Name::Via).count(), message.values(Name::Via).count());

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
    let mut spans = Spans::default();
    let again = parse(&out, &mut spans, Carrier::Stream).expect("a request");
    assert_eq!(
        (again.call_id(), again.cseq(), again.body(), again.max_forwards()),
        (message.call_id(), message.cseq(), message.body(), Some(3))
    );
    assert_eq!(again.values(Name::Via).count(), message.values(Name::Via).count() + 1);
    let routes = message.values(Name::Route).count();
    assert_eq!(again.values(Name::Route).count(), routes.saturating_sub(1));
}

fn passed_back(message: &Message<'_>) {
    let mut out = Vec::new();
    forward_response(&mut out, message);
    let mut spans = Spans::default();
    // Without another Via it is for us, and no message any more.
    if message.values(Name::Via).count() < 2 {
        return;
    }
    if let Ok(again) = parse(&out, &mut spans, Carrier::Stream) {
        assert_eq!(facts(&again), facts(message));
        assert_eq!(again.values(Name::Via).count() + 1, message.values(Name::Via).count());
    } else {
        // The second Via was never looked at: only that may be wrong with it.
        let second = message.values(Name::Via).nth(1).unwrap_or_default();
        assert!(ringfort::protocol::sip::Via::parse(second).is_err(), "{}", show(&out));
    }
}

/// The short look finds what the parser finds: another shard decides by it.
fn peeked(octets: &[u8], message: &Message<'_>) {
    let Some(found) = peek(octets) else { return };
    match found {
        Peek::Request(call_id) => assert_eq!(call_id, message.call_id()),
        Peek::Register(to) => {
            assert_eq!(message.method(), Method::Register);
            assert_eq!(Some(to), message.header(Name::To));
        }
        Peek::Response(via) => {
            assert!(!message.is_request());
            assert_eq!(Some(via), message.header(Name::Via));
        }
    }
}

pub(super) fn show(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
