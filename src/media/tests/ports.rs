//! Ports come back whatever happens (GHSA-254r-9226-v29v).

use super::*;

#[test]
fn failed_offers_leave_all_ports_free() {
    let mut world = World::with(Learn::Nat, 400);
    world.open = Box::new({
        let mut count = 0u32;
        move |_| {
            count += 1;
            // Every fifth fails; the machine's limit, so that no port is barred.
            if count.is_multiple_of(5) {
                Err(OpenError::Exhausted)
            } else {
                Ok(())
            }
        }
    });
    let offers = [
        audio(A, ""),
        described(
            at(A).ip(),
            "m=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/AVP 99\r\nm=image 4004 udptl t38\r\n",
        ),
        described(at(A).ip(), "m=audio 99999 RTP/AVP 0\r\n"),
        described(at(A).ip(), "m=message 9 TCP/MSRP *\r\n"),
        audio(A, "a=rtcp-mux\r\n"),
    ];
    let (mut good, mut bad) = (0u32, 0u32);
    for round in 0..100_000usize {
        match world.offer(Side::A, &offers[round % offers.len()]) {
            Ok(_) => {
                good += 1;
                if round % 3 == 0 {
                    world.media.reject(&mut world.call);
                }
            }
            Err(_) => bad += 1,
        }
        if round % 2 == 0 {
            let mut call = std::mem::take(&mut world.call);
            world.media.release(world.now, &mut call);
        }
        world.now += Duration::from_millis(500);
    }
    assert!(good > 5_000 && bad > 30_000, "{good} good, {bad} bad");
    let mut call = std::mem::take(&mut world.call);
    world.media.release(world.now, &mut call);
    world.pass(Duration::from_secs(10));
    let counters = world.media.counters();
    assert_eq!(
        (counters.ports_free, counters.ports_used, counters.ports_quarantined),
        (400, 0, 0)
    );
    assert_eq!(counters.calls, 0);
}

#[test]
fn exhausted_refuses_the_new_call_only() {
    let mut world = World::with(Learn::Nat, 8);
    let first = world.offer(Side::A, &audio(A, "")).unwrap();
    world.answer(Side::B, &audio(B, "")).unwrap();
    let mut calls = vec![std::mem::take(&mut world.call)];
    world.offer(Side::A, &audio(A, "")).unwrap();
    calls.push(std::mem::take(&mut world.call));
    assert_eq!(world.offer(Side::A, &audio(A, "")), Err(MediaError::Exhausted));
    assert!(world.call.is_empty());
    // A re-INVITE that adds a line fails alone; the call goes on.
    world.call = calls.remove(0);
    let more = described(at(A).ip(), "m=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/AVP 99\r\n");
    assert_eq!(world.offer(Side::A, &more), Err(MediaError::Exhausted));
    assert_eq!(world.offer(Side::A, &audio(A, "")).unwrap(), first);
    world.answer(Side::B, &audio(B, "")).unwrap();
    for call in &mut calls {
        world.media.release(world.now, call);
    }
    assert_eq!(world.media.counters().ports_quarantined, 4);
}

#[test]
fn multiplexed_legs_open_fewer_sockets() {
    let opened = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let mut world = World::new();
    let log = opened.clone();
    world.open = Box::new(move |slot| {
        log.borrow_mut().push(slot.0);
        Ok(())
    });
    let to_b = world.offer(Side::A, &audio(A, "a=rtcp-mux\r\n")).unwrap();
    assert_eq!(opened.borrow().len(), 3, "A needs no RTCP port");
    world.answer(Side::B, &audio(B, "")).unwrap();
    // A later offer without it needs the port after all.
    let to_b_again = world.offer(Side::A, &audio(A, "")).unwrap();
    assert_eq!(slot(&to_b, 0), slot(&to_b_again, 0));
    let near = slot(&world.answer(Side::B, &audio(B, "")).unwrap(), 0);
    assert!(opened.borrow().contains(&rtcp_of(near).0));
}

#[test]
fn call_limit() {
    let mut world = World::with(Learn::Nat, 19_000);
    let mut calls = Vec::new();
    world.media.calls = call::Calls::new(3);
    for _ in 0..3 {
        world.offer(Side::A, &audio(A, "")).unwrap();
        calls.push(std::mem::take(&mut world.call));
    }
    assert_eq!(world.offer(Side::A, &audio(A, "")), Err(MediaError::Exhausted));
    assert_eq!(world.media.counters().ports_used, 12);
}
