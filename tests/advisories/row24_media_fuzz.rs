//! AST-2016-003, AST-2017-012, CVE-2015-6360, CVE-2026-29068: UDPTL, RTCP and RTP of every shape on the
//! ports of a call, from a stranger and from the very phones of the call.

use super::row09_stun_without_integrity::{spray, talking};
use super::torture;
use std::net::SocketAddr;

/// The same from where the call's audio comes from: the relay looks at it, and the call outlives it.
fn from_the_phones(seed: u64, datagrams: &[Vec<u8>]) {
    let (mut stage, phones, _, ports) = talking(seed);
    let before = phones.map(|id| stage.look(id).leg().heard);
    for (number, octets) in datagrams.iter().enumerate() {
        for (place, id) in phones.into_iter().enumerate() {
            for port in &ports {
                for (from, to) in [(4000, *port), (4001, SocketAddr::new(port.ip(), port.port() ^ 1))] {
                    let from = SocketAddr::new([10, 0, 1, place as u8 + 1].into(), from);
                    stage.world.with_endpoint(id, |_, cx| cx.send(from, to, octets));
                }
            }
        }
        if number % 16 == 15 {
            stage.run(1);
        }
    }
    stage.run(5000);
    for (id, before) in phones.into_iter().zip(before) {
        assert!(stage.look(id).leg().heard > before + 20, "audio goes on");
    }
    // What the phones themselves said without a mark was theirs to hear.
    for id in phones {
        let strange = &mut stage.look(id).strange;
        strange.retain(|heard| !heard.contains("without a mark"));
    }
    stage.act(phones[0], |phone, cx| phone.hang_up(cx, 0));
    stage.rest(1);
}

/// Padding, extension, CSRC count and extension length at the edges, whole and cut.
fn rtp() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for first in (0x80..=0xbf).chain([0x00, 0x40, 0xc0]) {
        for length in [0u16, 1, 3, 0x00ff, 0x7fff, 0x8000, 0xffff] {
            let mut packet = vec![first, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4];
            packet.extend_from_slice(&[0xbe, 0xde]);
            packet.extend_from_slice(&length.to_be_bytes());
            packet.extend_from_slice(&[0xff; 60]);
            for end in [11, 12, 13, 16, packet.len()] {
                found.push(packet[..end].to_vec());
            }
        }
    }
    found
}

/// Report counts 0 to 31 and length fields that do not fit, alone and in compounds.
fn rtcp() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for kind in 192..=223u8 {
        for count in [0u8, 1, 2, 15, 31] {
            for length in [0u16, 1, 6, 7, 0x7fff, 0xffff] {
                let mut packet = vec![0x80 | count, kind];
                packet.extend_from_slice(&length.to_be_bytes());
                packet.extend_from_slice(&[0x5a; 28]);
                found.push(packet[..4].to_vec());
                found.push(packet.clone());
                found.push([&packet[..], &packet].concat());
                packet[0] |= 0x20;
                found.push(packet);
            }
        }
    }
    found
}

fn sizes() -> Vec<Vec<u8>> {
    let payload = |size: usize| [&[0x80, 0, 0, 9, 0, 0, 0, 0, 9, 9, 9, 9][..], &vec![0x55; size]].concat();
    (0..400)
        .chain((400..65_000).step_by(4099))
        .chain([65_495])
        .map(payload)
        .collect()
}

/// The payloads of captures and the seeds of others.
fn seeds() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for folder in [
        "media-seeds/pjsip-rtcp",
        "media-seeds/pjsip-rtp",
        "media-seeds/pjsip-srtp",
    ] {
        for file in torture::corpus(folder).iter().flat_map(|folder| torture::files(folder)) {
            found.push(std::fs::read(file).expect("a seed"));
        }
    }
    for name in [
        "asterisk-AST-2016-003-udptl-crash.pcap",
        "asterisk-AST-2017-012-rtcp-crash.pcap",
    ] {
        let Some(folder) = torture::corpus("pcaps") else {
            continue;
        };
        let capture = std::fs::read(folder.join(name)).expect("a capture");
        found.extend(payloads(&capture));
    }
    found.retain(|octets| !octets.is_empty() && octets.len() <= 65_507);
    found
}

/// UDP payloads of a classic little-endian capture of IPv4 over Ethernet or Linux's cooked frames.
fn payloads(capture: &[u8]) -> Vec<Vec<u8>> {
    let link = if capture.get(20) == Some(&113) { 16 } else { 14 };
    let mut found = Vec::new();
    let mut rest = capture.get(24..).unwrap_or(&[]);
    while let Some(size) = rest
        .get(8..12)
        .and_then(|size| size.try_into().ok())
        .map(u32::from_le_bytes)
    {
        let Some(frame) = rest.get(16..16 + size as usize) else {
            break;
        };
        rest = &rest[16 + size as usize..];
        let words = usize::from(frame.get(link).copied().unwrap_or(0) & 15);
        found.extend(frame.get(link + words * 4 + 8..).map(<[u8]>::to_vec));
    }
    found
}

#[test]
fn row24_udptl_and_rtcp_captures() {
    let seeds = seeds();
    spray(24, &seeds);
    from_the_phones(25, &seeds);
}

#[test]
fn row24_rtcp_length_and_report_count() {
    spray(26, &rtcp());
    from_the_phones(27, &rtcp());
}

#[test]
fn row26_payload_sizes() {
    spray(28, &sizes());
    from_the_phones(29, &sizes());
}

#[test]
fn row34_csrc_count_and_extension_length() {
    spray(30, &rtp());
    from_the_phones(31, &rtp());
}
