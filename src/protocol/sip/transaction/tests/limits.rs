//! Pools: limits, sizes, and that everything comes back.

use super::*;
use shards::Buf;

#[test]
fn full_and_not_any_more() {
    let mut world = World::with_limit(2);
    let id = world.accept(&request("BYE", "z9hG4bK1", "h"), Transport::Tcp);
    let (minted, _) = world.layer.mint().expect("room");
    assert_eq!(world.layer.mint().err(), Some(Full));
    let mut enters = |method| {
        let text = request(method, "z9hG4bK2", "h");
        assert_eq!(world.receive(&text), Incoming::New);
        world.read(&text, |world, request| {
            world.layer.server(Time::ZERO, request, &path(Transport::Udp), USER)
        })
    };
    assert_eq!(enters("OPTIONS"), Err(Full));
    world.layer.release(minted);
    assert_eq!(world.layer.counts(), (1, 0));
    assert!(world.layer.mint().is_ok());
    world.respond(id, 200);
    assert!(world.layer.mint().is_ok() && world.layer.mint().is_err());
}

/// New work stops before the limit; emergency calls and what is in progress go on to it.
#[test]
fn the_last_places_are_kept() {
    let mut world = World::with_limit(64);
    let mut count = 0;
    while world.layer.has_room() {
        world.layer.mint().expect("room");
        count += 1;
    }
    assert_eq!(count, 62);
    assert!(world.layer.mint().is_ok() && world.layer.mint().is_ok() && world.layer.mint().is_err());
}

/// Requests outside calls have half of the places, those in a dialog and calls have all; an end gives back.
#[test]
fn requests_outside_calls_have_a_share() {
    let mut world = World::with_limit(64);
    let room = |world: &mut World, method: &str, tag: &str| {
        let text = request(method, "z9hG4bKx", "h").replace("To: <sip:b@h>", &format!("To: <sip:b@h>{tag}"));
        world.read(&text, |world, request| world.layer.has_room_for(request))
    };
    let mut ids = Vec::new();
    while room(&mut world, "REGISTER", "") {
        ids.push(world.accept(
            &request("REGISTER", &format!("z9hG4bK{}", ids.len()), "h"),
            Transport::Tcp,
        ));
    }
    assert_eq!(ids.len(), 32);
    for method in [
        "REGISTER",
        "OPTIONS",
        "MESSAGE",
        "SUBSCRIBE",
        "NOTIFY",
        "PUBLISH",
        "REFER",
        "FOO",
    ] {
        assert!(!room(&mut world, method, ""), "{method}");
        assert!(room(&mut world, method, ";tag=t"), "{method} in a dialog");
    }
    for method in ["INVITE", "BYE", "CANCEL", "PRACK"] {
        assert!(room(&mut world, method, ""), "{method}");
    }
    // Over a stream nothing lingers.
    world.respond(ids[0], 200);
    assert!(room(&mut world, "REGISTER", ""));
    // What is passed on takes a second place, which counts and is not refused.
    let message = world.call("MESSAGE", Transport::Tcp);
    let invite = world.call("INVITE", Transport::Tcp);
    assert!(!room(&mut world, "REGISTER", ""));
    let further = world.call("OPTIONS", Transport::Tcp);
    for call in [message, further, invite] {
        world.answer(&call, 486);
    }
    assert!(room(&mut world, "REGISTER", ""));
    ids.drain(1..).for_each(|id| assert!(world.respond(id, 200)));
    assert_eq!((world.layer.counts(), world.layer.outside), ((0, 0), 0));
}

/// What ends a call finds room although the pool is full, but not without bound.
#[test]
fn ends_beyond_the_limit() {
    let mut world = World::with_limit(2);
    let mut room = 0;
    while world.layer.mint_for(Method::Bye).is_ok() {
        room += 1;
        assert!(room < 100);
    }
    assert_eq!(room, 2 + 16);
    let text = request("BYE", "z9hG4bK1", "h");
    let refused = world.read(&text, |world, bye| {
        assert_eq!(
            world.layer.receive_request(&mut world.wire, bye, &path(Transport::Udp)),
            Incoming::New
        );
        world.layer.server(Time::ZERO, bye, &path(Transport::Udp), USER)
    });
    assert_eq!(refused, Err(Full));
}

/// A CANCEL finds room although the pool is full: it is what empties it.
#[test]
fn cancel_beyond_the_limit() {
    let mut world = World::with_limit(1);
    let call = world.call("INVITE", Transport::Udp);
    world.answer(&call, 180);
    world.layer.cancel(&mut world.wire, call.id, None);
    assert_eq!(world.times("CANCEL"), [0]);
}

#[test]
fn ten_thousand_come_and_go_without_growth() {
    let mut world = World::new();
    let mut most = None;
    for round in 0..3 {
        for number in 0..2500 {
            let branch = format!("z9hG4bK{round}-{number}");
            let invite = world.accept(&request("INVITE", &branch, "h"), Transport::Udp);
            let call = world.call("INVITE", Transport::Udp);
            let bye = world.accept(&request("BYE", &branch, "h"), Transport::Udp);
            let options = world.call("OPTIONS", Transport::Udp);
            world.respond(invite, if number % 2 == 0 { 200 } else { 486 });
            world.answer(&call, if number % 3 == 0 { 200 } else { 486 });
            world.respond(bye, 200);
            if number % 5 != 0 {
                world.answer(&options, 200);
            }
        }
        assert_eq!(world.layer.counts(), (5000, 5000));
        world.run_to((round + 1) * 100_000);
        assert_eq!(
            (world.layer.counts(), world.layer.index.len(), world.layer.deadline()),
            ((0, 0), 0, None)
        );
        assert_eq!(world.layer.outside, 0);
        world.wire.sent.clear();
        let places = (
            world.layer.servers.places(),
            world.layer.clients.places(),
            world.layer.index.num_buckets(),
        );
        assert_eq!(*most.get_or_insert(places), places);
    }
}

/// What one transaction takes beside its octets.
#[test]
fn entries_are_small() {
    assert!(
        size_of::<Server>() - 2 * size_of::<Buf>() <= 160,
        "{}",
        size_of::<Server>()
    );
    assert!(size_of::<Client>() - size_of::<Buf>() <= 144, "{}", size_of::<Client>());
    assert!(size_of::<Server>() < 200 && size_of::<Client>() < 200);
}

/// What lingers after the end holds no octets that the RFC does not need.
#[test]
fn lingering_entries_hold_little() {
    let mut world = World::new();
    let accepted = world.accept(&request("INVITE", "z9hG4bKa", "h"), Transport::Udp);
    world.respond(accepted, 180);
    world.respond(accepted, 200);
    let call = world.call("INVITE", Transport::Udp);
    world.answer(&call, 200);
    let options = world.call("OPTIONS", Transport::Udp);
    world.answer(&options, 200);
    assert_eq!(world.layer.servers.at(accepted.index).map(Server::octets), Some(0));
    for id in [call.id, options.id] {
        assert_eq!(world.layer.clients.at(id.index).map(Client::octets), Some(0));
    }
}
