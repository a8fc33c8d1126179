//! Engines on the shards' runtime: sockets, streams, media ports, and how the main thread reaches them.

mod desk;
mod ends;
mod figures;
mod twin;

pub use desk::{AudioFigures, AudioPlan, Clips, TICK_MS};
pub use figures::{Figures, RoleFigures};
pub use twin::{Link, RunningLink};

use crate::engine::message::Incoming;
use crate::engine::{CallId, Clock, Engine, Note, Peer, Wish};
use desk::Desk;
use ends::Ends;
use shards::{Buf, Cx, ListenerId, Program, Sender, Slot, StreamEvent, Time, Verdict, Written};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

/// What the main thread, or another shard, wants.
#[derive(Debug)]
pub enum Order {
    /// A message for a call that lives on this shard.
    Message(usize, Peer, Time, Buf),
    /// A command of the twin, for the first role.
    Command(Vec<u8>),
    /// All figures; times and audio start anew.
    Figures(SyncSender<Box<Figures>>),
    /// No new calls; those that run are hung up when `true`.
    Stop(bool),
    /// Another rate of calls in the whole run.
    Rate(usize, f64),
    /// Calls at this rate, so many in the whole run, so many at once on this shard.
    Begin(usize, f64, Option<u64>, u64),
    /// No more calls by schedule, those that run are hung up; another [`Order::Begin`] may follow.
    EndCalls(usize),
}

/// What the main thread looks at without asking.
#[derive(Debug, Default)]
pub struct Lights {
    /// Calls that run, by role.
    pub running: Vec<AtomicU64>,
    /// Calls that are over, by role.
    pub ended: Vec<AtomicU64>,
    /// Nothing more will happen.
    pub idle: AtomicBool,
    /// A call wants the run to end: 1 with the calls that run, 2 now.
    pub wish: AtomicU64,
}

impl Lights {
    /// For so many roles.
    #[must_use]
    pub fn new(roles: usize) -> Self {
        Self {
            running: (0..roles).map(|_| AtomicU64::new(0)).collect(),
            ended: (0..roles).map(|_| AtomicU64::new(0)).collect(),
            ..Self::default()
        }
    }
}

/// A line for a trace file.
#[derive(Debug)]
pub struct NoteLine {
    /// Which trace.
    pub kind: Note,
    /// Wall clock, nanoseconds.
    pub at: u64,
    /// The other end.
    pub peer: Option<Peer>,
    /// What.
    pub octets: Vec<u8>,
}

/// One scenario with its sockets.
pub struct Role {
    /// What it does.
    pub engine: Engine,
    /// Its UDP listeners: calls take them in turn.
    pub datagrams: Vec<ListenerId>,
    /// Its TCP listener.
    pub stream: Option<ListenerId>,
    /// Its port is its own on every shard.
    pub own_port: bool,
}

/// Where a shard's lines and commands go; `None` when nobody wants them.
#[derive(Clone, Debug, Default)]
pub struct Outlets {
    /// For trace files.
    pub notes: Option<SyncSender<NoteLine>>,
    /// For the twin of third-party call control.
    pub commands: Option<SyncSender<Vec<u8>>>,
}

/// What one shard of the generator runs.
pub struct Rig {
    roles: Vec<Role>,
    desk: Desk,
    lights: Arc<Lights>,
    outlets: Outlets,
    wish: Option<Wish>,
}

impl Rig {
    /// A shard's program.
    #[must_use]
    pub fn new(roles: Vec<Role>, audio: AudioPlan, lights: Arc<Lights>, outlets: Outlets) -> Self {
        Self {
            roles,
            desk: Desk::new(audio),
            lights,
            outlets,
            wish: None,
        }
    }

    /// Calls one role with everything that it may reach.
    fn with<R>(
        &mut self,
        role: usize,
        cx: &mut Cx<'_, Order>,
        call: impl FnOnce(&mut Engine, &mut Ends<'_, '_>) -> R,
    ) -> Option<R> {
        let Self {
            roles,
            desk,
            outlets,
            wish,
            ..
        } = self;
        let place = roles.get_mut(role)?;
        let mut ends = Ends {
            cx,
            desk,
            outlets,
            wish,
            role,
            datagrams: &place.datagrams,
            stream: place.stream,
        };
        Some(call(&mut place.engine, &mut ends))
    }

    fn message(&mut self, role: usize, cx: &mut Cx<'_, Order>, peer: Peer, arrived: Time, octets: &[u8]) {
        let Some(place) = self.roles.get(role) else { return };
        if cx.shards > 1 && !place.own_port {
            let home = Incoming::read(octets).and_then(|incoming| place.engine.home(incoming.call_id));
            if let Some(home) = home.filter(|home| *home != cx.shard) {
                // A full queue sheds it: it is counted by the runtime, and sent again by the other end.
                let _ = cx
                    .host
                    .mesh(home, Order::Message(role, peer, arrived, Buf::copy_of(octets)));
                return;
            }
        }
        self.deliver(role, cx, peer, arrived, octets);
    }

    fn deliver(&mut self, role: usize, cx: &mut Cx<'_, Order>, peer: Peer, arrived: Time, octets: &[u8]) {
        let clock = Clock {
            now: cx.now,
            wall: cx.wall,
            arrived,
        };
        self.with(role, cx, |engine, ends| engine.receive(clock, peer, octets, ends));
    }

    fn role_of(&self, listener: ListenerId) -> Option<usize> {
        self.roles
            .iter()
            .position(|role| role.datagrams.contains(&listener) || role.stream == Some(listener))
    }

    fn figures(&mut self) -> Box<Figures> {
        let roles = self.roles.iter_mut().map(|role| RoleFigures {
            counters: role.engine.stats.counters.clone(),
            times: std::mem::take(&mut role.engine.stats.times),
        });
        Box::new(Figures {
            roles: roles.collect(),
            audio: self.desk.take_figures(),
        })
    }
}

impl Program for Rig {
    type Mesh = Order;

    fn start(&mut self, cx: &mut Cx<'_, Order>) {
        self.expire(cx);
    }

    fn datagram(&mut self, cx: &mut Cx<'_, Order>, listener: ListenerId, from: SocketAddr, bytes: &[u8]) {
        let now = cx.now;
        self.datagram_at(cx, listener, from, now, bytes);
    }

    fn datagram_at(
        &mut self,
        cx: &mut Cx<'_, Order>,
        listener: ListenerId,
        from: SocketAddr,
        arrived: Time,
        bytes: &[u8],
    ) {
        // Keep-alives of NAT (RFC 5626 section 3.5.1).
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        if let Some(role) = self.role_of(listener) {
            self.message(role, cx, Peer::Datagram(from), arrived, bytes);
        }
    }

    fn media(&mut self, now: Time, slot: Slot, from: SocketAddr, packet: &mut [u8]) -> Verdict {
        self.media_at(now, slot, from, None, packet)
    }

    fn media_at(&mut self, _: Time, slot: Slot, from: SocketAddr, arrived: Option<u64>, packet: &mut [u8]) -> Verdict {
        self.desk.heard(slot, from, arrived, packet)
    }

    fn media_odd(&mut self, _: &mut Cx<'_, Order>, _: Slot, _: SocketAddr, _: &mut [u8]) {}

    fn stream(&mut self, cx: &mut Cx<'_, Order>, event: StreamEvent) {
        let (now, wall) = (cx.now, cx.wall);
        match event {
            StreamEvent::Message {
                conn,
                listener,
                peer,
                bytes,
            } => {
                if let Some(role) = self.role_of(listener) {
                    self.message(role, cx, Peer::Stream(conn, peer), now, &bytes);
                }
            }
            StreamEvent::Opened { .. } => {}
            StreamEvent::Closed { conn } => {
                for role in 0..self.roles.len() {
                    self.with(role, cx, |engine, ends| engine.disconnected(conn, now, wall, ends));
                }
            }
            StreamEvent::Failed { tag, .. } => {
                let role = (tag >> 60) as usize;
                let call = CallId::from_bits(tag);
                self.with(role, cx, |engine, ends| engine.not_connected(call, now, wall, ends));
            }
        }
    }

    fn mesh(&mut self, cx: &mut Cx<'_, Order>, _: Sender, order: Order) {
        let (now, wall) = (cx.now, cx.wall);
        match order {
            Order::Message(role, peer, arrived, bytes) => self.deliver(role, cx, peer, arrived, &bytes),
            Order::Command(octets) => {
                self.with(0, cx, |engine, ends| engine.command(now, wall, &octets, ends));
            }
            Order::Figures(to) => {
                // The main thread may have given up waiting.
                let _ = to.try_send(self.figures());
            }
            Order::Stop(at_once) => {
                for role in 0..self.roles.len() {
                    self.with(role, cx, |engine, ends| engine.stop(at_once, now, wall, ends));
                }
            }
            Order::Rate(role, rate) => {
                self.with(role, cx, |engine, _| engine.arrivals().set_rate(now, rate));
            }
            Order::Begin(role, rate, most, limit) => {
                self.with(role, cx, |engine, _| {
                    engine.set_limit(limit);
                    engine.arrivals().restart(now, rate, most);
                });
            }
            Order::EndCalls(role) => {
                self.with(role, cx, |engine, ends| engine.end_calls(now, wall, ends));
            }
        }
    }

    fn written(&mut self, _: &mut Cx<'_, Order>, _: Written) {}

    fn deadline(&self) -> Option<Time> {
        let engines = self.roles.iter().filter_map(|role| role.engine.deadline());
        engines.chain(self.desk.deadline()).min()
    }

    fn expire(&mut self, cx: &mut Cx<'_, Order>) {
        let (now, wall) = (cx.now, cx.wall);
        self.desk.play(now, cx.out);
        for role in 0..self.roles.len() {
            self.with(role, cx, |engine, ends| engine.expire(now, wall, ends));
        }
    }

    fn batch_end(&mut self, cx: &mut Cx<'_, Order>) {
        self.desk.point(cx.host);
        let lights = &self.lights;
        let mut idle = self.desk.is_idle();
        for (role, place) in self.roles.iter().enumerate() {
            let counters = &place.engine.stats.counters;
            lights.running[role].store(place.engine.running(), Ordering::Relaxed);
            let ended = counters.successful + counters.failed + counters.stopped;
            lights.ended[role].store(ended, Ordering::Relaxed);
            idle &= place.engine.is_idle();
        }
        lights.idle.store(idle, Ordering::Relaxed);
        if let Some(wish) = self.wish.take() {
            lights
                .wish
                .fetch_max(1 + u64::from(wish == Wish::StopNow), Ordering::Relaxed);
        }
    }
}
