//! What happens to audio: ports, flows, latching, relay, negotiation, built-in services.
//!
//! [`Media`] is a shard's media plane, one owner, sans-IO. Signalling decides in [`Media::offer`]
//! and [`Media::answer`] (RFC 3264), which write flat [`flow::Flow`] records; [`Media::packet`]
//! reads one record for each packet.

mod call;
pub mod codec;
mod describe;
mod echo;
pub mod flow;
pub mod latch;
mod local;
mod music;
mod negotiate;
mod own;
pub mod ports;
mod relay;
pub mod stats;
#[cfg(test)]
mod tests;
mod types;
mod watch;

pub use own::OwnSockets;
pub use types::{
    CallMedia, Dropped, MediaCounters, MediaError, MediaEvent, MediaLimits, MediaReport, Seen, Service, Side,
    SideReport, StreamReport,
};

use crate::config::plan;
use call::Calls;
use flow::Flows;
use music::Music;
use ports::Ports;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use shards::{MediaSlice, OpenError, Slot, Time};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Opens a slot's socket: [`shards::Host::open_media`] behind a closure.
pub type Open<'a> = &'a mut dyn FnMut(Slot) -> Result<(), OpenError>;

/// Emergency calls that may be beyond a shard's limit.
const URGENT_CALLS: u32 = 64;

/// A shard's flows and ports.
pub struct Media {
    flows: Flows,
    calls: Calls,
    ports: Ports,
    music: Music,
    counters: MediaCounters,
    /// Where a leg gets its ports when its listener names no address.
    addresses: Vec<IpAddr>,
    /// Each bound address with what descriptions show instead.
    advertised: Vec<(IpAddr, IpAddr)>,
    learn: plan::Learn,
    timeout: Duration,
    sweep: watch::Sweep,
    random: ChaCha8Rng,
    /// The time of the latest call that named one.
    now: Time,
    /// A description while it is written.
    scratch: Vec<u8>,
    /// Sockets to be pointed at a peer, or at nobody; see [`Media::points`].
    points: Vec<(Slot, Option<SocketAddr>)>,
}

impl Media {
    /// A media plane over `slice`.
    #[must_use]
    pub fn new(slice: MediaSlice, plan: &plan::Media, limits: MediaLimits) -> Self {
        let mut random = ChaCha8Rng::from_seed(limits.seed);
        let mut counters = MediaCounters::default();
        let flows = Flows::new(slice.slots());
        let mut ports = Ports::new(slice, plan.quarantine, limits.own, random.next_u32());
        ports.expire(Time::ZERO, &mut counters); // sets the gauges
        let shown = plan.advertised.iter().copied();
        Self {
            flows,
            // Admission counts the calls; emergency calls may be more.
            calls: Calls::new(limits.calls.saturating_add(URGENT_CALLS)),
            ports,
            music: Music::new(),
            counters,
            addresses: plan.addresses.clone(),
            advertised: plan.addresses.iter().copied().zip(shown).collect(),
            learn: plan.learn,
            timeout: plan.timeout,
            sweep: watch::Sweep::default(),
            random,
            now: Time::ZERO,
            scratch: Vec::new(),
            points: Vec::new(),
        }
    }

    /// What comes back in events about this call.
    pub fn set_user(&mut self, call: &CallMedia, user: u64) {
        if let Some(call) = self.calls.get_mut(call) {
            call.user = user;
        }
    }

    /// What is to be told to [`shards::Host::point_media`] at the end of the batch, in this order.
    pub fn points(&mut self) -> std::vec::Drain<'_, (Slot, Option<SocketAddr>)> {
        self.points.drain(..)
    }

    /// The flow's source is open again: its socket must hear everybody.
    fn unpoint(&mut self, slot: Slot) {
        if let Some(flow) = self.flows.get_mut(slot)
            && flow.pointed
            && flow.state != flow::State::Live
        {
            flow.pointed = false;
            self.points.push((slot, None));
        }
    }

    /// Counters and gauges.
    #[must_use]
    pub fn counters(&self) -> &MediaCounters {
        &self.counters
    }

    /// Numeric, and small enough for peers that keep it in 32 bits.
    fn session_id(&mut self) -> u64 {
        u64::from(self.random.next_u32() >> 1) + 1
    }
}
