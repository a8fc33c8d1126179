//! OpenSIPS CVE-2023-28098, GHSA-wxfg, -358f; Asterisk GHSA-64qc: credentials, URIs and messages with
//! something missing.

use super::support::{SDP, endure, invite, request, sieges};
use ringfort_sim::stage::DOMAIN;

/// CVE-2023-28098, GHSA-64qc: credentials cut at every octet, and with each part spoilt.
#[test]
fn row21_credentials() {
    let good = format!(
        "Digest username=\"1001\", realm=\"{DOMAIN}\", nonce=\"n\", uri=\"sip:{DOMAIN}\", algorithm=MD5, qop=auth, nc=00000001, \
         cnonce=\"c\", opaque=\"o\", response=\"0123456789abcdef0123456789abcdef\""
    );
    for mut siege in sieges(21) {
        let mut values: Vec<String> = (0..=good.len()).step_by(2).map(|end| good[..end].to_owned()).collect();
        for part in [
            "\"", "=", ",", " ", "Digest", "username", "realm", "nonce", "uri", "response", "MD5", "auth", "00000001",
        ] {
            for with in ["", "\"", "=,=", "\\", "\0", "\u{fffd}", "%s%n"] {
                values.push(good.replacen(part, with, 1));
                values.push(good.replace(part, with));
            }
        }
        for length in [31, 33, 64, 128, 1000, 30_000] {
            values.push(good.replace("0123456789abcdef0123456789abcdef", &"f".repeat(length)));
            values.push(good.replace("nonce=\"n\"", &format!("nonce=\"{}\"", "n".repeat(length))));
            values.push(good.replace("1001", &"1".repeat(length)));
        }
        for value in [
            "Basic dTpw",
            "Digest",
            "Digest ",
            "Digest ,",
            "Digest ,,,",
            "Digest x",
            "Bearer eyJhbGciOiJub25lIn0.e30.",
            "AKA",
            "NTLM TlRMTVNTUAAB",
        ] {
            values.push(value.to_owned());
        }
        let messages: Vec<Vec<u8>> = values
            .iter()
            .enumerate()
            .map(|(number, value)| {
                let (method, name) = [("REGISTER", "Authorization"), ("INVITE", "Proxy-Authorization")][number % 2];
                request(&siege, method, number as u64, &format!("{name}: {value}\r\n"), "", "").into_bytes()
            })
            .collect();
        for statuses in endure(&mut siege, &messages) {
            assert!(!statuses.is_empty(), "each gets an answer");
        }
    }
}

/// GHSA-358f parse_uri and rewrite_ruri: URIs of any shape in the Request-URI, and what is dialled in
/// escapes never becomes syntax.
#[test]
fn row16_request_uris() {
    for mut siege in sieges(18) {
        let mut messages = Vec::new();
        for uri in [
            "sip:",
            "sip:@",
            "sip::@",
            "sip:a@",
            "sip:@h",
            "sip:a:@h",
            "sip:a@h:",
            "sip:a@h;",
            "sip:a@h;;",
            "sip:a@h;=",
            "sip:a@h?",
            "sip:a@[",
            "sip:a@]",
            "sip:a@[]",
            "sip:a@h:0",
            "sip:%@h",
            "sip:%0@h",
            "sip:%zz@h",
            "sip:a@@h",
            "sips:",
            "tel:",
            "tel:;",
            "tel:+",
            "tel:x",
            "urn:",
            "urn:service:sos",
            "urn:service:sos.",
            ":",
            "a",
            "",
            "sip:%0d%0aEvil:%20x@ringfort.example",
            "sip:1%20SIP/2.0%0d%0aEvil%3a%20x%0d%0a%0d%0a@ringfort.example",
            "sip:%00@ringfort.example",
            "sip:%40%3a%3b@ringfort.example",
            "sip:a%3Cb%3E@ringfort.example",
            "sip:%22@ringfort.example",
            "sip:%ff%fe@ringfort.example",
        ] {
            let text = invite(&siege, messages.len() as u64, SDP);
            let line = text.split("\r\n").next().expect("a line").to_owned();
            messages.push(text.replacen(&line, &format!("INVITE {uri} SIP/2.0"), 1).into_bytes());
        }
        for octets in &messages {
            siege.stage.world.with_endpoint(siege.stranger, |_, cx| {
                cx.send(ringfort_sim::siege::STRANGER, ringfort_sim::stage::SERVER, octets);
            });
            siege.stage.run(20);
            for heard in siege.called() {
                let text = String::from_utf8_lossy(&heard).into_owned();
                assert!(!text.lines().any(|line| line.starts_with("Evil")), "{text}");
            }
        }
        endure(&mut siege, &messages);
    }
}

/// Any octets: valid requests and responses with some places changed, cut, doubled, at random.
#[test]
fn row16_mutated_messages() {
    let most = if std::env::var_os("RINGFORT_LONG").is_some() {
        1_000_000
    } else {
        5000
    };
    for mut siege in sieges(19) {
        let mut random = shards::sim::Random::new(16);
        for number in 0..most {
            let methods = [
                "INVITE",
                "REGISTER",
                "OPTIONS",
                "BYE",
                "ACK",
                "CANCEL",
                "SUBSCRIBE",
                "PRACK",
            ];
            let method = methods[random.below(methods.len() as u64) as usize];
            let mut octets = request(
                &siege,
                method,
                number,
                "Supported: 100rel, timer\r\n",
                "application/sdp",
                SDP,
            )
            .into_bytes();
            for _ in 0..=random.below(4) {
                let (at, to) = (
                    random.below(octets.len() as u64) as usize,
                    random.below(octets.len() as u64) as usize,
                );
                let sharp = b"\r\n \t:;,<>\"\\@%[]=?/\0\xff0-"[random.below(22) as usize];
                match random.below(6) {
                    0 => octets[at] = random.below(256) as u8,
                    1 => octets.insert(at, sharp),
                    2 => octets[at] = sharp,
                    3 => drop(
                        octets
                            .drain(at.min(to)..at.min(to) + 1 + random.below(8) as usize % (octets.len() - at.min(to))),
                    ),
                    4 => {
                        let piece = octets[at.min(to)..at.max(to)].to_vec();
                        octets.splice(at..at, piece);
                    }
                    _ => octets.truncate(at.max(1)),
                }
            }
            siege.datagram(&octets);
            if number % 10 == 0 {
                siege
                    .call()
                    .unwrap_or_else(|missing| panic!("after {:?}: {missing}", String::from_utf8_lossy(&octets)));
            }
        }
        let left = siege.rest();
        assert!(left.is_empty(), "{left:#?}");
    }
}
