//! Figure 5, row by row.

use super::*;

#[test]
fn nobody_answers_on_udp() {
    let mut world = World::new();
    let call = world.call("INVITE", Transport::Udp);
    world.run_to(31_999);
    assert_eq!(
        world.times("INVITE"),
        [0, 500, 1500, 3500, 7500, 15_500, 31_500],
        "Timer A doubles without T2"
    );
    assert_eq!(world.events, []);
    world.run_to(32_000);
    assert_eq!(world.events, [call.timeout()], "Timer B");
    assert_eq!(world.layer.counts(), (0, 0));
}

#[test]
fn nobody_answers_on_tcp() {
    let mut world = World::new();
    let call = world.call("INVITE", Transport::Tcp);
    world.run_to(40_000);
    assert_eq!(world.times("INVITE"), [0]);
    assert_eq!(world.events, [call.timeout()]);
    assert_eq!(world.layer.counts(), (0, 0));
}

#[test]
fn provisional_stops_retransmission_and_timeout() {
    let mut world = World::new();
    let call = world.call("INVITE", Transport::Udp);
    world.run_to(700);
    assert_eq!(world.answer(&call, 100), call.pass());
    assert_eq!(world.answer(&call, 180), call.pass());
    assert_eq!(
        world.answer(&call, 180),
        call.pass(),
        "the TU hears every provisional response"
    );
    world.run_to(600_000);
    assert_eq!(world.times("INVITE"), [0, 500]);
    assert_eq!((world.layer.deadline(), world.layer.counts()), (None, (0, 1)));
    assert!(
        world
            .layer
            .client_request(call.id)
            .is_some_and(|octets| octets.starts_with(b"INVITE"))
    );
}

#[test]
fn accepted_passes_every_2xx_until_timer_m() {
    let mut world = World::new();
    let call = world.call("INVITE", Transport::Tcp);
    assert_eq!(world.answer(&call, 200), call.pass());
    assert_eq!(
        world.layer.client_request(call.id),
        None,
        "nothing of it is needed any more"
    );
    world.run_to(31_999);
    assert_eq!(
        world.answer(&call, 200),
        call.pass(),
        "RFC 6026: also late, also on streams"
    );
    assert_eq!(world.answer(&call, 486), Answered::Absorbed);
    assert_eq!(world.answer(&call, 180), Answered::Absorbed);
    world.run_to(32_000);
    assert_eq!(world.answer(&call, 200), Answered::Stray);
    assert_eq!(
        (world.times("ACK").len(), world.events.len(), world.layer.counts()),
        (0, 0, (0, 0))
    );
}

#[test]
fn failure_is_acknowledged_again_and_again() {
    let mut world = World::new();
    let call = world.call("INVITE", Transport::Udp);
    world.answer(&call, 180);
    world.run_to(3000);
    assert_eq!(world.answer(&call, 486), call.pass());
    world.run_to(20_000);
    assert_eq!(world.answer(&call, 486), Answered::Absorbed);
    assert_eq!(world.answer(&call, 200), Answered::Absorbed);
    world.run_to(34_999);
    assert_eq!(world.answer(&call, 486), Answered::Absorbed);
    assert_eq!(world.times("ACK"), [3000, 20_000, 34_999]);
    world.run_to(35_000);
    assert_eq!(world.answer(&call, 486), Answered::Stray, "Timer D has fired");
    assert_eq!((world.events.len(), world.layer.counts()), (0, (0, 0)));
}

#[test]
fn failure_ends_it_at_once_on_tcp() {
    let mut world = World::new();
    let call = world.call("INVITE", Transport::Tcp);
    assert_eq!(world.answer(&call, 486), call.pass());
    assert_eq!((world.times("ACK"), world.layer.counts()), (vec![0], (0, 0)));
}

/// Section 17.1.1.3, every field.
#[test]
fn ack_text() {
    let mut world = World::new();
    let call = world.call("INVITE", Transport::Udp);
    world.answer(&call, 404);
    let expected = format!(
        "ACK sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5062;branch={}\r\nRoute: <sip:p1;lr>\r\n\
         Route: <sip:p2;lr>, <sip:p3;lr>\r\nMax-Forwards: 70\r\nFrom: A <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=peer\r\n\
         Call-ID: c\r\nCSeq: 5 ACK\r\nContent-Length: 0\r\n\r\n",
        call.branch
    );
    assert_eq!(world.last().text, expected);
    assert_eq!(
        world.last().path,
        path(Transport::Udp),
        "the ACK takes the INVITE's way"
    );
}

#[test]
fn transport_errors() {
    let mut world = World::new();
    let call = world.call("INVITE", Transport::Tcp);
    let tag = world.last().tag;
    assert_ne!(tag, 0);
    world.fail(tag);
    assert_eq!(world.events, [call.failed()]);
    world.fail(tag);
    world.fail(0);
    assert_eq!(
        (world.events.len(), world.layer.counts()),
        (1, (0, 0)),
        "a late or strange tag is nobody's"
    );
    // Completed (only UDP lingers there): the ACK fails.
    let call = world.call("INVITE", Transport::Udp);
    world.answer(&call, 500);
    world.fail(world.last().tag);
    assert_eq!(world.events.last(), Some(&call.failed()));
    assert_eq!(world.layer.counts(), (0, 0));
    // Proceeding has no such arrow.
    let call = world.call("INVITE", Transport::Tcp);
    world.answer(&call, 180);
    world.fail(world.last().tag);
    assert_eq!((world.events.len(), world.layer.counts()), (2, (0, 1)));
}
