//! CVE-2026-116785 and others: every field that counts something, at the edges of integers; and
//! CVE-2017-9372, CSeq.

use super::support::{SDP, endure, invite, relayed, request, siege, sieges};
use ringfort_sim::siege::Siege;
use ringfort_sim::stranger::After;
use std::time::Duration;

const EDGES: [&str; 12] = [
    "0",
    "-1",
    "1",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
];

/// Every length field of SIP: as a datagram and over a stream, in all the ways that digits are
/// dressed up.
#[test]
fn row10_content_length() {
    for mut siege in sieges(10) {
        let mut number = 0;
        for edge in EDGES {
            for dressed in [
                edge.to_owned(),
                format!("+{edge}"),
                format!("0x{edge}"),
                format!(" {edge} "),
                format!("000{edge}"),
                format!("{edge}, {edge}"),
            ] {
                number += 1;
                let text = invite(&siege, number, SDP);
                let text = text.replace(
                    &format!("Content-Length: {}", SDP.len()),
                    &format!("Content-Length: {dressed}"),
                );
                let statuses = Siege::statuses(&siege.datagram(text.as_bytes()).concat());
                let digits = dressed.trim();
                let fits = digits.bytes().all(|digit| digit.is_ascii_digit())
                    && digits.parse::<usize>().is_ok_and(|length| length <= SDP.len());
                let refused = statuses.contains(&400) || statuses.contains(&413);
                assert!(fits || refused, "{dressed:?}: {statuses:?}");
                let (head, tail) = text.split_at(text.len() / 2);
                siege.stream(
                    &[head.as_bytes(), tail.as_bytes()],
                    After::Closes(Duration::from_millis(10)),
                );
                siege
                    .call()
                    .unwrap_or_else(|missing| panic!("after {dressed:?}: {missing}"));
            }
        }
        let left = siege.rest();
        assert!(left.is_empty(), "{left:#?}");
    }
}

#[test]
fn row10_other_numbers() {
    for mut siege in sieges(11) {
        let mut messages = Vec::new();
        for edge in EDGES {
            for header in [
                "Expires",
                "Min-Expires",
                "Session-Expires",
                "Min-SE",
                "Max-Breadth",
                "RSeq",
                "Retry-After",
                "Timestamp",
            ] {
                let text = request(
                    &siege,
                    "INVITE",
                    messages.len() as u64,
                    &format!("{header}: {edge}\r\n"),
                    "application/sdp",
                    SDP,
                );
                messages.push(text.into_bytes());
            }
            for (good, bad) in [
                ("CSeq: 1 ", format!("CSeq: {edge} ")),
                ("Max-Forwards: 70", format!("Max-Forwards: {edge}")),
                ("m=audio 4000", format!("m=audio {edge}")),
                ("m=audio 4000", format!("m=audio 4000/{edge}")),
                ("o=- 1 1", format!("o=- {edge} {edge}")),
                ("t=0 0", format!("t={edge} {edge}")),
                ("PCMU/8000", format!("PCMU/{edge}")),
                ("PCMU/8000", format!("PCMU/8000/{edge}")),
                ("rtpmap:0", format!("rtpmap:{edge}")),
                ("AVP 0 101", format!("AVP {edge}")),
                ("ptime:20", format!("ptime:{edge}")),
                ("10.9.0.66:5060;branch", format!("10.9.0.66:{edge};branch")),
            ] {
                let text = invite(&siege, messages.len() as u64, SDP);
                assert!(text.contains(good));
                messages.push(text.replacen(good, &bad, 1).into_bytes());
            }
        }
        let statuses = endure(&mut siege, &messages);
        assert!(statuses.iter().filter(|statuses| !statuses.is_empty()).count() > messages.len() / 2);
    }
}

/// Rows 26: ptime and maxptime at the edges, on both sides of a call, change nothing but text.
#[test]
fn row26_ptime() {
    let mut siege = siege(26, relayed, true);
    let mut messages = Vec::new();
    for value in EDGES.iter().chain(&["", "x", "20.5", "1e99"]) {
        for line in [
            format!("a=ptime:{value}\r\n"),
            format!("a=maxptime:{value}\r\n"),
            format!("a=ptime:{value}\r\na=maxptime:0\r\n"),
        ] {
            let sdp = SDP.replace("a=ptime:20\r\n", &line);
            messages.push(invite(&siege, messages.len() as u64, &sdp).into_bytes());
        }
    }
    for statuses in endure(&mut siege, &messages) {
        assert!(statuses.contains(&200), "{statuses:?}");
    }
}

/// CVE-2026-106803: a port is a number of up to five digits, whatever its text's length.
#[test]
fn row38_port_text_of_any_length() {
    for mut siege in sieges(38) {
        let mut messages = Vec::new();
        for length in [1usize, 4, 5, 6, 7, 8, 10, 19, 20, 21, 64, 255, 256, 1000, 5000, 20_000] {
            for digit in ["0", "1", "9", "x"] {
                let port = digit.repeat(length);
                for (good, bad) in [
                    ("10.9.0.66:5060;branch", format!("10.9.0.66:{port};branch")),
                    ("@ringfort.example SIP", format!("@ringfort.example:{port} SIP")),
                    ("mallory@10.9.0.66:5060", format!("mallory@10.9.0.66:{port}")),
                    ("m=audio 4000", format!("m=audio {port}")),
                ] {
                    let text = invite(&siege, messages.len() as u64, SDP);
                    assert!(text.contains(good), "{good}");
                    messages.push(text.replacen(good, &bad, 1).into_bytes());
                }
            }
        }
        let statuses = endure(&mut siege, &messages);
        // Six digits and more in Via and Request-URI are no port.
        for (place, statuses) in statuses
            .iter()
            .enumerate()
            .filter(|(place, _)| place % 4 == 1 && place / 16 > 2)
        {
            let refused = |status: &u16| (400..500).contains(status) && *status != 407;
            assert!(statuses.iter().any(refused), "{place}: {statuses:?}");
        }
    }
}
