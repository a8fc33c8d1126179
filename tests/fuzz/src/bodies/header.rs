//! One header's value in an otherwise good message.

use super::message::{message, show, source};
use ringfort::protocol::sip::dialog::session_timer::SessionExpires;
use ringfort::protocol::sip::{Carrier, Forward, Message, Name, NameAddr, Spans, parse};

/// A good message with one more line, or with another value in the place of its own.
fn with(name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = b"INVITE sip:bob@campus.example SIP/2.0\r\n".to_vec();
    let lines: [(&str, &[u8]); 5] = [
        ("Via", b"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKf"),
        ("From", b"<sip:alice@campus.example>;tag=a"),
        ("To", b"<sip:bob@campus.example>"),
        ("Call-ID", b"fuzz@192.0.2.1"),
        ("CSeq", b"1 INVITE"),
    ];
    for (own, good) in lines.iter().filter(|(own, _)| *own != name) {
        out.extend([own.as_bytes(), b": ", good, b"\r\n"].concat());
    }
    out.extend([name.as_bytes(), b": ", value, b"\r\n\r\n"].concat());
    out
}

/// Gives the message to `look` when it is accepted, and the value is one value: not a line end
/// that begins another line.
fn accepted(name: &str, value: &[u8], look: impl FnOnce(&Message<'_>)) {
    if value.iter().any(|octet| matches!(octet, b'\r' | b'\n')) {
        return;
    }
    let whole = with(name, value);
    let mut spans = Spans::default();
    if let Ok(message) = parse(&whole, &mut spans, Carrier::Datagram) {
        look(&message);
    }
}

pub(super) fn cseq(octets: &[u8]) {
    message(&with("CSeq", octets));
    accepted("CSeq", octets, |message| {
        let cseq = message.cseq();
        assert_eq!(cseq.method, b"INVITE", "RFC 3261 section 8.1.1.5");
        let written = format!("{} {}", cseq.number, show(cseq.method));
        accepted("CSeq", written.as_bytes(), |again| assert_eq!(again.cseq(), cseq));
    });
}

/// Route lines, one for each line of the input: as many as asked are taken from the front, and
/// the others stay.
pub(super) fn route(octets: &[u8]) {
    let value: Vec<u8> = octets
        .iter()
        .map(|octet| if *octet == b'\r' { b' ' } else { *octet })
        .collect();
    let lines: Vec<&[u8]> = value.split(|octet| *octet == b'\n').take(100).collect();
    let whole = with("Route", &lines.join(&b"\r\nRoute: "[..]));
    let mut spans = Spans::default();
    let Ok(message) = parse(&whole, &mut spans, Carrier::Datagram) else {
        return;
    };
    let routes: Vec<&[u8]> = message.values(Name::Route).collect();
    for route in &routes {
        assert!(!route.is_empty());
        let _ = NameAddr::parse(route);
    }
    for drop_routes in [0, 1, 2, routes.len() / 2, routes.len(), routes.len() + 1] {
        let forward = Forward {
            uri: b"sip:next@example.com",
            via: b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours",
            source: source(),
            max_forwards: 3,
            record_routes: &[],
            drop_routes,
            routes: &[],
            remove: &|_| false,
            add: &[],
            body: None,
        };
        let (mut out, mut spans) = (Vec::new(), Spans::default());
        forward.write(&mut out, &message);
        let again = parse(&out, &mut spans, Carrier::Stream).expect("a request");
        let left: Vec<&[u8]> = again.values(Name::Route).collect();
        assert_eq!(
            left,
            routes[drop_routes.min(routes.len())..],
            "{drop_routes} of {}",
            show(&whole)
        );
    }
}

pub(super) fn session_expires(octets: &[u8]) {
    let Some(read) = SessionExpires::parse(octets) else {
        return;
    };
    let mut out = Vec::new();
    read.write(&mut out);
    assert_eq!(SessionExpires::parse(&out), Some(read), "{}", show(&out));
    accepted("Session-Expires", octets, |message| {
        assert_eq!(
            SessionExpires::of(message).map(|of| of.interval),
            SessionExpires::parse(octets.trim_ascii()).map(|of| of.interval)
        );
    });
}

/// The first octet says which header.
pub(super) fn header(octets: &[u8]) {
    const NAMES: [&str; 24] = [
        "Via",
        "From",
        "To",
        "Call-ID",
        "Contact",
        "Record-Route",
        "Path",
        "Expires",
        "Max-Forwards",
        "Content-Length",
        "Content-Type",
        "Min-SE",
        "Min-Expires",
        "Supported",
        "Require",
        "Proxy-Require",
        "Allow",
        "Event",
        "RSeq",
        "RAck",
        "Timestamp",
        "Refer-To",
        "Retry-After",
        "X-Unknown",
    ];
    let Some((&which, value)) = octets.split_first() else {
        return;
    };
    let name = NAMES[usize::from(which) % NAMES.len()];
    message(&with(name, value));
    accepted(name, value, |message| {
        let kind = Name::of(name.as_bytes());
        if kind != Name::Other {
            assert_eq!(message.header(kind), message.header_named(name.as_bytes()));
        }
        assert_eq!(message.header_named(name.as_bytes()), Some(trimmed(value)), "{name}");
        let _ = (message.expires(), message.content_type_is("application/sdp"));
        if name == "Expires" {
            assert_eq!(
                message.expires().is_some(),
                !trimmed(value).is_empty() && trimmed(value).iter().all(u8::is_ascii_digit)
            );
        }
    });
}

fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
