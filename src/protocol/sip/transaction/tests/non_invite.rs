//! Figures 6 and 8, row by row.

use super::*;

#[test]
fn client_without_answer_on_udp() {
    let mut world = World::new();
    let call = world.call("OPTIONS", Transport::Udp);
    world.run_to(31_999);
    let expected = [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(world.times("OPTIONS"), expected, "Timer E doubles up to T2");
    world.run_to(32_000);
    assert_eq!(
        (&world.events[..], world.layer.counts()),
        (&[call.timeout()][..], (0, 0)),
        "Timer F"
    );
}

#[test]
fn client_in_proceeding_repeats_every_t2() {
    let mut world = World::new();
    let call = world.call("BYE", Transport::Udp);
    world.run_to(600);
    assert_eq!(world.answer(&call, 100), call.pass());
    world.run_to(31_999);
    assert_eq!(
        world.times("BYE"),
        [0, 500, 1500, 5500, 9500, 13_500, 17_500, 21_500, 25_500, 29_500]
    );
    world.run_to(32_000);
    assert_eq!(world.events, [call.timeout()], "Timer F goes on in Proceeding");
}

#[test]
fn client_completes() {
    let mut world = World::new();
    let call = world.call("BYE", Transport::Udp);
    world.run_to(100);
    assert_eq!(world.answer(&call, 200), call.pass());
    assert_eq!(world.layer.client_request(call.id), None);
    world.run_to(5099);
    assert_eq!(world.answer(&call, 200), Answered::Absorbed);
    assert_eq!(world.layer.counts(), (0, 1));
    world.run_to(5100);
    assert_eq!(
        (world.layer.counts(), world.answer(&call, 200)),
        ((0, 0), Answered::Stray),
        "Timer K"
    );
    assert_eq!((world.times("BYE"), world.events.len()), (vec![0], 0));
}

#[test]
fn client_on_tcp() {
    let mut world = World::new();
    let call = world.call("MESSAGE", Transport::Tcp);
    world.run_to(10_000);
    assert_eq!(world.times("MESSAGE"), [0]);
    assert_eq!(world.answer(&call, 404), call.pass());
    assert_eq!(world.layer.counts(), (0, 0));
    for provisional in [false, true] {
        let call = world.call("MESSAGE", Transport::Tcp);
        if provisional {
            world.answer(&call, 100);
        }
        world.fail(world.last().tag);
        assert_eq!(
            (world.events.last(), world.layer.counts()),
            (Some(&call.failed()), (0, 0))
        );
    }
}

fn bye() -> String {
    request("BYE", "z9hG4bKbye", "192.0.2.9")
}

#[test]
fn server_on_udp() {
    let mut world = World::new();
    let id = world.accept(&bye(), Transport::Udp);
    assert_eq!(world.receive(&bye()), Incoming::Retransmission);
    assert_eq!(world.wire.sent.len(), 0, "Trying discards");
    assert!(world.respond(id, 100));
    assert_eq!(world.receive(&bye()), Incoming::Retransmission);
    assert_eq!(world.times("SIP/2.0 100").len(), 2);
    assert!(world.respond(id, 200));
    assert!(
        !world.respond(id, 200) && !world.respond(id, 500),
        "discarded, section 17.2.2"
    );
    world.run_to(31_999);
    assert_eq!(world.receive(&bye()), Incoming::Retransmission);
    assert_eq!(world.times("SIP/2.0 200"), [0, 31_999]);
    world.run_to(32_000);
    assert_eq!((world.layer.counts(), world.events.len()), ((0, 0), 0), "Timer J");
    assert_eq!(world.receive(&bye()), Incoming::New);
}

#[test]
fn server_on_tcp() {
    let mut world = World::new();
    let server = world.accept(&bye(), Transport::Tcp);
    world.respond(server, 100);
    world.fail(world.last().tag);
    assert_eq!(world.events, [Event::ServerFailed { server, user: USER }]);
    assert!(world.respond(server, 200));
    assert_eq!(
        (world.layer.counts(), world.respond(server, 200)),
        ((0, 0), false),
        "Timer J is zero"
    );
}
