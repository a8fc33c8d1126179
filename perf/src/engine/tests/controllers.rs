//! Two controllers of a third-party call and their callees; users that call again.

use super::*;
use crate::engine::twin::Cutter;

const TWIN_A: &str = include_str!("../../../../tests/wire/scenarios/twin_a.xml");
const TWIN_B: &str = include_str!("../../../../tests/wire/scenarios/twin_b.xml");
const CALLEE_A: &str = include_str!("../../../../tests/wire/scenarios/twin_a_uas.xml");
const CALLEE_B: &str = include_str!("../../../../tests/wire/scenarios/twin_b_uas.xml");

/// A controller and its callee.
struct Side {
    controller: Engine,
    callee: Engine,
    /// What the controller sends, and what its callee sends.
    wires: [Wire; 2],
    cutter: Cutter,
}

impl Side {
    fn new(controller: &str, callee: &str, calls: u64) -> Self {
        Self {
            controller: engine(controller, A, B, 100.0, calls),
            callee: engine(callee, B, A, 0.0, 0),
            wires: Default::default(),
            cutter: Cutter::default(),
        }
    }

    /// Everything due at `now`; whether a message moved.
    fn pass(&mut self, now: Time) -> bool {
        let [ours, theirs] = &mut self.wires;
        self.controller.expire(now, Wall(0), ours);
        self.callee.expire(now, Wall(0), theirs);
        let (sent, answered) = (std::mem::take(&mut ours.out), std::mem::take(&mut theirs.out));
        for octets in &sent {
            self.callee.receive(at(now), Peer::Datagram(A), octets, theirs);
        }
        for octets in &answered {
            self.controller.receive(at(now), Peer::Datagram(B), octets, ours);
        }
        !sent.is_empty() || !answered.is_empty()
    }

    /// Brings this side's commands to the twin; whether there was one.
    fn tell(&mut self, now: Time, twin: &mut Self) -> bool {
        let commands = std::mem::take(&mut self.wires[0].commands);
        for octets in &commands {
            let give = |command: &[u8]| twin.controller.command(now, Wall(0), command, &mut twin.wires[0]);
            self.cutter.feed(octets, give).expect("short");
        }
        !commands.is_empty()
    }

    fn deadline(&self) -> Option<Time> {
        self.controller
            .deadline()
            .into_iter()
            .chain(self.callee.deadline())
            .min()
    }
}

fn meet_twins(one: &mut Side, other: &mut Side) {
    let mut now = Time::ZERO;
    for _ in 0..20_000 {
        while one.pass(now) | other.pass(now) | one.tell(now, other) | other.tell(now, one) {}
        let Some(next) = one.deadline().into_iter().chain(other.deadline()).min() else {
            break;
        };
        now = next.max(now);
    }
}

#[test]
fn controllers_bring_two_callees_together() {
    let mut one = Side::new(TWIN_A, CALLEE_A, 7);
    let mut other = Side::new(TWIN_B, CALLEE_B, 0);
    meet_twins(&mut one, &mut other);
    for engine in [&one.controller, &one.callee, &other.controller, &other.callee] {
        assert_eq!(
            counts(engine),
            (7, 7, 0),
            "{:?} {:?}",
            one.wires[0].errors,
            other.wires[0].errors
        );
    }
    let commands = |engine: &Engine| -> Vec<u64> {
        let steps = engine.scenario.steps.iter().zip(&engine.stats.counters.steps);
        let own = steps.filter(|(step, _)| step.kind.is_command());
        own.map(|(_, count)| count.messages).collect()
    };
    assert_eq!(
        (commands(&one.controller), commands(&other.controller)),
        (vec![7; 3], vec![7; 3])
    );
    assert_eq!(
        (
            one.controller.stats.counters.outgoing,
            other.controller.stats.counters.outgoing
        ),
        (7, 7)
    );
    let ack = one.wires[0]
        .all
        .iter()
        .find(|text| text.starts_with("ACK "))
        .expect("sent");
    let at = ack
        .find("Content-Type: application/sdp\r\n")
        .expect("the other callee's session");
    assert!(
        ack[at..].contains("\r\n\r\nv=0\r\n") && ack.contains("s=second-callee\r\n"),
        "{ack}"
    );
    assert!(!ack[..at].contains("\r\n\r\n"), "{ack}");
}

/// The callee of B refuses: B's call fails and takes A's with it, so that nothing is left.
#[test]
fn an_unexpected_message_aborts_the_twins_call() {
    let refuses = CALLEE_B.replace("180 Ringing", "486 Busy Here");
    let mut one = Side::new(TWIN_A, CALLEE_A, 3);
    let mut other = Side::new(TWIN_B, &refuses, 0);
    meet_twins(&mut one, &mut other);
    assert_eq!(
        (counts(&one.controller), counts(&other.controller)),
        ((3, 0, 3), (3, 0, 3))
    );
    assert_eq!(
        other.controller.stats.counters.failures[Failure::Unexpected as usize],
        3
    );
    assert_eq!(one.controller.stats.counters.aborted_by_twin, 3);
    assert!(one.controller.is_idle() && other.controller.running() == 0);
}

#[test]
fn commands_that_fit_nowhere() {
    let mut wire = Wire::default();
    let mut caller = engine(TWIN_A, A, B, 100.0, 1);
    caller.expire(Time::ZERO, Wall(0), &mut wire);
    let tell = |engine: &mut Engine, text: &str, wire: &mut Wire| {
        engine.command(Time::ZERO, Wall(0), text.as_bytes(), wire);
        let counters = &engine.stats.counters;
        (
            counters.damaged,
            counters.out_of_call,
            counters.dead_call,
            counters.failed,
        )
    };
    assert_eq!(tell(&mut caller, "nothing", &mut wire), (1, 0, 0, 0));
    assert_eq!(tell(&mut caller, "Call-ID: stranger", &mut wire), (1, 1, 0, 0));
    let own = format!("Call-ID: 1-{}@127.0.0.1", std::process::id());
    assert_eq!(
        tell(&mut caller, &own, &mut wire),
        (1, 1, 0, 1),
        "it waits for an answer, not for a command"
    );
    assert_eq!(tell(&mut caller, &own, &mut wire), (1, 1, 1, 1));
    let mut called = engine(TWIN_B, A, B, 0.0, 0);
    let invite = &wire.all[0];
    called.receive(
        at(Time::ZERO),
        Peer::Datagram(B),
        invite.as_bytes(),
        &mut Wire::default(),
    );
    assert_eq!(called.stats.counters.created(), 0, "only commands begin its calls");
    tell(
        &mut called,
        "Call-ID: y\r\ninternal-cmd: abort_call\r\n\r\n",
        &mut Wire::default(),
    );
    assert_eq!(called.stats.counters.created(), 0);
}

#[test]
fn a_command_may_hold_no_end_of_a_command() {
    let xml = "<scenario><sendCmd>Call-ID: [call_id]\n[$x]</sendCmd><recvCmd/></scenario>"
        .replace("<scenario>", "<scenario><Global variables=\"x\"/>");
    let scenario = read("t", &xml, &[]).expect("good");
    let settings = Settings {
        globals: vec![("x".into(), Value::Text((*b"a\x1bb").into()))],
        ..Settings::default()
    };
    let load = Load {
        arrivals: Arrivals::new(1.0, Some(1), 0, 1, Time::ZERO),
        limit: 1,
        keep: None,
    };
    let mut caller = Engine::new(Arc::new(scenario), Arc::new(settings), load, 0, 1, Time::ZERO);
    let mut wire = Wire::default();
    caller.expire(Time::ZERO, Wall(0), &mut wire);
    assert_eq!(caller.stats.counters.failures[Failure::CommandNotSent as usize], 1);
    assert!(wire.commands.is_empty());
}

/// Each user counts its own calls; without users each call begins with nothing.
#[test]
fn variables_of_users_last_from_call_to_call() {
    let xml = r#"<scenario>
      <User variables="made"/>
      <nop><action><add assign_to="made" value="1"/></action></nop>
      <send><![CDATA[
        OPTIONS sip:[field0] SIP/2.0
        Via: SIP/2.0/UDP x;branch=[branch]
        Call-ID: [call_id]
        CSeq: 1 OPTIONS
        X-User: [userid] [$made]
      ]]></send>
      <pause milliseconds="100"/>
    </scenario>"#;
    for keep in [None, Some(2)] {
        let scenario = read("t", xml, &[]).expect("good");
        let mut file = crate::inject::File::users(5, 1, "u", "secret");
        file.order = crate::inject::Order::User;
        let settings = Settings {
            files: Arc::new(crate::inject::Files { files: vec![file] }),
            ..Settings::default()
        };
        let load = Load {
            arrivals: Arrivals::new(1e6, Some(6), 0, 1, Time::ZERO),
            limit: 100,
            keep,
        };
        let mut caller = Engine::new(Arc::new(scenario), Arc::new(settings), load, 0, 1, Time::ZERO);
        let mut wire = Wire::default();
        for millis in 0..400 {
            caller.expire(Time::from_millis(millis), Wall(0), &mut wire);
        }
        let line = |text: &String| {
            let uri = text.split(' ').nth(1).unwrap_or_default().to_owned();
            let user = text.split("X-User: ").nth(1).unwrap_or_default();
            format!("{uri} {}", user.trim().trim_end_matches(".000000"))
        };
        let seen: Vec<String> = wire.all.iter().map(line).collect();
        if keep.is_some() {
            let expected = [
                "sip:u1 1 1",
                "sip:u2 2 1",
                "sip:u1 1 2",
                "sip:u2 2 2",
                "sip:u1 1 3",
                "sip:u2 2 3",
            ];
            assert_eq!(seen, expected);
        } else {
            assert_eq!(seen.len(), 6);
            assert!(seen.iter().all(|line| line.ends_with(" 0 1")), "{seen:?}");
        }
    }
}
