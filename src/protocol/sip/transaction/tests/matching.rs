//! Sections 17.1.3 and 17.2.3.

use super::*;

#[test]
fn method_branch_and_sent_by_make_a_transaction() {
    let mut world = World::new();
    world.accept(&request("OPTIONS", "z9hG4bKone", "h:5060"), Transport::Udp);
    for (method, branch, sent_by, known) in [
        ("OPTIONS", "z9hG4bKone", "h:5060", true),
        ("OPTIONS", "z9hG4bKone", "H", true),
        ("OPTIONS", "z9hG4bKone", "h:5061", false),
        ("OPTIONS", "z9hG4bKone", "other:5060", false),
        ("OPTIONS", "z9hG4bKtwo", "h:5060", false),
        ("INFO", "z9hG4bKone", "h:5060", false),
        ("STRANGE", "z9hG4bKone", "h:5060", false),
    ] {
        let expected = if known { Incoming::Retransmission } else { Incoming::New };
        assert_eq!(
            world.receive(&request(method, branch, sent_by)),
            expected,
            "{method} {branch} {sent_by}"
        );
    }
    world.accept(&request("STRANGE", "z9hG4bKone", "h"), Transport::Udp);
    assert_eq!(world.receive(&request("STRANGER", "z9hG4bKone", "h")), Incoming::New);
}

#[test]
fn ack_and_cancel_find_their_invite() {
    let mut world = World::new();
    let invite = world.accept(&request("INVITE", "z9hG4bKa", "h"), Transport::Udp);
    let cancel = request("CANCEL", "z9hG4bKa", "h");
    assert_eq!(world.receive(&cancel), Incoming::Cancel { invite, user: USER });
    let own = world.accept(&cancel, Transport::Udp);
    assert!(world.respond(own, 200));
    assert_eq!(world.receive(&cancel), Incoming::Retransmission);
    assert_eq!(world.times("SIP/2.0 200").len(), 2, "the CANCEL's answer is repeated");
    assert_eq!(
        world.receive(&request("CANCEL", "z9hG4bKb", "h")),
        Incoming::CancelUnmatched
    );
    assert_eq!(
        world.receive(&request("CANCEL", "z9hG4bKa", "elsewhere")),
        Incoming::CancelUnmatched
    );
    world.respond(invite, 487);
    assert_eq!(world.receive(&request("ACK", "z9hG4bKa", "elsewhere")), Incoming::Ack);
    assert_eq!(world.receive(&request("ACK", "z9hG4bKa", "h")), Incoming::AckAbsorbed);
}

#[test]
fn rfc_2543_clients() {
    let mut world = World::new();
    let invite = request("INVITE", "old", "h");
    let id = world.accept(&invite, Transport::Udp);
    assert_eq!(world.receive(&invite), Incoming::Retransmission);
    for (from, to) in [
        ("sip:b@h SIP", "sip:c@h SIP"),
        ("tag=1", "tag=2"),
        ("CSeq: 5", "CSeq: 6"),
        ("Call-ID: c", "Call-ID: d"),
        ("UDP h", "UDP g"),
    ] {
        assert_eq!(
            world.receive(&invite.replace(from, to)),
            Incoming::New,
            "{from} -> {to}"
        );
    }
    assert_eq!(
        world.receive(&request("CANCEL", "old", "h")),
        Incoming::Cancel { invite: id, user: USER }
    );
    let text = response("old", "INVITE", 486);
    world.layer.respond(&mut world.wire, id, 486, text.as_bytes());
    let ack = request("ACK", "old", "h");
    assert_eq!(
        world.receive(&ack),
        Incoming::Ack,
        "without the response's To tag it is another's"
    );
    assert_eq!(
        world.receive(&ack.replace("To: <sip:b@h>", "To: <sip:b@h>;tag=wrong")),
        Incoming::Ack
    );
    assert_eq!(
        world.receive(&ack.replace("To: <sip:b@h>", "To: <sip:b@h>;tag=peer")),
        Incoming::AckAbsorbed
    );
    // No branch at all.
    let bare = request("OPTIONS", "gone", "h").replace(";branch=gone", "");
    world.accept(&bare, Transport::Udp);
    assert_eq!(world.receive(&bare), Incoming::Retransmission);
}

#[test]
fn responses_need_the_whole_branch_and_the_method() {
    let mut world = World::new();
    let call = world.call("INVITE", Transport::Udp);
    let mut forged = call.branch.clone();
    let last = forged.pop().expect("not empty");
    forged.push(if last == '0' { '1' } else { '0' });
    assert_eq!(
        Transactions::home(forged.as_bytes()),
        Some(SHARD),
        "right shard and slot, wrong random"
    );
    assert_eq!(world.response(&forged, "INVITE", 200), Answered::Stray);
    assert_eq!(world.response(&call.branch, "BYE", 200), Answered::Stray);
    assert_eq!(
        world.response(&call.branch, "CANCEL", 200),
        Answered::Stray,
        "nothing was cancelled"
    );
    assert_eq!(world.response("z9hG4bKother", "INVITE", 200), Answered::Stray);
    let elsewhere = call.branch.replacen("0002", "0003", 1);
    assert_eq!(Transactions::home(elsewhere.as_bytes()), Some(3));
    assert_eq!(
        world.response(&elsewhere, "INVITE", 200),
        Answered::Stray,
        "another shard's"
    );
    assert_eq!(world.answer(&call, 200), call.pass());
    let strange = world.call("STRANGE", Transport::Udp);
    assert_eq!(world.response(&strange.branch, "STRANGER", 200), Answered::Stray);
    assert_eq!(world.answer(&strange, 200), strange.pass());
}

#[test]
fn a_place_used_again_is_another_transaction() {
    let mut world = World::new();
    let first = world.call("BYE", Transport::Tcp);
    let tag = world.last().tag;
    world.answer(&first, 200);
    let second = world.call("BYE", Transport::Tcp);
    assert_eq!(
        (first.id.index, first.branch == second.branch),
        (second.id.index, false)
    );
    assert_ne!(first.id, second.id);
    assert_eq!(world.answer(&first, 200), Answered::Stray);
    world.fail(tag);
    assert_eq!((world.events.len(), world.layer.client_path(first.id)), (0, None));
    assert_eq!(world.answer(&second, 200), second.pass());
}
