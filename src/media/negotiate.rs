//! Offer and answer (RFC 3264, cases of RFC 6337) between the two legs of a relayed call. Flows
//! are written when an answer comes, so a rejected offer has nothing to undo but its new ports.

use super::call::{Facts, Stream};
use super::flow::{Clocks, Flow, Flows, Kind, State};
use super::latch::Latch;
use super::ports::Wanted;
use super::types::{CallMedia, MediaError, Seen, Side};
use super::{Media, Open};
use crate::protocol::sdp::rewrite::Mux;
use crate::protocol::sdp::{Carriage, Sdp};
use shards::{Slot, Time};

impl Media {
    /// Takes an offer from one side and appends the offer for the other to `out`. An offer from
    /// the side whose offer is pending replaces it (serial forking).
    /// # Errors
    /// [`MediaError`]; then nothing has changed but that a replaced offer is gone, all new ports
    /// are free again, `out` is as before. A call that a built-in service has taken cannot be
    /// relayed any more ([`MediaError::NoMedia`]).
    #[expect(clippy::too_many_arguments, reason = "one call of the seam, and each is needed")]
    pub fn offer(
        &mut self,
        now: Time,
        ports: Open<'_>,
        call: &mut CallMedia,
        from: Side,
        sdp: &[u8],
        seen: Seen<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MediaError> {
        self.now = now;
        let sdp = Sdp::parse(sdp).map_err(MediaError::Malformed)?;
        let facts = self.facts(&sdp, seen);
        let offered = sdp.sections().iter().filter(|section| section.port != 0).count();
        let is_local = self.calls.get_mut(call).is_some_and(|record| record.service.is_some());
        if is_local || offered > 0 && !facts.iter().any(Facts::is_carried) {
            return Err(MediaError::NoMedia);
        }
        self.begin(call, from, sdp.sections().len())?;
        for (line, facts) in facts.iter().enumerate().take(sdp.sections().len()) {
            let family = sdp
                .sections()
                .get(line)
                .and_then(|section| section.address)
                .map(|ip| ip.is_ipv6());
            if let Err(error) = self.offer_line(ports, call, from, line, facts, seen, family) {
                self.undo(call);
                return Err(error);
            }
        }
        if let Some(call) = self.calls.get_mut(call) {
            call.pending = Some(from);
        }
        let replacements = self.replacements(call, from.other(), sdp.sections(), |facts, section| {
            (facts.is_carried(), Mux::Keep, section)
        });
        self.write(
            call,
            from.other(),
            &sdp,
            replacements.get(..sdp.sections().len()).unwrap_or(&[]),
            out,
        );
        Ok(())
    }

    /// Takes the answer to the pending offer, or another one to the offer answered last (early
    /// answers), and appends the answer for the other side to `out`; flows are live from here.
    /// # Errors
    /// [`MediaError`]; then nothing has changed and `out` is as before.
    pub fn answer(
        &mut self,
        now: Time,
        call: &mut CallMedia,
        from: Side,
        sdp: &[u8],
        seen: Seen<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MediaError> {
        self.now = now;
        let sdp = Sdp::parse(sdp).map_err(MediaError::Malformed)?;
        let record = self.calls.get_mut(call).ok_or(MediaError::NoOffer)?;
        if record.pending.or(record.answered) != Some(from.other()) {
            return Err(MediaError::NoOffer);
        }
        if sdp.sections().len() != record.streams.len() {
            return Err(MediaError::Mismatch);
        }
        if record.service.is_some() {
            return self.answered_by_peer(call, &sdp, seen);
        }
        let answers = self.facts(&sdp, seen);
        for (line, answer) in answers.iter().enumerate().take(sdp.sections().len()) {
            self.agree(call, from, line, answer);
        }
        let offerer = from.other();
        self.conclude(call, offerer);
        let replacements = self.replacements(call, offerer, sdp.sections(), |offer, section| {
            (
                offer.is_carried() && section.port != 0,
                if offer.mux { Mux::Set } else { Mux::Clear },
                section,
            )
        });
        self.write(
            call,
            offerer,
            &sdp,
            replacements.get(..sdp.sections().len()).unwrap_or(&[]),
            out,
        );
        Ok(())
    }

    /// The pending offer came to nothing: back to what was agreed. Its new ports rest.
    pub fn reject(&mut self, call: &mut CallMedia) {
        let now = self.now;
        let Some(record) = self.calls.get_mut(call).filter(|record| record.pending.is_some()) else {
            return;
        };
        record.pending = None;
        let agreed = usize::from(record.agreed_lines);
        for slot in record.streams.iter_mut().flat_map(Stream::take_fresh) {
            self.ports.rest(now, slot, &mut self.counters);
        }
        record.streams.truncate(agreed);
    }

    /// Makes the call's record where there is none, and checks that an offer may come now.
    pub(super) fn begin(&mut self, call: &mut CallMedia, from: Side, lines: usize) -> Result<(), MediaError> {
        if call.is_empty() {
            let sessions = [self.session_id(), self.session_id()];
            *call = self.calls.insert(sessions).ok_or(MediaError::Exhausted)?;
            self.counters.calls = self.calls.len() as u64;
        }
        let record = self.calls.get_mut(call).ok_or(MediaError::NoOffer)?;
        match record.pending {
            Some(pending) if pending != from => return Err(MediaError::Glare),
            Some(_) => self.reject(call),
            None => {}
        }
        let record = self.calls.get_mut(call).ok_or(MediaError::NoOffer)?;
        if lines < record.streams.len() {
            return Err(MediaError::Mismatch);
        }
        record.streams.resize(lines, Stream::NEW);
        Ok(())
    }

    /// Notes one offered line and sees that it has ports on both sides.
    #[expect(clippy::too_many_arguments, reason = "private, a loop's body")]
    fn offer_line(
        &mut self,
        open: Open<'_>,
        call: &CallMedia,
        from: Side,
        line: usize,
        facts: &Facts,
        seen: Seen<'_>,
        v6: Option<bool>,
    ) -> Result<(), MediaError> {
        self.note_offer(call, line, facts);
        if !facts.is_carried() {
            return Ok(());
        }
        let rtcp = facts.carriage.is_rtp();
        self.pair(
            open,
            call,
            line,
            from,
            Wanted {
                addresses: seen.addresses,
                v6,
                rtcp: rtcp && !facts.mux,
                urgent: seen.urgent,
            },
        )?;
        // The other side may decline to multiplex, so its RTCP port is opened in any case.
        self.pair(
            open,
            call,
            line,
            from.other(),
            Wanted {
                addresses: seen.other,
                v6: None,
                rtcp,
                urgent: seen.urgent,
            },
        )
    }

    pub(super) fn note_offer(&mut self, call: &CallMedia, line: usize, facts: &Facts) {
        if let Some(stream) = self.calls.get_mut(call).and_then(|record| record.streams.get_mut(line)) {
            stream.offer = *facts;
        }
    }

    /// Sees that one side of a stream has a pair.
    pub(super) fn pair(
        &mut self,
        open: Open<'_>,
        call: &CallMedia,
        line: usize,
        side: Side,
        wanted: Wanted<'_>,
    ) -> Result<(), MediaError> {
        let addresses = if wanted.addresses.is_empty() {
            &self.addresses
        } else {
            wanted.addresses
        };
        let wanted = Wanted { addresses, ..wanted };
        let stream = self.calls.get_mut(call).and_then(|record| record.streams.get_mut(line));
        let Some(stream) = stream else {
            return Err(MediaError::Mismatch);
        };
        let Some(place) = stream.slots.get_mut(side.index()) else {
            return Err(MediaError::Mismatch);
        };
        if let Some(slot) = *place {
            return if wanted.rtcp {
                self.ports.open_rtcp(open, slot)
            } else {
                Ok(())
            };
        }
        let slot = self.ports.take(self.now, open, wanted, &mut self.counters)?;
        *place = Some(slot);
        stream.fresh[side.index()] = true;
        self.flows.prepare(slot);
        self.flows.prepare(Slot(slot.0 | 1));
        Ok(())
    }

    /// Takes back what an offer that failed half-way has done; nobody has seen its ports.
    pub(super) fn undo(&mut self, call: &mut CallMedia) {
        let Some(record) = self.calls.get_mut(call) else { return };
        let agreed = usize::from(record.agreed_lines);
        for slot in record.streams.iter_mut().flat_map(Stream::take_fresh) {
            self.ports.give_back(slot, &mut self.counters);
        }
        record.streams.truncate(agreed);
        if record.streams.is_empty() && record.answered.is_none() {
            self.calls.remove(call);
            self.counters.calls = self.calls.len() as u64;
        }
    }

    /// One line of an answer meets its offer.
    fn agree(&mut self, call: &CallMedia, from: Side, line: usize, answer: &Facts) {
        let Some(stream) = self.calls.get_mut(call).and_then(|record| record.streams.get_mut(line)) else {
            return;
        };
        let offer = stream.offer;
        let offerer = from.other();
        stream.live = offer.is_carried() && answer.is_carried();
        stream.was_live |= stream.live;
        stream.directions[offerer.index()] = offer.direction;
        stream.directions[from.index()] = answer.direction;
        let (slots, live) = (stream.slots, stream.live);
        let (Some(near), Some(far)) = (slots[offerer.index()], slots[from.index()]) else {
            return;
        };
        if !live {
            self.close(near);
            self.close(far);
            return;
        }
        let answer_mux = answer.mux && offer.mux;
        let formats = offer.formats | answer.formats | COMFORT_NOISE;
        let mut clocks = answer.clocks;
        (0..128)
            .filter(|format| offer.formats >> format & 1 == 1)
            .for_each(|format| clocks.set(format, offer.clocks.of(format)));
        // SRTP on one side makes the stream opaque for both.
        let carriage = if offer.carriage == Carriage::Rtp {
            answer.carriage
        } else {
            offer.carriage
        };
        let ports = &self.ports;
        let end = |facts: &Facts, slot: Slot, mux: bool| {
            let v6 = ports.address(slot).is_some_and(|address| address.is_ipv6());
            End {
                rtp: facts.rtp.from_socket(v6),
                rtcp: facts.rtcp.from_socket(v6),
                held: facts.held,
                slot,
                mux,
            }
        };
        let (near, far) = (end(&offer, near, offer.mux), end(answer, far, answer_mux));
        for (this, other) in [(near, far), (far, near)] {
            self.install(&this, &other, carriage, formats, clocks);
        }
        for slot in [near.slot, far.slot] {
            self.flows.aim(slot);
            self.flows.aim(Slot(slot.0 | 1));
        }
    }

    fn install(&mut self, this: &End, other: &End, carriage: Carriage, formats: u128, clocks: Clocks) {
        let (kind, rtcp_kind) = match carriage {
            Carriage::Rtp | Carriage::Other => (Kind::Rtp, Kind::Rtcp),
            Carriage::Secure => (Kind::Secure, Kind::SecureRtcp),
            Carriage::Dtls => (Kind::Dtls, Kind::Dtls),
            Carriage::Udptl => (Kind::Udptl, Kind::Udptl),
        };
        let rtcp_to = if other.mux { other.slot } else { Slot(other.slot.0 | 1) };
        let Some(flow) = self.flows.get_mut(this.slot) else {
            return;
        };
        flow.negotiated(this.rtp, this.held);
        (flow.kind, flow.muxed, flow.allowed, flow.clocks) = (kind, this.mux, formats, clocks);
        (flow.to_slot, flow.rtcp_slot) = (other.slot, rtcp_to);
        self.unpoint(this.slot);
        let odd = Slot(this.slot.0 | 1);
        if this.mux || carriage == Carriage::Udptl {
            self.close_flow(odd);
        } else if let Some(flow) = self.flows.get_mut(odd) {
            flow.negotiated(this.rtcp, this.held);
            (flow.kind, flow.to_slot, flow.rtcp_slot) = (rtcp_kind, rtcp_to, rtcp_to);
            // DTLS and SRTCP share this port; the latter is told apart as on a muxed one.
            flow.muxed = rtcp_kind == Kind::Dtls;
        }
    }

    /// The answer is in: what was fresh is agreed.
    pub(super) fn conclude(&mut self, call: &CallMedia, offerer: Side) {
        let now = self.now;
        let Some(record) = self.calls.get_mut(call) else { return };
        record.pending = None;
        record.answered = Some(offerer);
        record.agreed_lines = record.streams.len() as u8;
        record.since = now;
        record.watched = record.streams.iter().any(Stream::is_two_way);
        record.streams.iter_mut().for_each(|stream| stream.fresh = [false; 2]);
    }

    /// Closes both flows of a pair; its figures stay for the report.
    pub(super) fn close(&mut self, even: Slot) {
        self.close_flow(even);
        self.close_flow(Slot(even.0 | 1));
    }

    fn close_flow(&mut self, slot: Slot) {
        if let Some(flow) = self.flows.get_mut(slot) {
            flow.state = State::Closed;
            flow.sendable = false;
        }
    }
}

/// Forgets both flows of a pair.
pub(super) fn clear(flows: &mut Flows, even: Slot) {
    for slot in [even, Slot(even.0 | 1)] {
        if let Some(flow) = flows.get_mut(slot) {
            *flow = Flow::CLOSED;
        }
    }
}

/// One end of a stream while it is installed.
#[derive(Clone, Copy)]
struct End {
    rtp: Latch,
    rtcp: Latch,
    held: bool,
    slot: Slot,
    mux: bool,
}

/// Comfort noise passes, also where it was not named (RFC 3389 gives it a static type).
pub(super) const COMFORT_NOISE: u128 = 1 << 13;
