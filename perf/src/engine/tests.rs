//! Callers and callees of the engine against each other over a wire that may lose and repeat.

use super::*;
use crate::scenario::{builtin, read};
use std::collections::VecDeque;
use std::time::Duration;

mod controllers;

#[derive(Default)]
struct Wire {
    out: VecDeque<Vec<u8>>,
    all: Vec<String>,
    wishes: Vec<Wish>,
    errors: Vec<String>,
    commands: VecDeque<Vec<u8>>,
}

impl Host for Wire {
    fn send(&mut self, _: Peer, octets: &[u8], _: CallId, _: usize) {
        self.all.push(String::from_utf8_lossy(octets).into_owned());
        self.out.push_back(octets.to_vec());
    }
    fn audio_port(&mut self, audio: &mut Option<u32>) -> Option<u16> {
        *audio = Some(1);
        Some(4000)
    }
    fn audio(&mut self, _: Time, _: u32, _: AudioOrder<'_>) {}
    fn command(&mut self, octets: &[u8]) -> bool {
        self.commands.push_back(octets.to_vec());
        true
    }
    fn note(&mut self, kind: Note, _: Option<Peer>, octets: &[u8]) {
        if kind == Note::Error {
            self.errors.push(String::from_utf8_lossy(octets).into_owned());
        }
    }
    fn wish(&mut self, wish: Wish) {
        self.wishes.push(wish);
    }
}

const A: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1)), 5070);
const B: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1)), 5080);

fn engine(xml: &str, local: SocketAddr, remote: SocketAddr, rate: f64, calls: u64) -> Engine {
    let scenario = read("t", xml, &["expires".to_owned()]).unwrap_or_else(|error| panic!("{error}"));
    let settings = Settings {
        local,
        remote,
        trace: Trace {
            errors: true,
            ..Trace::default()
        },
        generic: vec![("expires".into(), "60".into())],
        files: Arc::new(crate::inject::Files {
            files: vec![crate::inject::File::users(5, 1, "u", "secret")],
        }),
        pause: Duration::from_millis(30),
        receive_timeout: Some(Duration::from_secs(60)),
        ..Settings::default()
    };
    let load = Load {
        arrivals: Arrivals::new(rate, Some(calls), 0, 1, Time::ZERO),
        limit: 1000,
        keep: None,
    };
    Engine::new(Arc::new(scenario), Arc::new(settings), load, 0, 1, Time::ZERO)
}

fn at(now: Time) -> Clock {
    Clock {
        now,
        wall: Wall(0),
        arrived: now,
    }
}

fn built_in(name: &str) -> &'static str {
    builtin::find(name).expect("a built-in scenario")
}

/// Runs both until nothing happens any more; every `lose`-th message is lost, every `repeat`-th comes twice.
fn meet(one: &mut Engine, other: &mut Engine, lose: usize, repeat: usize) -> (Wire, Wire) {
    let (mut wire, mut wires) = (0, (Wire::default(), Wire::default()));
    let mut now = Time::ZERO;
    for _ in 0..200_000 {
        one.expire(now, Wall(0), &mut wires.0);
        other.expire(now, Wall(0), &mut wires.1);
        loop {
            let mut moved = false;
            for (from_one, peer) in [(true, A), (false, B)] {
                let queue = if from_one { &mut wires.0.out } else { &mut wires.1.out };
                let Some(octets) = queue.pop_front() else { continue };
                moved = true;
                wire += 1;
                // Not every so-many-th: that could hit the same message each time.
                let drawn = (wire as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
                if lose > 0 && (drawn as usize).is_multiple_of(lose) {
                    continue;
                }
                for _ in 0..1 + usize::from(repeat > 0 && wire % repeat == 0) {
                    if from_one {
                        other.receive(at(now), Peer::Datagram(peer), &octets, &mut wires.1);
                    } else {
                        one.receive(at(now), Peer::Datagram(peer), &octets, &mut wires.0);
                    }
                }
            }
            if !moved {
                break;
            }
        }
        let Some(next) = one.deadline().into_iter().chain(other.deadline()).min() else {
            break;
        };
        now = next.max(now);
    }
    (wires.0, wires.1)
}

fn counts(engine: &Engine) -> (u64, u64, u64) {
    let counters = &engine.stats.counters;
    (counters.created(), counters.successful, counters.failed)
}

#[test]
fn caller_and_callee() {
    let mut uac = engine(built_in("uac"), A, B, 10.0, 5);
    let mut uas = engine(built_in("uas"), B, A, 0.0, 0);
    let (sent, answered) = meet(&mut uac, &mut uas, 0, 0);
    assert_eq!(counts(&uac), (5, 5, 0), "{:?}", sent.errors);
    assert_eq!(counts(&uas), (5, 5, 0), "{:?}", answered.errors);
    assert_eq!((sent.all.len(), answered.all.len()), (15, 15));
    assert!(
        uac.is_idle() && uac.deadline().is_none() && uas.deadline().is_none(),
        "nothing is left"
    );
    let invite = &sent.all[0];
    assert!(
        invite.starts_with(
            "INVITE sip:service@127.0.0.1:5080 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-"
        ),
        "{invite}"
    );
    assert!(
        invite.contains("\r\nContent-Length:   129\r\n\r\nv=0\r\n") && invite.ends_with("PCMU/8000\r\n"),
        "{invite}"
    );
    assert_eq!(uac.stats.times.setup.len(), 5);
    assert_eq!(uac.stats.counters.rtd[0].count, 5);
    let ack = sent.all.iter().find(|text| text.starts_with("ACK ")).expect("an ACK");
    assert!(ack.contains("service@127.0.0.1:5080>;tag="), "{ack}");
}

#[test]
fn losses_and_copies_are_mended() {
    for (lose, repeat) in [(7, 0), (5, 3), (0, 2), (3, 0)] {
        let mut uac = engine(built_in("uac"), A, B, 100.0, 40);
        let mut uas = engine(built_in("uas"), B, A, 0.0, 0);
        let (sent, answered) = meet(&mut uac, &mut uas, lose, repeat);
        assert_eq!(
            counts(&uac),
            (40, 40, 0),
            "lose {lose} repeat {repeat} {:?}",
            sent.errors
        );
        assert_eq!(counts(&uas).2, 0, "lose {lose} repeat {repeat} {:?}", answered.errors);
        assert!(lose == 0 || uac.stats.counters.retransmissions > 0);
    }
}

#[test]
fn nobody_answers() {
    let mut uac = engine(built_in("uac"), A, B, 100.0, 3);
    let mut deaf = engine("<scenario><recv request=\"NOTHING\"/></scenario>", B, A, 0.0, 0);
    deaf.stop(true, Time::ZERO, Wall(0), &mut Wire::default());
    let (sent, _) = meet(&mut uac, &mut deaf, 0, 0);
    assert_eq!(counts(&uac), (3, 0, 3));
    assert_eq!(uac.stats.counters.failures[Failure::MaxRetrans as usize], 3);
    // 1 + 5 repeats each, as SIPp.
    assert_eq!(sent.all.len(), 18);
    assert!(uac.is_idle() && uac.deadline().is_none());
}

#[test]
fn scenarios_with_branches_and_patterns() {
    let mut uac = engine(built_in("regexp"), A, B, 10.0, 2);
    let mut uas = engine(built_in("uas"), B, A, 0.0, 0);
    let (sent, _) = meet(&mut uac, &mut uas, 0, 0);
    assert_eq!(counts(&uac), (2, 2, 0), "{:?}", sent.errors);
    let ack = sent.all.iter().find(|text| text.starts_with("ACK ")).expect("an ACK");
    assert!(
        ack.contains("retrievedIp: 127.0.0.1:5070\r\n") && ack.contains("retrievedSdpOrigin-session-id:53655765\r\n"),
        "{ack}"
    );
    let mut caller = engine(built_in("branchc"), A, B, 10.0, 30);
    let mut callee = engine(built_in("branchs"), B, A, 0.0, 0);
    let (sent, answered) = meet(&mut caller, &mut callee, 0, 0);
    assert_eq!(counts(&caller), (30, 30, 0), "{:?}", sent.errors);
    assert_eq!(counts(&callee), (30, 30, 0), "{:?}", answered.errors);
    assert_eq!(
        sent.all.iter().filter(|text| text.starts_with("ACK ")).count(),
        11,
        "From ua2, ua20 to ua29"
    );
}

#[test]
fn registration_answers_challenges() {
    let registrar = r#"<scenario name="r">
      <recv request="REGISTER"/>
      <send><![CDATA[
        SIP/2.0 401 Unauthorized
        [last_Via:]
        [last_From:]
        [last_To:];tag=x
        [last_Call-ID:]
        [last_CSeq:]
        WWW-Authenticate: Digest realm="campus", nonce="abc", algorithm=SHA-256, qop="auth"
        Content-Length: 0
      ]]></send>
      <recv request="REGISTER"><action>
        <verifyauth assign_to="good" username="u[call_number]" password="secret"/>
        <test assign_to="2" variable="good" compare="equal" value="1" check_it="true"/>
      </action></recv>
      <send><![CDATA[
        SIP/2.0 200 OK
        [last_Via:]
        [last_From:]
        [last_To:];tag=x
        [last_Call-ID:]
        [last_CSeq:]
        Content-Length: 0
      ]]></send>
    </scenario>"#;
    let mut phones = engine(built_in("register"), A, B, 100.0, 5);
    let mut registrar = engine(registrar, B, A, 0.0, 0);
    let (sent, answered) = meet(&mut phones, &mut registrar, 0, 0);
    assert_eq!(counts(&phones), (5, 5, 0), "{:?} {:?}", sent.errors, answered.errors);
    assert_eq!(counts(&registrar), (5, 5, 0), "{:?}", answered.errors);
    assert_eq!(phones.stats.times.register.len(), 5);
    assert!(
        sent.all[1].contains("nc=00000001") && sent.all[1].contains("Expires: 60\r\n"),
        "{}",
        sent.all[1]
    );
}

/// Stops at a step of a call: the target keeps nothing.
#[test]
fn the_end_hangs_up() {
    for pause_ms in [0u64, 600] {
        let mut uac = engine(built_in("uac"), A, B, 1000.0, 1);
        let mut wire = Wire::default();
        uac.expire(Time::ZERO, Wall(0), &mut wire);
        let invite = wire.all[0].clone();
        let field = |name: &str| {
            let line = invite.lines().find(|line| line.starts_with(name)).expect("the header");
            format!("{line}\r\n")
        };
        let answer = |status: &str, method: &str| {
            format!(
                "SIP/2.0 {status}\r\n{}{}To: <sip:b>;tag=9\r\n{}CSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n",
                field("Via"),
                field("From"),
                field("Call-ID")
            )
        };
        let now = Time::from_millis(pause_ms);
        let ring = answer("180 Ringing", "INVITE");
        if pause_ms == 0 {
            // Before any answer: CANCEL has to wait for one.
            uac.stop(true, now, Wall(0), &mut wire);
            assert_eq!(wire.all.len(), 1);
            uac.receive(at(now), Peer::Datagram(B), ring.as_bytes(), &mut wire);
        } else {
            uac.receive(at(now), Peer::Datagram(B), ring.as_bytes(), &mut wire);
            uac.stop(true, now, Wall(0), &mut wire);
        }
        let cancel = wire.all.last().expect("sent").clone();
        assert!(
            cancel.starts_with("CANCEL sip:service@127.0.0.1:5080 SIP/2.0\r\n")
                && cancel.contains("CSeq: 1 CANCEL\r\n"),
            "{cancel}"
        );
        assert!(cancel.contains(&field("Via")), "the INVITE's branch: {cancel}");
        uac.receive(
            at(now),
            Peer::Datagram(B),
            answer("200 OK", "CANCEL").as_bytes(),
            &mut wire,
        );
        uac.receive(
            at(now),
            Peer::Datagram(B),
            answer("487 Terminated", "INVITE").as_bytes(),
            &mut wire,
        );
        let ack = wire.all.last().expect("sent");
        assert!(
            ack.starts_with("ACK ") && ack.contains(";tag=9") && ack.contains(&field("Via")),
            "{ack}"
        );
        assert_eq!(uac.stats.counters.stopped, 1);
        assert_eq!(uac.running(), 0);
    }
}

#[test]
fn an_unexpected_failure_is_acknowledged_and_counted() {
    let busy = r#"<scenario name="busy"><recv request="INVITE"/><send retrans="500"><![CDATA[
        SIP/2.0 486 Busy Here
        [last_Via:]
        [last_From:]
        [last_To:];tag=x
        [last_Call-ID:]
        [last_CSeq:]
        Content-Length: 0
      ]]></send><recv request="ACK"/></scenario>"#;
    let mut uac = engine(built_in("uac"), A, B, 100.0, 4);
    let mut uas = engine(busy, B, A, 0.0, 0);
    let (_, answered) = meet(&mut uac, &mut uas, 0, 0);
    assert_eq!(counts(&uac), (4, 0, 4));
    assert_eq!(uac.stats.counters.failures[Failure::Unexpected as usize], 4);
    assert_eq!(counts(&uas), (4, 4, 0), "{:?}", answered.errors);
}

#[test]
fn a_call_without_a_wait_ends() {
    let xml = "<scenario><send>\nOPTIONS sip:a SIP/2.0\nCall-ID: [call_id]\n</send><label id=\"1\"/><nop next=\"1\"/></scenario>";
    let mut uac = engine(xml, A, B, 100.0, 1);
    uac.expire(Time::ZERO, Wall(0), &mut Wire::default());
    assert_eq!(counts(&uac), (1, 0, 1));
}

#[test]
fn waits_end_and_lead_on() {
    let xml = r#"<scenario><send>
OPTIONS sip:a SIP/2.0
Call-ID: [call_id]
CSeq: [cseq] OPTIONS
</send><recv response="200" timeout="100" ontimeout="late"/><label id="late"/><send>
OPTIONS sip:b SIP/2.0
Call-ID: [call_id]
CSeq: [cseq] OPTIONS
</send><recv response="200" timeout="50"/></scenario>"#;
    let mut uac = engine(xml, A, B, 100.0, 1);
    let mut wire = Wire::default();
    for millis in 0..300 {
        uac.expire(Time::from_millis(millis), Wall(0), &mut wire);
    }
    assert_eq!(counts(&uac), (1, 0, 1));
    assert!(wire.all[1].contains("CSeq: 2 OPTIONS"), "{}", wire.all[1]);
    assert_eq!(uac.stats.counters.failures[Failure::ReceiveTimeout as usize], 1);
    assert_eq!(uac.stats.counters.steps[1].timeouts, 1);
}

mod hostile {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..Default::default() })]

        /// Answers with octets changed, cut and doubled never panic, and every call comes to an end.
        #[test]
        fn octets_of_any_kind(changes in prop::collection::vec((any::<u16>(), any::<u8>(), any::<u8>()), 1..60)) {
            let mut uac = engine(built_in("regexp"), A, B, 100.0, 3);
            let mut uas = engine(built_in("uas"), B, A, 0.0, 0);
            let (mut to_uac, mut to_uas) = (Wire::default(), Wire::default());
            let mut now = Time::ZERO;
            let mut changes = changes.into_iter().cycle();
            for _ in 0..2_000 {
                uac.expire(now, Wall(0), &mut to_uas);
                uas.expire(now, Wall(0), &mut to_uac);
                for side in 0..2 {
                    for _ in 0..1000 {
                        let queue = if side == 0 { &mut to_uas.out } else { &mut to_uac.out };
                        let Some(mut octets) = queue.pop_front() else { break };
                        let (place_of, what, how) = changes.next().expect("endless");
                        let length = octets.len();
                        let place = usize::from(place_of) % length;
                        match how % 8 {
                            0 => octets[place] = what,
                            1 => octets.truncate(place),
                            2 => octets.extend_from_slice(&octets.clone()[place..]),
                            _ => {}
                        }
                        if side == 0 {
                            uas.receive(at(now), Peer::Datagram(A), &octets, &mut to_uac);
                        } else {
                            uac.receive(at(now), Peer::Datagram(B), &octets, &mut to_uas);
                        }
                    }
                }
                let Some(next) = uac.deadline().into_iter().chain(uas.deadline()).min() else { break };
                now = next.max(now);
            }
            prop_assert!(uac.is_idle(), "running {}", uac.running());
        }
    }
}

/// Record-Route that is not there leaves no empty line, which would end the head.
#[test]
fn headers_that_are_not_there_leave_nothing() {
    let mut uac = engine(built_in("uac_audio"), A, B, 100.0, 2);
    let mut uas = engine(built_in("uas_audio"), B, A, 0.0, 0);
    let (sent, answered) = meet(&mut uac, &mut uas, 0, 0);
    assert_eq!(counts(&uac), (2, 2, 0), "{:?}", sent.errors);
    assert_eq!(counts(&uas), (2, 2, 0), "{:?}", answered.errors);
    for text in sent.all.iter().chain(&answered.all) {
        let head = text.split("\r\n\r\n").next().expect("a head");
        assert!(head.contains("\r\nCall-ID: ") && head.contains("\r\nCSeq: "), "{text}");
    }
}
