//! The turn's part in the express lane of media (AF_XDP): what came by it, and when it leaves.
#![allow(unsafe_code)]

use super::core::Core;
use super::ring::Kind;
use super::turn::PacketThread;
use crate::media::Slot;
use crate::program::{Program, Verdict};
use crate::xdp::{Arrival, Lane};
use io_uring::opcode;
use io_uring::types::Fd;
use std::net::SocketAddr;

/// Packets taken in one turn, at most.
const ARRIVALS: usize = 1024;

impl Core {
    /// Wakes the loop when a frame came. Where media is read on demand, the program's turns will do.
    pub(super) fn arm_lane(&mut self) {
        if self.fetches() {
            return;
        }
        let Some(lane) = &self.lane else { return };
        let entry = opcode::PollAdd::new(Fd(lane.descriptor()), libc::POLLIN as u32)
            .multi(true)
            .build()
            .user_data(Kind::Lane.tag(0));
        // SAFETY: no memory is involved; the socket lives in `self`, which ends the ring's requests first.
        unsafe { self.ring.push(&entry) };
    }

    /// Sends a packet from an open slot by the lane, if its way is known.
    pub(super) fn send_by_lane(&mut self, slot: Slot, to: SocketAddr, octets: &[u8]) -> bool {
        let sent = self.lane.as_mut().is_some_and(|lane| lane.send(slot, to, octets));
        if sent {
            self.stats.media_out.add(1);
            self.stats.media_octets_out.add(octets.len() as u64);
            self.stats.xdp_out.add(1);
        }
        sent
    }

    /// Sends what is queued in the lane.
    pub(super) fn flush_lane(&mut self) {
        if let Some(lane) = &mut self.lane {
            lane.flush();
        }
    }

    /// Sends a packet on that came by the lane.
    fn pass_on(&mut self, arrival: &Arrival, slot: Slot, to: SocketAddr) -> bool {
        let Some(mut lane) = self.lane.take() else { return false };
        let octets = lane.payload(arrival);
        let len = octets.len() as u64;
        let passed = if self.is_open(slot) && lane.forward(arrival, slot, to) {
            self.stats.media_out.add(1);
            self.stats.media_octets_out.add(len);
            self.stats.xdp_out.add(1);
            true
        } else {
            // SAFETY: a held frame stays until everything was handed over.
            let queued = unsafe { self.relay(lane.payload(arrival), slot, to) };
            if queued {
                lane.hold(arrival);
            } else {
                lane.drop_packet(arrival);
            }
            queued
        };
        self.lane = Some(lane);
        passed
    }
}

impl<M: Send + 'static> PacketThread<M> {
    /// Handles what came by the lane; how many packets.
    pub(super) fn arrivals<P: Program<Mesh = M>>(&mut self, program: &mut P) -> usize {
        for count in 0..ARRIVALS {
            let Some(arrival) = self.core.lane.as_mut().and_then(Lane::next) else {
                return count;
            };
            self.arrival(program, &arrival);
        }
        ARRIVALS
    }

    fn arrival<P: Program<Mesh = M>>(&mut self, program: &mut P, arrival: &Arrival) {
        let arrived = self.wall_of(arrival.stamp);
        let Some(lane) = &mut self.core.lane else { return };
        let octets = lane.payload(arrival);
        self.core.stats.media_in.add(1);
        self.core.stats.media_octets_in.add(octets.len() as u64);
        self.core.stats.xdp_in.add(1);
        let verdict = program.media_at(self.now, arrival.slot, arrival.from, Some(arrived), octets);
        lane.learn(arrival, verdict != Verdict::Drop);
        match verdict {
            Verdict::Relay { slot, to } => {
                if self.core.pass_on(arrival, slot, to) {
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
