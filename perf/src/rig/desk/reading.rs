//! Ports that are read together every few ticks instead of with each packet, and sockets connected to the far
//! end: what both save is most of what a packet costs beside its way through the kernel.

use super::{Desk, NONE, Order};
use shards::{Host, Outbox, Time};

/// Where ports are read on demand, each is read in one of so many ticks, so every 60 ms: what comes waits for
/// it in the kernel, which notes the times.
const ROUNDS: usize = 15;
/// The same where packets come past the sockets (AF_XDP): what still comes to them is an exception.
const SELDOM: usize = 250;

/// Once the far end was heard from where it wants its packets, the socket is connected to it, since the kernel
/// then sends for a tenth less. It refuses what others send from there on, which is missing in the call that it
/// was meant for; one stream in so many stays open to all, to show whose it was.
const ALL_EARS: u32 = 8;

/// Whether a stream's socket may be connected to its far end.
pub(super) fn may_point(audio: u32) -> bool {
    !audio.is_multiple_of(ALL_EARS)
}

impl Desk {
    /// Whether there is something to do every few milliseconds.
    pub(super) fn ticks(&self) -> bool {
        !self.schedule.is_empty() || self.plan.fetched && (self.figures.open > 0 || !self.closing.is_empty())
    }

    /// Whether every stream that is over was judged.
    pub(in crate::rig) fn is_idle(&self) -> bool {
        self.closing.is_empty()
    }

    /// Reads the ports whose turn it is, and judges the streams that were read to their end.
    pub(super) fn fetch(&mut self, now: Time, out: &mut Outbox) {
        if !self.plan.fetched {
            return;
        }
        let rounds = if self.plan.express { SELDOM } else { ROUNDS };
        for stream in self.streams.iter().skip(self.round % rounds).step_by(rounds) {
            if stream.live {
                out.fetch(stream.slot);
            }
        }
        self.round += 1;
        // What is read comes in the turn after the reading: a tick later it is here.
        while let Some(&(audio, Some(read))) = self.closing.front()
            && read < now
        {
            self.closing.pop_front();
            self.judge(audio);
        }
        for (audio, read) in self.closing.iter_mut().filter(|(_, read)| read.is_none()) {
            out.fetch(self.streams[*audio as usize].slot);
            *read = Some(now);
        }
    }

    /// The last of a stream.
    pub(super) fn judge(&mut self, audio: u32) {
        let Some(stream) = self.streams.get_mut(audio as usize) else {
            return;
        };
        self.figures.judged(&stream.judge, stream.sent, stream.since_us);
        self.by_slot[stream.slot.0 as usize] = NONE;
        self.free.push_back(stream.slot.0);
        self.spare.push(audio);
        self.figures.open -= 1;
    }

    /// Connects the sockets whose far end sends from where it listens.
    pub(in crate::rig) fn point(&mut self, host: &mut dyn Host<Order>) {
        for (slot, peer) in self.points.drain(..) {
            host.point_media(slot, peer);
        }
    }
}
