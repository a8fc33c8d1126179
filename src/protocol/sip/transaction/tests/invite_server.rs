//! Figure 7, row by row.

use super::*;

const BRANCH: &str = "z9hG4bKphone";
const PHONE: &str = "192.0.2.9:5060";

fn invite() -> String {
    request("INVITE", BRANCH, PHONE)
}

fn ack() -> String {
    request("ACK", BRANCH, PHONE)
}

#[test]
fn proceeding_repeats_the_last_provisional() {
    let mut world = World::new();
    let id = world.accept(&invite(), Transport::Udp);
    assert_eq!(world.layer.server_request(id), Some(invite().as_bytes()));
    assert_eq!(world.receive(&invite()), Incoming::Retransmission);
    assert_eq!(world.wire.sent.len(), 0, "nothing to repeat yet");
    assert!(world.respond(id, 100) && world.respond(id, 180));
    assert_eq!(world.receive(&invite()), Incoming::Retransmission);
    assert_eq!(
        (world.times("SIP/2.0 100").len(), world.times("SIP/2.0 180").len()),
        (1, 2)
    );
    assert_eq!(world.receive(&ack()), Incoming::Ack, "for nothing that was sent");
    world.run_to(600_000);
    assert_eq!(world.layer.counts(), (1, 0));
}

#[test]
fn failure_is_repeated_until_ack_on_udp() {
    let mut world = World::new();
    let id = world.accept(&invite(), Transport::Udp);
    assert!(world.respond(id, 486));
    assert_eq!(world.layer.server_request(id), None);
    world.run_to(4000);
    assert_eq!(world.receive(&invite()), Incoming::Retransmission);
    assert!(
        !world.respond(id, 200) && !world.respond(id, 500) && !world.respond(id, 180),
        "it is final"
    );
    world.run_to(12_000);
    let sent = [0, 500, 1500, 3500, 4000, 7500, 11_500];
    assert_eq!(
        world.times("SIP/2.0 486"),
        sent,
        "Timer G up to T2, and one for the repeated INVITE"
    );
    assert_eq!(world.receive(&ack()), Incoming::AckAbsorbed);
    assert_eq!(world.receive(&ack()), Incoming::AckAbsorbed, "Confirmed");
    assert_eq!(world.receive(&invite()), Incoming::Retransmission);
    world.run_to(16_999);
    assert_eq!(
        (world.times("SIP/2.0 486").len(), world.layer.counts()),
        (sent.len(), (1, 0))
    );
    world.run_to(17_000);
    assert_eq!((world.events.len(), world.layer.counts()), (0, (0, 0)), "Timer I");
    assert_eq!(world.receive(&ack()), Incoming::Ack);
}

#[test]
fn no_ack_at_all() {
    for (transport, repeated) in [(Transport::Udp, 11), (Transport::Tcp, 1)] {
        let mut world = World::new();
        let server = world.accept(&invite(), transport);
        world.respond(server, 603);
        world.run_to(31_999);
        assert_eq!((world.times("SIP/2.0 603").len(), world.events.len()), (repeated, 0));
        world.run_to(32_000);
        assert_eq!(world.events, [Event::ServerTimeout { server, user: USER }], "Timer H");
        assert_eq!(world.layer.counts(), (0, 0));
    }
}

#[test]
fn ack_ends_it_at_once_on_tcp() {
    let mut world = World::new();
    let id = world.accept(&invite(), Transport::Tcp);
    world.respond(id, 486);
    assert_eq!(world.receive(&ack()), Incoming::AckAbsorbed);
    assert_eq!(world.layer.counts(), (0, 0), "Timer I is zero");
}

#[test]
fn accepted_absorbs_invites_and_passes_acks() {
    let mut world = World::new();
    let server = world.accept(&invite(), Transport::Udp);
    assert!(world.respond(server, 200));
    world.run_to(1000);
    assert_eq!(world.receive(&invite()), Incoming::Retransmission);
    assert_eq!(world.times("SIP/2.0 200"), [0], "the TU repeats 2xx, not the layer");
    assert!(world.respond(server, 200));
    assert_eq!(world.times("SIP/2.0 200"), [0, 1000]);
    assert!(!world.respond(server, 180) && !world.respond(server, 486));
    assert_eq!(world.receive(&ack()), Incoming::Ack);
    world.run_to(31_999);
    assert_eq!(
        (world.layer.counts(), world.layer.server_user(server)),
        ((1, 0), Some(USER))
    );
    world.run_to(32_000);
    assert_eq!(
        world.events,
        [Event::ServerTimeout { server, user: USER }],
        "Timer L, from the first 2xx"
    );
    assert_eq!((world.layer.counts(), world.respond(server, 200)), ((0, 0), false));
}

#[test]
fn transport_error_informs_and_remains() {
    let mut world = World::new();
    let server = world.accept(&invite(), Transport::Tcp);
    world.respond(server, 180);
    let tag = world.last().tag;
    world.fail(tag);
    assert_eq!(world.events, [Event::ServerFailed { server, user: USER }]);
    assert_eq!(world.layer.counts(), (1, 0), "RFC 6026 section 8.8");
    world.respond(server, 486);
    world.run_to(40_000);
    world.fail(tag);
    assert_eq!((world.events.len(), world.layer.counts()), (2, (0, 0)));
}

#[test]
fn user_and_path() {
    let mut world = World::new();
    let id = world.accept(&invite(), Transport::Udp);
    let other = User { index: 99, ..USER };
    world.layer.set_server_user(id, other);
    assert_eq!(world.layer.server_user(id), Some(other));
    assert_eq!(world.layer.server_source(id), Some(path(Transport::Udp).peer));
    assert_eq!(
        world.layer.server_path(id).map(|path| path.peer.port()),
        Some(5060),
        "sent-by's port, section 18.2.2"
    );
}

/// Section 18.2.2 and RFC 3581 section 4.
#[test]
fn where_responses_go() {
    let mut world = World::new();
    let mut reply = |branch: &str, sent_by: &str, params: &str, transport| {
        let text = request("OPTIONS", &format!("z9hG4bK{branch}{params}"), sent_by);
        let id = world.accept(&text, transport);
        world.respond(id, 200);
        world.last().path.peer.to_string()
    };
    assert_eq!(reply("a", "phone.example", "", Transport::Udp), "192.0.2.9:5060");
    assert_eq!(reply("b", "10.9.9.9:6060", "", Transport::Udp), "192.0.2.9:6060");
    assert_eq!(reply("c", "10.9.9.9:6060", ";rport", Transport::Udp), "192.0.2.9:40000");
    assert_eq!(
        reply("d", "10.9.9.9:6060", ";maddr=198.51.100.1", Transport::Udp),
        "192.0.2.9:6060"
    );
    assert_eq!(
        reply("e", "10.9.9.9:6060", ";received=198.51.100.1", Transport::Udp),
        "192.0.2.9:6060"
    );
    assert_eq!(reply("f", "10.9.9.9:6060", "", Transport::Tcp), "192.0.2.9:40000");
}
