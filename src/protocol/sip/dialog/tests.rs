//! Dialogs made from messages and used.

use super::*;
use crate::protocol::sip::{Carrier, Spans, parse};

/// Parses and hands on; a message borrows its spans.
fn read<R>(text: &str, then: impl FnOnce(&Message<'_>) -> R) -> R {
    let mut spans = Spans::default();
    then(
        &parse(text.as_bytes(), &mut spans, Carrier::Datagram).unwrap_or_else(|bad| panic!("{:?}\n{text}", bad.reason)),
    )
}

fn request(method: &str, uri: &str, seq: u32, headers: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bKx\r\nMax-Forwards: 70\r\n\
         From: \"Alice\" <sip:alice@a.example>;tag=al\r\nTo: <sip:bob@b.example>\r\nCall-ID: call\r\n\
         CSeq: {seq} {method}\r\n{headers}Content-Length: 0\r\n\r\n"
    )
}

fn response(status: u16, to_tag: &str, headers: &str) -> String {
    format!(
        "SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bKx\r\n\
         From: \"Alice\" <sip:alice@a.example>;tag=al\r\nTo: <sip:bob@b.example>{to_tag}\r\nCall-ID: call\r\n\
         CSeq: 7 INVITE\r\n{headers}Content-Length: 0\r\n\r\n"
    )
}

fn calling() -> Dialog {
    read(&request("INVITE", "sip:bob@b.example", 7, ""), |invite| {
        Dialog::calling(invite, false)
    })
}

fn dialog_with(headers: &str) -> Dialog {
    read(&response(200, ";tag=bo", headers), |ok| calling().established(ok)).expect("a dialog")
}

fn written(dialog: &mut Dialog, method: Method) -> String {
    let mut out = Vec::new();
    dialog.write_request(&mut out, method, b"SIP/2.0/UDP us;branch=z9hG4bKy", &[], None);
    let text = String::from_utf8(out).expect("text");
    read(&text, |message| assert!(message.is_request()));
    text
}

fn lines(text: &str, name: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix(name))
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn uac_route_set_is_reversed() {
    let mut dialog = dialog_with(
        "Record-Route: <sip:p3;lr>, <sip:p2;lr>\r\nRecord-Route: <sip:p1;lr>\r\nContact: <sip:bob@9.9.9.9>\r\n",
    );
    assert_eq!(dialog.routes(), b"<sip:p1;lr>, <sip:p2;lr>, <sip:p3;lr>");
    assert_eq!(
        (dialog.next_hop(), dialog.target()),
        (&b"sip:p1;lr"[..], &b"sip:bob@9.9.9.9"[..])
    );
    let ack = written(&mut dialog, Method::Ack);
    assert!(ack.starts_with("ACK sip:bob@9.9.9.9 SIP/2.0\r\n"), "{ack}");
    assert_eq!(lines(&ack, "CSeq:"), ["7 ACK"], "the INVITE's number");
    assert_eq!(lines(&ack, "Route:"), ["<sip:p1;lr>, <sip:p2;lr>, <sip:p3;lr>"]);
    assert_eq!(lines(&ack, "From:"), ["\"Alice\" <sip:alice@a.example>;tag=al"]);
    assert_eq!(lines(&ack, "To:"), ["<sip:bob@b.example>;tag=bo"]);
    let bye = written(&mut dialog, Method::Bye);
    assert_eq!(
        (lines(&bye, "CSeq:"), dialog.local_seq()),
        (vec!["8 BYE".to_owned()], 8)
    );
}

#[test]
fn uas_route_set_keeps_its_order() {
    let text = request(
        "INVITE",
        "sip:bob@b.example",
        7,
        "Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\nm: <sip:alice@8.8.8.8>\r\n",
    );
    let mut dialog = read(&text, |invite| Dialog::from_uas(invite, b"ours", false)).expect("a dialog");
    assert_eq!(dialog.routes(), b"<sip:p1;lr>, <sip:p2;lr>");
    assert_eq!(
        (dialog.local(), dialog.local_tag()),
        (&b"<sip:bob@b.example>;tag=ours"[..], &b"ours"[..])
    );
    assert_eq!(
        (dialog.remote_tag(), dialog.remote_seq(), dialog.local_seq()),
        (&b"al"[..], Some(7), 0)
    );
    assert!(!dialog.is_confirmed());
    dialog.confirm(None);
    assert!(dialog.is_confirmed());
    let bye = written(&mut dialog, Method::Bye);
    assert!(bye.starts_with("BYE sip:alice@8.8.8.8 SIP/2.0\r\n"));
    assert_eq!(lines(&bye, "CSeq:"), ["1 BYE"]);
}

/// Section 12.2.1.1's example: a route set with a strict router first.
#[test]
fn strict_router_takes_the_request_uri() {
    let mut dialog = dialog_with(
        "Record-Route: <sip:proxy3;lr>, <sip:proxy2>, <sip:proxy1;method=BYE;x=1?Subject=a>\r\nContact: <sip:bob@9.9.9.9>\r\n",
    );
    let bye = written(&mut dialog, Method::Bye);
    assert!(bye.starts_with("BYE sip:proxy1;x=1 SIP/2.0\r\n"), "{bye}");
    assert_eq!(
        lines(&bye, "Route:"),
        ["<sip:proxy2>, <sip:proxy3;lr>, <sip:bob@9.9.9.9>"]
    );
    assert!(dialog.next_hop().starts_with(b"sip:proxy1"));
    let mut alone = dialog_with("Record-Route: <sip:proxy1>\r\nContact: <sip:bob@9.9.9.9>\r\n");
    assert_eq!(
        lines(&written(&mut alone, Method::Info), "Route:"),
        ["<sip:bob@9.9.9.9>"]
    );
}

#[test]
fn commas_inside_routes_separate_nothing() {
    let dialog = dialog_with(
        "Record-Route: \"a, <b\" <sip:x,y@p2;lr>\r\nRecord-Route: <sip:p1;lr>;q=\"1,2\"\r\nm: <sip:b@h>\r\n",
    );
    assert_eq!(dialog.next_hop(), b"sip:p1;lr");
    let dialog =
        dialog_with("Record-Route: <sip:p1;lr>\r\nRecord-Route: \"a, <b\" <sip:x,y@p2;lr>\r\nm: <sip:b@h>\r\n");
    assert_eq!(dialog.next_hop(), b"sip:x,y@p2;lr");
}

#[test]
fn forks_are_dialogs_of_their_own() {
    let start = calling();
    assert_eq!(
        read(&response(180, "", ""), |ringing| start.established(ringing).err()),
        Some(DialogError::NoTag)
    );
    let fork = |tag: &str| {
        read(&response(180, tag, "Contact: <sip:bob@1.1.1.1>\r\n"), |r| {
            start.established(r)
        })
        .expect("early")
    };
    let (mut one, two) = (fork(";tag=1"), fork(";tag=2"));
    assert!(!one.is_confirmed());
    let answer = response(
        200,
        ";tag=1",
        "Record-Route: <sip:p;lr>\r\nContact: <sip:bob@2.2.2.2>\r\n",
    );
    read(&answer, |ok| {
        assert!(one.matches(ok) && !two.matches(ok));
        one.confirm(Some(ok));
    });
    // 13.2.2.4: route set and target are those of the 2xx.
    assert!(one.is_confirmed() && one.routes() == b"<sip:p;lr>" && one.target() == b"sip:bob@2.2.2.2");
    assert!(!two.is_confirmed() && two.routes().is_empty());
}

#[test]
fn rfc_2543_answer_has_no_tag() {
    let dialog = read(&response(200, "", ""), |ok| calling().established(ok)).expect("a dialog");
    assert_eq!(
        (dialog.remote_tag(), dialog.target()),
        (&b""[..], &b"sip:bob@b.example"[..])
    );
}

#[test]
fn sequence_numbers() {
    let mut dialog = dialog_with("m: <sip:b@h>\r\n");
    let mut take = |method: &str, seq| read(&request(method, "sip:x@h", seq, ""), |request| dialog.receive(request));
    assert_eq!(take("INFO", 100), Order::Next, "the first may be any");
    assert_eq!(take("INFO", 99), Order::Late);
    assert_eq!(take("INVITE", 105), Order::Next, "gaps are allowed");
    assert_eq!(take("ACK", 105), Order::SameAsInvite);
    assert_eq!(take("BYE", 104), Order::Late);
    assert_eq!(dialog.remote_seq(), Some(105));
}

#[test]
fn target_refresh() {
    let mut dialog = dialog_with("Record-Route: <sip:p;lr>\r\nm: <sip:b@h>\r\n");
    let mut refresh = |method: &str, headers: &str| {
        read(&request(method, "sip:x@h", 9, headers), |request| {
            dialog.refresh(request)
        });
        String::from_utf8_lossy(dialog.target()).into_owned()
    };
    assert_eq!(refresh("INFO", "m: <sip:b@other>\r\n"), "sip:b@h");
    assert_eq!(
        refresh("INVITE", "m: <sip:b@longer.example>\r\n"),
        "sip:b@longer.example"
    );
    assert_eq!(refresh("UPDATE", "m: <sip:b@i>\r\n"), "sip:b@i");
    assert_eq!(refresh("UPDATE", ""), "sip:b@i");
    assert_eq!(dialog.routes(), b"<sip:p;lr>");
    assert!(written(&mut dialog, Method::Bye).starts_with("BYE sip:b@i SIP/2.0"));
}

#[test]
fn secure_needs_tls_and_sips() {
    let secure = |uri: &str, tls| {
        read(&request("INVITE", uri, 1, ""), |invite| {
            Dialog::calling(invite, tls).is_secure()
        })
    };
    assert!(secure("sips:bob@b.example", true));
    assert!(!secure("sips:bob@b.example", false) && !secure("sip:bob@b.example", true));
}

#[test]
fn bad_peers() {
    let uas = |headers: &str| {
        read(&request("INVITE", "sip:b@h", 1, headers), |i| {
            Dialog::from_uas(i, b"t", false).err()
        })
    };
    assert_eq!(uas(""), Some(DialogError::NoContact));
    assert_eq!(uas("Contact: *\r\n"), Some(DialogError::Unreadable));
    let many = |count: usize| "Record-Route: <sip:p;lr>\r\n".repeat(count) + "Contact: <sip:a@h>\r\n";
    assert_eq!(uas(&many(32)), None);
    assert_eq!(uas(&many(33)), Some(DialogError::Unreadable));
}

/// Header values are unfolded once, so that what we write has one line for each header.
#[test]
fn folds_do_not_survive() {
    let text = request("INVITE", "sip:b@h", 1, "Contact:\r\n <sip:a@h>\r\n").replace("tag=al", "tag=al\r\n ;x=y");
    let mut dialog = read(&text, |invite| Dialog::from_uas(invite, b"t", false)).expect("a dialog");
    assert_eq!(
        lines(&written(&mut dialog, Method::Bye), "To:"),
        ["\"Alice\" <sip:alice@a.example>;tag=al ;x=y"]
    );
}

#[test]
fn size() {
    let dialog = dialog_with("Record-Route: <sip:203.0.113.10;lr;r2=on>\r\nContact: <sip:bob@198.51.100.23:5062>\r\n");
    let octets = size_of::<Dialog>() + dialog.text.capacity();
    assert!(octets < 700, "{octets}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Whatever a peer writes that can be read: what we write then can be read too, and has no
    /// header that we did not put there.
    #[test]
    fn hostile_headers(
        contact in "(\"[a-z<>,;]{0,4}\" ?|)<sip:([a-z?;=,&]{1,6}@|)[a-z]{1,8}(;[a-z]{1,2}=[a-z]{0,3}|)(;method=X|)([?]a=b|)>(;q=1|)",
        routes in proptest::collection::vec(
            "(\"[a-z,<>;]{0,4}(\\\\\")?\" |)<sip:([a-z?;=,]{1,6}@|)[a-z]{1,8}(;x=[a-z]{1,3}|)(;lr|)(;method=X|)([?]a=b|)>(;y=\"a,<\"|)",
            0..4,
        ),
        display in "(\"[a-z<>,;]{0,8}\"|[a-z]{0,8})(\r\n |)",
    ) {
        let routes: String = routes.iter().map(|route| format!("Record-Route: {route}\r\n")).collect();
        let text = request("INVITE", "sip:b@h", 1, &format!("Contact: {contact}\r\n{routes}"));
        let text = text.replace("\"Alice\" ", &display);
        let mut spans = Spans::default();
        if let Ok(invite) = parse(text.as_bytes(), &mut spans, Carrier::Datagram)
            && let Ok(mut dialog) = Dialog::from_uas(&invite, b"t", false)
        {
            let bye = written(&mut dialog, Method::Bye);
            assert_eq!(bye.lines().filter(|line| !line.is_empty()).count(), 8 + usize::from(bye.contains("\r\nRoute: ")));
            assert!(!dialog.next_hop().is_empty());
            read(&bye, |bye| {
                let uri = Uri::parse(bye.uri()).expect("a URI");
                assert!(uri.param("method").is_none() && uri.headers.is_empty(), "19.1.1, table 1");
            });
        }
    }
}
