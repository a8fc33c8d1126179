//! The echo test: each packet of the latched peer goes back where it came from, as a stream of our
//! own SSRC.
//!
//! Two echo services that call each other must not play ping-pong with one packet at the speed of
//! the network: nothing is ever sent first, a packet with our own SSRC is dropped, and what is left
//! (each side sets its own SSRC) is held to a rate that voice never reaches.

use super::Media;
use super::flow::Flow;
use super::relay;
use super::types::Dropped;
use crate::protocol::rtp;
use shards::{Outbox, Slot, Target, Time};
use std::time::Duration;

impl Media {
    /// Sends back one packet whose source and header are already checked.
    pub(super) fn echo(&mut self, now: Time, out: &mut Outbox, slot: Slot, packet: &mut [u8]) {
        let Some(flow) = self.flows.get_mut(slot) else { return };
        if flow.muxed && rtp::is_rtcp(packet) {
            flow.stats.last = now;
            self.counters.rtcp_in += 1;
            return;
        }
        let Ok(header) = rtp::check_plain(packet) else { return };
        let counters = &mut self.counters;
        relay::count(flow, now, packet, &header, counters);
        if header.ssrc == flow.ssrc || !is_paced(flow, now) {
            counters.dropped[Dropped::Echo as usize] += 1;
        } else if !flow.sendable {
            counters.dropped[Dropped::NoDestination as usize] += 1;
        } else {
            rtp::set_ssrc(packet, flow.ssrc);
            counters.rtp_out += 1;
            out.datagram(Target::Media(slot, flow.to), packet);
        }
    }
}

/// Generic cell rate: one packet each [`INTERVAL`] on average, [`BURST`] ahead at most.
fn is_paced(flow: &mut Flow, now: Time) -> bool {
    let due = flow.paced.max(now);
    if due.since(now) > BURST {
        return false;
    }
    flow.paced = due + INTERVAL;
    true
}

/// 400 packets a second; 10 ms voice has 100.
const INTERVAL: Duration = Duration::from_micros(2_500);
const BURST: Duration = Duration::from_millis(250);
