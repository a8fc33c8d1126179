//! The turn's part in the express lanes of media (AF_XDP): what came by it, and when it leaves.
#![allow(unsafe_code)]

use super::core::Core;
use super::ring::Kind;
use super::turn::PacketThread;
use crate::media::Slot;
use crate::program::{Program, ShardId, Verdict};
use crate::supervise::LaunchError;
use crate::xdp::{Arrival, Gate, Lane};
use io_uring::opcode;
use io_uring::types::Fd;
use std::net::SocketAddr;
use std::sync::Arc;

/// Packets taken from a lane in one turn, at most.
const ARRIVALS: usize = 1024;

impl Core {
    /// A lane at each device that has a queue for the shard.
    pub(super) fn open_lanes(&mut self, shard: ShardId, gates: &[Arc<Gate>]) -> Result<(), LaunchError> {
        let Some(slice) = &self.slice else { return Ok(()) };
        for gate in gates {
            match Lane::open(gate, shard, slice)? {
                Some(lane) => {
                    self.describe.push(lane.describe());
                    self.lanes.push(lane);
                }
                None => self.describe.push(format!(
                    "media: by sockets alone where {} has no queue for the shard",
                    gate.name()
                )),
            }
        }
        Ok(())
    }

    /// Wakes the loop when a frame came. Where media is read on demand, the program's turns will do.
    pub(super) fn arm_lanes(&mut self) {
        for index in 0..self.lanes.len() {
            self.arm_lane(index);
        }
    }

    pub(super) fn arm_lane(&mut self, index: usize) {
        let Some(lane) = self.lanes.get(index).filter(|_| !self.fetches()) else {
            return;
        };
        let entry = opcode::PollAdd::new(Fd(lane.descriptor()), libc::POLLIN as u32)
            .multi(true)
            .build()
            .user_data(Kind::Lane.tag(index as u32));
        // SAFETY: no memory is involved; the socket lives in `self`, which ends the ring's requests first.
        unsafe { self.ring.push(&entry) };
    }

    /// Sends a packet from an open slot by the lane that knows the way, if one does.
    pub(super) fn send_by_lane(&mut self, slot: Slot, to: SocketAddr, octets: &[u8]) -> bool {
        let sent = self.lanes.iter_mut().any(|lane| lane.send(slot, to, octets));
        if sent {
            self.count_sent(octets.len());
        }
        sent
    }

    fn count_sent(&self, octets: usize) {
        self.stats.media_out.add(1);
        self.stats.media_octets_out.add(octets as u64);
        self.stats.xdp_out.add(1);
    }

    /// Sends what is queued in the lanes.
    pub(super) fn flush_lanes(&mut self) {
        for lane in &mut self.lanes {
            lane.flush();
        }
    }

    /// Sends a packet on that came by lane `index`: in its own frame, by another lane, or by the socket.
    fn pass_on(&mut self, index: usize, arrival: &Arrival, slot: Slot, to: SocketAddr) -> bool {
        let is_open = self.is_open(slot);
        let Some(lane) = self.lanes.get_mut(index) else {
            return false;
        };
        if !is_open {
            lane.drop_packet(arrival);
            self.stats.send_errors.add(1);
            return false;
        }
        let len = lane.payload(arrival).len();
        if lane.forward(arrival, slot, to) {
            self.count_sent(len);
            return true;
        }
        for other in (0..self.lanes.len()).filter(|&other| other != index) {
            if let Ok([lane, other]) = self.lanes.get_disjoint_mut([index, other])
                && other.send(slot, to, lane.payload(arrival))
            {
                lane.drop_packet(arrival);
                self.count_sent(len);
                return true;
            }
        }
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.hold(arrival);
            let octets: *const [u8] = lane.payload(arrival);
            // SAFETY: a held frame's memory is left alone until everything was handed over.
            unsafe { self.relay_by_socket(&*octets, slot, to) };
        }
        true
    }
}

impl<M: Send + 'static> PacketThread<M> {
    /// Handles what came by the lanes; how many packets.
    pub(super) fn arrivals<P: Program<Mesh = M>>(&mut self, program: &mut P) -> usize {
        let mut count = 0;
        for index in 0..self.core.lanes.len() {
            for _ in 0..ARRIVALS {
                let Some(arrival) = self.core.lanes[index].next() else {
                    break;
                };
                self.arrival(program, index, &arrival);
                count += 1;
            }
        }
        count
    }

    fn arrival<P: Program<Mesh = M>>(&mut self, program: &mut P, index: usize, arrival: &Arrival) {
        let arrived = self.wall_of(arrival.stamp);
        let lane = &mut self.core.lanes[index];
        let octets = lane.payload(arrival);
        self.core.stats.media_in.add(1);
        self.core.stats.media_octets_in.add(octets.len() as u64);
        self.core.stats.xdp_in.add(1);
        let verdict = program.media_at(self.now, arrival.slot, arrival.from, Some(arrived), octets);
        lane.learn(arrival, verdict != Verdict::Drop);
        match verdict {
            Verdict::Relay { slot, to } => {
                if self.core.pass_on(index, arrival, slot, to) {
                    self.receiver.sample(arrival.slot.0, arrived);
                }
            }
            Verdict::Drop => lane.drop_packet(arrival),
            Verdict::Odd => {
                // The program may use everything meanwhile: it gets a copy.
                let mut octets = std::mem::take(&mut self.odd);
                octets.clear();
                octets.extend_from_slice(lane.payload(arrival));
                lane.drop_packet(arrival);
                self.with(|cx| program.media_odd(cx, arrival.slot, arrival.from, &mut octets));
                self.odd = octets;
            }
        }
    }
}
