//! CVE-2018-8828, CVE-2018-14767, CVE-2018-16657 Kamailio; GHSA-589g Asterisk: tags, Via and headers
//! of any length, twice, and empty.

use super::support::{SDP, endure, invite, proxied, relayed, request, siege, sieges};
use ringfort_sim::siege::Siege;
use ringfort_sim::stranger::After;
use std::time::Duration;

/// The messages of the three advisories.
#[test]
fn row14_from_tag_off_by_one_double_to_bad_via() {
    for mut siege in sieges(14) {
        let mut messages = Vec::new();
        let base = invite(&siege, 0, SDP);
        for length in [
            0usize, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 199, 200, 201, 255, 256, 257, 1023, 1024, 1025,
        ] {
            messages.push(base.replace(";tag=m0", &format!(";tag={}", "t".repeat(length))));
        }
        let to = base
            .lines()
            .find(|line| line.starts_with("To:"))
            .expect("a To")
            .to_owned();
        for second in [
            format!("{to}\r\n{to}"),
            format!("{to}\r\nTo: <sip:x@y>;tag="),
            format!("{to};tag="),
            format!("{to};tag"),
            format!("{to};tag=;tag=a"),
            format!("{to}, {}", &to[4..]),
            "To:".into(),
            "To: ".into(),
        ] {
            messages.push(base.replace(&to, &second));
        }
        let via = base
            .lines()
            .find(|line| line.starts_with("Via:"))
            .expect("a Via")
            .to_owned();
        for bad in [
            "Via:",
            "Via: ",
            "Via: SIP",
            "Via: SIP/2.0",
            "Via: SIP/2.0/UDP",
            "Via: SIP/2.0/UDP ",
            "Via: SIP/2.0/UDP ;branch=",
            "Via: SIP/2.0/UDP h;branch",
            "Via: SIP/2.0/UDP h:;branch=z9hG4bK",
            "Via: SIP/2.0/UDP h;rport=;branch=z9hG4bK",
            "Via: SIP/2.0/UDP h;received=;branch=z9hG4bK",
            "Via: SIP/2.0/UDP [::1;branch=z9hG4bK",
            "Via: SIP/2.0/UDP h;branch=z9hG4bK,",
            "Via: ,",
            "Via: ,,SIP/2.0/UDP h",
            "Via: SIP/2.0/UDP h,h,h",
            "Via: SIP/2.0/UDP h;branch=z9hG4bK;branch=z9hG4bK",
            "Via: SIP/2.0/UDP h;i;n;v;a;l;i;d",
            "Via: SIP/2.0/UDP \0",
            "Via: SIP/2.0/UDP h\r\n ;\r\n branch\r\n =",
        ] {
            messages.push(base.replace(&via, bad));
            messages.push(base.replace(&via, &format!("{via}\r\n{bad}")));
        }
        let messages: Vec<Vec<u8>> = messages.into_iter().map(String::into_bytes).collect();
        let statuses = endure(&mut siege, &messages);
        // An empty tag, a second To.
        for place in [0, 20, 21, 22] {
            assert!(statuses[place].contains(&400), "{place}: {:?}", statuses[place]);
        }
    }
}

/// Every header at lengths 0 to 70,000 in steps of primes; beyond a datagram's room over a stream.
#[test]
fn row14_every_header_at_every_length() {
    const PRIMES: [usize; 3] = [4093, 6421, 9973];
    const HEADERS: [&str; 24] = [
        "Via",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Contact",
        "Max-Forwards",
        "Route",
        "Record-Route",
        "Content-Type",
        "Authorization",
        "Proxy-Authorization",
        "Subject",
        "User-Agent",
        "Supported",
        "Require",
        "Accept",
        "Allow",
        "P-Asserted-Identity",
        "Diversion",
        "Session-Expires",
        "Path",
        "Date",
        "X-Unknown",
    ];
    for (change, trusted) in [(relayed as fn(&mut _), true), (proxied, false)] {
        let mut siege = siege(15, change, trusted);
        let mut number = 0;
        for header in HEADERS {
            let mut lengths: Vec<usize> = (0..=64).step_by(7).collect();
            for prime in PRIMES {
                lengths.extend((prime..70_000).step_by(prime * 2));
            }
            for length in lengths {
                number += 1;
                let value = "v".repeat(length);
                let text = invite(&siege, number, SDP);
                // A mandatory header is replaced, another added.
                let known = text
                    .lines()
                    .find(|line| line.starts_with(&format!("{header}:")))
                    .map(str::to_owned);
                let text = match known {
                    Some(line) => text.replacen(&line, &format!("{header}: {value}"), 1),
                    None => text.replacen("\r\n", &format!("\r\n{header}: {value}\r\n"), 1),
                };
                if text.len() <= 65_507 {
                    siege.datagram(text.as_bytes());
                } else {
                    siege.stream(&[text.as_bytes()], After::Closes(Duration::from_millis(10)));
                }
                if number % 4 == 0 {
                    siege
                        .call()
                        .unwrap_or_else(|missing| panic!("after {header} of {length}: {missing}"));
                }
            }
        }
        let left = siege.rest();
        assert!(left.is_empty(), "{left:#?}");
    }
}

/// A body field of every size in a NOTIFY; after each the listener answers OPTIONS, over UDP and
/// over TCP.
#[test]
fn row20_message_account_of_every_size() {
    for mut siege in [siege(20, relayed, true), siege(21, proxied, false)] {
        for (number, size) in (0..600)
            .step_by(29)
            .chain([511, 512, 513, 1023, 1024, 4096, 16_384, 60_000])
            .enumerate()
        {
            let account = "a".repeat(size);
            let body = format!(
                "Messages-Waiting: yes\r\nMessage-Account: sip:{account}@x\r\nVoice-Message: {account}/8 (0/2)\r\n"
            );
            let number = number as u64;
            for part in ["Event: message-summary\r\nSubscription-State: active\r\n", ""] {
                let text = request(
                    &siege,
                    "NOTIFY",
                    number * 4 + part.len().min(1) as u64,
                    part,
                    "application/simple-message-summary",
                    &body,
                );
                siege.datagram(text.as_bytes());
                siege.stream(&[text.as_bytes()], After::Closes(Duration::from_millis(10)));
            }
            let options = "OPTIONS sip:ringfort.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.0.66:5060;branch=z9hG4bKoX;rport\r\nMax-Forwards: 70\r\n\
                From: <sip:m@x>;tag=1\r\nTo: <sip:ringfort.example>\r\nCall-ID: oX\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
                .replace('X', &format!("{number}"));
            assert_eq!(
                Siege::statuses(&siege.datagram(options.as_bytes()).concat()).last(),
                Some(&200),
                "{size}"
            );
            let stream = siege.stream(
                &[options.replace("oX", "p").as_bytes()],
                After::Closes(Duration::from_millis(10)),
            );
            assert_eq!(Siege::statuses(&stream), [200], "{size} over a stream");
            siege.call().unwrap_or_else(|missing| panic!("after {size}: {missing}"));
        }
        let left = siege.rest();
        assert!(left.is_empty(), "{left:#?}");
    }
}
