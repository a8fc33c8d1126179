//! The simulator itself, with a small program that answers, hops, logs and counts.

use super::*;
use crate::program::{ConnId, Cx, ListenerId, LogFile, Program, Sender, StreamCommand, StreamEvent, Verdict, Written};
use crate::supervise::{ListenerKind, Seat};
use crate::{Buf, Slot, Target, Time};
use std::any::Any;
use std::net::SocketAddr;

struct Ping {
    seat: Seat,
    beat: Option<Time>,
    waiting: Vec<(u64, SocketAddr, Vec<u8>)>,
    pub(super) lost: u32,
}

impl Ping {
    fn new(seat: &Seat) -> Self {
        Self {
            seat: seat.clone(),
            beat: None,
            waiting: Vec::new(),
            lost: 0,
        }
    }
}

impl Program for Ping {
    type Mesh = (SocketAddr, Vec<u8>);

    fn start(&mut self, cx: &mut Cx<'_, Self::Mesh>) {
        self.beat = Some(cx.now + Duration::from_millis(20));
        let serial = 100 * cx.now.millis() + u64::from(self.seat.restart);
        cx.host.log_switch(LogFile { serial, file: None });
        cx.host.open_media(Slot(0)).expect("there is a slot");
    }

    /// Hops to the other shard, which logs and then answers.
    fn datagram(&mut self, cx: &mut Cx<'_, Self::Mesh>, _: ListenerId, from: SocketAddr, bytes: &[u8]) {
        let to = (cx.shard + 1) % cx.shards;
        if cx.host.mesh(to, (from, bytes.to_vec())).is_err() {
            self.lost += 1;
        }
    }

    fn media(&mut self, _: Time, slot: Slot, from: SocketAddr, packet: &mut [u8]) -> Verdict {
        packet[0] = packet[0].to_ascii_uppercase();
        Verdict::Relay { slot, to: from }
    }

    fn media_odd(&mut self, _: &mut Cx<'_, Self::Mesh>, _: Slot, _: SocketAddr, _: &mut [u8]) {}

    fn stream(&mut self, cx: &mut Cx<'_, Self::Mesh>, event: StreamEvent) {
        if let StreamEvent::Message {
            conn,
            listener,
            peer,
            bytes,
        } = event
        {
            let command = StreamCommand {
                conn,
                listener,
                peer,
                may_open: false,
                bytes,
                tag: 1,
                reply_to: cx.shard,
            };
            cx.host.stream(conn.shard(), command).expect("room");
        }
    }

    fn mesh(&mut self, cx: &mut Cx<'_, Self::Mesh>, from: Sender, (to, bytes): Self::Mesh) {
        if from == Sender::Ops {
            let command = StreamCommand {
                conn: ConnId::NONE,
                listener: ListenerId(1),
                peer: to,
                may_open: true,
                bytes: Buf::copy_of(&bytes),
                tag: 9,
                reply_to: cx.shard,
            };
            cx.host.stream(cx.shard, command).expect("room");
            return;
        }
        let upto = cx.out.log_with(|log| log.extend_from_slice(&bytes));
        self.waiting.push((upto, to, bytes));
    }

    fn written(&mut self, cx: &mut Cx<'_, Self::Mesh>, written: Written) {
        for (_, to, bytes) in self.waiting.extract_if(.., |(upto, ..)| *upto <= written.upto) {
            let bytes = if written.ok { bytes } else { b"lost".to_vec() };
            cx.out.datagram(Target::Listener(ListenerId(0), to), &bytes);
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.beat
    }

    fn expire(&mut self, cx: &mut Cx<'_, Self::Mesh>) {
        assert!(self.beat.is_some_and(|beat| beat <= cx.now), "never early");
        let going = cx.now < Time::from_millis(5_000);
        self.beat = going.then(|| cx.now + Duration::from_millis(20));
    }
}

/// Sends a line every 10 ms and keeps what comes back.
#[derive(Default)]
struct Caller {
    me: Option<SocketAddr>,
    sent: u64,
    got: Vec<Vec<u8>>,
    octets: Vec<u8>,
    closed: u32,
}

impl Endpoint for Caller {
    fn start(&mut self, cx: &mut EndpointCx<'_>) {
        cx.timer_at(cx.now + Duration::from_millis(10), 0);
    }

    fn datagram(&mut self, _: &mut EndpointCx<'_>, _: SocketAddr, _: SocketAddr, bytes: &[u8]) {
        self.got.push(bytes.to_vec());
    }

    fn timer(&mut self, cx: &mut EndpointCx<'_>, _: u64) {
        let me = self.me.expect("has an address");
        cx.send(me, udp(), format!("line {};", self.sent).as_bytes());
        self.sent += 1;
        if self.sent < 100 {
            cx.timer_at(cx.now + Duration::from_millis(10), 0);
        }
    }

    fn stream(&mut self, _: &mut EndpointCx<'_>, _: u64, input: StreamInput<'_>) {
        match input {
            StreamInput::Opened => {}
            StreamInput::Octets(octets) => self.octets.extend_from_slice(octets),
            StreamInput::Closed => self.closed += 1,
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

fn udp() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 5060))
}

fn phone(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, number], 5060))
}

fn lines(octets: &[u8]) -> Frame {
    match octets.iter().position(|&octet| octet == b'\n') {
        _ if octets.starts_with(b"#") => Frame::Bad { len: 1 },
        Some(end) => Frame::Message { len: end + 1 },
        None => Frame::Partial,
    }
}

fn world(seed: u64, link: Link) -> World<Ping> {
    let listener = |transport| ListenerPlan {
        transport,
        address: udp(),
    };
    let plan = WorldPlan {
        seed,
        listeners: vec![listener(ListenerKind::Datagram), listener(ListenerKind::Stream)],
        media: MediaSlice::split(&[udp().ip()], 20_000, 20_019, 2),
        framer: lines,
        link,
        ..WorldPlan::default()
    };
    World::new(plan, Ping::new)
}

fn caller(world: &mut World<Ping>, number: u8) -> EndpointId {
    world.add_endpoint(
        &[phone(number)],
        Caller {
            me: Some(phone(number)),
            ..Caller::default()
        },
    )
}

const ROUGH: Link = Link {
    delay: Duration::from_millis(1),
    jitter: Duration::from_millis(30),
    loss: 50_000,
    duplicate: 50_000,
    reorder: 200_000,
    corrupt: 0,
};

#[test]
fn the_same_seed_is_the_same_world() {
    let run = |seed| {
        let mut world = world(seed, ROUGH);
        for number in 1..6 {
            caller(&mut world, number);
        }
        world.run_until(Time::from_millis(300));
        world.crash_shard(0);
        world.run_until(Time::from_millis(600));
        world.crash_process();
        assert!(world.run_until_idle(Time::from_millis(60_000)));
        (world.trace(), world.events())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).0, run(8).0);
}

#[test]
fn a_clean_network_loses_nothing_and_the_log_has_it_all() {
    let mut world = world(3, Link::default());
    let id = caller(&mut world, 1);
    assert!(world.run_until_idle(Time::from_millis(60_000)));
    let got = world.endpoint::<Caller>(id).expect("a caller").got.clone();
    assert_eq!(got.len(), 100);
    let logged: Vec<u8> = (0..2).flat_map(|shard| world.log(shard, 0).to_vec()).collect();
    assert_eq!(logged, got.concat());
}

#[test]
fn a_rough_network_loses_doubles_and_reorders() {
    let mut world = world(3, ROUGH);
    let id = caller(&mut world, 1);
    assert!(world.run_until_idle(Time::from_millis(60_000)));
    let got = world.endpoint::<Caller>(id).expect("a caller").got.clone();
    let mut unique = got.clone();
    unique.sort();
    unique.dedup();
    assert!(
        unique.len() < 100 && unique.len() > 70,
        "some are lost: {}",
        unique.len()
    );
    assert!(got.len() > unique.len(), "some come twice");
    let numbers: Vec<u32> = got
        .iter()
        .filter_map(|line| {
            std::str::from_utf8(line)
                .ok()?
                .strip_prefix("line ")?
                .strip_suffix(';')?
                .parse()
                .ok()
        })
        .collect();
    assert!(!numbers.is_sorted(), "some overtake others");
}

#[test]
fn media_is_relayed_and_closed_slots_are_silent() {
    let mut world = world(1, Link::default());
    let id = world.add_endpoint(
        &[phone(9)],
        Caller {
            sent: 99,
            me: Some(phone(9)),
            ..Caller::default()
        },
    );
    world.with_endpoint(id, |_, cx| {
        cx.send(phone(9), SocketAddr::new(udp().ip(), 20_010), b"rtp");
        cx.send(phone(9), SocketAddr::new(udp().ip(), 20_012), b"rtp");
    });
    world.run_until(Time::from_millis(5));
    assert_eq!(world.endpoint::<Caller>(id).expect("a caller").got, [b"Rtp".to_vec()]);
}

#[test]
fn streams_keep_order_however_cut() {
    for seed in 0..20 {
        let mut world = world(seed, Link::default());
        let id = world.add_endpoint(
            &[phone(1)],
            Caller {
                sent: 99,
                me: Some(phone(1)),
                ..Caller::default()
            },
        );
        let mut conn = 0;
        world.with_endpoint(id, |_, cx| conn = cx.connect(phone(1), udp()));
        world.run_until(Time::from_millis(5));
        world.with_endpoint(id, |_, cx| {
            cx.write(conn, b"one\ntwo\nthr");
            cx.write(conn, b"ee\n");
        });
        world.run_until(Time::from_millis(100));
        assert_eq!(
            world.endpoint::<Caller>(id).expect("a caller").octets,
            b"one\ntwo\nthree\n"
        );
        world.with_endpoint(id, |_, cx| cx.write(conn, b"#"));
        world.run_until(Time::from_millis(2_000));
        let caller = world.endpoint::<Caller>(id).expect("a caller");
        assert_eq!(
            (caller.octets.ends_with(b"\n#"), caller.closed),
            (true, 1),
            "answered, then closed"
        );
    }
}

#[test]
fn shards_open_streams_and_hear_of_failure() {
    let mut world = world(1, Link::default());
    let id = world.add_endpoint(
        &[phone(1)],
        Caller {
            sent: 99,
            me: Some(phone(1)),
            ..Caller::default()
        },
    );
    world.send_mesh(0, (phone(1), b"hello\n".to_vec())).expect("room");
    world.send_mesh(0, (phone(77), b"hello\n".to_vec())).expect("room");
    world.run_until(Time::from_millis(50));
    assert_eq!(world.endpoint::<Caller>(id).expect("a caller").octets, b"hello\n");
    world.crash_process();
    world.run_until(Time::from_millis(100));
    assert_eq!(world.endpoint::<Caller>(id).expect("a caller").closed, 1);
}

#[test]
fn what_was_answered_survives_a_kill() {
    for seed in 0..30 {
        let mut world = world(seed, Link::default());
        let id = caller(&mut world, 1);
        world.run_until(Time::from_millis(300 + seed * 7));
        world.crash_process();
        let answered = world.endpoint::<Caller>(id).expect("a caller").got.clone();
        assert!(answered.len() > 20);
        let logged: Vec<u8> = (0..2).flat_map(|shard| world.log(shard, 0).to_vec()).collect();
        for line in answered {
            assert!(
                logged.windows(line.len()).any(|part| part == line),
                "{:?}",
                String::from_utf8_lossy(&line)
            );
        }
    }
}

#[test]
fn a_failing_log_is_told() {
    let mut world = world(1, Link::default());
    let id = caller(&mut world, 1);
    (0..2).for_each(|shard| world.fail_log(shard, true));
    world.run_until(Time::from_millis(100));
    (0..2).for_each(|shard| world.fail_log(shard, false));
    assert!(world.run_until_idle(Time::from_millis(60_000)));
    let got = &world.endpoint::<Caller>(id).expect("a caller").got;
    let lost = got.iter().filter(|line| *line == b"lost").count();
    assert!((5..12).contains(&lost) && got.len() == 100, "{lost} of {}", got.len());
}

#[test]
fn the_mesh_is_bounded() {
    let mut world = world(1, Link::default());
    let full = (0..5000).position(|_| world.send_mesh(1, (phone(1), Vec::new())).is_err());
    assert_eq!(full, Some(4096));
    assert_eq!(world.program(1).lost, 0);
}
