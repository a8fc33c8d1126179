//! CANCEL, section 9.1.

use super::*;

/// Cancels with a Reason.
fn cancel(world: &mut World, call: &Call) {
    world.layer.cancel(&mut world.wire, call.id, Some(b"SIP;cause=200"));
}

#[test]
fn waits_for_a_provisional() {
    let mut world = World::new();
    let call = world.call("INVITE", Transport::Udp);
    cancel(&mut world, &call);
    world.run_to(1600);
    assert_eq!(
        (world.times("CANCEL").len(), world.times("INVITE")),
        (0, vec![0, 500, 1500])
    );
    assert_eq!(world.answer(&call, 100), call.pass());
    assert_eq!(world.times("CANCEL"), [1600]);
    assert_eq!(world.response(&call.branch, "CANCEL", 200), Answered::Absorbed);
    assert_eq!(world.answer(&call, 487), call.pass());
    world.run_to(60_000);
    assert_eq!((world.times("CANCEL").len(), world.times("ACK").len()), (1, 1));
    assert_eq!((world.events.len(), world.layer.counts()), (0, (0, 0)));
}

#[test]
fn text_repetition_and_giving_up() {
    let mut world = World::new();
    let call = world.call("INVITE", Transport::Udp);
    world.answer(&call, 180);
    world.run_to(10_000);
    cancel(&mut world, &call);
    cancel(&mut world, &call);
    let expected = format!(
        "CANCEL sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5062;branch={}\r\nRoute: <sip:p1;lr>\r\n\
         Route: <sip:p2;lr>, <sip:p3;lr>\r\nMax-Forwards: 70\r\nFrom: A <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n\
         Call-ID: c\r\nCSeq: 5 CANCEL\r\nReason: SIP;cause=200\r\nContent-Length: 0\r\n\r\n",
        call.branch
    );
    assert_eq!(world.last().text, expected);
    world.run_to(14_000);
    assert_eq!(
        world.times("CANCEL"),
        [10_000, 10_500, 11_500, 13_500],
        "a transaction of its own"
    );
    assert_eq!(world.response(&call.branch, "CANCEL", 200), Answered::Absorbed);
    assert_eq!(world.answer(&call, 180), call.pass());
    world.run_to(41_999);
    assert_eq!((world.times("CANCEL").len(), world.events.len()), (4, 0));
    world.run_to(42_000);
    assert_eq!(world.events, [call.timeout()], "64*T1 after the CANCEL");
    world.run_to(100_000);
    assert_eq!((world.events.len(), world.layer.counts()), (1, (0, 0)));
}

#[test]
fn crosses_with_200() {
    let mut world = World::new();
    let call = world.call("INVITE", Transport::Udp);
    world.answer(&call, 180);
    cancel(&mut world, &call);
    assert_eq!(world.answer(&call, 200), call.pass(), "the TU must end that call");
    assert_eq!(world.response(&call.branch, "CANCEL", 481), Answered::Absorbed);
    world.run_to(100_000);
    assert_eq!((world.events.len(), world.layer.counts()), (0, (0, 0)));
}

#[test]
fn not_after_a_final_response() {
    let mut world = World::new();
    let early = world.call("INVITE", Transport::Udp);
    cancel(&mut world, &early);
    assert_eq!(world.layer.counts(), (0, 2));
    assert_eq!(world.answer(&early, 404), early.pass());
    assert_eq!(world.layer.counts(), (0, 1), "the held CANCEL is gone");
    cancel(&mut world, &early);
    let answered = world.call("INVITE", Transport::Udp);
    world.answer(&answered, 200);
    cancel(&mut world, &answered);
    let bye = world.call("BYE", Transport::Udp);
    cancel(&mut world, &bye);
    world.answer(&bye, 200);
    world.run_to(100_000);
    assert_eq!((world.times("CANCEL").len(), world.layer.counts()), (0, (0, 0)));
}

#[test]
fn held_while_nobody_answers() {
    let mut world = World::new();
    let call = world.call("INVITE", Transport::Udp);
    cancel(&mut world, &call);
    world.run_to(32_000);
    assert_eq!(
        (&world.events[..], world.layer.counts()),
        (&[call.timeout()][..], (0, 0))
    );
    let call = world.call("INVITE", Transport::Tcp);
    cancel(&mut world, &call);
    world.fail(world.last().tag);
    assert_eq!(
        (world.events.last(), world.layer.counts()),
        (Some(&call.failed()), (0, 0))
    );
}

/// On streams the INVITE is over at its 487; a later answer to the CANCEL is still known.
#[test]
fn answered_after_the_invite() {
    let mut world = World::new();
    let call = world.call("INVITE", Transport::Tcp);
    world.answer(&call, 180);
    cancel(&mut world, &call);
    assert_eq!(world.answer(&call, 487), call.pass());
    assert_eq!(world.answer(&call, 487), Answered::Stray);
    assert_eq!(world.response(&call.branch, "CANCEL", 200), Answered::Absorbed);
    assert_eq!(world.layer.counts(), (0, 0));
    // And one that fails is nobody's event.
    let call = world.call("INVITE", Transport::Tcp);
    world.answer(&call, 180);
    cancel(&mut world, &call);
    world.fail(world.last().tag);
    assert_eq!((world.events.len(), world.layer.counts()), (0, (0, 1)));
    world.run_to(32_000);
    assert_eq!(
        (&world.events[..], world.layer.counts()),
        (&[call.timeout()][..], (0, 0))
    );
}
