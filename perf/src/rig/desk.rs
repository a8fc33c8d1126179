//! The media ports of one shard: streams that are played, and every received stream judged.

mod clips;
mod figures;
mod player;
mod reading;

pub use clips::Clips;
pub use figures::AudioFigures;

use super::Order;
use crate::audio::judge::{Judge, Kind};
use crate::audio::schedule::Schedule;
use crate::engine::{AudioOrder, record};
use crate::run::is_loopback;
use player::Player;
use shards::{Host, MediaSlice, Outbox, Slot, Target, Time, Verdict, Wheel};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How audio is done on one shard.
#[derive(Clone, Debug)]
pub struct AudioPlan {
    /// The ports that may be used; `None` where there is no audio.
    pub slice: Option<MediaSlice>,
    /// Marks the packets of this run.
    pub run: u32,
    /// Ports are read on demand, together, not with each packet.
    pub fetched: bool,
    /// Packets come past the sockets: those are hardly needed.
    pub express: bool,
    /// Send back whatever comes (`-rtp_echo`).
    pub echo: bool,
    /// Audio may be sent beyond loopback.
    pub allow_any: bool,
    /// What scenarios play.
    pub clips: Arc<Clips>,
    /// This shard, and how many there are: stream numbers are unique in the run.
    pub shard: u32,
    /// How many shards there are.
    pub shards: u32,
}

/// One call's port.
struct Stream {
    slot: Slot,
    port: u16,
    /// Its number in marks.
    me: u32,
    remote: Option<SocketAddr>,
    /// Its socket is connected to `remote`, or will be.
    pointed: bool,
    judge: Judge,
    player: Option<Player>,
    echo: bool,
    /// Calls whose entry was used again have another one.
    live: bool,
    generation: u32,
    sent: u32,
    /// When the last packet left, microseconds of the monotonic clock; 0 before the first.
    left_us: u64,
    /// When audio may first be heard, microseconds of the wall clock.
    since_us: u64,
    /// When the port was opened for this call: what came before was for a former one.
    opened_us: u64,
    arrived_us: u64,
}

/// All streams of a shard.
pub(super) struct Desk {
    plan: AudioPlan,
    free: VecDeque<u32>,
    streams: Vec<Stream>,
    spare: Vec<u32>,
    /// By slot: the stream, or `NONE`.
    by_slot: Vec<u32>,
    schedule: Schedule,
    captures: Wheel<(u32, u32)>,
    /// Streams of calls that are over: read once more, then judged. With the time of that reading.
    closing: VecDeque<(u32, Option<Time>)>,
    /// Sockets to connect, or to free from that.
    points: Vec<(Slot, Option<SocketAddr>)>,
    ticked_ms: u64,
    /// Ticks so far: whose turn it is to be read.
    round: usize,
    serial: u32,
    figures: AudioFigures,
}

const NONE: u32 = u32::MAX;

/// Packets leave in groups so many milliseconds apart: each stream keeps its phase, so that its packets are
/// 20 ms apart all the same, and a wake-up is shared by more of them.
pub const TICK_MS: u64 = 4;

fn wall_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_micros() as u64
}

impl Desk {
    pub(super) fn new(plan: AudioPlan) -> Self {
        let slots = plan.slice.as_ref().map_or(0, MediaSlice::slots);
        Self {
            // RTP on even ports (RFC 3550 section 11); RTCP is not sent.
            free: (0..slots).step_by(2).collect(),
            streams: Vec::new(),
            spare: Vec::new(),
            by_slot: vec![NONE; slots as usize],
            schedule: Schedule::new(0),
            captures: Wheel::new(Time::ZERO),
            closing: VecDeque::new(),
            points: Vec::new(),
            ticked_ms: 0,
            round: 0,
            serial: 0,
            figures: AudioFigures::default(),
            plan,
        }
    }

    /// A port for a call. Ports are used in turn, so that a former call's stragglers do not come to the next.
    pub(super) fn open(&mut self, host: &mut dyn Host<Order>) -> Option<u32> {
        for _ in 0..self.free.len() {
            let slot = self.free.pop_front()?;
            if host.open_media(Slot(slot)).is_err() {
                // Somebody else has it: it may be free later.
                self.free.push_back(slot);
                self.figures.ports_taken += 1;
                continue;
            }
            let port = self
                .plan
                .slice
                .as_ref()
                .and_then(|slice| slice.address(Slot(slot)))?
                .port();
            self.serial += 1;
            let stream = Stream {
                slot: Slot(slot),
                port,
                me: self.number(),
                remote: None,
                pointed: false,
                judge: Judge::default(),
                player: None,
                echo: self.plan.echo,
                live: true,
                generation: self.serial,
                sent: 0,
                left_us: 0,
                since_us: 0,
                opened_us: wall_us(),
                arrived_us: 0,
            };
            let index = match self.spare.pop() {
                Some(index) => {
                    self.streams[index as usize] = stream;
                    index
                }
                None => {
                    self.streams.push(stream);
                    (self.streams.len() - 1) as u32
                }
            };
            self.by_slot[slot as usize] = index;
            self.figures.open += 1;
            self.figures.opened += 1;
            return Some(index);
        }
        self.figures.no_port += 1;
        None
    }

    /// A number for marks that no other stream has, in this process or in another generator of the test.
    fn number(&self) -> u32 {
        const SERIALS: u32 = 20;
        let serial = self.serial.wrapping_mul(self.plan.shards).wrapping_add(self.plan.shard);
        (std::process::id() << SERIALS | serial & ((1 << SERIALS) - 1)).max(1)
    }

    fn stream(&mut self, audio: u32) -> Option<&mut Stream> {
        self.streams.get_mut(audio as usize).filter(|stream| stream.live)
    }

    pub(super) fn port(&mut self, audio: u32) -> Option<u16> {
        self.stream(audio).map(|stream| stream.port)
    }

    pub(super) fn order(&mut self, now: Time, audio: u32, order: AudioOrder<'_>) {
        let (clips, allow_any) = (self.plan.clips.clone(), self.plan.allow_any);
        let Some(stream) = self.stream(audio) else { return };
        match order {
            AudioOrder::Remote(address) => {
                // SDP may name anybody: audio goes beyond loopback only with the operator's word.
                let remote = Some(address).filter(|address| allow_any || is_loopback(address.ip()));
                if stream.remote != remote && std::mem::take(&mut stream.pointed) {
                    let slot = stream.slot;
                    self.points.push((slot, None));
                }
                if let Some(stream) = self.stream(audio) {
                    stream.remote = remote;
                }
            }
            AudioOrder::Echo => stream.echo = true,
            AudioOrder::Pause => {
                self.schedule.leave(audio);
            }
            AudioOrder::Resume => self.resume(now, audio),
            AudioOrder::Play(path, loops, payload_type) => {
                let Some(clip) = clips.find(path, payload_type) else {
                    return;
                };
                let me = stream.me;
                let known = stream.player.take();
                stream.player = Some(Player::new(clip, loops, payload_type, me, known));
                if stream.since_us == 0 {
                    stream.since_us = wall_us();
                }
                self.schedule.leave(audio);
                self.resume(now, audio);
            }
            AudioOrder::PlayCapture(path) => {
                let Some(clip) = clips.find(path, None) else { return };
                let me = stream.me;
                let known = stream.player.take();
                stream.player = Some(Player::capture(clip, me, known, now));
                if stream.since_us == 0 {
                    stream.since_us = wall_us();
                }
                let generation = stream.generation;
                self.schedule.leave(audio);
                self.captures.insert(now, (audio, generation));
            }
            AudioOrder::Close => self.close(audio),
        }
    }

    fn resume(&mut self, now: Time, audio: u32) {
        if self.schedule.is_empty() {
            // What was due while nobody was there is owed to nobody.
            let _ = self.schedule.due(now.millis().saturating_sub(1));
            self.ticked_ms = now.millis();
        }
        self.schedule.join(audio, now.millis() + 1);
    }

    fn close(&mut self, audio: u32) {
        self.schedule.leave(audio);
        let Some(stream) = self.streams.get_mut(audio as usize).filter(|stream| stream.live) else {
            return;
        };
        stream.live = false;
        if self.plan.fetched {
            self.closing.push_back((audio, None));
        } else {
            self.judge(audio);
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let tick = self
            .ticks()
            .then(|| Time::from_millis((self.ticked_ms / TICK_MS + 1) * TICK_MS));
        match (tick, self.captures.next()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Sends every packet that is due.
    pub(super) fn play(&mut self, now: Time, out: &mut Outbox) {
        let tick = self.ticks() && now.millis() / TICK_MS > self.ticked_ms / TICK_MS;
        if !tick && self.captures.next().is_none_or(|at| at > now) {
            return;
        }
        let (wall, now_us) = (wall_us(), now.nanos() / 1000);
        if tick {
            // The group's own time, however late it is: a stream that comes after it belongs to the next.
            self.ticked_ms = now.millis() / TICK_MS * TICK_MS;
            let mut over = Vec::new();
            for audio in self.schedule.due(self.ticked_ms) {
                let stream = &mut self.streams[audio as usize];
                if !send(stream, self.plan.run, wall, now_us, out, &mut self.figures) {
                    over.push(audio);
                }
            }
            for audio in over {
                self.schedule.leave(audio);
            }
            self.figures.skipped = self.schedule.skipped();
            self.fetch(now, out);
        }
        while let Some((audio, generation)) = self.captures.pop(now) {
            let Some(stream) = self.stream(audio).filter(|stream| stream.generation == generation) else {
                continue;
            };
            let Some(at) = stream.player.as_ref().and_then(Player::next_at) else {
                continue;
            };
            if at > now {
                self.captures.insert(at, (audio, generation));
                continue;
            }
            let Self {
                streams, plan, figures, ..
            } = self;
            let stream = &mut streams[audio as usize];
            if send(stream, plan.run, wall, now_us, out, figures)
                && let Some(at) = stream.player.as_ref().and_then(Player::next_at)
            {
                self.captures
                    .insert(at.max(now + Duration::from_millis(1)), (audio, generation));
            }
        }
    }

    /// A packet came: judged, and sent back where that is asked for.
    pub(super) fn heard(&mut self, slot: Slot, from: SocketAddr, arrived: Option<u64>, packet: &mut [u8]) -> Verdict {
        let index = self.by_slot.get(slot.0 as usize).copied().unwrap_or(NONE);
        let Some(stream) = self.streams.get_mut(index as usize) else {
            self.figures.stray += 1;
            return Verdict::Drop;
        };
        let arrived_us = arrived.map_or_else(wall_us, |nanos| nanos / 1000);
        if arrived_us < stream.opened_us {
            self.figures.stray += 1;
            return Verdict::Drop;
        }
        let heard = stream.judge.packet(stream.me, self.plan.run, arrived_us, packet);
        if heard.kind == Kind::Control {
            return Verdict::Drop;
        }
        self.figures.heard(&heard, arrived_us, &mut stream.arrived_us);
        if self.plan.fetched
            && !self.plan.express
            && reading::may_point(index)
            && !stream.pointed
            && stream.remote == Some(from)
        {
            stream.pointed = true;
            self.points.push((slot, stream.remote));
        }
        if stream.echo {
            self.figures.echoed += 1;
            return Verdict::Relay { slot, to: from };
        }
        Verdict::Drop
    }

    /// The figures so far; histograms and counts start anew, what is open stays open.
    pub(super) fn take_figures(&mut self) -> AudioFigures {
        let fresh = AudioFigures {
            open: self.figures.open,
            skipped: self.figures.skipped,
            ..AudioFigures::default()
        };
        std::mem::replace(&mut self.figures, fresh)
    }
}

/// Sends a stream's next packet; whether another one follows.
fn send(stream: &mut Stream, run: u32, wall: u64, now_us: u64, out: &mut Outbox, figures: &mut AudioFigures) -> bool {
    let Some(player) = &mut stream.player else { return false };
    let Some(remote) = stream.remote else {
        // The other end has not said where: time passes, as in a phone.
        return player.skip();
    };
    let (me, heard) = (stream.me, stream.judge.far());
    let mut more = false;
    out.datagram_with(Target::Media(stream.slot, remote), |arena| {
        more = player.write(arena, run, me, heard, wall as u32);
    });
    if stream.left_us != 0 {
        record(&mut figures.departure, now_us - stream.left_us);
    }
    stream.left_us = now_us;
    stream.sent += 1;
    figures.sent += 1;
    more
}
