//! The hot path: slot, flow, source, header, payload type, counters, verdict. And what is off it:
//! first packets, latching.

use super::Media;
use super::flow::{Flow, Kind, State};
use super::latch::{Heard, Phase};
use super::types::{Dropped, MediaCounters};
use crate::protocol::{rtcp, rtp, stun};
use shards::{Outbox, Slot, Target, Time, Verdict};
use std::net::SocketAddr;

/// What a packet is, once checked against its flow.
enum Checked {
    /// RTP with its header.
    Rtp(rtp::Header),
    /// RTCP.
    Rtcp,
    /// T.38 or DTLS.
    Opaque,
}

impl Media {
    /// One received datagram: the hot path. No lock, allocation, hash or clock.
    #[inline]
    pub fn packet(&mut self, now: Time, slot: Slot, from: SocketAddr, packet: &mut [u8]) -> Verdict {
        let Some(flow) = self.flows.get_mut(slot) else {
            return drop(&mut self.counters, Dropped::NoFlow);
        };
        match flow.state {
            State::Live => {}
            State::Waiting => return Verdict::Odd,
            State::Closed => return drop(&mut self.counters, Dropped::NoFlow),
        }
        if flow.source != from {
            // The description's address may still take over from a learnt one.
            if flow.is_learnt() {
                return Verdict::Odd;
            }
            return drop(&mut self.counters, Dropped::Source);
        }
        if flow.kind == Kind::Rtp && !(flow.muxed && rtp::is_rtcp(packet)) {
            let header = match plain(flow, packet) {
                Ok(header) => header,
                Err(reason) => return drop(&mut self.counters, reason),
            };
            return forward(flow, now, packet, &header, &mut self.counters);
        }
        self.other(now, slot, packet)
    }

    /// A datagram that [`Media::packet`] called odd: the first one of a source, or one for a
    /// built-in service.
    pub fn odd(&mut self, now: Time, out: &mut Outbox, slot: Slot, from: SocketAddr, packet: &mut [u8]) {
        let Some(flow) = self.flows.get(slot) else { return };
        if flow.state == State::Closed {
            self.counters.dropped[Dropped::NoFlow as usize] += 1;
            return;
        }
        // Nothing that is not what was negotiated may ever move an address.
        if let Err(reason) = check(flow, packet) {
            self.counters.dropped[reason as usize] += 1;
            return;
        }
        if (flow.source != from || flow.state == State::Waiting) && !self.latch(slot, from) {
            self.counters.dropped[Dropped::Source as usize] += 1;
            return;
        }
        if self.flows.get(slot).is_some_and(|flow| flow.kind == Kind::Echo) {
            self.echo(now, out, slot, packet);
            return;
        }
        if let Verdict::Relay { slot, to } = self.packet(now, slot, from, packet) {
            out.datagram(Target::Media(slot, to), packet);
        }
    }

    /// Whether `from` is (now) the flow's source.
    fn latch(&mut self, slot: Slot, from: SocketAddr) -> bool {
        if self.ports.is_own(from) {
            return false; // a loop of our own
        }
        let Some(flow) = self.flows.get_mut(slot) else {
            return false;
        };
        let heard = flow.latch.hear(from);
        if heard == Heard::Refuse {
            return false;
        }
        flow.source = from;
        flow.state = State::Live;
        // Nothing but a new description can move this source any more, and all that leaves here goes
        // to it: the kernel may know. (What was learnt may still give way to the description's.)
        if heard == Heard::Match && matches!(flow.kind, Kind::Rtp | Kind::Secure) {
            flow.pointed = true;
            self.points.push((slot, Some(from)));
        }
        let (to_slot, rtcp_slot) = (flow.to_slot, flow.rtcp_slot);
        if heard == Heard::Learn {
            self.counters.learnt += 1;
        }
        let companion = Slot(slot.0 ^ 1);
        if heard == Heard::Match
            && let Some(companion) = self.flows.get_mut(companion)
            && companion.latch.phase() == Phase::Waiting
        {
            companion.latch.companion_matched();
        }
        // Whoever sends to this source now sends to where it really is.
        for target in [to_slot, rtcp_slot] {
            for feeder in [Slot(target.0 & !1), Slot(target.0 | 1)] {
                if self.flows.get(feeder).is_some_and(|flow| flow.to_slot == slot) {
                    self.flows.aim(feeder);
                }
            }
        }
        true
    }

    /// All but plain RTP, source already checked.
    #[inline(never)]
    fn other(&mut self, now: Time, slot: Slot, packet: &mut [u8]) -> Verdict {
        let Some(flow) = self.flows.get_mut(slot) else {
            return Verdict::Drop;
        };
        let checked = match check(flow, packet) {
            Ok(checked) => checked,
            Err(reason) => return drop(&mut self.counters, reason),
        };
        match (flow.kind, checked) {
            (Kind::Echo, _) => Verdict::Odd,
            (Kind::Sink, Checked::Rtp(header)) => {
                count(flow, now, packet, &header, &mut self.counters);
                Verdict::Drop
            }
            (Kind::Sink, _) => {
                flow.stats.last = now;
                self.counters.rtcp_in += 1;
                Verdict::Drop
            }
            (_, Checked::Rtp(header)) => forward(flow, now, packet, &header, &mut self.counters),
            (_, Checked::Opaque) => {
                flow.stats.opaque(now, packet.len());
                self.counters.rtp_in += 1;
                self.counters.rtp_in_octets += packet.len() as u64;
                send(flow.to_slot, flow.to, flow.sendable, &mut self.counters, |counters| {
                    &mut counters.rtp_out
                })
            }
            (_, Checked::Rtcp) => {
                self.counters.rtcp_in += 1;
                flow.stats.last = now;
                let (mut to_slot, mut to, mut sendable) = (flow.to_slot, flow.to, flow.sendable);
                if flow.muxed && flow.rtcp_slot != to_slot {
                    // This leg muxes, the other does not: to its RTCP port, from ours.
                    to_slot = flow.rtcp_slot;
                    (to, sendable) = self
                        .flows
                        .get(to_slot)
                        .map_or((to, false), |leg| (leg.source, leg.can_be_sent_to()));
                }
                send(to_slot, to, sendable, &mut self.counters, |counters| {
                    &mut counters.rtcp_out
                })
            }
        }
    }
}

/// A plain RTP packet of a flow.
#[inline]
fn plain(flow: &Flow, packet: &[u8]) -> Result<rtp::Header, Dropped> {
    let header = rtp::check_plain(packet).map_err(|_| no_rtp(packet))?;
    if flow.allowed >> header.payload_type & 1 == 0 {
        return Err(Dropped::PayloadType);
    }
    Ok(header)
}

#[cold]
fn no_rtp(packet: &[u8]) -> Dropped {
    if stun::is_stun(packet) {
        Dropped::Stun
    } else {
        Dropped::Malformed
    }
}

/// A packet against what its flow carries.
fn check(flow: &Flow, packet: &[u8]) -> Result<Checked, Dropped> {
    let is_rtcp = flow.muxed && rtp::is_rtcp(packet);
    match flow.kind {
        Kind::Rtcp => rtcp::check(packet).map(|_| Checked::Rtcp).map_err(|_| no_rtp(packet)),
        Kind::SecureRtcp => rtcp::check_secure(packet)
            .map(|_| Checked::Rtcp)
            .map_err(|_| no_rtp(packet)),
        Kind::Udptl => Ok(Checked::Opaque),
        // RFC 7983: 20 to 63 is DTLS.
        Kind::Dtls if matches!(packet, [20..=63, ..]) => Ok(Checked::Opaque),
        Kind::Secure | Kind::Dtls if is_rtcp => rtcp::check_secure(packet)
            .map(|_| Checked::Rtcp)
            .map_err(|_| no_rtp(packet)),
        Kind::Secure | Kind::Dtls => rtp::check(packet).map(Checked::Rtp).map_err(|_| no_rtp(packet)),
        Kind::Rtp | Kind::Echo | Kind::Sink if is_rtcp => {
            rtcp::check(packet).map(|_| Checked::Rtcp).map_err(|_| no_rtp(packet))
        }
        Kind::Rtp | Kind::Echo | Kind::Sink => plain(flow, packet).map(Checked::Rtp),
    }
}

#[inline]
pub(super) fn count(flow: &mut Flow, now: Time, packet: &[u8], header: &rtp::Header, counters: &mut MediaCounters) {
    let rate = flow.clocks.of(header.payload_type);
    flow.stats.receive(now, header, packet.len(), rate);
    counters.rtp_in += 1;
    counters.rtp_in_octets += packet.len() as u64;
}

#[inline]
fn forward(
    flow: &mut Flow,
    now: Time,
    packet: &mut [u8],
    header: &rtp::Header,
    counters: &mut MediaCounters,
) -> Verdict {
    count(flow, now, packet, header, counters);
    flow.rewrite(packet, header);
    send(flow.to_slot, flow.to, flow.sendable, counters, |counters| {
        &mut counters.rtp_out
    })
}

#[inline]
fn send(
    slot: Slot,
    to: SocketAddr,
    sendable: bool,
    counters: &mut MediaCounters,
    counter: impl FnOnce(&mut MediaCounters) -> &mut u64,
) -> Verdict {
    if !sendable {
        return drop(counters, Dropped::NoDestination);
    }
    *counter(counters) += 1;
    Verdict::Relay { slot, to }
}

#[inline]
fn drop(counters: &mut MediaCounters, reason: Dropped) -> Verdict {
    counters.dropped[reason as usize] += 1;
    Verdict::Drop
}
