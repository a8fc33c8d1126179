//! The loop of a packet thread: one turn takes a batch of completions, the mesh, the timers,
//! and hands everything that the program wants out to the kernel in one call.
#![allow(unsafe_code)]

use super::BATCH;
use super::core::Core;
use super::links::{Back, Links};
use super::pace::{Pace, Wait};
use super::receive::Receiver;
use super::ring::Kind;
use crate::media::Slot;
use crate::mesh::Inbox;
use crate::outbox::Outbox;
use crate::program::{Cx, ListenerId, Program, Verdict};
use crate::supervise::LaunchError;
use crate::sys;
use crate::time::{Time, Wall};
use crate::xdp::{Gate, Lane};
use io_uring::cqueue;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Mesh messages handled in one turn.
const MESSAGES: usize = 256;
/// Stream events handled in one turn.
const EVENTS: usize = 128;
/// Ended receives started again in one turn, at least.
const LEAST_STARTED: usize = 32;
/// How often CPU time is read.
const ACCOUNT: Duration = Duration::from_millis(100);
/// How long the log may take to be written at the end.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// Tells packet threads to end.
pub(crate) type Stop = Arc<AtomicBool>;

/// Everything of a packet thread but the program.
pub(crate) struct PacketThread<M> {
    pub(super) core: Core,
    pub(super) receiver: Receiver,
    links: Links<M>,
    outbox: Outbox,
    pace: Pace,
    epoch: Instant,
    pub(super) now: Time,
    wall: Wall,
    wall_nanos: u64,
    account_at: Time,
    cpu: Duration,
    stop: Stop,
    /// The last batch did not take every completion.
    unfinished: bool,
    /// Receives that ended and have to be started again.
    ended: VecDeque<(Kind, u32)>,
    /// The monotonic clock at `epoch`.
    epoch_nanos: u64,
    /// Room for an odd packet.
    pub(super) odd: Vec<u8>,
}

impl<M: Send + 'static> PacketThread<M> {
    pub(crate) fn new(
        plan: &crate::supervise::Plan,
        slice: Option<crate::media::MediaSlice>,
        listeners: &[Option<Arc<std::os::fd::OwnedFd>>],
        links: Links<M>,
        epoch: Instant,
        stop: Stop,
        gates: &[Arc<Gate>],
    ) -> Result<Self, LaunchError> {
        let outbox = Outbox::default();
        let bell = links.inboxes[usize::from(links.shard)].mailbox().bell().descriptor();
        let place = (links.shard, gates);
        let mut core = Core::new(plan, slice, listeners, bell, links.stats.clone(), &outbox, place)?;
        let (signal, media) = core.receives();
        let receiver = Receiver::new(plan, &core.ring, signal, media, links.stats.clone())?;
        core.arm_all()?;
        let most = u32::from(plan.media_buffers.min(plan.signal_buffers)) / 2;
        let may_gather = core.ring.features.min_wait;
        let mut thread = Self {
            core,
            receiver,
            links,
            outbox,
            pace: Pace::new(Time::ZERO, most.min(BATCH as u32), may_gather).punctual(plan.punctual),
            epoch,
            now: Time::ZERO,
            wall: Wall(0),
            wall_nanos: 0,
            account_at: Time::ZERO,
            cpu: sys::thread_cpu(),
            stop,
            unfinished: false,
            ended: VecDeque::new(),
            epoch_nanos: sys::monotonic_nanos().saturating_sub(epoch.elapsed().as_nanos() as u64),
            odd: Vec::new(),
        };
        thread.read_clocks();
        thread.account_at = thread.now;
        Ok(thread)
    }

    /// The media ports that can be had.
    pub(crate) fn slice(&self) -> Option<&crate::media::MediaSlice> {
        self.core.slice.as_ref()
    }

    /// Which kernel path is active.
    pub(crate) fn describe(&self) -> &[String] {
        &self.core.describe
    }

    /// Takes the place of a program that panicked away, keeps the sockets.
    pub(crate) fn restart(&mut self) {
        self.receiver.done();
        self.hand_over();
        self.outbox = Outbox::default();
        self.core.log.restart(&self.outbox);
    }

    /// Sees to it that everything queued is handed over, and takes back what the sends used.
    fn hand_over(&mut self) {
        if !self.core.ring.is_handed_over() {
            self.core.ring.hand_over();
        }
        self.receiver.handed_over();
        for lane in &mut self.core.lanes {
            lane.handed_over();
        }
    }

    fn read_clocks(&mut self) {
        let nanos = u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.now = Time::from_nanos(nanos);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.wall_nanos = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
        self.wall = Wall(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
    }

    /// Nanoseconds of the wall clock for those of the monotonic one, by what both were in this turn.
    pub(super) fn wall_of(&self, monotonic: u64) -> u64 {
        let now = self.epoch_nanos.wrapping_add(self.now.nanos());
        self.wall_nanos.wrapping_add(monotonic).wrapping_sub(now)
    }

    /// Calls the program with a context.
    pub(super) fn with<R>(&mut self, call: impl FnOnce(&mut Cx<'_, M>) -> R) -> R {
        let (shard, shards) = (self.links.shard, self.links.inboxes.len() as u16);
        let mut host = Back {
            core: &mut self.core,
            links: &mut self.links,
        };
        let (now, wall, out) = (self.now, self.wall, &mut self.outbox);
        call(&mut Cx {
            now,
            wall,
            shard,
            shards,
            out,
            host: &mut host,
        })
    }

    /// Starts the program: its output of the start leaves with the first turn.
    pub(crate) fn start<P: Program<Mesh = M>>(&mut self, program: &mut P) {
        self.read_clocks();
        self.with(|cx| program.start(cx));
    }

    /// Runs until told to stop.
    /// # Errors
    /// When the ring itself fails.
    pub(crate) fn run<P: Program<Mesh = M>>(&mut self, program: &mut P) -> std::io::Result<()> {
        let inbox = self.links.inboxes[usize::from(self.links.shard)].clone();
        loop {
            self.read_clocks();
            let (mut media, signalling) = self.completions(program);
            media += self.arrivals(program);
            let (messages, mut more) = self.messages(program, &inbox);
            if program.deadline().is_some_and(|deadline| deadline <= self.now) {
                self.with(|cx| program.expire(cx));
            }
            self.with(|cx| program.batch_end(cx));
            // SAFETY: the outbox is cleared below, after everything was handed over, or is left as
            // it is by `end` until it has handed everything over.
            unsafe { self.core.send_all(&self.outbox) };
            self.core.flush_lanes();
            let Self { core, outbox, now, .. } = self;
            core.log.batch_end(*now, &mut core.ring, outbox, &core.stats);
            self.links.ring();
            if self.receiver.before_submit() {
                self.hand_over();
            }
            self.pace.batch(self.now, media, signalling + messages);
            self.account();
            if self.stop.load(Ordering::Relaxed) {
                return self.end();
            }

            more |= self.core.lanes.iter_mut().any(Lane::has_more);
            more |= self.unfinished || !self.ended.is_empty() || self.core.log.has_reports();
            inbox.mailbox().bell().prepare();
            more |= !inbox.is_empty() || self.stop.load(Ordering::Relaxed);
            let deadlines = [program.deadline(), self.core.log.deadline(&self.outbox)];
            let wait = self.pace.wait(self.now, deadlines.into_iter().flatten().min(), more);
            let entered = self.core.ring.enter(wait);
            inbox.mailbox().bell().awake();
            entered?;
            self.hand_over();
            self.start_ended();
            self.outbox.clear_datagrams();
            self.unfinished = self.core.reap();
            if wait != Wait::NO {
                self.core.stats.wakeups.add(1);
            }
        }
    }

    /// Handles the completions at hand; returns how many media and signalling datagrams came.
    fn completions<P: Program<Mesh = M>>(&mut self, program: &mut P) -> (usize, usize) {
        let (mut media, mut signalling) = (0, 0);
        while let Some(completion) = self.core.batch.get(self.core.cursor).cloned() {
            self.core.cursor += 1;
            let Some((kind, index)) = Kind::of(completion.user_data()) else {
                continue;
            };
            match kind {
                Kind::MediaReceive => {
                    // On demand, each read ends with one that is none.
                    media += usize::from(completion.result() >= 0);
                    self.media(program, Slot(index), &completion);
                }
                Kind::ListenerReceive => {
                    signalling += 1;
                    self.datagram(program, ListenerId(index as u8), &completion);
                }
                // Sends are heard of only when they fail.
                Kind::ListenerSend | Kind::MediaSend => self.core.stats.send_errors.add(1),
                Kind::MediaPoint => self.core.not_pointed(Slot(index)),
                Kind::Bell => {
                    if !cqueue::more(completion.flags()) {
                        self.core.arm_bell();
                    }
                }
                Kind::Lane => {
                    if !cqueue::more(completion.flags()) {
                        self.core.arm_lane(index as usize);
                    }
                }
                Kind::LogWrite => {
                    let core = &mut self.core;
                    core.log.written(completion.result(), &mut core.ring, &core.stats);
                }
                Kind::LogSync => self.core.log.synced(completion.result(), index != 0, &self.core.stats),
                Kind::Probe => {}
            }
        }
        self.core.batch.clear();
        self.core.cursor = 0;
        while let Some(written) = self.core.log.report() {
            self.with(|cx| program.written(cx, written));
        }
        (media, signalling)
    }

    fn media<P: Program<Mesh = M>>(&mut self, program: &mut P, slot: Slot, completion: &cqueue::Entry) {
        if !cqueue::more(completion.flags()) {
            self.rearm(Kind::MediaReceive, slot.0, completion.result());
        }
        let Some(received) = self.receiver.take(true, slot.0, completion) else {
            return self.receiver.done();
        };
        self.core.stats.media_in.add(1);
        self.core.stats.media_octets_in.add(received.octets.len() as u64);
        match program.media_at(self.now, slot, received.from, received.arrived, received.octets) {
            Verdict::Relay { slot: leaves, to } => {
                let arrived = received.arrived;
                // SAFETY: the receiver keeps the buffer until everything was handed over.
                if unsafe { self.core.relay(received.octets, leaves, to) } {
                    self.receiver.keep(arrived);
                }
            }
            Verdict::Drop => {}
            Verdict::Odd => {
                let (shard, shards) = (self.links.shard, self.links.inboxes.len() as u16);
                let mut host = Back {
                    core: &mut self.core,
                    links: &mut self.links,
                };
                let (now, wall, out) = (self.now, self.wall, &mut self.outbox);
                let mut cx = Cx {
                    now,
                    wall,
                    shard,
                    shards,
                    out,
                    host: &mut host,
                };
                program.media_odd(&mut cx, slot, received.from, received.octets);
            }
        }
        self.receiver.done();
    }

    fn datagram<P: Program<Mesh = M>>(&mut self, program: &mut P, listener: ListenerId, completion: &cqueue::Entry) {
        if !cqueue::more(completion.flags()) {
            self.rearm(Kind::ListenerReceive, listener.0.into(), completion.result());
        }
        if let Some(received) = self.receiver.take(false, 0, completion) {
            self.core.stats.datagrams_in.add(1);
            self.core.stats.octets_in.add(received.octets.len() as u64);
            let (shard, shards) = (self.links.shard, self.links.inboxes.len() as u16);
            let mut host = Back {
                core: &mut self.core,
                links: &mut self.links,
            };
            let (now, wall, out) = (self.now, self.wall, &mut self.outbox);
            let wall_nanos = self.wall_nanos;
            let mut cx = Cx {
                now,
                wall,
                shard,
                shards,
                out,
                host: &mut host,
            };
            // What the kernel noted is of the wall clock: only the age is taken from it.
            let age = received.arrived.map_or(0, |arrived| wall_nanos.saturating_sub(arrived));
            let arrived = Time::from_nanos(now.nanos().saturating_sub(age));
            program.datagram_at(&mut cx, listener, received.from, arrived, received.octets);
        }
        self.receiver.done();
    }

    /// A receive ended: starts it again, and counts why.
    fn rearm(&mut self, kind: Kind, index: u32, result: i32) {
        if result == -libc::ENOBUFS {
            self.core.stats.enobufs.add(1);
        } else if result < 0 && result != -libc::EAGAIN {
            self.core.stats.receive_errors.add(1);
        }
        if result != -libc::ECANCELED && result != -libc::EBADF && !(kind == Kind::MediaReceive && self.core.fetches())
        {
            self.ended.push_back((kind, index));
        }
    }

    /// Starts ended receives again, no more than there are buffers for. They mostly ended for
    /// want of buffers; started before buffers are back, or all at once, they would end in the
    /// same way and the loop would only turn around itself.
    fn start_ended(&mut self) {
        let most = self.receiver.take_returned().max(LEAST_STARTED);
        for _ in 0..most {
            let Some((kind, index)) = self.ended.pop_front() else {
                return;
            };
            self.core.arm(kind, index);
        }
    }

    /// Mesh messages and stream events; whether more wait.
    fn messages<P: Program<Mesh = M>>(&mut self, program: &mut P, inbox: &Inbox<M>) -> (usize, bool) {
        let mut count = 0;
        let depth = inbox.depth();
        self.core.stats.mesh_depth.set(depth as u64);
        // No more than were there, so that messages to oneself come in a later batch.
        for _ in 0..depth.min(MESSAGES) {
            let Some((from, message)) = inbox.pop() else { break };
            count += 1;
            self.with(|cx| program.mesh(cx, from, message));
        }
        for _ in 0..EVENTS {
            let Some(event) = inbox.mailbox().pop() else { break };
            count += 1;
            self.with(|cx| program.stream(cx, event));
        }
        (count, !inbox.is_empty())
    }

    fn account(&mut self) {
        let span = self.now.since(self.account_at);
        if span >= ACCOUNT {
            let cpu = sys::thread_cpu();
            let busy = cpu.saturating_sub(self.cpu);
            let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(0);
            self.core.stats.busy_nanos.add(nanos(busy));
            self.core.stats.idle_nanos.add(nanos(span.saturating_sub(busy)));
            self.cpu = cpu;
            self.account_at = self.now;
            if !self.core.lanes.is_empty() {
                let dropped = self.core.lanes.iter().map(Lane::dropped).sum();
                self.core.stats.xdp_dropped.set(dropped);
            }
        }
    }

    /// The last turn: what was queued leaves, the log is written and synchronised.
    fn end(&mut self) -> std::io::Result<()> {
        let limit = Instant::now() + LAST_WRITE;
        self.hand_over();
        while (self.core.log.is_busy() || !self.outbox.log_pending().is_empty()) && Instant::now() < limit {
            let later = self.now + Duration::from_secs(3600);
            let Self { core, outbox, .. } = self;
            core.log.batch_end(later, &mut core.ring, outbox, &core.stats);
            if core.log.is_busy() {
                core.ring.enter(Wait {
                    want: 1,
                    gather: Duration::ZERO,
                    timeout: Some(Duration::from_millis(100)),
                })?;
            }
            core.reap();
            for completion in core.batch.drain(..) {
                match Kind::of(completion.user_data()) {
                    Some((Kind::LogWrite, _)) => core.log.written(completion.result(), &mut core.ring, &core.stats),
                    Some((Kind::LogSync, former)) => core.log.synced(completion.result(), former != 0, &core.stats),
                    _ => {}
                }
            }
        }
        self.core.log.close();
        Ok(())
    }
}

impl<M> Drop for PacketThread<M> {
    fn drop(&mut self) {
        self.core.quiesce();
        self.receiver.retire(&self.core.ring.io.submitter());
    }
}
