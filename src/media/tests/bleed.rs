//! RTP bleed and injection (CVE-2017-14099, CVE-2025-53399): what a third address gets and does.

use super::*;

const THIRD: [&str; 4] = [
    "203.0.113.66:4000",
    "203.0.113.66:5000",
    "192.0.2.77:4000",
    "192.0.2.66:9",
];

/// Sprays every port of the range from third addresses; nothing may leave.
fn spray(world: &mut World, others: &[&str]) {
    for slot in (0..1_000).map(Slot) {
        for from in THIRD.iter().chain(others) {
            assert_eq!(
                world.packet(slot, from, &voice(1)),
                [],
                "injected by {from} at {slot:?}"
            );
            assert_eq!(world.packet(slot, from, &REPORT), [], "injected by {from} at {slot:?}");
        }
    }
}

/// Packets of the call itself; none may go to a third address.
fn talk(world: &mut World, near: (Slot, &str), far: (Slot, &str)) {
    for sequence in 0..20 {
        let sent = world.packet(near.0, near.1, &voice(sequence));
        assert_eq!((sent.len(), sent[0].to), (1, at(far.1)));
        let sent = world.packet(far.0, far.1, &voice(sequence));
        assert_eq!((sent.len(), sent[0].to), (1, at(near.1)));
    }
}

#[test]
fn described_addresses() {
    // Same address, other port: refused too, since the description shows the signalling's address.
    let same_ip = ["192.0.2.1:4002", "192.0.2.2:5002"];
    let mut world = World::new();
    spray(&mut world, &same_ip);
    let to_b = world.offer(Side::A, &audio(A, "")).unwrap();
    spray(&mut world, &same_ip);
    let to_a = world.answer(Side::B, &audio(B, "")).unwrap();
    spray(&mut world, &same_ip);
    let (near, far) = ((slot(&to_a, 0), A), (slot(&to_b, 0), B));
    talk(&mut world, near, far);
    spray(&mut world, &same_ip);
    talk(&mut world, near, far);
    assert_eq!(world.media.counters().learnt, 0);
    let mut call = std::mem::take(&mut world.call);
    world.media.release(world.now, &mut call);
    spray(&mut world, &[A, B]);
}

#[test]
fn a_phone_behind_nat_is_learnt_once() {
    let mut world = World::new();
    let nat = "203.0.113.9:31000";
    world.signalling[0] = at(nat).ip();
    let private = "192.168.1.5:4000";
    let to_b = world.offer(Side::A, &audio(private, "")).unwrap();
    spray(&mut world, &[nat]); // before the answer nothing is learnt
    let to_a = world.answer(Side::B, &audio(B, "")).unwrap();
    let (near, far) = (slot(&to_a, 0), slot(&to_b, 0));
    spray(&mut world, &[]);
    assert_eq!(
        world.packet(far, B, &voice(1))[0].to,
        at(private),
        "until learnt, as described"
    );
    assert_eq!(world.packet(near, nat, &voice(1))[0].to, at(B));
    talk(&mut world, (near, nat), (far, B));
    // RTCP is learnt for itself, once.
    assert_eq!(world.packet(rtcp_of(near), "203.0.113.9:31001", &REPORT).len(), 1);
    assert_eq!(
        world.packet(rtcp_of(far), "192.0.2.2:5001", &REPORT)[0].to,
        at("203.0.113.9:31001")
    );
    spray(&mut world, &["203.0.113.9:31002"]);
    talk(&mut world, (near, nat), (far, B));
    assert_eq!(world.media.counters().learnt, 2);
    // The description's address wins, and then nothing is learnt any more.
    assert_eq!(world.packet(near, private, &voice(9)).len(), 1);
    talk(&mut world, (near, private), (far, B));
    assert!(world.packet(near, nat, &voice(9)).is_empty());
}

#[test]
fn learning_is_over_once_the_described_address_spoke() {
    let mut world = World::new();
    world.signalling[0] = ip("203.0.113.9");
    world.offer(Side::A, &audio("192.168.1.5:4000", "")).unwrap();
    let to_a = world.answer(Side::B, &audio(B, "")).unwrap();
    let near = slot(&to_a, 0);
    assert_eq!(world.packet(near, "192.168.1.5:4000", &voice(1)).len(), 1);
    assert!(world.packet(near, "203.0.113.9:31000", &voice(1)).is_empty());
    assert!(
        world.packet(rtcp_of(near), "203.0.113.9:31001", &REPORT).is_empty(),
        "nor for its RTCP"
    );
    assert_eq!(world.media.counters().learnt, 0);
}

#[test]
fn garbage_teaches_nothing() {
    let mut world = World::new();
    world.signalling[0] = ip("203.0.113.9");
    world.offer(Side::A, &audio("192.168.1.5:4000", "")).unwrap();
    let near = slot(&world.answer(Side::B, &audio(B, "")).unwrap(), 0);
    let mut foreign_type = voice(1);
    foreign_type[1] = 55;
    let mut stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    stun.resize(20, 0);
    for packet in [&b""[..], b"hello", &stun, &foreign_type] {
        assert!(world.packet(near, "203.0.113.9:666", packet).is_empty());
    }
    assert_eq!(world.packet(near, "203.0.113.9:31000", &voice(1)).len(), 1);
}

#[test]
fn learning_can_be_forbidden() {
    let mut world = World::with(Learn::Never, 1_000);
    world.signalling[0] = ip("203.0.113.9");
    world.offer(Side::A, &audio("192.168.1.5:4000", "")).unwrap();
    let near = slot(&world.answer(Side::B, &audio(B, "")).unwrap(), 0);
    assert!(world.packet(near, "203.0.113.9:31000", &voice(1)).is_empty());
    assert_eq!(world.packet(near, "192.168.1.5:4000", &voice(1)).len(), 1);
}

#[test]
fn a_new_address_begins_anew() {
    let mut world = World::new();
    let to_b = world.offer(Side::A, &audio(A, "")).unwrap();
    let to_a = world.answer(Side::B, &audio(B, "")).unwrap();
    let (near, far) = (slot(&to_a, 0), slot(&to_b, 0));
    talk(&mut world, (near, A), (far, B));
    let moved = "192.0.2.1:4100";
    world.offer(Side::A, &audio(moved, "")).unwrap();
    talk(&mut world, (near, A), (far, B)); // pending changes nothing
    world.answer(Side::B, &audio(B, "")).unwrap();
    assert!(world.packet(near, A, &voice(1)).is_empty());
    talk(&mut world, (near, moved), (far, B));
    // The same addresses again keep what was heard.
    world.offer(Side::A, &audio(moved, "")).unwrap();
    world.answer(Side::B, &audio(B, "")).unwrap();
    assert!(matches!(
        world.media.packet(world.now, near, at(moved), &mut voice(1)),
        Verdict::Relay { .. }
    ));
}

#[test]
fn addresses_that_must_not_be_sent_to() {
    let own = "10.0.0.1";
    for address in [
        "0.0.0.0",
        "127.0.0.1",
        "224.0.0.5",
        "255.255.255.255",
        "169.254.3.3",
        "::1",
        "ff02::1",
        "::",
        own,
    ] {
        let mut world = World::new();
        let to_b = world.offer(Side::A, &audio(A, "")).unwrap();
        // Our own socket: the one that faces A, opened by this offer.
        let near = slot(&to_b, 0).0 - 2;
        let port = if address == own { 20_000 + near as u16 } else { 5_000 };
        let evil = described(ip(address), &line("audio", port, "RTP/AVP 0"));
        let to_a = world.answer(Side::B, &evil).unwrap();
        let sent = world.packet(slot(&to_a, 0), A, &voice(1));
        assert!(sent.is_empty(), "sent to {address}: {sent:?}");
        assert_eq!(world.dropped(Dropped::NoDestination), 1, "{address}");
    }
}

#[test]
fn an_address_of_the_other_family_cannot_be_sent_to() {
    let mut world = World::new();
    world.offer(Side::A, &audio(A, "")).unwrap();
    let to_a = world.answer(Side::B, &audio("[2001:db8::7]:5000", "")).unwrap();
    assert!(world.packet(slot(&to_a, 0), A, &voice(1)).is_empty());
    assert_eq!(world.dropped(Dropped::NoDestination), 1);
    let mut world = World::new();
    world.local(Service::Music, &audio("[2001:db8::7]:5000", "")).unwrap();
    assert!(world.pass(Duration::from_millis(100)).0.is_empty());
}

#[test]
fn our_own_sockets_are_never_learnt() {
    let mut world = World::new();
    let own = ip(HOME);
    world.signalling[1] = own;
    world.offer(Side::A, &audio(A, "")).unwrap();
    world.offer(Side::A, &audio(A, "")).unwrap();
    let to_b = world.offer(Side::A, &audio(A, "")).unwrap();
    world.answer(Side::B, &audio("192.168.7.7:5000", "")).unwrap();
    let far = slot(&to_b, 0);
    let loop_back = SocketAddr::new(own, 20_000 + far.0 as u16).to_string();
    assert!(world.packet(far, &loop_back, &voice(1)).is_empty());
    assert_eq!(
        world.packet(far, "10.0.0.1:40000", &voice(1)).len(),
        1,
        "a phone on this machine may be"
    );
}
