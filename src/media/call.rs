//! What the plane keeps for each call: its streams, the pending offer, and what was last shown to
//! each side.

use super::flow::Clocks;
use super::latch::Latch;
use super::types::{CallMedia, Service, Side};
use crate::protocol::sdp::{Carriage, Direction};
use shards::{Slot, Time};

/// One call's media.
#[derive(Debug)]
pub(super) struct Call {
    generation: u32,
    used: bool,
    /// Comes back in events.
    pub(super) user: u64,
    /// What was last shown to each side, by [`Side::index`].
    pub(super) shown: [Shown; 2],
    /// One for each media line.
    pub(super) streams: Vec<Stream>,
    /// Who made the pending offer.
    pub(super) pending: Option<Side>,
    /// Who made the latest offer that was answered; it may be answered again (RFC 6337 section
    /// 3.1: early answers).
    pub(super) answered: Option<Side>,
    /// How many media lines the latest answered offer had.
    pub(super) agreed_lines: u8,
    /// The built-in service on side B.
    pub(super) service: Option<Service>,
    /// When the latest answer came.
    pub(super) since: Time,
    /// Whether silence is a fault: some stream is to flow both ways.
    pub(super) watched: bool,
    /// Silence was reported.
    pub(super) silent: bool,
}

/// Our origin and version towards one side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shown {
    /// `o=` session id.
    pub(super) session: u64,
    /// `o=` version of the latest text.
    pub(super) version: u64,
    /// Hash of the latest text after `o=`; 0 when nothing was shown yet.
    pub(super) text: u64,
}

/// One media line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    /// The even slot of each side's pair, by [`Side::index`].
    pub(super) slots: [Option<Slot>; 2],
    /// Each side's agreed direction as that side described it.
    pub(super) directions: [Direction; 2],
    /// What the latest offer said.
    pub(super) offer: Facts,
    /// The pairs were taken for the pending offer.
    pub(super) fresh: bool,
    /// Agreed and flowing.
    pub(super) live: bool,
    /// Was live at some time: stands in the report.
    pub(super) was_live: bool,
    /// The side that was not heard, found once.
    pub(super) one_way: Option<Side>,
}

/// What a description says about one media line, boiled down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// How it is carried; [`Carriage::Other`] when the line is refused.
    pub(super) carriage: Carriage,
    /// Direction with hold by address taken into account.
    pub(super) direction: Direction,
    /// `c=0.0.0.0`.
    pub(super) held: bool,
    /// Offered or accepted `a=rtcp-mux`.
    pub(super) mux: bool,
    /// Payload types.
    pub(super) formats: u128,
    /// Their clocks.
    pub(super) clocks: Clocks,
    /// Who may send RTP.
    pub(super) rtp: Latch,
    /// Who may send RTCP.
    pub(super) rtcp: Latch,
}

impl Facts {
    /// A refused line.
    pub(super) const NONE: Facts = Facts {
        carriage: Carriage::Other,
        direction: Direction::Inactive,
        held: false,
        mux: false,
        formats: 0,
        clocks: Clocks::NONE,
        rtp: Latch::NOWHERE,
        rtcp: Latch::NOWHERE,
    };

    /// Whether the line can flow.
    pub(super) fn is_carried(&self) -> bool {
        self.carriage != Carriage::Other
    }
}

impl Stream {
    /// Nothing yet.
    pub(super) const NEW: Stream = Stream {
        slots: [None; 2],
        directions: [Direction::Inactive; 2],
        offer: Facts::NONE,
        fresh: false,
        live: false,
        was_live: false,
        one_way: None,
    };

    /// Whether both sides are to send.
    pub(super) fn is_two_way(&self) -> bool {
        self.live && self.directions == [Direction::SendRecv; 2]
    }
}

/// The calls of a shard. Slots are used again, their memory too.
pub(super) struct Calls {
    table: Vec<Call>,
    free: Vec<u32>,
    limit: u32,
}

impl Calls {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            table: Vec::new(),
            free: Vec::new(),
            limit,
        }
    }

    /// A new call; `None` at the limit.
    pub(super) fn insert(&mut self, sessions: [u64; 2]) -> Option<CallMedia> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.table.len())
                    .ok()
                    .filter(|&index| index < self.limit)?;
                self.table.push(Call::unused());
                index
            }
        };
        let call = self.table.get_mut(index as usize)?;
        call.used = true;
        call.shown = sessions.map(|session| Shown {
            session,
            version: session,
            text: 0,
        });
        Some(CallMedia {
            index: index + 1,
            generation: call.generation,
        })
    }

    /// Frees a call; its streams must be gone.
    pub(super) fn remove(&mut self, handle: &mut CallMedia) {
        let handle = std::mem::take(handle);
        let Some(call) = self.get_mut(&handle) else { return };
        debug_assert!(
            call.streams.iter().all(|stream| stream.slots == [None; 2]),
            "ports are released first"
        );
        let mut streams = std::mem::take(&mut call.streams);
        streams.clear();
        let generation = call.generation.wrapping_add(1);
        *call = Call {
            generation,
            streams,
            ..Call::unused()
        };
        self.free.push(handle.index - 1);
    }

    pub(super) fn get(&self, handle: &CallMedia) -> Option<&Call> {
        let index = handle.index.checked_sub(1)? as usize;
        self.table
            .get(index)
            .filter(|call| call.used && call.generation == handle.generation)
    }

    pub(super) fn get_mut(&mut self, handle: &CallMedia) -> Option<&mut Call> {
        let index = handle.index.checked_sub(1)? as usize;
        self.table
            .get_mut(index)
            .filter(|call| call.used && call.generation == handle.generation)
    }

    /// How many are in use.
    pub(super) fn len(&self) -> usize {
        self.table.len() - self.free.len()
    }

    /// Places in the table, used or not, for walking it piece by piece.
    pub(super) fn places(&self) -> usize {
        self.table.len()
    }

    /// The call at a place, if there is one.
    pub(super) fn at(&mut self, place: usize) -> Option<&mut Call> {
        self.table.get_mut(place).filter(|call| call.used)
    }
}

impl Call {
    fn unused() -> Call {
        Call {
            generation: 0,
            used: false,
            user: 0,
            shown: [Shown::default(); 2],
            streams: Vec::new(),
            pending: None,
            answered: None,
            agreed_lines: 0,
            service: None,
            since: Time::ZERO,
            watched: false,
            silent: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::flow::Flow;

    #[test]
    fn a_relayed_call_is_small() {
        let octets = 4 * size_of::<Flow>() + size_of::<Call>() + size_of::<Stream>();
        assert!(
            octets < 1536,
            "{octets} octets: flow {}, call {}, stream {}",
            size_of::<Flow>(),
            size_of::<Call>(),
            size_of::<Stream>()
        );
    }

    #[test]
    fn handles() {
        let mut calls = Calls::new(2);
        let mut first = calls.insert([1, 2]).unwrap();
        let _second = calls.insert([3, 4]).unwrap();
        assert!(calls.insert([5, 6]).is_none());
        let stale = CallMedia {
            index: first.index,
            generation: first.generation,
        };
        calls.remove(&mut first);
        assert!(first.is_empty());
        assert_eq!(calls.len(), 1);
        let again = calls.insert([7, 8]).unwrap();
        assert_eq!(again.index, stale.index);
        assert!(
            calls.get_mut(&stale).is_none(),
            "an old handle does not reach the new call"
        );
    }
}
