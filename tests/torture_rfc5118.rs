//! RFC 5118, SIP torture messages for IPv6, at the parser.

mod torture;

use ringfort::protocol::sip::{Carrier, Spans, Uri, parse};
use torture::{answer, corpus, streamed, table, verdict};

#[test]
fn each_message() {
    let Some(folder) = corpus("rfc5118") else { return };
    let rows = table(&folder.join("verdicts.tsv"));
    assert_eq!(rows.len(), 12);
    for row in rows {
        let (file, class) = (row[0].as_str(), row[2].as_str());
        let bytes = std::fs::read(folder.join("wire").join(format!("{file}.dat"))).expect("a message");
        let got = verdict(&bytes, Carrier::Datagram);
        if class == "valid" {
            assert!(got.is_ok(), "{file}: {got:?}");
            assert_eq!(streamed(&bytes).0, [got], "{file}");
        } else {
            let malformed = got.expect_err("invalid");
            assert_eq!(
                (malformed.status, answer(&bytes, &malformed)),
                (Some(400), Some(400)),
                "{file}: {malformed:?}"
            );
            assert_eq!(streamed(&bytes).0, [Err(malformed)], "{file}");
        }
    }
}

/// As shipped, the files have bare LF line ends; two lack the empty line and some declare other
/// lengths than they have.
#[test]
fn the_archive_as_shipped_does_no_harm() {
    let Some(folder) = corpus("rfc5118/archive") else {
        return;
    };
    for file in torture::files(&folder) {
        let bytes = std::fs::read(&file).expect("a message");
        if let Err(malformed) = verdict(&bytes, Carrier::Datagram) {
            assert_eq!(malformed.status, Some(400), "{}: {malformed:?}", file.display());
        }
    }
}

#[test]
fn what_the_addresses_mean() {
    let Some(folder) = corpus("rfc5118/wire") else { return };
    let mut spans = Spans::default();
    for (file, host, port) in [
        ("port-ambiguous", "2001:db8::10:5070", None),
        ("port-unambiguous", "2001:db8::10", Some(5070)),
        ("ipv6-bug-abnf-3-colons", "2001:db8::192.0.2.1", None),
        ("ipv6-correct-abnf-2-colons", "2001:db8::192.0.2.1", None),
    ] {
        let bytes = std::fs::read(folder.join(format!("{file}.dat"))).expect("a message");
        let message = parse(&bytes, &mut spans, Carrier::Datagram).expect(file);
        let uri = Uri::parse(message.uri()).expect(file);
        assert_eq!((uri.host_ip(), uri.port), (host.parse().ok(), port), "{file}");
    }
    for file in ["via-received-param-with-delim", "via-received-param-no-delim"] {
        let bytes = std::fs::read(folder.join(format!("{file}.dat"))).expect("a message");
        let message = parse(&bytes, &mut spans, Carrier::Datagram).expect(file);
        assert_eq!(message.via().received, "2001:db8::9:255".parse().ok(), "{file}");
    }
}
