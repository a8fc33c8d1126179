//! Captures built here octet by octet, and SIPp's own where it is installed.

use crate::audio::clip::Clip;
use proptest::prelude::*;
use std::path::Path;
use std::time::Duration;

fn ip_udp(v6: bool, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() + 8) as u16;
    let mut ip = if v6 {
        // A hop-by-hop header of 8 octets before UDP.
        let mut ip = vec![0x60, 0, 0, 0, 0, 0, 0, 64];
        ip.extend_from_slice(&[0x20; 32]);
        ip.extend_from_slice(&[17, 0, 1, 4, 0, 0, 0, 0]);
        ip
    } else {
        let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0];
        ip.extend_from_slice(&[192, 0, 2, 1, 192, 0, 2, 2]);
        ip
    };
    ip.extend_from_slice(&[0x10, 0, 0x20, 0]);
    ip.extend_from_slice(&length.to_be_bytes());
    ip.extend_from_slice(&[0, 0]);
    ip.extend_from_slice(payload);
    ip
}

fn rtp(sequence: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = ringfort::protocol::rtp::header(8, sequence == 1, sequence, timestamp, ssrc).to_vec();
    packet.extend_from_slice(payload);
    packet
}

/// A link header of each kind before an IP packet.
fn framed(link: u32, v6: bool, payload: &[u8]) -> Vec<u8> {
    let kind: [u8; 2] = if v6 { [0x86, 0xdd] } else { [0x08, 0] };
    let mut frame = match link {
        0 => vec![if v6 { 30 } else { 2 }, 0, 0, 0],
        1 => [&[0; 12][..], &[0x81, 0, 0, 5], &kind].concat(),
        113 => [&[0; 14][..], &kind].concat(),
        276 => [&kind[..], &[0; 18]].concat(),
        _ => Vec::new(),
    };
    frame.extend(ip_udp(v6, payload));
    frame.extend_from_slice(&[0; 5]); // Ethernet's filling
    frame
}

/// Signalling, control, a lone packet that only looks like RTP, then two streams, one packet twice.
fn conversation() -> Vec<(u64, Vec<u8>)> {
    vec![
        (0, b"INVITE sip:a@b SIP/2.0\r\n".to_vec()),
        (1, rtp(9, 9, 9, &[9; 30])),
        (2, [&[0x80, 200, 0, 6][..], &[0; 24]].concat()),
        (10, rtp(1, 500, 77, &[1; 160])),
        (11, rtp(1, 0, 78, &[5; 160])),
        (12, rtp(1, 500, 77, &[1; 160])),
        (31, rtp(2, 660, 77, &[2; 160])),
        (50, rtp(3, 820, 77, &[3; 80])),
    ]
}

fn check(clip: &Clip, what: &str) {
    let found: Vec<_> = (0..).map_while(|index| clip.packet(index)).collect();
    let summary: Vec<_> = found
        .iter()
        .map(|packet| {
            (
                packet.payload[0],
                packet.payload.len(),
                packet.offset.as_millis(),
                packet.increment,
            )
        })
        .collect();
    assert_eq!(
        summary,
        [(1, 160, 0, 160), (2, 160, 21, 160), (3, 80, 40, 160)],
        "{what}"
    );
    assert!(
        found[0].marker && !found[1].marker && found[0].payload_type == 8,
        "{what}"
    );
    assert_eq!((clip.len(), clip.duration().as_millis()), (3, 60));
}

fn classic(link: u32, v6: bool, big: bool, nanoseconds: bool) -> Vec<u8> {
    let word = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let magic = if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let version = if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] };
    let mut file = [word(magic), version, word(0), word(0), word(65_535), word(link)].concat();
    for (ms, payload) in conversation() {
        let frame = framed(link, v6, &payload);
        let fraction = ms as u32 * if nanoseconds { 1_000_000 } else { 1_000 };
        let size = word(frame.len() as u32);
        file.extend([word(1_700_000_000), word(fraction), size, size].concat());
        file.extend(frame);
    }
    file
}

#[test]
fn pcap_of_every_link_and_order() {
    for link in [0, 1, 101, 113, 276] {
        for v6 in [false, true] {
            let file = classic(link, v6, v6, link == 1);
            check(&Clip::pcap(&file).unwrap(), &format!("link {link}, IPv6 {v6}"));
        }
    }
    let mut stopped = classic(1, false, false, false);
    stopped.extend_from_slice(&[1, 2, 3]);
    check(&Clip::pcap(&stopped).unwrap(), "stopped while writing");
}

fn next_generation(big: bool, resolution: u8, per_second: u64) -> Vec<u8> {
    let half = |value: u16| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let word = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let block = |kind: u32, mut body: Vec<u8>| {
        body.resize(body.len().next_multiple_of(4), 0);
        let length = word(body.len() as u32 + 12);
        [&word(kind)[..], &length, &body, &length].concat()
    };
    let header = [&word(0x1a2b_3c4d)[..], &half(1), &half(0), &[0xff; 8]].concat();
    let option = [&half(9)[..], &half(1), &[resolution, 0, 0, 0], &[0; 4]].concat();
    let interface = [&half(276)[..], &half(0), &word(0), &option].concat();
    let mut file = [block(0x0a0d_0d0a, header), block(1, interface), block(5, vec![0; 12])].concat();
    for (ms, payload) in conversation() {
        let frame = framed(276, true, &payload);
        // Upwards, so that no time is cut to the millisecond before.
        let ticks = 1_700_000_000 * per_second + (ms * per_second).div_ceil(1_000);
        let size = word(frame.len() as u32);
        let head = [word(0), word((ticks >> 32) as u32), word(ticks as u32), size, size].concat();
        file.extend(block(6, [head, frame].concat()));
    }
    file
}

#[test]
fn pcapng_of_both_orders_and_resolutions() {
    check(
        &Clip::pcap(&next_generation(false, 6, 1_000_000)).unwrap(),
        "microseconds",
    );
    check(
        &Clip::pcap(&next_generation(true, 9, 1_000_000_000)).unwrap(),
        "nanoseconds",
    );
    let binary = Clip::pcap(&next_generation(false, 0x80 | 20, 1 << 20)).unwrap();
    let offset = binary.packet(2).unwrap().offset.as_secs_f64();
    assert!((offset - 0.040).abs() < 2e-6, "{offset}");
}

#[test]
fn captures_without_rtp_say_what_they_hold() {
    let fault = |octets: &[u8]| Clip::pcap(octets).unwrap_err().to_string();
    assert!(fault(b"hello").contains("neither a pcap nor a pcapng"));
    assert!(fault(&classic(105, false, false, false)).contains("found link type 105, expected Ethernet"));
    let only_sip = &classic(1, false, false, false)[..24 + 16 + 18 + 28 + 24 + 5];
    assert!(
        fault(only_sip).contains("found 1 packets, 1 of them UDP (0 cut short"),
        "{}",
        fault(only_sip)
    );
}

#[test]
fn sipps_own_captures() {
    let folder = Path::new("/usr/share/sip-tester");
    if !folder.exists() {
        eprintln!("skipped: SIPp is not installed");
        return;
    }
    let clip = Clip::pcap_file(&folder.join("g711a.pcap")).unwrap();
    let first = clip.packet(0).unwrap();
    assert_eq!(
        (first.payload_type, first.payload.len(), first.increment),
        (8, 240, 240)
    );
    assert!(clip.len() > 200 && clip.duration() > Duration::from_secs(5));
    let digit = Clip::pcap_file(&folder.join("dtmf_2833_1.pcap")).unwrap();
    let event = digit.packet(0).unwrap();
    assert_eq!((event.payload[0], event.payload.len()), (1, 4));
}

proptest! {
    #[test]
    fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..3_000, value: u8) {
        let _ = Clip::pcap(&octets);
        for mut file in [classic(1, true, false, false), next_generation(true, 9, 1_000_000_000)] {
            let length = file.len();
            file[at % length] = value;
            let _ = Clip::pcap(&file);
            let _ = Clip::pcap(&file[..at % length]);
        }
    }
}
