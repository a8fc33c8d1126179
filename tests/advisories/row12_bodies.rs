//! OpenSIPS CVE-2023-27600, GHSA-xj5x, CVE-2026-46334; Sofia-SIP CVE-2026-110658; Kamailio OSV-2024-1210,
//! -1230, -1244: descriptions and other bodies with something missing.

use super::support::{SDP, endure, invite, relayed, request, siege, sieges};
use super::torture;

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
