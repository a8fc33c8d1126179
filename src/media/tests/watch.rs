//! Silence and one-way audio.

use super::*;

fn answered(offer: &str, answer: &str) -> (World, Slot, Slot) {
    let mut world = World::new();
    let to_b = world.offer(Side::A, offer).unwrap();
    let to_a = world.answer(Side::B, answer).unwrap();
    world.media.set_user(&world.call, 42);
    (world, slot(&to_a, 0), slot(&to_b, 0))
}

#[test]
fn silence_in_both_directions_is_said_once() {
    let (mut world, near, _) = answered(&audio(A, ""), &audio(B, ""));
    for sequence in 0..30 {
        world.packet(near, A, &voice(sequence));
        let (_, events) = world.pass(Duration::from_secs(10));
        assert_eq!(events, [], "one direction is enough");
    }
    let (_, events) = world.pass(Duration::from_secs(49));
    assert_eq!(events, []);
    let (_, events) = world.pass(Duration::from_secs(3));
    assert_eq!(events, [MediaEvent::Silent { user: 42 }]);
    assert_eq!(world.pass(Duration::from_secs(300)).1, []);
}

#[test]
fn nothing_ever_heard_is_silence_too() {
    let (mut world, ..) = answered(&audio(A, ""), &audio(B, ""));
    assert_eq!(world.pass(Duration::from_secs(62)).1, [MediaEvent::Silent { user: 42 }]);
}

#[test]
fn hold_and_ringing_are_no_silence() {
    let (mut world, ..) = answered(&audio(A, "a=sendonly\r\n"), &audio(B, "a=recvonly\r\n"));
    assert_eq!(world.pass(Duration::from_secs(600)).1, []);
    world.offer(Side::A, &audio(A, "")).unwrap();
    world.answer(Side::B, &audio(B, "")).unwrap();
    assert_eq!(
        world.pass(Duration::from_secs(58)).1,
        [],
        "counted from the end of hold"
    );
    assert_eq!(world.pass(Duration::from_secs(4)).1.len(), 1);
    let mut ringing = World::new();
    ringing.offer(Side::A, &audio(A, "")).unwrap();
    assert_eq!(ringing.pass(Duration::from_secs(600)).1, []);
}

#[test]
fn one_way_audio_is_counted_once_and_reported() {
    let (mut world, near, far) = answered(&audio(A, ""), &audio(B, ""));
    for sequence in 0..400 {
        world.packet(near, A, &voice(sequence));
        world.pass(Duration::from_millis(20));
        if sequence == 200 {
            assert_eq!(world.media.counters().one_way, 0, "not before five seconds");
        }
    }
    assert_eq!(world.media.counters().one_way, 1);
    world.packet(far, B, &voice(1));
    let mut call = std::mem::take(&mut world.call);
    let report = world.media.release(world.now, &mut call);
    assert_eq!(report.streams()[0].one_way, Some(Side::B));
    assert_eq!(world.media.counters().one_way, 1);
}

#[test]
fn one_way_by_agreement_is_none() {
    let (mut world, near, _) = answered(&audio(A, "a=sendonly\r\n"), &audio(B, "a=recvonly\r\n"));
    for sequence in 0..400 {
        world.packet(near, A, &voice(sequence));
        world.pass(Duration::from_millis(20));
    }
    let mut call = std::mem::take(&mut world.call);
    assert_eq!(world.media.release(world.now, &mut call).streams()[0].one_way, None);
    assert_eq!(world.media.counters().one_way, 0);
}
