//! Packets of an answered call.

use super::*;
use crate::protocol::{rtcp, seeds};

/// The slots that face A and B, with the two descriptions.
fn call(offer: &str, answer: &str) -> (World, Slot, Slot) {
    let mut world = World::new();
    let to_b = world.offer(Side::A, offer).unwrap();
    let to_a = world.answer(Side::B, answer).unwrap();
    let (near, far) = (slot(&to_a, 0), slot(&to_b, 0));
    (world, near, far)
}

#[test]
fn both_ways_unchanged() {
    let (mut world, near, far) = call(&audio(A, ""), &audio(B, ""));
    for sequence in 0..50 {
        let packet = voice(sequence);
        assert_eq!(
            world.packet(near, A, &packet),
            [Sent {
                slot: far,
                to: at(B),
                octets: packet.clone()
            }]
        );
        assert_eq!(
            world.packet(far, B, &packet),
            [Sent {
                slot: near,
                to: at(A),
                octets: packet
            }]
        );
    }
    let a_rtcp = "192.0.2.1:4001";
    let b_rtcp = "192.0.2.2:5001";
    let sent = world.packet(rtcp_of(near), a_rtcp, &REPORT);
    assert_eq!(
        sent,
        [Sent {
            slot: rtcp_of(far),
            to: at(b_rtcp),
            octets: REPORT.to_vec()
        }]
    );
    let sent = world.packet(rtcp_of(far), b_rtcp, &REPORT);
    assert_eq!((sent[0].slot, sent[0].to), (rtcp_of(near), at(a_rtcp)));
    let counters = world.media.counters();
    assert_eq!(
        (counters.rtp_in, counters.rtp_out, counters.rtcp_in, counters.rtcp_out),
        (100, 100, 2, 2)
    );
}

#[test]
fn only_the_first_packet_is_odd() {
    let (mut world, near, _) = call(&audio(A, ""), &audio(B, ""));
    assert_eq!(world.media.packet(world.now, near, at(A), &mut voice(1)), Verdict::Odd);
    world.packet(near, A, &voice(1));
    assert!(matches!(
        world.media.packet(world.now, near, at(A), &mut voice(2)),
        Verdict::Relay { .. }
    ));
}

#[test]
fn payload_types_as_negotiated() {
    let (mut world, near, _) = call(&audio(A, ""), &audio(B, ""));
    world.packet(near, A, &voice(0));
    let mut with = |payload_type: u8| {
        let mut packet = voice(1);
        packet[1] = payload_type;
        world.packet(near, A, &packet).len()
    };
    assert_eq!(
        (with(8), with(101), with(13)),
        (1, 1, 1),
        "negotiated, events, comfort noise"
    );
    assert_eq!((with(9), with(96), with(72)), (0, 0, 0));
    assert_eq!(world.dropped(Dropped::PayloadType), 3);
}

#[test]
fn broken_packets_are_counted_and_move_nothing() {
    let (mut world, near, _) = call(&audio(A, ""), &audio(B, ""));
    let mut stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    stun.resize(20, 0);
    for first in [true, false] {
        assert!(world.packet(near, A, &stun).is_empty());
        assert!(world.packet(near, A, &[]).is_empty());
        assert!(world.packet(near, A, &[0x9f; 40]).is_empty());
        assert!(
            world
                .packet(rtcp_of(near), "192.0.2.1:4001", &[0x9f, 201, 0, 1, 0, 0, 0, 0])
                .is_empty()
        );
        if first {
            assert_eq!(
                world.media.packet(world.now, near, at(A), &mut voice(0)),
                Verdict::Odd,
                "nothing has latched"
            );
            world.packet(near, A, &voice(0));
            world.packet(rtcp_of(near), "192.0.2.1:4001", &REPORT);
        }
    }
    assert_eq!(
        (world.dropped(Dropped::Stun), world.dropped(Dropped::Malformed)),
        (2, 6)
    );
    for size in (0..65_507).step_by(1_009) {
        let mut packet = voice(1);
        packet.resize(12 + size, 0);
        assert_eq!(world.packet(near, A, &packet).len(), 1, "payload of {size}");
    }
}

/// (offer muxes, answer muxes)
#[test]
fn each_leg_multiplexes_for_itself() {
    for (a_mux, b_mux) in [(true, true), (true, false), (false, true), (false, false)] {
        let attribute = |mux| if mux { "a=rtcp-mux\r\n" } else { "" };
        let mut world = World::new();
        let to_b = world.offer(Side::A, &audio(A, attribute(a_mux))).unwrap();
        let to_a = world.answer(Side::B, &audio(B, attribute(b_mux))).unwrap();
        assert_eq!(to_b.contains("rtcp-mux"), a_mux);
        assert_eq!(to_a.contains("rtcp-mux"), a_mux, "we take it where it is offered");
        let b_mux = a_mux && b_mux; // not offered, not taken
        let end = |slot: Slot, mux: bool, address: &str| {
            let rtp = at(address);
            let rtcp = SocketAddr::new(rtp.ip(), rtp.port() + u16::from(!mux));
            (if mux { slot } else { rtcp_of(slot) }, rtcp)
        };
        let (a_slot, a_at) = end(slot(&to_a, 0), a_mux, A);
        let (b_slot, b_at) = end(slot(&to_b, 0), b_mux, B);
        for _ in 0..2 {
            let sent = world.packet(a_slot, &a_at.to_string(), &REPORT);
            assert_eq!(
                sent,
                [Sent {
                    slot: b_slot,
                    to: b_at,
                    octets: REPORT.to_vec()
                }],
                "{a_mux} {b_mux}"
            );
            let sent = world.packet(b_slot, &b_at.to_string(), &REPORT);
            assert_eq!(
                sent,
                [Sent {
                    slot: a_slot,
                    to: a_at,
                    octets: REPORT.to_vec()
                }],
                "{a_mux} {b_mux}"
            );
            assert_eq!(world.packet(slot(&to_a, 0), A, &voice(1))[0].to, at(B));
        }
        assert_eq!(world.media.counters().rtcp_out, 4);
    }
}

#[test]
fn rtcp_attribute_is_followed_and_not_shown() {
    let (mut world, _, far) = call(&audio(A, "a=rtcp:4777\r\n"), &audio(B, ""));
    let sent = world.packet(rtcp_of(far), "192.0.2.2:5001", &REPORT);
    assert_eq!(sent[0].to, at("192.0.2.1:4777"));
}

#[test]
fn secure_and_t38_are_opaque() {
    let secure = described(
        at(A).ip(),
        "m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:QUJD\r\nm=image 4002 udptl t38\r\n",
    );
    let answer = secure.replace("192.0.2.1", "192.0.2.2");
    let mut world = World::new();
    let to_b = world.offer(Side::A, &secure).unwrap();
    let to_a = world.answer(Side::B, &answer).unwrap();
    assert!(to_b.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:QUJD"));
    let mut packet = voice(1);
    packet[0] |= 0x20; // padding bit: its count is encrypted
    packet[1] = 77;
    assert_eq!(world.packet(slot(&to_a, 0), A, &packet).len(), 1);
    let (fax, from) = (slot(&to_a, 1), "192.0.2.1:4002");
    let sent = world.packet(fax, from, &[0, 1, 2]);
    assert_eq!(
        (sent[0].to, &sent[0].octets[..]),
        (at("192.0.2.2:4002"), &[0, 1, 2][..])
    );
    assert!(
        world.packet(fax, "192.0.2.1:4004", &[0, 1, 2]).is_empty(),
        "source-checked all the same"
    );
    // AST-2016-003 and AST-2017-012: what crashed others passes through or is dropped.
    for (name, packets) in seeds::captures() {
        for packet in packets {
            world.packet(fax, from, &packet);
            world.packet(slot(&to_a, 0), A, &packet);
            let kept = !world
                .packet(rtcp_of(slot(&to_a, 0)), "192.0.2.1:4001", &packet)
                .is_empty();
            assert!(!kept || rtcp::check_secure(&packet).is_ok(), "{name}");
        }
    }
}

#[test]
fn dtls_passes_with_its_media() {
    let offer = described(
        at(A).ip(),
        "m=audio 4000 UDP/TLS/RTP/SAVPF 111\r\na=rtcp-mux\r\na=setup:actpass\r\n",
    );
    let (mut world, near, far) = call(&offer, &offer.replace("192.0.2.1", "192.0.2.2"));
    let hello = [22, 254, 253, 0, 0];
    assert_eq!(world.packet(near, A, &hello)[0].slot, far);
    assert!(
        world.packet(near, "192.0.2.66:4000", &hello).is_empty(),
        "CVE-2023-49786: from elsewhere"
    );
    assert_eq!(world.packet(near, A, &voice(1))[0].to, at("192.0.2.2:4000"));
}

#[test]
fn figures_for_the_record() {
    let (mut world, near, far) = call(&audio(A, ""), &audio(B, ""));
    for sequence in [1, 2, 3, 5, 6, 9] {
        world.now += Duration::from_millis(20);
        world.packet(near, A, &voice(sequence));
    }
    world.packet(far, B, &voice(1));
    world.pass(Duration::from_secs(2));
    assert_eq!(world.media.counters().lost, 3);
    let mut call = std::mem::take(&mut world.call);
    let report = world.media.release(world.now, &mut call);
    let [stream] = report.streams() else {
        panic!("one stream")
    };
    assert_eq!(
        (stream.sides[0].packets, stream.sides[0].lost, stream.sides[0].octets),
        (6, 3, 6 * 172)
    );
    assert_eq!((stream.sides[1].packets, stream.sides[1].lost), (1, 0));
    assert_eq!((stream.line, stream.one_way), (0, None));
    assert_eq!(world.media.counters().lost, 3, "not counted twice");
    assert!(world.packet(near, A, &voice(10)).is_empty() && world.dropped(Dropped::NoFlow) > 0);
    assert_eq!(
        world.media.release(world.now, &mut call),
        MediaReport::default(),
        "harmless when repeated"
    );
}

fn points(world: &mut World) -> Vec<(Slot, Option<SocketAddr>)> {
    world.media.points().collect()
}

/// A source that nothing but a new description can move is told to the kernel; one that was learnt is
/// not, since the described address may still take its place.
#[test]
fn sockets_are_pointed_at_sources_that_cannot_move() {
    let mut world = World::new();
    let to_b = world.offer(Side::A, &audio(A, "")).unwrap();
    let to_a = world.answer(Side::B, &audio(B, "")).unwrap();
    let (near, far) = (slot(&to_a, 0), slot(&to_b, 0));
    assert_eq!(points(&mut world), []);
    for sequence in 0..3 {
        world.packet(near, A, &voice(sequence));
        world.packet(far, B, &voice(sequence));
        world.packet(rtcp_of(near), "192.0.2.1:4001", &REPORT);
    }
    assert_eq!(points(&mut world), [(near, Some(at(A))), (far, Some(at(B)))]);
    world.offer(Side::A, &audio(A, "a=sendonly\r\n")).unwrap();
    world.answer(Side::B, &audio(B, "a=recvonly\r\n")).unwrap();
    assert_eq!(points(&mut world), [], "the same addresses");
    let moved = "192.0.2.1:4444";
    world.offer(Side::A, &audio(moved, "")).unwrap();
    world.answer(Side::B, &audio(B, "")).unwrap();
    assert_eq!(points(&mut world), [(near, None)]);
    assert_eq!(world.packet(near, moved, &voice(9))[0].to, at(B));
    assert_eq!(points(&mut world), [(near, Some(at(moved)))]);
}

#[test]
fn a_learnt_source_is_not_pointed_at() {
    let mut world = World::new();
    let (nat, private) = ("203.0.113.9:31000", "203.0.113.10:4000");
    world.signalling[0] = at(nat).ip();
    world.offer(Side::A, &audio(private, "")).unwrap();
    let to_a = world.answer(Side::B, &audio(B, "")).unwrap();
    let near = slot(&to_a, 0);
    assert_eq!(world.packet(near, nat, &voice(1)).len(), 1);
    assert_eq!(points(&mut world), []);
    assert_eq!(
        world.packet(near, private, &voice(2)).len(),
        1,
        "the description's address wins"
    );
    assert_eq!(points(&mut world), [(near, Some(at(private)))]);
}
