//! Offer and answer between two legs: RFC 3264, and the cases of RFC 6337.

use super::*;

fn two_lines(address: &str) -> String {
    let lines = line("audio", at(address).port(), "RTP/AVP 0") + &line("video", at(address).port() + 2, "RTP/AVP 99");
    described(at(address).ip(), &lines)
}

fn version(sdp: &str) -> u64 {
    sdp.split_whitespace().nth(3).unwrap().parse().unwrap()
}

#[test]
fn what_each_side_sees() {
    let mut world = World::new();
    let to_b = world.offer(Side::A, &audio(A, "a=fmtp:101 0-15\r\na=x:y\r\n")).unwrap();
    let to_a = world.answer(Side::B, &audio(B, "a=ptime:30\r\n")).unwrap();
    for (sdp, kept) in [(&to_b, "a=fmtp:101 0-15\r\na=x:y\r\n"), (&to_a, "a=ptime:30\r\n")] {
        assert!(
            sdp.contains("c=IN IP4 198.51.100.1\r\n"),
            "the advertised address: {sdp}"
        );
        assert!(sdp.contains(kept) && sdp.contains(" RTP/AVP 0 8 101\r\n"));
        assert!(
            !sdp.contains("192.0.2") && !sdp.contains("10.0.0.1") && !sdp.contains("phone"),
            "{sdp}"
        );
    }
    assert_ne!(slot(&to_a, 0), slot(&to_b, 0));
    assert_eq!((slot(&to_a, 0).0 % 2, slot(&to_b, 0).0 % 2), (0, 0));
    assert_eq!(world.media.counters().ports_used, 4);
}

#[test]
fn version_rises_only_with_the_text() {
    let mut world = World::new();
    let first = world.offer(Side::A, &audio(A, "")).unwrap();
    world.answer(Side::B, &audio(B, "")).unwrap();
    let same = world.offer(Side::A, &audio(A, "")).unwrap();
    assert_eq!(same, first, "a session refresh shows the same text and version");
    world.answer(Side::B, &audio(B, "")).unwrap();
    let held = world.offer(Side::A, &audio(A, "a=sendonly\r\n")).unwrap();
    assert_eq!(version(&held), version(&first) + 1);
    assert_eq!(first.split(' ').nth(1), held.split(' ').nth(1), "session id stays");
}

#[test]
fn early_answer_then_the_same_or_another() {
    let mut world = World::new();
    let to_b = world.offer(Side::A, &audio(A, "")).unwrap();
    let early = world.answer(Side::B, &audio(B, "")).unwrap();
    let near = slot(&early, 0);
    assert_eq!(world.packet(near, A, &voice(1))[0].to, at(B));
    assert_eq!(world.answer(Side::B, &audio(B, "")).unwrap(), early);
    // Another fork answers in the end.
    let other = "192.0.2.22:7000";
    world.signalling[1] = at(other).ip();
    world.answer(Side::B, &audio(other, "")).unwrap();
    assert_eq!(world.packet(near, A, &voice(2))[0].to, at(other));
    assert!(world.packet(slot(&to_b, 0), B, &voice(1)).is_empty());
    assert_eq!(world.packet(slot(&to_b, 0), other, &voice(1)).len(), 1);
}

#[test]
fn delayed_offer_comes_from_b() {
    let mut world = World::new();
    let to_a = world.offer(Side::B, &audio(B, "")).unwrap();
    let to_b = world.answer(Side::A, &audio(A, "")).unwrap();
    assert_eq!(world.packet(slot(&to_a, 0), A, &voice(1))[0].to, at(B));
    assert_eq!(world.packet(slot(&to_b, 0), B, &voice(1))[0].to, at(A));
}

#[test]
fn lines_are_added_refused_and_switched_off_in_order() {
    let mut world = World::answered();
    let to_b = world.offer(Side::A, &two_lines(A)).unwrap();
    assert_eq!(world.media.counters().ports_used, 8);
    let refused = described(at(B).ip(), "m=audio 5000 RTP/AVP 0\r\nm=video 0 RTP/AVP 99\r\n");
    let to_a = world.answer(Side::B, &refused).unwrap();
    assert!(to_a.contains("m=video 0 RTP/AVP 99\r\n"));
    // Its ports come back when no other answer can come.
    world.pass(Duration::from_secs(35));
    assert_eq!(
        (
            world.media.counters().ports_used,
            world.media.counters().ports_quarantined
        ),
        (4, 4)
    );
    // Again, accepted now: new ports, audio keeps its own.
    let again = world.offer(Side::A, &two_lines(A)).unwrap();
    assert_eq!(slot(&again, 0), slot(&to_b, 0));
    let to_a = world.answer(Side::B, &two_lines(B)).unwrap();
    let mut picture = voice(1);
    picture[1] = 99;
    assert_eq!(
        world.packet(slot(&to_a, 1), "192.0.2.1:4002", &picture)[0].to,
        at("192.0.2.2:5002")
    );
    // Switched off: the line stays, at port 0.
    let off = described(at(A).ip(), "m=audio 4000 RTP/AVP 0\r\nm=video 0 RTP/AVP 99\r\n");
    let to_b = world.offer(Side::A, &off).unwrap();
    assert!(to_b.contains("m=video 0 RTP/AVP 99\r\n"));
    world
        .answer(Side::B, &off.replace("192.0.2.1", "192.0.2.2").replace("4000", "5000"))
        .unwrap();
    assert!(world.packet(slot(&to_a, 1), "192.0.2.1:4002", &picture).is_empty());
    assert_eq!(world.packet(slot(&to_a, 0), A, &voice(1)).len(), 1);
    // An offer may not leave lines out.
    assert_eq!(world.offer(Side::A, &audio(A, "")), Err(MediaError::Mismatch));
}

#[test]
fn answers_must_match() {
    let mut world = World::new();
    assert_eq!(world.answer(Side::B, &audio(B, "")), Err(MediaError::NoOffer));
    world.offer(Side::A, &two_lines(A)).unwrap();
    assert_eq!(
        world.answer(Side::A, &two_lines(A)),
        Err(MediaError::NoOffer),
        "not to one's own offer"
    );
    assert_eq!(world.answer(Side::B, &audio(B, "")), Err(MediaError::Mismatch));
    assert!(matches!(
        world.answer(Side::B, "nonsense"),
        Err(MediaError::Malformed(_))
    ));
    world.answer(Side::B, &two_lines(B)).unwrap();
}

#[test]
fn glare_and_replaced_offers() {
    let mut world = World::answered();
    world.offer(Side::A, &audio(A, "a=sendonly\r\n")).unwrap();
    assert_eq!(world.offer(Side::B, &audio(B, "")), Err(MediaError::Glare));
    let used = world.media.counters().ports_used;
    world.offer(Side::A, &two_lines(A)).unwrap();
    world.offer(Side::A, &audio(A, "")).unwrap();
    assert_eq!(
        world.media.counters().ports_used,
        used,
        "a replaced offer gives its ports back"
    );
    world.answer(Side::B, &audio(B, "")).unwrap();
    world.offer(Side::B, &audio(B, "")).unwrap();
}

#[test]
fn a_rejected_offer_changes_nothing() {
    let mut world = World::new();
    let to_b = world.offer(Side::A, &audio(A, "")).unwrap();
    let to_a = world.answer(Side::B, &audio(B, "")).unwrap();
    world.packet(slot(&to_a, 0), A, &voice(1));
    world.offer(Side::A, &two_lines("192.0.2.1:4600")).unwrap();
    world.media.reject(&mut world.call);
    assert_eq!(world.media.counters().ports_used, 4);
    assert_eq!(world.packet(slot(&to_a, 0), A, &voice(2))[0].slot, slot(&to_b, 0));
    assert!(world.packet(slot(&to_a, 0), "192.0.2.1:4600", &voice(2)).is_empty());
    world.media.reject(&mut world.call); // nothing pending: nothing happens
    world.offer(Side::B, &audio(B, "")).unwrap();
    world.answer(Side::A, &audio(A, "")).unwrap();
}

#[test]
fn hold_by_direction_and_by_address() {
    let mut world = World::new();
    let to_b = world.offer(Side::A, &audio(A, "")).unwrap();
    let to_a = world.answer(Side::B, &audio(B, "")).unwrap();
    let (near, far) = (slot(&to_a, 0), slot(&to_b, 0));
    world.packet(near, A, &voice(0));
    world.packet(far, B, &voice(0));
    let held = world.offer(Side::A, &audio(A, "a=sendonly\r\n")).unwrap();
    assert!(held.ends_with("a=sendonly\r\n"));
    let answer = world.answer(Side::B, &audio(B, "a=recvonly\r\n")).unwrap();
    assert!(answer.ends_with("a=recvonly\r\n"));
    assert_eq!(
        world.packet(near, A, &voice(1))[0].to,
        at(B),
        "music of the holding side"
    );
    // RFC 2543: the address says it, the direction is silent. It passes on as a direction.
    let by_address = audio(A, "").replace("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0");
    let held = world.offer(Side::A, &by_address).unwrap();
    assert!(held.contains("a=sendonly\r\n") && held.contains("c=IN IP4 198.51.100.1"));
    world.answer(Side::B, &audio(B, "a=recvonly\r\n")).unwrap();
    assert!(world.packet(far, B, &voice(2)).is_empty(), "nothing goes to 0.0.0.0");
    assert_eq!(
        world.packet(near, A, &voice(2))[0].to,
        at(B),
        "but the holding side is still heard"
    );
    world.offer(Side::A, &audio(A, "")).unwrap();
    world.answer(Side::B, &audio(B, "")).unwrap();
    assert_eq!(world.packet(far, B, &voice(3))[0].to, at(A));
}

#[test]
fn what_cannot_be_carried() {
    let mut world = World::new();
    let mixed = described(
        at(A).ip(),
        "m=message 9 TCP/MSRP *\r\na=path:msrp://192.0.2.1:9/x;tcp\r\nm=audio 4000 RTP/AVP 0\r\n",
    );
    let to_b = world.offer(Side::A, &mixed).unwrap();
    assert!(to_b.contains("m=message 0 TCP/MSRP *\r\nm=audio 2") && !to_b.contains("msrp://"));
    let answer = described(at(B).ip(), "m=message 0 TCP/MSRP *\r\nm=audio 5000 RTP/AVP 0\r\n");
    let to_a = world.answer(Side::B, &answer).unwrap();
    assert!(to_a.contains("m=message 0 TCP/MSRP *\r\nm=audio 2"));
    let mut other = World::new();
    let only = described(at(A).ip(), "m=message 9 TCP/MSRP *\r\n");
    assert_eq!(other.offer(Side::A, &only), Err(MediaError::NoMedia));
    assert!(other.call.is_empty() && other.media.counters().ports_used == 0);
    // No line at all, or all switched off, is a legal offer.
    assert!(other.offer(Side::A, &described(at(A).ip(), "")).is_ok());
}

#[test]
fn users_and_handles() {
    let mut world = World::answered();
    world.media.set_user(&world.call, 7);
    let mut call = std::mem::take(&mut world.call);
    world.media.release(world.now, &mut call);
    assert!(call.is_empty());
    world.media.set_user(&call, 8);
    world.media.reject(&mut call);
    assert_eq!(world.media.counters().calls, 0);
}
