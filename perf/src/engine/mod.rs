//! Executes one scenario on one shard: sans-IO, so octets and time come in, octets and deadlines go out.
//!
//! The rules are SIPp's: a message is looked for from the step that a call stands at, past steps that are
//! optional; anything else is unexpected and ends the call, unless it is a copy of what came before.

mod actions;
mod arrivals;
mod auth;
mod call;
mod hang_up;
mod incoming;
pub mod message;
mod render;
mod settings;
mod start;
mod stats;
mod step;
mod timers;
pub mod twin;
mod users;
mod value;

pub use arrivals::{Arrivals, share};
pub use call::{CallId, Peer};
pub use settings::{Settings, Trace, Transport};
pub use stats::{Counters, FAILURES, Failure, Moments, Stats, StepCount, Times, micros, record};
pub use value::Value;

use crate::scenario::{Role, Scenario, Template};
use call::Calls;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use shards::{Time, Wall, Wheel};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use users::Users;

/// Stopwatches of a scenario.
pub const RTDS: usize = 8;

/// What a call wants of its audio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AudioOrder<'a> {
    /// The other end wants packets there.
    Remote(SocketAddr),
    /// Plays a file, or `tone`: how often (`None` for ever), payload type if it is not the file's own.
    Play(&'a Path, Option<u32>, Option<u8>),
    /// Plays a capture.
    PlayCapture(&'a Path),
    /// Silence for now.
    Pause,
    /// On again.
    Resume,
    /// Sends back what comes.
    Echo,
    /// The call is over.
    Close,
}

/// What is written to which trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A message left.
    Sent,
    /// A message came.
    Received,
    /// Something is wrong with a call.
    Error,
    /// A `<log>`.
    Log,
}

/// What a run should do because a call said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// No new calls.
    StopGracefully,
    /// End now.
    StopNow,
}

/// What an engine reaches of the world.
pub trait Host {
    /// Sends a message; a datagram leaves from this one of our ports.
    fn send(&mut self, to: Peer, octets: &[u8], call: CallId, port: usize);

    /// The call's media port, opened when it has none yet; `None` when none can be had.
    fn audio_port(&mut self, audio: &mut Option<u32>) -> Option<u16>;

    /// Does something with an opened port.
    fn audio(&mut self, now: Time, audio: u32, order: AudioOrder<'_>);

    /// Sends a command, its end included, to the twin; whether it can be sent.
    fn command(&mut self, octets: &[u8]) -> bool;

    /// Writes to a trace; asked only for those that are wanted. Without `peer`, a message sent or received is a
    /// command.
    fn note(&mut self, kind: Note, peer: Option<Peer>, octets: &[u8]);

    /// A call wants something of the whole run.
    fn wish(&mut self, wish: Wish);
}

/// The times of one received message.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Now.
    pub now: Time,
    /// Now, by the wall.
    pub wall: Wall,
    /// When it reached our kernel.
    pub arrived: Time,
}

#[derive(Clone, Copy, Debug)]
enum Timer {
    /// A pause or a receive's time is over.
    Step(CallId),
    /// A message is sent again.
    Again(CallId),
    /// What is left of a call goes.
    Remove(CallId),
}

/// One scenario on one shard.
pub struct Engine {
    scenario: Arc<Scenario>,
    /// The steps' texts with everything constant filled in, for each of our ports.
    bound: Vec<Vec<Option<Template>>>,
    /// Methods that a response at this step may answer.
    answers: Vec<Vec<Box<str>>>,
    settings: Arc<Settings>,
    calls: Calls,
    wheel: Wheel<Timer>,
    /// What is counted.
    pub stats: Stats,
    arrivals: Arrivals,
    /// Most calls at once on this shard.
    limit: u64,
    /// Calls that are kept going (`-users`); replaces the schedule.
    keep: Option<u64>,
    shards: u64,
    next_number: u64,
    users: Users,
    globals: Vec<Value>,
    random: ChaCha8Rng,
    scratch: Vec<u8>,
    began: Time,
    wall: Wall,
    /// When the message that is being handled reached our kernel.
    arrived: Time,
    /// Calls that stand in [`Phase::Running`](call::Phase).
    running: u64,
    stopping: bool,
    /// Each call has a media port.
    has_audio: bool,
}

/// The shape of a run's load on one shard.
#[derive(Clone, Debug)]
pub struct Load {
    /// The schedule; without calls for a server.
    pub arrivals: Arrivals,
    /// Most calls at once on this shard.
    pub limit: u64,
    /// `-users` of this shard.
    pub keep: Option<u64>,
}

impl Engine {
    /// An engine that begins at `now`.
    #[must_use]
    pub fn new(
        scenario: Arc<Scenario>,
        settings: Arc<Settings>,
        load: Load,
        shard: u16,
        shards: u16,
        now: Time,
    ) -> Self {
        // An echo needs the port that the SDP names, whatever the scenario plays.
        let has_audio = scenario.has_audio || settings.echo;
        let constant_media = !has_audio;
        let ports: &[u16] = if settings.ports.is_empty() {
            &[settings.local.port()]
        } else {
            &settings.ports
        };
        let bound_to = |port: &u16| {
            let mut own = (*settings).clone();
            own.local.set_port(*port);
            let text = |step: &crate::scenario::Step| {
                let template = step.kind.template()?;
                Some(render::bind(template, &own, constant_media))
            };
            scenario.steps.iter().map(text).collect()
        };
        let bound = ports.iter().map(bound_to).collect();
        Self {
            answers: incoming::answers(&scenario),
            bound,
            calls: Calls::default(),
            wheel: Wheel::new(now),
            stats: Stats::new(&scenario),
            users: Users::new(
                // Calls that others begin have no user.
                load.keep.filter(|_| scenario.role == Role::Client).unwrap_or(0),
                scenario.names.user_count(),
                shard.into(),
                u64::from(shards).max(1),
            ),
            arrivals: load.arrivals,
            limit: load.limit,
            keep: load.keep,
            shards: u64::from(shards).max(1),
            next_number: 1 + u64::from(shard),
            globals: render::globals(&scenario.names, &settings),
            random: ChaCha8Rng::seed_from_u64(settings.seed ^ u64::from(shard) << 32),
            scratch: Vec::with_capacity(4096),
            began: now,
            wall: Wall(0),
            arrived: now,
            running: 0,
            stopping: false,
            has_audio,
            scenario,
            settings,
        }
    }

    /// Who begins calls.
    #[must_use]
    pub fn role(&self) -> Role {
        self.scenario.role
    }

    /// The schedule.
    pub fn arrivals(&mut self) -> &mut Arrivals {
        &mut self.arrivals
    }

    /// Most calls at once on this shard from now on.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Calls that are not over.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.running
    }

    /// Whether nothing will happen any more: no call is due, none is left. What waits for copies only
    /// does not count.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.running == 0 && (self.stopping || self.role() == Role::Client && self.arrivals.is_over())
    }

    /// When [`expire`](Self::expire) wants to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let arrival = if self.stopping || self.keep.is_some() {
            None
        } else {
            self.arrivals.next_grain()
        };
        match (self.wheel.next(), arrival) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Octets of a call's own number space: the shard that a call of ours belongs to.
    #[must_use]
    pub fn home(&self, call_id: &[u8]) -> Option<u16> {
        let digits = call_id.iter().take_while(|octet| octet.is_ascii_digit()).count();
        if digits == 0 || self.role() == Role::Server {
            return Some((message::fingerprint(call_id) % self.shards) as u16);
        }
        let number: u64 = std::str::from_utf8(&call_id[..digits]).ok()?.parse().ok()?;
        Some((number.wrapping_sub(1) % self.shards) as u16)
    }
}

#[cfg(test)]
mod tests;
