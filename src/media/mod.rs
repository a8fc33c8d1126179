//! What happens to audio: ports, flows, latching, relay, negotiation, built-in services.
//!
//! [`Media`] is a shard's media plane, one owner, sans-IO. Signalling decides in [`Media::offer`]
//! and [`Media::answer`] (RFC 3264) and writes flat [`flow::Flow`] records; [`Media::packet`]
//! reads one record for each packet.

pub mod flow;
pub mod latch;
pub mod ports;
pub mod stats;
pub mod types;

pub use ports::OwnSockets;
pub use types::{
    CallMedia, Dropped, MediaCounters, MediaError, MediaEvent, MediaLimits, MediaReport, Seen, Service, Side,
    SideReport, StreamReport,
};

use crate::config::plan;
use shards::{MediaSlice, OpenError, Outbox, Slot, Time, Verdict};
use std::net::SocketAddr;

/// Opens a slot's socket: [`shards::Host::open_media`] behind a closure.
pub type Open<'a> = &'a mut dyn FnMut(Slot) -> Result<(), OpenError>;

/// A shard's flows and ports.
pub struct Media {
    counters: MediaCounters,
}

impl Media {
    /// A media plane over `slice`.
    #[must_use]
    pub fn new(_slice: MediaSlice, _plan: &plan::Media, _limits: MediaLimits) -> Self {
        Self {
            counters: MediaCounters::default(),
        }
    }

    /// One received datagram: the hot path.
    pub fn packet(&mut self, _now: Time, _slot: Slot, _from: SocketAddr, _packet: &mut [u8]) -> Verdict {
        Verdict::Drop
    }

    /// A datagram that [`Media::packet`] called odd.
    pub fn odd(&mut self, _now: Time, _out: &mut Outbox, _slot: Slot, _from: SocketAddr, _packet: &mut [u8]) {}

    /// Takes an offer from one side and appends the offer for the other to `out`.
    /// # Errors
    /// [`MediaError`]; then nothing has changed, all new ports are free again, `out` is as before.
    #[expect(clippy::too_many_arguments, reason = "the seam")]
    pub fn offer(
        &mut self,
        _now: Time,
        _ports: Open<'_>,
        _call: &mut CallMedia,
        _from: Side,
        _sdp: &[u8],
        _seen: Seen<'_>,
        _out: &mut Vec<u8>,
    ) -> Result<(), MediaError> {
        Err(MediaError::Exhausted)
    }

    /// Takes the answer to the pending (or last) offer and appends the answer for the other side
    /// to `out`; flows are live from here, also for an early answer.
    /// # Errors
    /// [`MediaError`]; then nothing has changed and `out` is as before.
    pub fn answer(
        &mut self,
        _now: Time,
        _call: &mut CallMedia,
        _from: Side,
        _sdp: &[u8],
        _seen: Seen<'_>,
        _out: &mut Vec<u8>,
    ) -> Result<(), MediaError> {
        Err(MediaError::NoOffer)
    }

    /// The pending offer came to nothing: back to what was agreed.
    pub fn reject(&mut self, _call: &mut CallMedia) {}

    /// A built-in service answers `sdp` (side A is the peer), or makes an offer when `sdp` is
    /// empty (its answer comes through [`Media::answer`] from side A; `out` stays empty then).
    /// # Errors
    /// As [`Media::offer`]; [`MediaError::NoCodec`] when nothing offered can be served (488).
    #[expect(clippy::too_many_arguments, reason = "the seam")]
    pub fn answer_local(
        &mut self,
        _now: Time,
        _ports: Open<'_>,
        _call: &mut CallMedia,
        _service: Service,
        _sdp: &[u8],
        _seen: Seen<'_>,
        _out: &mut Vec<u8>,
    ) -> Result<(), MediaError> {
        Err(MediaError::NoCodec)
    }

    /// Ends a call's media: ports into quarantine, figures for the CDR. Must be called for every
    /// call that had an offer.
    pub fn release(&mut self, _now: Time, _call: &mut CallMedia) -> MediaReport {
        MediaReport::default()
    }

    /// What comes back in events about this call.
    pub fn set_user(&mut self, _call: &CallMedia, _user: u64) {}

    /// When [`Media::expire`] wants to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        None
    }

    /// The deadline has come: music, silence, quarantine.
    pub fn expire(&mut self, _now: Time, _out: &mut Outbox, _events: &mut Vec<MediaEvent>) {}

    /// Counters and gauges.
    #[must_use]
    pub fn counters(&self) -> &MediaCounters {
        &self.counters
    }
}
