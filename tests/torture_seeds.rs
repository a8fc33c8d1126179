//! Other people's hostile messages: nothing may panic, every frame must be decided the same way
//! on every prefix, and what is accepted must survive being forwarded.

mod torture;

use ringfort::protocol::sip::digest::Credentials;
use ringfort::protocol::sip::{
    Carrier, Forward, Name, NameAddr, Reply, Spans, Uri, Via, forward_response, frame, parse,
};
use torture::{answer, corpus, files, framed, table, unpack, verdict};

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

/// Cases of one file: `<decimal length><SP><octets>`, back to back.
fn packets(mut file: &[u8]) -> Vec<&[u8]> {
    let mut packets = Vec::new();
    while let Some(space) = file.iter().position(|&octet| octet == b' ') {
        let Some(length) = std::str::from_utf8(&file[..space])
            .ok()
            .and_then(|text| text.trim().parse::<usize>().ok())
        else {
            break;
        };
        let end = (space + 1 + length).min(file.len());
        packets.push(&file[space + 1..end]);
        file = &file[end..];
    }
    packets
}

fn replace(bytes: &[u8], tag: &str, with: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(tag.len()).position(|window| window == tag.as_bytes()) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(with.as_bytes());
        rest = &rest[at + tag.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[test]
fn protos() {
    let Some(folder) = corpus("protos-c07-sip") else { return };
    let Some(unpacked) = unpack(&folder.join("testcases.tar.gz")) else {
        return;
    };
    let mut cases = 0;
    let mut valid_accepted = false;
    for file in files(unpacked.path()) {
        if file
            .file_name()
            .is_some_and(|name| !name.to_string_lossy().bytes().all(|octet| octet.is_ascii_digit()))
        {
            continue;
        }
        cases += 1;
        let bytes = std::fs::read(&file).expect("a case");
        for (index, packet) in packets(&bytes).into_iter().enumerate() {
            let mut filled = packet.to_vec();
            for (tag, with) in [
                ("<To>", "bob@example.com"),
                ("<From>", "alice@example.com"),
                ("<From-Address>", "192.0.2.7"),
                ("<From-IP>", "192.0.2.7"),
                ("<Local-Port>", "5060"),
                ("<Branch-ID>", "000001"),
                ("<Call-ID>", "1"),
                ("<CSeq>", "1"),
                ("<Teardown-Method>", "CANCEL"),
            ] {
                // Very long cases only repeat a pattern; the tags stand at their start.
                let cut = filled.len().min(8192);
                let tail = filled.split_off(cut);
                filled = replace(&filled, tag, with);
                filled.extend_from_slice(&tail);
            }
            let filled = replace(&filled[..], "<Content-Length>", "0");
            let accepted = exercise(&filled);
            valid_accepted |= accepted && index == 0 && file.ends_with("0000000");
            let _ = frame(&filled);
        }
    }
    assert_eq!(cases, 4527);
    assert!(valid_accepted, "case 0 is a valid INVITE");
}

/// NIST's verdicts come from the days of RFC 2543 and are lenient in places, so agreement is
/// counted and not demanded of each; the bound keeps a change for the worse from going unseen.
#[test]
fn agreement_with_the_nist_parser() {
    let Some(folder) = corpus("sip-seeds/nist-jain-sip") else {
        return;
    };
    let Some(unpacked) = unpack(&folder.join("messages.tar.gz")) else {
        return;
    };
    let messages = files(unpacked.path());
    let (mut agreed, mut total) = (0, 0);
    for row in table(&folder.join("expect.tsv")) {
        let Some(file) = messages.iter().find(|file| file.ends_with(&row[0])) else {
            continue;
        };
        let bytes = std::fs::read(file).expect("a message");
        let accepted = exercise(&bytes);
        total += 1;
        if accepted == (row[1] == "accept") {
            agreed += 1;
        } else {
            eprintln!(
                "{} expects {}: {:?} {}",
                row[0],
                row[1],
                verdict(&bytes, Carrier::Datagram).err(),
                row[2]
            );
        }
    }
    eprintln!("agreed on {agreed} of {total}");
    assert!(agreed * 10 >= total * 9, "agreed on only {agreed} of {total}");
}
