//! Received datagrams: their place in the provided buffers, and who owns a buffer when.

use super::buffers::BufferRing;
use super::ring::{Ring, explain_buffers};
use crate::stats::LoopStats;
use crate::supervise::{LaunchError, Plan};
use crate::sys::RawAddress;
use io_uring::{Submitter, cqueue};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) const SIGNAL_GROUP: u16 = 0;
pub(super) const MEDIA_GROUP: u16 = 1;
/// Room that is asked for the source's address, so that what follows is aligned.
pub(super) const NAME: usize = 32;
/// Room for one SCM_TIMESTAMPNS.
pub(super) const CONTROL: usize = 32;
/// `struct io_uring_recvmsg_out`.
const HEADER: usize = 16;
const PREFIX: usize = HEADER + NAME;
/// A media packet with what the kernel writes before it.
const MEDIA_SIZE: usize = 2048;
/// The longest UDP payload with what the kernel writes before it.
const SIGNAL_SIZE: usize = 65_507 + PREFIX + CONTROL;
/// One of so many media sockets is sampled for latency.
const SAMPLE: u32 = 16;

/// On which media slots the kernel notes arrival times: one in so many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamps(u32);

impl Stamps {
    pub(super) fn new(all: bool) -> Self {
        Self(if all { 1 } else { SAMPLE })
    }

    /// Whether on listeners too.
    pub(super) fn everywhere(self) -> bool {
        self.0 == 1
    }

    /// Samples are of even slots only, so RTP.
    pub(super) fn on(self, slot: u32) -> bool {
        slot.is_multiple_of(self.0)
    }
}

/// One received datagram.
pub(super) struct Received<'a> {
    pub(super) from: SocketAddr,
    /// When the kernel got it, in nanoseconds of the wall clock; on sampled sockets.
    pub(super) arrived: Option<u64>,
    pub(super) octets: &'a mut [u8],
}

/// A buffer that is ours: which group, which one.
type Held = (u16, u16);

pub(super) struct Receiver {
    signal: Option<BufferRing>,
    media: Option<BufferRing>,
    /// Media buffers that a queued send still reads.
    relayed: Vec<u16>,
    current: Option<Held>,
    /// Buffers given back since [`Receiver::take_returned`].
    returned: usize,
    /// When the sampled packets of this batch arrived.
    sampled: Vec<u64>,
    stamps: Stamps,
    stats: Arc<LoopStats>,
}

impl Receiver {
    pub(super) fn new(
        plan: &Plan,
        ring: &Ring,
        signal: bool,
        media: bool,
        stats: Arc<LoopStats>,
    ) -> Result<Self, LaunchError> {
        let make = |wanted: bool, group, count, size| {
            let buffers = wanted.then(|| BufferRing::new(&ring.io, group, count, size));
            buffers.transpose().map_err(|error| explain_buffers(&error))
        };
        Ok(Self {
            signal: make(signal, SIGNAL_GROUP, plan.signal_buffers, SIGNAL_SIZE)?,
            media: make(media, MEDIA_GROUP, plan.media_buffers, MEDIA_SIZE)?,
            relayed: Vec::with_capacity(plan.media_buffers.into()),
            current: None,
            returned: 0,
            sampled: Vec::with_capacity(super::BATCH),
            stamps: Stamps::new(plan.arrival_times),
            stats,
        })
    }

    /// The datagram of a receive completion, `None` when there is none that is whole. Its
    /// buffer is ours until [`done`](Self::done) or [`keep`](Self::keep).
    pub(super) fn take(&mut self, media: bool, slot: u32, completion: &cqueue::Entry) -> Option<Received<'_>> {
        let id = cqueue::buffer_select(completion.flags())?;
        let group = if media {
            self.media.as_mut()?
        } else {
            self.signal.as_mut()?
        };
        self.current = Some((group.group(), id));
        let stamped = if media {
            self.stamps.on(slot)
        } else {
            self.stamps.everywhere()
        };
        let control = if stamped { CONTROL } else { 0 };
        let used = usize::try_from(completion.result()).unwrap_or(0);
        let (prefix, octets) = group.octets(id, used).split_at_mut_checked(PREFIX + control)?;
        let word = |at: usize| {
            prefix
                .get(at..at + 4)
                .and_then(|octets| octets.try_into().ok())
                .map_or(0, u32::from_ne_bytes)
        };
        let (control_len, len, flags) = (word(4), word(8) as usize, word(12));
        if flags & libc::MSG_TRUNC as u32 != 0 || len > octets.len() {
            self.stats.truncated.add(1);
            return None;
        }
        let from = RawAddress::parse(prefix.get(HEADER..)?)?;
        let arrived = prefix.get(PREFIX..).filter(|_| control_len > 0).and_then(timestamp);
        Some(Received {
            from,
            arrived,
            octets: &mut octets[..len],
        })
    }

    /// The datagram just taken stays in its buffer until everything queued was handed over.
    pub(super) fn keep(&mut self, arrived: Option<u64>) {
        if let Some((_, id)) = self.current.take() {
            self.relayed.push(id);
            self.sampled.extend(arrived);
        }
    }

    /// A packet of this slot, which is in no buffer of ours, was sent on.
    pub(super) fn sample(&mut self, slot: u32, arrived: u64) {
        if self.stamps.on(slot) {
            self.sampled.push(arrived);
        }
    }

    /// The datagram just taken is dealt with.
    pub(super) fn done(&mut self) {
        let Some((group, id)) = self.current.take() else { return };
        let group = if group == MEDIA_GROUP {
            &mut self.media
        } else {
            &mut self.signal
        };
        if let Some(group) = group {
            group.give_back(id);
            self.returned += 1;
        }
    }

    /// Just before everything is submitted: shows the kernel the buffers that are free, and
    /// notes the latency of sampled packets. Whether so many buffers are in queued sends that
    /// they should be handed over before a wait.
    pub(super) fn before_submit(&mut self) -> bool {
        if !self.sampled.is_empty() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            for arrived in self.sampled.drain(..) {
                self.stats
                    .forward
                    .record(now.saturating_sub(Duration::from_nanos(arrived)));
            }
        }
        self.publish();
        self.media
            .as_ref()
            .is_some_and(|media| self.relayed.len() * 2 > usize::from(media.count()))
    }

    /// After a submission that took everything: buffers of relayed packets are free again.
    pub(super) fn handed_over(&mut self) {
        if let Some(media) = &mut self.media {
            self.returned += self.relayed.len();
            for id in self.relayed.drain(..) {
                media.give_back(id);
            }
        }
        self.publish();
    }

    /// How many buffers went back to the kernel since the last call.
    pub(super) fn take_returned(&mut self) -> usize {
        std::mem::take(&mut self.returned)
    }

    fn publish(&self) {
        for buffers in [&self.signal, &self.media].into_iter().flatten() {
            buffers.publish();
        }
    }

    /// Takes the buffers from the kernel.
    pub(super) fn retire(&mut self, submitter: &Submitter<'_>) {
        for buffers in [self.signal.take(), self.media.take()].into_iter().flatten() {
            buffers.retire(submitter);
        }
    }
}

/// The SCM_TIMESTAMPNS in control data, as nanoseconds of the wall clock.
fn timestamp(control: &[u8]) -> Option<u64> {
    let word = |at: usize| Some(u64::from_ne_bytes(control.get(at..at + 8)?.try_into().ok()?));
    let half = |at: usize| Some(i32::from_ne_bytes(control.get(at..at + 4)?.try_into().ok()?));
    if half(8)? != libc::SOL_SOCKET || half(12)? != libc::SCM_TIMESTAMPNS {
        return None;
    }
    word(16)?.checked_mul(1_000_000_000)?.checked_add(word(24)?)
}
