//! RFC 4475, SIP torture messages, at the parser: as datagrams and over streams.

mod torture;

use ringfort::protocol::sip::{Carrier, Name, NameAddr, Spans, Uri, parse};
use shards::Frame;
use torture::{answer, corpus, streamed, table, verdict};

/// What a request that is rejected is answered with.
fn status_of(file: &str, first: &str) -> Option<u16> {
    match file {
        "badvers.dat" => Some(505),
        "mismatch02.dat" => Some(501),
        // Responses are dropped.
        _ if first.bytes().all(|octet| octet.is_ascii_digit()) => None,
        _ => Some(400),
    }
}

#[test]
fn each_message_as_a_datagram() {
    let Some(folder) = corpus("rfc4475") else { return };
    let rows = table(&folder.join("verdicts.tsv"));
    assert_eq!(rows.len(), 49);
    for row in rows {
        let [file, _, first, _, expected, ..] = &row[..] else {
            panic!("a short row: {row:?}")
        };
        let bytes = std::fs::read(folder.join(file)).expect("a message");
        let got = verdict(&bytes, Carrier::Datagram);
        match (expected.as_str(), &got) {
            ("accept" | "accept-parse" | "reject-or-fix", Ok(_)) => {}
            ("reject" | "reject-or-fix", Err(malformed)) => {
                assert_eq!(malformed.status, status_of(file, first), "{file}: {malformed:?}");
                assert_eq!(answer(&bytes, malformed), malformed.status, "{file}: {malformed:?}");
            }
            _ => panic!("{file}: expected {expected}, got {got:?}"),
        }
    }
}

/// Where both are allowed, this is what we chose.
#[test]
fn our_choice_where_the_rfc_leaves_one() {
    let Some(folder) = corpus("rfc4475") else { return };
    for (file, accepted) in [
        ("ltgtruri", false),
        ("lwsstart", false),
        ("trws", false),
        ("escruri", false),
        ("badaspec", false),
        ("baddn", false),
        // Date means nothing to us; Contact is read by the registrar; a bare magic cookie falls
        // back to the matching of RFC 2543.
        ("baddate", true),
        ("regbadct", true),
        ("badbranch", true),
    ] {
        let bytes = std::fs::read(folder.join(format!("{file}.dat"))).expect("a message");
        assert_eq!(verdict(&bytes, Carrier::Datagram).is_ok(), accepted, "{file}");
    }
    let bytes = std::fs::read(folder.join("regbadct.dat")).expect("a message");
    let mut spans = Spans::default();
    let message = parse(&bytes, &mut spans, Carrier::Datagram).expect("a message");
    assert!(NameAddr::parse(message.header(Name::Contact).expect("Contact")).is_err());
}

#[test]
fn each_message_on_a_stream_cut_at_every_octet() {
    let Some(folder) = corpus("rfc4475") else { return };
    for row in table(&folder.join("verdicts.tsv")) {
        let (file, expected) = (row[0].as_str(), row[4].as_str());
        let bytes = std::fs::read(folder.join(file)).expect("a message");
        let (verdicts, last) = streamed(&bytes);
        match file {
            // More octets are waited for; the connection's timer ends it.
            "clerr.dat" | "baddn.dat" => assert_eq!((verdicts.len(), last), (0, Frame::Partial), "{file}"),
            // The length cannot be known: answered, then closed.
            "ncl.dat" | "mcl01.dat" | "inv2543.dat" => {
                assert!(matches!(last, Frame::Bad { .. }), "{file}: {last:?}");
                assert_eq!(
                    verdicts[0].as_ref().map_err(|malformed| malformed.status).err(),
                    Some(Some(400)),
                    "{file}"
                );
            }
            // On a stream the second request is one.
            "dblreq.dat" => assert_eq!(verdicts.iter().filter(|verdict| verdict.is_ok()).count(), 2),
            _ => {
                let first = verdicts.first().unwrap_or_else(|| panic!("{file}: no frame, {last:?}"));
                assert_eq!(first, &verdict(&bytes, Carrier::Datagram), "{file}");
                assert!(expected != "accept" || first.is_ok(), "{file}");
            }
        }
    }
}

/// Details that the sections of valid messages call out.
#[test]
fn what_valid_messages_mean() {
    let Some(folder) = corpus("rfc4475") else { return };
    let read = |file: &str| std::fs::read(folder.join(file)).expect("a message");
    let mut spans = Spans::default();

    let bytes = read("wsinv.dat");
    let message = parse(&bytes, &mut spans, Carrier::Datagram).expect("wsinv");
    assert_eq!(message.values(Name::Via).count(), 3);
    assert_eq!((message.max_forwards(), message.cseq().number), (Some(68), 9));
    assert_eq!(
        (message.to_tag(), message.from_tag()),
        (Some(&b"1918181833n"[..]), &b"98asjd8"[..])
    );
    assert_eq!(message.via().branch, Some(&b"390skdjuw"[..]));
    assert_eq!(message.body().len(), 150);
    assert_eq!(message.header(Name::Subject), Some(&b""[..]));

    let bytes = read("dblreq.dat");
    let message = parse(&bytes, &mut spans, Carrier::Datagram).expect("dblreq");
    assert!(message.body().is_empty() && message.bytes().len() < bytes.len());

    let bytes = read("semiuri.dat");
    let message = parse(&bytes, &mut spans, Carrier::Datagram).expect("semiuri");
    let uri = Uri::parse(message.uri()).expect("a URI");
    let mut user = Vec::new();
    uri.write_user_decoded(&mut user);
    assert_eq!((user, uri.params), (b"user;par=u@example.net".to_vec(), &b""[..]));

    let bytes = read("escnull.dat");
    let message = parse(&bytes, &mut spans, Carrier::Datagram).expect("escnull");
    let users: Vec<Vec<u8>> = message
        .values(Name::Contact)
        .map(|contact| {
            let mut user = Vec::new();
            let address = NameAddr::parse(contact).expect("an address");
            Uri::parse(address.uri).expect("a URI").write_user_decoded(&mut user);
            user
        })
        .collect();
    assert_eq!(users, [vec![0], vec![0, 0]]);

    let bytes = read("esc01.dat");
    let message = parse(&bytes, &mut spans, Carrier::Datagram).expect("esc01");
    let mut aor = Vec::new();
    Uri::parse(message.uri()).expect("a URI").write_aor(&mut aor);
    assert_eq!(aor, b"sips%3Auser%40example.com@example.net");
    let mut aor = Vec::new();
    Uri::parse(message.to().uri).expect("a URI").write_aor(&mut aor);
    assert_eq!(aor, b"user@example.com");

    let bytes = read("cparam01.dat");
    let message = parse(&bytes, &mut spans, Carrier::Datagram).expect("cparam01");
    let contact = NameAddr::parse(message.header(Name::Contact).expect("Contact")).expect("an address");
    assert_eq!(
        (contact.uri, contact.param("unknownparam")),
        (&b"sip:+19725552222@gw1.example.net"[..], Some(&b""[..]))
    );

    let bytes = read("unreason.dat");
    let message = parse(&bytes, &mut spans, Carrier::Datagram).expect("unreason");
    assert_eq!(message.status(), 200);
    assert!(std::str::from_utf8(message.reason()).is_ok_and(|reason| reason.starts_with("= 2**3")));
}
