//! CVE-2018-7284, -1000098, -1000099, CVE-2017-9372: lists of ten thousand values, a method of 64 KB in
//! CSeq, formats without a map.

use super::support::{SDP, endure, invite, request, sieges};
use ringfort_sim::siege::Siege;
use ringfort_sim::stranger::After;
use std::time::Duration;

#[test]
fn row22_ten_thousand_values() {
    for mut siege in sieges(22) {
        let mut number = 0;
        for header in [
            "Accept",
            "Supported",
            "Require",
            "Contact",
            "Route",
            "Record-Route",
            "Via",
            "Allow",
            "Path",
            "Accept-Encoding",
            "Diversion",
        ] {
            for (value, count) in [
                ("a", 10_000),
                ("a/b", 10_000),
                ("<sip:a@b>", 5_000),
                ("SIP/2.0/UDP h", 4_000),
                ("", 30_000),
            ] {
                number += 1;
                let list = vec![value; count].join(",");
                for method in ["SUBSCRIBE", "INVITE"] {
                    let text = request(
                        &siege,
                        method,
                        number,
                        &format!("{header}: {list}\r\n"),
                        "application/sdp",
                        SDP,
                    );
                    if text.len() <= 65_507 {
                        siege.datagram(text.as_bytes());
                    }
                    siege.stream(&[text.as_bytes()], After::Closes(Duration::from_millis(10)));
                }
                siege
                    .call()
                    .unwrap_or_else(|missing| panic!("after {count} of {value:?} in {header}: {missing}"));
            }
        }
        // As many lines as fit.
        for count in [100, 250, 256, 257, 1000, 10_000] {
            number += 1;
            let text = request(&siege, "SUBSCRIBE", number, &"a: b\r\n".repeat(count), "", "");
            let statuses = Siege::statuses(
                &siege
                    .datagram(text.as_bytes()[..text.len().min(65_507)].as_ref())
                    .concat(),
            );
            assert!(!statuses.is_empty(), "{count} lines");
            siege
                .call()
                .unwrap_or_else(|missing| panic!("after {count} lines: {missing}"));
        }
        let left = siege.rest();
        assert!(left.is_empty(), "{left:#?}");
    }
}

#[test]
fn row22_a_method_of_64_kilobytes() {
    for mut siege in sieges(23) {
        for (number, length) in [100, 1000, 8191, 30_000, 60_000, 65_535].into_iter().enumerate() {
            let method = "M".repeat(length);
            let text = invite(&siege, number as u64, SDP);
            for bad in [
                text.replace("CSeq: 1 INVITE", &format!("CSeq: 1 {method}")),
                text.replace("CSeq: 1 INVITE", &format!("CSeq: 1 {method}"))
                    .replacen("INVITE", &method, 1),
                text.replace("CSeq: 1 INVITE", &format!("CSeq: {} INVITE", "1".repeat(length))),
            ] {
                if bad.len() <= 65_507 {
                    assert!(!siege.datagram(bad.as_bytes()).is_empty(), "{length}");
                }
                siege.stream(&[bad.as_bytes()], After::Closes(Duration::from_millis(10)));
                siege
                    .call()
                    .unwrap_or_else(|missing| panic!("after {length}: {missing}"));
            }
        }
        let left = siege.rest();
        assert!(left.is_empty(), "{left:#?}");
    }
}

#[test]
fn row22_formats_without_a_map() {
    for mut siege in sieges(24) {
        let mut messages = Vec::new();
        for formats in [
            "99",
            "0 99",
            "101",
            "",
            "0 0 0",
            "a b",
            "256 300",
            &"0 ".repeat(200),
            &"96 97 98 ".repeat(2000),
        ] {
            for fmtp in [
                "",
                "a=fmtp:99 x\r\n",
                "a=fmtp:96 apt=96\r\n",
                &"a=fmtp:0 y\r\n".repeat(1000),
            ] {
                let sdp = format!(
                    "v=0\r\no=- 1 1 IN IP4 10.9.0.66\r\ns=-\r\nc=IN IP4 10.9.0.66\r\nt=0 0\r\nm=audio 4000 RTP/AVP {formats}\r\n{fmtp}"
                );
                messages.push(invite(&siege, messages.len() as u64, &sdp).into_bytes());
            }
        }
        for count in [1, 8, 9, 64, 1000] {
            let sdp = format!("{SDP}{}", "m=audio 4002 RTP/AVP 0\r\n".repeat(count));
            messages.push(invite(&siege, messages.len() as u64, &sdp).into_bytes());
        }
        for statuses in endure(&mut siege, &messages) {
            assert!(!statuses.is_empty());
        }
    }
}
