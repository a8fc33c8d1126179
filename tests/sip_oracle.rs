//! What rsip can read, we read the same. (It cannot read folds, compact forms or IPv6 hosts.)

mod torture;

use ringfort::protocol::sip::{Carrier, Message, Spans, parse};
use rsip::headers::UntypedHeader;
use rsip::message::HeadersExt;
use rsip::prelude::ToTypedHeader;

/// False when rsip cannot read it.
fn agrees(bytes: &[u8], ours: &Message<'_>) -> bool {
    let Ok(theirs) = rsip::SipMessage::try_from(bytes) else {
        return false;
    };
    let (Ok(call_id), Ok(Ok(cseq))) = (theirs.call_id_header(), theirs.cseq_header().map(|cseq| cseq.typed())) else {
        return false;
    };
    let typed = (
        theirs.from_header().map(|from| from.typed()),
        theirs.to_header().map(|to| to.typed()),
    );
    let (Ok(Ok(from)), Ok(Ok(to))) = typed else {
        return false;
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if let rsip::SipMessage::Request(request) = &theirs {
        assert_eq!(request.method.to_string(), text(ours.method_text()));
    }
    assert_eq!(ours.is_request(), theirs.is_request());
    assert_eq!(call_id.value(), text(ours.call_id()));
    assert_eq!(cseq.seq, ours.cseq().number);
    assert_eq!(cseq.method.to_string(), text(ours.cseq().method));
    assert_eq!(
        from.tag().map(|tag| tag.value().to_owned()).unwrap_or_default(),
        text(ours.from_tag())
    );
    assert_eq!(to.tag().map(|tag| tag.value().to_owned()), ours.to_tag().map(text));
    true
}

#[test]
fn rsip_agrees() {
    let methods = ["INVITE", "BYE", "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "CANCEL"];
    let mut compared = 0;
    for (index, method) in methods.iter().enumerate() {
        for tag in ["", ";tag=b-7.x~"] {
            let text = format!(
                "{method} sip:bob@campus.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{index}\r\nMax-Forwards: 70\r\n\
                 From: \"A, b\" <sip:alice@campus.example>;tag=a{index}\r\nTo: <sip:bob@campus.example>{tag}\r\nCall-ID: id{index}@host\r\n\
                 CSeq: 10{index} {method}\r\nContent-Length: 0\r\n\r\n"
            );
            let mut spans = Spans::default();
            let ours = parse(text.as_bytes(), &mut spans, Carrier::Datagram).expect("a good message");
            compared += usize::from(agrees(text.as_bytes(), &ours));
        }
    }
    assert_eq!(compared, 14);
}

#[test]
fn rsip_agrees_on_the_corpus() {
    let mut compared = 0;
    for part in [
        "sip-seeds/kamailio",
        "sip-seeds/sofia-sip",
        "sip-seeds/pjsip",
        "rfc4475",
    ] {
        let Some(folder) = torture::corpus(part) else { return };
        for file in torture::files(&folder) {
            let bytes = std::fs::read(&file).expect("a file");
            let mut spans = Spans::default();
            if let Ok(ours) = parse(&bytes, &mut spans, Carrier::Datagram) {
                compared += usize::from(agrees(&bytes, &ours));
            }
        }
    }
    assert!(compared > 20, "rsip read only {compared} of them");
}
