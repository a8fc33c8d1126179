//! A set of our own, of PROTOS's classes: made here, so that it is played where no corpus is. Each
//! place of a valid INVITE is filled with what has hurt other systems.

use super::besieged::{proxied, relayed, siege, twice};
use super::torture::{corpus, protos};
use ringfort_sim::siege::{STRANGER, Siege};
use ringfort_sim::stage::DOMAIN;
use ringfort_sim::stranger::After;
use std::time::Duration;

/// A valid INVITE with its places: PROTOS's groups are the places, its cases the values.
const INVITE: &str = "{INVITE} {sip:bob@DOMAIN} {SIP/2.0}\r\n\
Via: {SIP/2.0}/{UDP} {10.9.0.66}:{5060};branch={z9hG4bK0}\r\n\
From: {0} <{sip:user@example.com}>;tag={0}\r\n\
To: {Receiver} <{sip:bob@DOMAIN}>\r\n\
Call-ID: {0}@{10.9.0.66}\r\n\
CSeq: {1} {INVITE}\r\n\
Contact: {0} <{sip:user@10.9.0.66}>\r\n\
Expires: {1200}\r\n\
Max-Forwards: {70}\r\n\
Content-Type: {application/sdp}\r\n\
Content-Length: {#}{\r\n\r\n}\
v={0}\r\no={0} {0} {0} {IN} {IP4} {10.9.0.66}\r\ns={session}\r\nc={IN} {IP4} {10.9.0.66}\r\n\
t={0} {0}\r\nm={audio} {9876} {RTP/AVP} {0}\r\na={rtpmap:0} {PCMU}/{8000}\r\n";

/// What is put into a place: empty, long, format strings, escapes, numbers at the edges, addresses,
/// separators, line ends, octets that are no text.
fn hostile() -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> = [
        "",
        " ",
        "\t",
        ",",
        ";",
        ":",
        "<",
        ">",
        "\"",
        "(",
        "@",
        "=",
        "%",
        "%s%n%s%n",
        "%00",
        "%zz",
        "..",
        "/",
        "\\",
        "-1",
        "0",
        "256",
        "65536",
        "2147483648",
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "1e9",
        "0x10",
        "0.0.0.0",
        "255.255.255.255",
        "256.256.256.256",
        "1.2.3",
        "1.2.3.4.5",
        "[::]",
        "[::1",
        "localhost",
        "\r",
        "\n",
        "\r\n",
        "\r\n ",
        "\r\n\r\n",
        "\0",
        "*",
        "sip:",
        "sip:@",
        "sips:a@b",
        "tel:+1",
        "urn:service:sos",
        "mailto:a@b",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    for (part, counts) in [
        (&b"a"[..], &[17, 128, 1024, 8191, 32_768][..]),
        (b"%s", &[16, 2000]),
        (b"\xff", &[1, 300]),
        (b"\xc3\xa9", &[1, 4000]),
        (b":", &[64]),
        (b"<", &[2000]),
        (b"\"", &[3, 2000]),
        (b"9", &[20, 1000]),
        (b"\r\n", &[2000]),
        (b";a=b", &[500]),
        (b"1.", &[100]),
    ] {
        values.extend(counts.iter().map(|&count| part.repeat(count)));
    }
    values
}

/// One message for each place and value.
fn messages(number: &str) -> Vec<Vec<u8>> {
    let template = INVITE.replace("bob@DOMAIN", &format!("{number}@{DOMAIN}"));
    let parts: Vec<&str> = template.split(['{', '}']).collect();
    let mut messages = Vec::new();
    for place in (1..parts.len()).step_by(2) {
        for value in hostile() {
            let mut octets = Vec::new();
            for (at, part) in parts.iter().enumerate() {
                match part {
                    _ if at == place => octets.extend_from_slice(&value),
                    _ if *part == "z9hG4bK0" || (at % 2 == 1 && at < place && *part == "0") => {
                        octets.extend_from_slice(format!("z9hG4bK{}", messages.len()).as_bytes());
                    }
                    _ => octets.extend_from_slice(part.as_bytes()),
                }
            }
            let body = memchr::memmem::find(&octets, b"\r\n\r\n").map_or(0, |at| octets.len() - at - 4);
            messages.push(protos::replace(&octets, "#", &body.to_string()));
        }
    }
    messages
}

#[test]
fn every_place_of_an_invite() {
    for (change, seed) in [(relayed as fn(&mut _), 8), (proxied, 9)] {
        let mut siege = siege(seed, change, true);
        let messages = messages(&siege.number);
        assert!(messages.len() > 2500, "{}", messages.len());
        // Where PROTOS is there too, each third will do.
        let part = if corpus("protos-c07-sip").is_some() { 3 } else { 1 };
        let mut answered = 0;
        twice(&mut siege, 1, |siege, step| {
            for (place, octets) in messages.iter().enumerate().step_by(step * part) {
                answered += usize::from(!siege.datagram(octets).is_empty());
                let (head, tail) = octets.split_at(place * 7919 % (octets.len() + 1));
                siege.stream(&[head, tail], After::Closes(Duration::from_millis(10)));
                siege
                    .call()
                    .unwrap_or_else(|missing| panic!("after message {place}: {missing}"));
            }
        });
        assert!(
            answered > messages.len() / part,
            "{answered} are answered at {STRANGER}"
        );
    }
}

/// The valid message is one: else the set above would test nothing.
#[test]
fn the_template_is_valid() {
    let mut siege = siege(10, relayed, true);
    let number = siege.number.clone();
    let first = messages(&number).swap_remove(0);
    let whole = protos::replace(&first, " sip:", "INVITE sip:");
    let got = Siege::statuses(&siege.datagram(&whole).concat());
    assert!(got.contains(&200), "{got:?}");
}
