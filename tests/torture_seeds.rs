//! Other people's hostile messages: nothing may panic, every frame must be decided the same way
//! on every prefix, and what is accepted must survive being forwarded.

mod torture;

use ringfort::protocol::sip::digest::Credentials;
use ringfort::protocol::sip::{
    Carrier, Forward, Name, NameAddr, Reply, Spans, Uri, Via, forward_response, frame, parse,
};
use torture::{answer, corpus, files, framed, protos, table, unpack, verdict};

/// Uses every accessor, and writes what the message asks for.
fn exercise(bytes: &[u8]) -> bool {
    let mut spans = Spans::default();
    let message = match parse(bytes, &mut spans, Carrier::Datagram) {
        Ok(message) => message,
        Err(malformed) => {
            answer(bytes, &malformed);
            return false;
        }
    };
    for line in message.lines() {
        let _ = NameAddr::parse(line.value).map(|address| Uri::parse(address.uri).is_ok());
        let _ = Via::parse(line.value).map(|via| via.reply_to());
        let _ = Credentials::parse(line.value).map(|credentials| credentials.username_eq(b"alice"));
        assert!(message.header_named(line.name_text).is_some());
    }
    let source = "192.0.2.9:5060".parse().expect("an address");
    let mut out = Vec::new();
    if message.is_request() {
        Reply {
            status: 200,
            phrase: "OK",
            to_tag: b"t",
            headers: &[],
            body: None,
            record_route: true,
        }
        .write(&mut out, &message, source);
        verdict(&out, Carrier::Stream).expect("our response parses");
        out.clear();
        let forward = Forward {
            uri: b"sip:next.example.com",
            via: b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours",
            source,
            max_forwards: 69,
            record_routes: &[b"<sip:192.0.2.1;lr>"],
            drop_routes: 1,
            routes: &[b"<sip:192.0.2.2;lr>"],
            remove: &|line| line.name == Name::PAssertedIdentity,
            add: &[("P-Asserted-Identity", b"<sip:alice@example.com>")],
            body: None,
        };
        forward.write(&mut out, &message);
        let body = message.body().to_vec();
        let mut spans = Spans::default();
        let again = parse(&out, &mut spans, Carrier::Stream).expect("our request parses");
        assert_eq!(again.body(), body);
    } else if message.values(Name::Via).count() > 1 {
        forward_response(&mut out, &message);
        if let Err(malformed) = verdict(&out, Carrier::Stream) {
            // The second Via was never looked at before.
            assert_eq!(malformed.reason.label(), "via");
        }
    }
    true
}

#[test]
fn seed_files() {
    let Some(folder) = corpus("sip-seeds") else { return };
    let mut accepted = 0;
    for file in files(&folder) {
        let bytes = std::fs::read(&file).expect("a file");
        accepted += usize::from(exercise(&bytes));
        let _ = frame(&bytes);
        if bytes.len() < 4096 {
            framed(&bytes);
        }
        // Without its last octets, and with each line end made LF.
        exercise(&bytes[..bytes.len() / 2]);
        exercise(
            &bytes
                .iter()
                .copied()
                .filter(|&octet| octet != b'\r')
                .collect::<Vec<u8>>(),
        );
    }
    assert!(accepted > 50, "only {accepted} seeds are read");
}

#[test]
fn protos() {
    let Some(folder) = corpus("protos-c07-sip") else { return };
    let Some(unpacked) = unpack(&folder.join("testcases.tar.gz")) else {
        return;
    };
    let mut valid_accepted = false;
    let cases = files(unpacked.path());
    for (place, file) in cases.iter().enumerate() {
        let bytes = std::fs::read(file).expect("a case");
        for (index, packet) in protos::filled(&bytes, place, "bob@example.com", "192.0.2.7")
            .iter()
            .enumerate()
        {
            let _ = frame(packet);
            // No datagram is longer.
            let accepted = exercise(&packet[..packet.len().min(65_507)]);
            valid_accepted |= accepted && index == 0 && file.ends_with("0000000");
        }
    }
    assert_eq!(cases.len(), 4527);
    assert!(valid_accepted, "case 0 is a valid INVITE");
}

/// Where our parser and NIST's differ, and why ours is right to.
#[rustfmt::skip]
const DISAGREEMENTS: &[(&str, bool, &str)] = &[
    ("007.sip", true,  "name:user is an absoluteURI (RFC 3261 section 25.1): read, and answered with 416, not 400"),
    ("014.sip", false, "the head is ended by a line of one space, which is no empty line: a fold of nothing that a header line could be"),
    ("018.sip", false, "CaLl-Id is folded before its colon: section 7.3.1 folds values, not names"),
    ("024.sip", true,  "an unknown method with a URI that can be read: a proxy passes it on, as the description itself says"),
    ("025.sip", false, "the response has no From, To and Call-ID, which section 8.2.6.2 demands"),
    ("029.sip", true,  "Contact and Call-Info are read by those who need them: a proxied INVITE does not (section 16.3)"),
    ("332.sip", false, "Content-Length counts two octets that the file has not"),
    ("333.sip", false, "the empty line between both requests is missing in the file, so that the second begins as a header line"),
    ("337.sip", false, "Content-Length counts two octets that the file has not"),
    ("338.sip", false, "the octet 20 after the status stands as text, <hex>20</hex>, in the file"),
    ("351.sip", true,  "the Contact is read by the registrar after the credentials, and refused there (RFC 4475 section 3.1.2.13)"),
    ("364.sip", false, "Content-Length counts two octets that the file has not"),
    ("366.sip", false, "several From, To, Call-ID, CSeq and Max-Forwards: 400 (RFC 4475 section 3.3.8)"),
    ("368.sip", false, "Content-Length counts two octets that the file has not"),
    ("373.sip", false, "Content-Length counts two octets that the file has not"),
];

/// NIST's verdicts come from the days of RFC 2543 and are lenient in places: the exceptions are
/// listed, and neither may one be added unseen nor may a listed one have gone.
#[test]
fn agreement_with_the_nist_parser() {
    let Some(folder) = corpus("sip-seeds/nist-jain-sip") else {
        return;
    };
    let Some(unpacked) = unpack(&folder.join("messages.tar.gz")) else {
        return;
    };
    let messages = files(unpacked.path());
    assert_eq!(messages.len(), 374);
    let mut wrong = Vec::new();
    for row in table(&folder.join("expect.tsv")) {
        let Some(file) = messages.iter().find(|file| file.ends_with(&row[0])) else {
            continue;
        };
        let bytes = std::fs::read(file).expect("a message");
        let accepted = exercise(&bytes);
        let exception = DISAGREEMENTS.iter().find(|exception| exception.0 == row[0]);
        let wanted = exception.map_or(row[1] == "accept", |exception| exception.1);
        if accepted != wanted || exception.is_some() && accepted == (row[1] == "accept") {
            let got = verdict(&bytes, Carrier::Datagram).err();
            wrong.push(format!("{} expects {}: {got:?} {}", row[0], row[1], row[2]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
