//! The world: one queue of events in virtual time.

mod endpoints;
mod event;
mod network;
mod streams;

use event::{Event, Planned};

use super::endpoint::{Endpoint, EndpointId, StreamInput};
use super::observe::{Happening, Observed, Observer};
use super::shard::{Bounds, Shard, Wish};
use super::stream::Connection;
use super::{Random, WorldPlan};
use crate::media::MediaSlice;
use crate::outbox::{Outbox, Target};
use crate::program::{ConnId, Cx, Program, Sender, ShardId};
use crate::supervise::Seat;
use crate::time::{Time, Wall};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

/// How long a companion takes to do something.
const HAND: Duration = Duration::from_micros(50);
/// A program that is late even after `expire` is called again after this.
const AGAIN: Duration = Duration::from_micros(100);

/// A deterministic world of shards and endpoints.
pub struct World<P: Program> {
    plan: WorldPlan,
    factory: Box<dyn FnMut(&Seat) -> P>,
    shards: Vec<Shard<P>>,
    bounds: Bounds,
    now: Time,
    random: Random,
    queue: BinaryHeap<Reverse<Planned<P::Mesh>>>,
    serial: u64,
    life: u32,
    endpoints: Vec<Option<Box<dyn Endpoint>>>,
    addresses: HashMap<SocketAddr, EndpointId>,
    connections: BTreeMap<ConnId, Connection>,
    next_conn: u64,
    mesh_last: HashMap<(Sender32, ShardId), Time>,
    trace: u64,
    events: u64,
    observer: Option<Observer>,
}

/// A sender as a key: shards by number, ops as -1.
type Sender32 = i32;

impl<P: Program> World<P> {
    /// Makes the programs and starts them at [`Time::ZERO`].
    pub fn new(plan: WorldPlan, factory: impl FnMut(&Seat) -> P + 'static) -> Self {
        let count = usize::from(plan.shards);
        let mut world = Self {
            random: Random::new(plan.seed),
            factory: Box::new(factory),
            shards: Vec::new(),
            bounds: Bounds {
                mesh: vec![0; count],
                mesh_capacity: plan.mesh_capacity,
                stream: vec![0; count],
                stream_capacity: plan.stream_capacity,
            },
            now: Time::ZERO,
            queue: BinaryHeap::new(),
            serial: 0,
            life: 0,
            endpoints: Vec::new(),
            addresses: HashMap::new(),
            connections: BTreeMap::new(),
            next_conn: 0,
            mesh_last: HashMap::new(),
            trace: 0xcbf2_9ce4_8422_2325,
            events: 0,
            observer: None,
            plan,
        };
        for shard in 0..world.plan.shards {
            let seat = world.seat(shard, 0);
            let slots = seat.media.as_ref().map_or(0, MediaSlice::slots);
            let program = (world.factory)(&seat);
            world.shards.push(Shard::new(program, slots));
        }
        for shard in 0..world.plan.shards {
            world.call(shard, Program::start);
        }
        world
    }

    fn seat(&self, shard: ShardId, restart: u32) -> Seat {
        Seat {
            shard,
            shards: self.plan.shards,
            restart,
            listeners: self.plan.listeners.clone(),
            media: self.plan.media.get(usize::from(shard)).cloned(),
        }
    }

    /// A shard's program, to look at.
    /// # Panics
    /// When there is no such shard.
    pub fn program(&mut self, shard: ShardId) -> &mut P {
        &mut self.shards[usize::from(shard)].program
    }

    /// Sends a mesh message as an ops thread does.
    /// # Errors
    /// Gives the message back when the queue is full.
    pub fn send_mesh(&mut self, shard: ShardId, message: P::Mesh) -> Result<(), P::Mesh> {
        match self.bounds.mesh.get_mut(usize::from(shard)) {
            Some(waiting) if *waiting < self.plan.mesh_capacity => *waiting += 1,
            _ => return Err(message),
        }
        self.plan_mesh(Sender::Ops, shard, message);
        Ok(())
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Virtual wall-clock time.
    #[must_use]
    pub fn wall(&self) -> Wall {
        Wall(self.plan.wall.0 + self.now.millis())
    }

    /// Handles the next event; false when there is none.
    pub fn step(&mut self) -> bool {
        let Some(Reverse(planned)) = self.queue.pop() else {
            return false;
        };
        self.now = planned.at;
        if planned.life.is_some_and(|life| life != self.life) {
            return true;
        }
        self.events += 1;
        self.handle(planned.event);
        true
    }

    /// Runs until virtual time `until`.
    pub fn run_until(&mut self, until: Time) {
        while self.queue.peek().is_some_and(|Reverse(planned)| planned.at <= until) {
            self.step();
        }
        self.now = self.now.max(until);
    }

    /// Runs until nothing more will happen, or until `limit`; whether it came to rest.
    pub fn run_until_idle(&mut self, limit: Time) -> bool {
        while self.queue.peek().is_some_and(|Reverse(planned)| planned.at <= limit) {
            self.step();
        }
        self.queue.is_empty()
    }

    /// Tells `observer` from now on of every datagram, crash and restart. It cannot change the run.
    pub fn observe(&mut self, observer: Box<dyn FnMut(&Observed<'_>)>) {
        self.observer = Some(observer);
    }

    fn tell(&mut self, what: Happening<'_>) {
        if let Some(observer) = &mut self.observer {
            observer(&Observed { at: self.now, what });
        }
    }

    /// The wall clock jumps by so many milliseconds; timers do not notice.
    pub fn jump_wall(&mut self, by: i64) {
        self.note(b"jump", &[by.cast_unsigned()], &[]);
        self.plan.wall = Wall(self.plan.wall.0.saturating_add_signed(by));
    }

    /// Changes the path of datagrams from now on.
    pub fn set_link(&mut self, link: super::Link) {
        self.plan.link = link;
    }

    /// Changes how long messages between shards take from now on.
    pub fn set_mesh_delay(&mut self, least: Duration, most: Duration) {
        self.plan.mesh_delay = (least, most);
    }

    /// From now on log writes of the shard fail (or succeed again).
    pub fn fail_log(&mut self, shard: ShardId, fail: bool) {
        self.shards[usize::from(shard)].journal.failing = fail;
    }

    /// Drops a shard's program and makes it again, as after a panic: sockets, connections and
    /// waiting messages stay.
    pub fn crash_shard(&mut self, shard: ShardId) {
        self.note(b"crash", &[shard.into()], &[]);
        self.tell(Happening::Crashed(shard));
        let restart = self.shards[usize::from(shard)].restart + 1;
        let seat = self.seat(shard, restart);
        let program = (self.factory)(&seat);
        let place = &mut self.shards[usize::from(shard)];
        place.restart = restart;
        place.program = program;
        place.outbox = Outbox::default();
        place.wishes.clear();
        place.journal.program_gone();
        self.call(shard, Program::start);
    }

    /// Ends all programs as `kill -9` does and makes them again; logs are kept as far as they
    /// were written, and the group in flight may be torn anywhere.
    pub fn crash_process(&mut self) {
        self.note(b"kill", &[], &[]);
        self.tell(Happening::Killed);
        self.life += 1;
        for waiting in self.bounds.mesh.iter_mut().chain(&mut self.bounds.stream) {
            *waiting = 0;
        }
        for connection in std::mem::take(&mut self.connections).into_values() {
            let (endpoint, number) = (connection.endpoint, connection.number);
            self.plan_at(self.now + HAND, None, Event::Closed { endpoint, number });
        }
        for shard in 0..self.plan.shards {
            let seat = self.seat(shard, 0);
            let program = (self.factory)(&seat);
            let place = &mut self.shards[usize::from(shard)];
            place.journal.process_gone(&mut self.random);
            let (journal, slots) = (std::mem::take(&mut place.journal), place.open.len() as u32);
            *place = Shard::new(program, slots);
            place.journal = journal;
        }
        for shard in 0..self.plan.shards {
            self.call(shard, Program::start);
        }
    }

    /// The octets of a log file as far as they are written.
    #[must_use]
    pub fn log(&self, shard: ShardId, serial: u64) -> &[u8] {
        self.shards
            .get(usize::from(shard))
            .map_or(&[], |place| place.journal.file(serial))
    }

    /// The serial numbers of a shard's log files, in the order in which they were begun.
    #[must_use]
    pub fn logs(&self, shard: ShardId) -> Vec<u64> {
        self.shards
            .get(usize::from(shard))
            .map_or(Vec::new(), |place| place.journal.serials())
    }

    /// FNV-1a over every event so far.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// How many events happened.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    fn note(&mut self, kind: &[u8], numbers: &[u64], octets: &[u8]) {
        let now = self.now.nanos().to_le_bytes();
        let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
        for octet in kind
            .iter()
            .copied()
            .chain(now)
            .chain(numbers)
            .chain(octets.iter().copied())
        {
            self.trace = (self.trace ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn plan_at(&mut self, at: Time, life: Option<u32>, event: Event<P::Mesh>) {
        self.serial += 1;
        self.queue.push(Reverse(Planned {
            at,
            serial: self.serial,
            life,
            event,
        }));
    }

    fn link_delay(&mut self) -> Duration {
        let link = self.plan.link;
        self.random.span(link.delay, link.delay + link.jitter)
    }

    /// Messages of one sender to one shard keep their order.
    fn plan_mesh(&mut self, from: Sender, to: ShardId, message: P::Mesh) {
        let key = match from {
            Sender::Shard(shard) => (i32::from(shard), to),
            Sender::Ops => (-1, to),
        };
        let (least, most) = self.plan.mesh_delay;
        let at = self.now + self.random.span(least, most);
        let last = self.mesh_last.entry(key).or_insert(at);
        *last = at.max(*last);
        let at = *last;
        self.plan_at(at, Some(self.life), Event::Mesh { to, from, message });
    }

    /// One batch of a shard: the call, then everything that it asked for.
    fn call(&mut self, shard: ShardId, call: impl FnOnce(&mut P, &mut Cx<'_, P::Mesh>)) {
        let (now, wall, shards, life) = (self.now, self.wall(), self.plan.shards, self.life);
        let Some(place) = self.shards.get_mut(usize::from(shard)) else {
            return;
        };
        place.call(now, wall, shard, shards, &mut self.bounds, call);
        place.call(now, wall, shard, shards, &mut self.bounds, |program, cx| {
            program.batch_end(cx)
        });
        let writes = place.journal.batch_end(&mut place.outbox);
        let wishes = std::mem::take(&mut place.wishes);
        let mut sends = Vec::new();
        for datagram in place.outbox.datagrams() {
            let (from, to) = match datagram.target {
                Target::Listener(id, to) => (self.plan.listeners.get(usize::from(id.0)).map(|l| l.address), to),
                Target::Media(slot, to) if place.open.get(slot.0 as usize) == Some(&true) => (
                    self.plan
                        .media
                        .get(usize::from(shard))
                        .and_then(|slice| slice.address(slot)),
                    to,
                ),
                Target::Media(_, to) => (None, to),
            };
            if let Some(from) = from {
                sends.push((from, to, place.outbox.octets(datagram).to_vec()));
            }
        }
        place.outbox.clear_datagrams();
        let deadline = place.program.deadline().map(|deadline| deadline.max(now));
        let plans = deadline.filter(|&at| at != Time::FAR && place.planned.is_none_or(|planned| at < planned));
        if let Some(at) = plans {
            place.planned = Some(at);
            self.plan_at(at, Some(life), Event::Deadline { shard });
        }
        for (from, to, bytes) in sends {
            self.route(from, to, &bytes);
        }
        for wish in wishes {
            match wish {
                Wish::Mesh(to, message) => self.plan_mesh(Sender::Shard(shard), to, message),
                Wish::Stream(via, command) => {
                    self.plan_at(now + HAND, Some(life), Event::Command { via, command });
                }
            }
        }
        if writes {
            self.plan_write(shard);
        }
    }

    fn plan_write(&mut self, shard: ShardId) {
        let (least, most) = self.plan.log_delay;
        let at = self.now + self.random.span(least, most);
        self.plan_at(at, Some(self.life), Event::Written { shard });
    }

    fn handle(&mut self, event: Event<P::Mesh>) {
        match event {
            Event::Datagram {
                from,
                to,
                bytes,
                corrupted,
            } => self.datagram(from, to, bytes, corrupted),
            Event::Timer { endpoint, tag } => {
                self.note(b"timer", &[endpoint.0.into(), tag], &[]);
                self.with_endpoint(endpoint, |endpoint, cx| endpoint.timer(cx, tag));
            }
            Event::Mesh { to, from, message } => {
                self.note(b"mesh", &[to.into()], &[]);
                if let Some(waiting) = self.bounds.mesh.get_mut(usize::from(to)) {
                    *waiting -= 1;
                }
                self.call(to, |program, cx| program.mesh(cx, from, message));
            }
            Event::Deadline { shard } => self.deadline(shard),
            Event::Written { shard } => {
                let (report, more) = self.shards[usize::from(shard)].journal.written();
                if more {
                    self.plan_write(shard);
                }
                if let Some(written) = report {
                    self.note(b"written", &[shard.into(), written.upto, written.ok.into()], &[]);
                    self.call(shard, |program, cx| program.written(cx, written));
                }
            }
            Event::Arrive {
                endpoint,
                number,
                from,
                to,
            } => self.arrive(endpoint, number, from, to),
            Event::Command { via, command } => self.command(via, command),
            Event::Stream { to, event } => {
                self.note(b"stream", &[to.into()], &[]);
                self.call(to, |program, cx| program.stream(cx, event));
            }
            Event::ToShard { conn, octets } => self.arrived(conn, &octets),
            Event::ToEndpoint {
                endpoint,
                number,
                octets,
            } => {
                self.note(b"octets", &[endpoint.0.into(), number], &octets);
                self.with_endpoint(endpoint, |e, cx| e.stream(cx, number, StreamInput::Octets(&octets)));
            }
            Event::Opened { endpoint, number } => {
                self.note(b"opened", &[endpoint.0.into(), number], &[]);
                self.with_endpoint(endpoint, |e, cx| e.stream(cx, number, StreamInput::Opened));
            }
            Event::Closed { endpoint, number } => {
                self.note(b"closed", &[endpoint.0.into(), number], &[]);
                self.with_endpoint(endpoint, |e, cx| e.stream(cx, number, StreamInput::Closed));
            }
            Event::Close { conn, by_endpoint } => self.close(conn, by_endpoint),
        }
    }

    fn deadline(&mut self, shard: ShardId) {
        let now = self.now;
        let place = &mut self.shards[usize::from(shard)];
        if place.planned.is_some_and(|planned| planned > now) {
            return; // an earlier look was planned and dealt with
        }
        place.planned = None;
        match place.program.deadline() {
            Some(deadline) if deadline <= now => {
                // Planned before the call, so that a program that stays late is called again.
                place.planned = Some(now + AGAIN);
                self.note(b"expire", &[shard.into()], &[]);
                self.call(shard, |program, cx| program.expire(cx));
                let place = &mut self.shards[usize::from(shard)];
                let next = place.program.deadline().filter(|&at| at != Time::FAR);
                place.planned = next.map(|at| at.max(now + AGAIN));
                if let Some(at) = place.planned {
                    self.plan_at(at, Some(self.life), Event::Deadline { shard });
                }
            }
            _ => self.call(shard, |_, _| ()),
        }
    }
}
