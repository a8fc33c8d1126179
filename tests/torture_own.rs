//! A torture set of our own, of the same classes as RFC 4475, for when the corpus is absent.

mod torture;

use ringfort::protocol::sip::{Carrier, MAX_BODY, MAX_HEAD, Method, Name, Reason, Spans, frame, parse};
use shards::Frame;
use torture::{answer, framed, streamed, verdict};

/// A good INVITE; each test breaks one thing.
const INVITE: &str = "INVITE sip:2002@campus.example SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKa1;rport\r\n\
Max-Forwards: 70\r\n\
From: \"Room 1\" <sip:1001@campus.example>;tag=f1\r\n\
To: <sip:2002@campus.example>\r\n\
Call-ID: c1@192.0.2.10\r\n\
CSeq: 7 INVITE\r\n\
Content-Length: 4\r\n\
\r\n\
v=0\n";

/// What to put in place of what, and why that must be refused with which status.
const BROKEN: &[(&str, &str, Reason, Option<u16>)] = &[
    ("INVITE sip:2002", "INVITE  sip:2002", Reason::RequestLine, Some(400)),
    (
        "example SIP/2.0\r\nVia",
        "example  SIP/2.0\r\nVia",
        Reason::RequestLine,
        Some(400),
    ),
    (
        "example SIP/2.0\r\nVia",
        "example SIP/2.0 \r\nVia",
        Reason::RequestLine,
        Some(400),
    ),
    ("INVITE sip:2002", "INV(ITE sip:2002", Reason::RequestLine, Some(400)),
    (
        "sip:2002@campus.example SIP",
        "<sip:2002@campus.example> SIP",
        Reason::RequestUri,
        Some(400),
    ),
    (
        "sip:2002@campus.example SIP",
        "sip:2002@campus.example; lr SIP",
        Reason::RequestUri,
        Some(400),
    ),
    (
        "sip:2002@campus.example SIP",
        "sip:2002@campus.example?Route=%3Csip:x%3E SIP",
        Reason::RequestUri,
        Some(400),
    ),
    (
        "sip:2002@campus.example SIP",
        "sip:2001:db8::10 SIP",
        Reason::RequestUri,
        Some(400),
    ),
    (
        "sip:2002@campus.example SIP",
        "sip:2002@campus.example:99999 SIP",
        Reason::RequestUri,
        Some(400),
    ),
    ("sip:2002@campus.example SIP", "sip: SIP", Reason::RequestUri, Some(400)),
    ("sip:2002@campus.example SIP", "2002 SIP", Reason::RequestUri, Some(400)),
    (
        "example SIP/2.0\r\nVia",
        "example SIP/3.0\r\nVia",
        Reason::Version,
        Some(505),
    ),
    (
        "example SIP/2.0\r\nVia",
        "example HTTP/1.1\r\nVia",
        Reason::NotSip,
        None,
    ),
    ("Max-Forwards: 70", "Max-Forwards 70", Reason::HeaderLine, Some(400)),
    ("Max-Forwards: 70", ": 70", Reason::HeaderLine, Some(400)),
    ("Max-Forwards: 70", "Max-\0Forwards: 70", Reason::Control, Some(400)),
    ("Max-Forwards: 70", "Max-Forwards: 7\r0", Reason::Control, Some(400)),
    ("Max-Forwards: 70", "Subject: a\0b", Reason::Control, Some(400)),
    ("Max-Forwards: 70", "Max-Forwards: 256", Reason::MaxForwards, Some(400)),
    ("Max-Forwards: 70", "Max-Forwards: -1", Reason::MaxForwards, Some(400)),
    (
        "Max-Forwards: 70",
        "Max-Forwards: 70\r\nMax-Forwards: 70",
        Reason::Duplicate,
        Some(400),
    ),
    ("Call-ID: c1", "Call-ID: c1\r\ni: c1", Reason::Duplicate, Some(400)),
    (
        "CSeq: 7 INVITE",
        "CSeq: 7 INVITE\r\ncseq : 7 INVITE",
        Reason::Duplicate,
        Some(400),
    ),
    ("To: <", "t: <sip:a@b>\r\nTo: <", Reason::Duplicate, Some(400)),
    ("Call-ID: c1@192.0.2.10\r\n", "", Reason::Missing, Some(400)),
    ("CSeq: 7 INVITE\r\n", "", Reason::Missing, Some(400)),
    ("Call-ID: c1@192.0.2.10", "Call-ID:", Reason::CallId, Some(400)),
    ("Call-ID: c1@192.0.2.10", "Call-ID: c1 c2", Reason::CallId, Some(400)),
    (";branch=z9hG4bKa1;rport", ";;branch=z9hG4bKa1", Reason::Via, Some(400)),
    (
        ";branch=z9hG4bKa1;rport",
        ";branch=z9hG4bKa1;branch=z9hG4bKa2",
        Reason::Via,
        Some(400),
    ),
    ("SIP/2.0/UDP 192", "SIP/7.0/UDP 192", Reason::Via, Some(400)),
    ("\"Room 1\"", "\"Room 1", Reason::From, Some(400)),
    ("\"Room 1\"", "Room, 1", Reason::From, Some(400)),
    (";tag=f1", ";tag=", Reason::From, Some(400)),
    (
        "To: <sip:2002@campus.example>",
        "To: < sip:2002@campus.example >",
        Reason::To,
        Some(400),
    ),
    (
        "To: <sip:2002@campus.example>",
        "To: <sip:2002@campus.example",
        Reason::To,
        Some(400),
    ),
    ("CSeq: 7 INVITE", "CSeq: 2147483648 INVITE", Reason::CSeq, Some(400)),
    (
        "CSeq: 7 INVITE",
        "CSeq: 36893488147419103232 INVITE",
        Reason::CSeq,
        Some(400),
    ),
    ("CSeq: 7 INVITE", "CSeq: -7 INVITE", Reason::CSeq, Some(400)),
    ("CSeq: 7 INVITE", "CSeq: 7", Reason::CSeq, Some(400)),
    ("CSeq: 7 INVITE", "CSeq: 7INVITE", Reason::CSeq, Some(400)),
    ("CSeq: 7 INVITE", "CSeq: 7 BYE", Reason::CSeqMethod, Some(400)),
    ("INVITE sip:2002", "NEWTHING sip:2002", Reason::CSeqMethod, Some(501)),
    (
        "Content-Length: 4",
        "Content-Length: -4",
        Reason::ContentLength,
        Some(400),
    ),
    (
        "Content-Length: 4",
        "Content-Length: 4x",
        Reason::ContentLength,
        Some(400),
    ),
    (
        "Content-Length: 4",
        "Content-Length: 5",
        Reason::ContentLength,
        Some(400),
    ),
    (
        "Content-Length: 4",
        "Content-Length: 99999999999999999999",
        Reason::ContentLength,
        Some(400),
    ),
    (
        "Content-Length: 4",
        "l: 3\r\nContent-Length: 4",
        Reason::ContentLength,
        Some(400),
    ),
    ("\r\n\r\nv=0\n", "\r\n", Reason::Unfinished, Some(400)),
];

#[test]
fn one_fault_each() {
    assert!(verdict(INVITE.as_bytes(), Carrier::Datagram).is_ok());
    for &(good, bad, reason, status) in BROKEN {
        let text = INVITE.replacen(good, bad, 1);
        assert_ne!(text, INVITE, "{good}");
        let malformed = verdict(text.as_bytes(), Carrier::Datagram).expect_err(bad);
        assert_eq!((malformed.reason, malformed.status), (reason, status), "{bad}");
        assert_eq!(answer(text.as_bytes(), &malformed), status, "{bad}");
        let ack = text.replace("INVITE", "ACK");
        if ack.starts_with("ACK ")
            && let Err(malformed) = verdict(ack.as_bytes(), Carrier::Datagram)
        {
            assert_eq!(
                answer(ack.as_bytes(), &malformed),
                None,
                "an ACK is never answered: {bad}"
            );
        }
    }
}

#[test]
fn no_via_no_answer() {
    let text = INVITE.replacen("Via:", "X-Via:", 1);
    let malformed = verdict(text.as_bytes(), Carrier::Datagram).expect_err("no Via");
    assert_eq!((malformed.reason, malformed.status), (Reason::Missing, Some(400)));
    assert_eq!(answer(text.as_bytes(), &malformed), None);
}

#[test]
fn responses_are_dropped_and_never_answered() {
    let good = INVITE.replacen("INVITE sip:2002@campus.example SIP/2.0", "SIP/2.0 200 OK", 1);
    assert!(verdict(good.as_bytes(), Carrier::Datagram).is_ok());
    for line in [
        "SIP/2.0 99 x",
        "SIP/2.0 700 x",
        "SIP/2.0 20 x",
        "SIP/2.0 4294967301 x",
        "SIP/2.0 2OO x",
        "SIP/2.0  200 x",
        "SIP/7.0 200 x",
        "SIP/2.0",
    ] {
        let text = good.replacen("SIP/2.0 200 OK", line, 1);
        let malformed = verdict(text.as_bytes(), Carrier::Datagram).expect_err(line);
        assert_eq!(
            (malformed.status, answer(text.as_bytes(), &malformed)),
            (None, None),
            "{line}"
        );
    }
    let broken = good.replacen("CSeq: 7", "CSeq: x", 1);
    assert_eq!(
        verdict(broken.as_bytes(), Carrier::Datagram).expect_err("CSeq").status,
        None
    );
}

#[test]
fn lenient_where_that_is_safe() {
    for (good, lenient) in [
        ("Max-Forwards: 70\r\n", ""),
        (";branch=z9hG4bKa1;rport", ""),
        (";tag=f1", ""),
        ("Content-Length: 4\r\n", ""),
        ("INVITE sip", "\r\n\r\n\nINVITE sip"),
        ("v=0\n", "v=0\nINVITE sip:noise SIP/2.0\r\n\r\n"),
        ("Max-Forwards: 70", "mAX-fORWARDS \t: \r\n 0070"),
        ("SIP/2.0\r\nVia", "sip/2.0\r\nv"),
        ("Content-Length: 4", "Content-Length: 4\r\nl: 4"),
        ("\"Room 1\"", "\"R\\\0\\\" \u{e9}\""),
        ("\"Room 1\" <", "Room<"),
    ] {
        let text = INVITE.replacen(good, lenient, 1);
        assert_ne!(text, INVITE);
        let mut spans = Spans::default();
        let message = parse(text.as_bytes(), &mut spans, Carrier::Datagram).expect(lenient);
        assert_eq!(
            (message.method(), message.body(), message.cseq().number),
            (Method::Invite, &b"v=0\n"[..], 7),
            "{lenient}"
        );
    }
    let text = INVITE.replace("\r\n", "\n");
    assert!(verdict(text.as_bytes(), Carrier::Datagram).is_ok());
    assert_eq!(
        verdict(text.as_bytes(), Carrier::Stream).expect_err("bare LF").reason,
        Reason::Control
    );
}

#[test]
fn compact_forms_and_folds() {
    let text = "MESSAGE tel:+1-201-555-0123 SIP/2.0\r\nv: SIP/2.0/UDP h\r\nf: <sip:a@b>;tag=1\r\nt: sip:c@d\r\ni: x\r\n\
                CSeq: 1\r\n\tMESSAGE\r\nc: text/plain;charset=utf-8\r\nk: a,\r\n b , \"c,d\"\r\nk: e\r\ns:\r\nl: 0\r\nX-Odd: 1\r\n\r\n";
    let mut spans = Spans::default();
    let message = parse(text.as_bytes(), &mut spans, Carrier::Stream).expect("a message");
    assert!(message.content_type_is("Text/Plain") && !message.content_type_is("text"));
    assert_eq!(
        message.values(Name::Supported).collect::<Vec<_>>(),
        [&b"a"[..], b"b", b"\"c,d\"", b"e"]
    );
    assert_eq!(message.headers(Name::Supported).count(), 2);
    assert_eq!(message.header(Name::Subject), Some(&b""[..]));
    assert_eq!(message.header(Name::Route), None);
    assert_eq!(message.header_named(b"x-odd"), Some(&b"1"[..]));
    assert_eq!(message.header_named(b"L"), Some(&b"0"[..]));
    assert_eq!(message.header_named(b"SUPPORTED"), Some(&b"a,\r\n b , \"c,d\""[..]));
    assert_eq!(
        message.lines().last().map(|line| (line.name_text, line.raw)),
        Some((&b"X-Odd"[..], &b"X-Odd: 1\r\n"[..]))
    );
}

#[test]
fn limits_are_counted_faults() {
    let many = |count: usize| INVITE.replacen("Max-Forwards", &format!("{}Max-Forwards", "X: y\r\n".repeat(count)), 1);
    assert!(verdict(many(249).as_bytes(), Carrier::Datagram).is_ok());
    assert_eq!(
        verdict(many(250).as_bytes(), Carrier::Datagram)
            .expect_err("257 lines")
            .reason,
        Reason::TooManyHeaders
    );
    let long = INVITE.replacen("Room 1", &"x".repeat(MAX_HEAD), 1);
    assert_eq!(
        verdict(long.as_bytes(), Carrier::Stream)
            .expect_err("a long head")
            .reason,
        Reason::HeadTooLong
    );
    let big = INVITE.replacen("Content-Length: 4", &format!("Content-Length: {}", MAX_BODY + 1), 1);
    assert_eq!(
        verdict(big.as_bytes(), Carrier::Stream)
            .expect_err("a long body")
            .reason,
        Reason::BodyTooLong
    );
    assert!(matches!(frame(big.as_bytes()), Frame::Bad { .. }));
    assert_eq!(frame(long.as_bytes()), Frame::Bad { len: MAX_HEAD });
    assert_eq!(frame(&b"x".repeat(MAX_HEAD)), Frame::Partial);
    assert_eq!(
        verdict(b"", Carrier::Datagram).expect_err("nothing").reason,
        Reason::Empty
    );
    assert_eq!(
        verdict(b"\r\n\r\n", Carrier::Datagram).expect_err("a ping").reason,
        Reason::Empty
    );
    assert_eq!(
        verdict(b"hello", Carrier::Datagram).expect_err("no SIP").reason,
        Reason::NotSip
    );
}

#[test]
fn streams() {
    assert_eq!(framed(b"\r\n\r\n"), Frame::KeepAlive { len: 4, reply: b"\r\n" });
    assert_eq!(framed(b"\r\nINVITE"), Frame::KeepAlive { len: 2, reply: b"" });
    assert_eq!(framed(b"\r\n"), Frame::Partial);
    assert_eq!(framed(INVITE.as_bytes()), Frame::Message { len: INVITE.len() });
    let two = format!("\r\n\r\n{INVITE}\r\n{INVITE}");
    let (verdicts, last) = streamed(two.as_bytes());
    assert_eq!(
        (verdicts.len(), verdicts.iter().filter(|it| it.is_ok()).count(), last),
        (2, 2, Frame::Partial)
    );
    for bad in [
        "",
        "Content-Length: x\r\n",
        "Content-Length: 4\r\nl: 5\r\n",
        "Content-Length: 65537\r\n",
        "no colon\r\nl: 4\r\n",
    ] {
        let text = INVITE.replacen("Content-Length: 4\r\n", bad, 1);
        assert!(
            matches!(framed(text.as_bytes()), Frame::Bad { len } if len + 4 == text.len()),
            "{bad}"
        );
    }
    // A folded length is read as the parser reads it.
    let folded = INVITE.replacen("Content-Length: 4", "Content-Length :\r\n\t4", 1);
    assert_eq!(framed(folded.as_bytes()), Frame::Message { len: folded.len() });
}

/// RFC 3261 section 7.5: before a start line stands CR LF. What the framing closes a stream for is no message.
#[test]
fn a_lone_line_feed_before_the_start_line_of_a_stream() {
    let text = ["\n", INVITE].concat();
    assert!(verdict(text.as_bytes(), Carrier::Stream).is_err());
    assert!(matches!(frame(text.as_bytes()), Frame::Bad { .. }));
    assert!(verdict(["\r\n", INVITE].concat().as_bytes(), Carrier::Stream).is_ok());
}
