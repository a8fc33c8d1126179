//! OpenSIPS CVE-2023-27600, -28098, GHSA-xj5x, -wxfg, -358f, CVE-2026-46334; Asterisk GHSA-64qc;
//! Sofia-SIP CVE-2026-110658; Kamailio OSV-2024-1210, -1230, -1244: descriptions, bodies, URIs and
//! credentials with something missing.

use super::support::{SDP, endure, invite, relayed, request, siege, sieges};
use super::torture;
use ringfort_sim::stage::DOMAIN;

/// Without its final LF, its final CRLF, cut at every octet.
#[test]
fn row16_description_cut_at_every_octet() {
    for mut siege in sieges(16) {
        let cuts: Vec<Vec<u8>> = (0..=SDP.len())
            .map(|end| invite(&siege, end as u64, &SDP[..end]).into_bytes())
            .collect();
        endure(&mut siege, &cuts);
    }
}

/// Each line without its separators, empty, doubled, or away.
#[test]
fn row17_each_line_without_its_separator() {
    let body = format!(
        "{SDP}b=AS:64\r\nk=prompt\r\ni=info\r\ne=a@b\r\nu=http://x\r\np=+1\r\na=rtcp:4001 IN IP4 10.9.0.66\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n"
    );
    let lines: Vec<&str> = body.split_inclusive("\r\n").collect();
    let mut bodies = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let mut with = |line: &str| {
            let parts: Vec<&str> = lines
                .iter()
                .enumerate()
                .map(|(at, part)| if at == place { line } else { part })
                .collect();
            bodies.push(parts.concat());
        };
        for separator in ["=", ":", " ", "/", "\r\n", "\r", "\n"] {
            with(&line.replacen(separator, "", 1));
            with(&line.replace(separator, ""));
            with(&line.replacen(separator, &separator.repeat(3), 1));
        }
        with("");
        with(&format!("{}=\r\n", &line[..1]));
        with(&format!("{line}{line}"));
        with(&line.to_ascii_uppercase());
    }
    // b= without colon, as given.
    bodies.push(SDP.replace("t=0 0", "b=\r\nt=0 0"));
    bodies.push(SDP.replace("t=0 0", "b=AS\r\nb=CT64\r\nb=:\r\nt=0 0"));
    for mut siege in sieges(17) {
        let messages: Vec<Vec<u8>> = bodies
            .iter()
            .enumerate()
            .map(|(number, body)| invite(&siege, number as u64, body).into_bytes())
            .collect();
        endure(&mut siege, &messages);
    }
}

/// rtpmap and fmtp of any shape (also without each other), and what oss-fuzz found of mixed bodies.
#[test]
fn row37_rtpmap_fmtp_and_mixed_bodies() {
    let mut siege = siege(37, relayed, true);
    let mut messages = Vec::new();
    for line in [
        "a=rtpmap",
        "a=rtpmap:",
        "a=rtpmap: ",
        "a=rtpmap:0",
        "a=rtpmap:0 ",
        "a=rtpmap:0 /",
        "a=rtpmap:0 PCMU",
        "a=rtpmap:0 PCMU/",
        "a=rtpmap:0 /8000",
        "a=rtpmap:0 PCMU/8000/",
        "a=rtpmap:0 PCMU/8000/2/3",
        "a=rtpmap:999 X/1",
        "a=rtpmap:-1 X/1",
        "a=rtpmap:x X/1",
        "a=fmtp",
        "a=fmtp:",
        "a=fmtp:0",
        "a=fmtp:0 ",
        "a=fmtp:77 x=y",
        "a=fmtp:101 ",
        "a=fmtp:101 0-",
        "a=fmtp:101 -15",
        "a=fmtp:101 999999999999",
        "a=fmtp:101 ;;;;",
        "a=fmtp:101 =",
        "a=",
        "a",
        "=",
        "a=:",
        "a=\0",
        "m=",
        "m=audio",
        "m=audio ",
        "m=audio 1",
        "m=audio 1 RTP/AVP",
        "m=audio 1 RTP/AVP ",
        "c=",
        "c=IN",
        "c=IN IP4",
        "c=IN IP4 ",
        "c=IN IP6 [::1]",
        "c=IN IP4 1.2.3.4/127/3",
        "c=IN IP4 999.1.1.1",
        "o=",
        "s=",
        "t=",
        "v=",
        "v=1",
    ] {
        for sdp in [
            format!("{SDP}{line}\r\n"),
            format!("{SDP}{line}"),
            SDP.replace("t=0 0", &format!("t=0 0\r\n{line}")),
            SDP.replace("a=rtpmap:101 telephone-event/8000", line),
        ] {
            messages.push(invite(&siege, messages.len() as u64, &sdp).into_bytes());
        }
    }
    if let Some(folder) = torture::corpus("sdp-seeds") {
        for file in torture::files(&folder) {
            let octets = std::fs::read(&file).expect("a seed");
            let head = invite(&siege, messages.len() as u64, "x");
            let head = head
                .trim_end_matches('x')
                .replace("Content-Length: 1", &format!("Content-Length: {}", octets.len()));
            messages.push([head.as_bytes(), &octets].concat());
        }
    }
    endure(&mut siege, &messages);
}

/// CVE-2026-110658: a boundary that is longer than the body, and other multipart bodies.
#[test]
fn row12_multipart_boundaries() {
    for mut siege in sieges(12) {
        let mut messages = Vec::new();
        for length in [0usize, 1, 2, 10, 69, 70, 71, 500, 5000, 30_000] {
            let boundary = "b".repeat(length);
            let part = format!("--{boundary}\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--{boundary}--\r\n");
            for body in [
                "x",
                "--",
                "--\r\n",
                &part,
                &part[..part.len() / 2],
                &part.replace("--\r\n", ""),
                &part.replace("\r\n", "\n"),
            ] {
                for kind in [
                    format!("multipart/mixed;boundary={boundary}"),
                    format!("multipart/mixed;boundary=\"{boundary}"),
                    "multipart/mixed;boundary=".to_owned(),
                    "multipart/mixed".to_owned(),
                    "multipart/".to_owned(),
                ] {
                    let text = request(&siege, "INVITE", messages.len() as u64, "", &kind, body);
                    messages.push(text.into_bytes());
                }
            }
        }
        // Nested ten thousand deep: nothing that reads bodies recurses.
        let nested = "--b\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n".repeat(1000);
        messages.push(request(&siege, "INVITE", 99_999, "", "multipart/mixed;boundary=b", &nested).into_bytes());
        endure(&mut siege, &messages);
    }
}

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
