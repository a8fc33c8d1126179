//! What time does to calls.

use super::call::{CallId, Invite, Phase};
use super::{AudioOrder, Engine, Failure, Host, Note, Timer};
use crate::scenario::{Kind, Start};
use shards::{Time, TimerId};
use std::time::Duration;

/// How long an ended call answers copies of messages, where the scenario has no `timewait`. Timer K of
/// RFC 3261 is 5 s; load tests have to forget faster, and a copy that comes later is only counted.
pub(super) const DEAD_CALL: Duration = Duration::from_millis(500);

impl Engine {
    pub(super) fn timers(&mut self, now: Time, host: &mut dyn Host) {
        while let Some(timer) = self.wheel.pop(now) {
            match timer {
                Timer::Step(id) => self.step_over(id, now, host),
                Timer::Again(id) => self.again(id, now, host),
                Timer::Remove(id) => self.remove(id, now, host),
            }
        }
    }

    /// A pause is over, or nothing came in time.
    fn step_over(&mut self, id: CallId, now: Time, host: &mut dyn Host) {
        let Some(call) = self.calls.get_mut(id).filter(|call| call.phase == Phase::Running) else {
            return;
        };
        call.timer = TimerId::NONE;
        let at = call.step;
        let scenario = self.scenario.clone();
        let ontimeout = match &scenario.steps[at].kind {
            Kind::Receive(receive) => Some(receive.ontimeout),
            Kind::ReceiveCommand(receive) => Some(receive.ontimeout),
            _ => None,
        };
        match ontimeout {
            Some(ontimeout) => {
                self.stats.counters.steps[at].timeouts += 1;
                match ontimeout {
                    Some(to) => {
                        call.go(to);
                        self.run(id, now, host);
                    }
                    None => {
                        self.fail(id, Failure::ReceiveTimeout, "nothing came in time", now, host);
                    }
                }
            }
            None => {
                self.read_watch(id, at, now);
                self.advance(id, at);
                self.run(id, now, host);
            }
        }
    }

    /// A message was not answered: it is sent again, with the interval doubled. A request other than
    /// INVITE is bounded by T2 (RFC 3261 section 17.1.2.2), and so is a 2xx (section 13.3.1.4).
    fn again(&mut self, id: CallId, now: Time, host: &mut dyn Host) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.again = TimerId::NONE;
        if call.phase == Phase::HangingUp {
            return;
        }
        let at = call.sent_step;
        let Kind::Send(send) = &self.scenario.steps[at].kind else {
            return;
        };
        let is_invite = send.start.is("INVITE");
        let most = if is_invite {
            self.settings.most_invite
        } else {
            self.settings.most_other
        };
        if call.repeats >= most {
            self.stats.counters.steps[at].timeouts += 1;
            let is_response = matches!(send.start, Start::Response(_));
            let what = if is_response {
                "the answer was never acknowledged"
            } else {
                "no answer, sent again as often as allowed"
            };
            self.fail(id, Failure::MaxRetrans, what, now, host);
            return;
        }
        call.repeats += 1;
        call.interval_ms = call.interval_ms.saturating_mul(2);
        let t2 = self.settings.t2.as_millis() as u32;
        if !is_invite {
            call.interval_ms = call.interval_ms.min(t2);
        }
        call.again = self
            .wheel
            .insert(now + Duration::from_millis(call.interval_ms.into()), Timer::Again(id));
        self.stats.counters.retransmissions += 1;
        self.stats.counters.steps[at].retransmissions += 1;
        if self.settings.trace.messages {
            host.note(Note::Sent, Some(call.peer), &call.sent);
        }
        host.send(call.peer, &call.sent, id, call.port);
    }

    /// Nothing more is done by the call, but it still answers copies for a while.
    pub(super) fn linger(&mut self, id: CallId, now: Time, time: Duration, host: &mut dyn Host) {
        self.leave(id);
        let Some(call) = self.calls.get_mut(id) else { return };
        self.wheel.cancel(std::mem::replace(&mut call.timer, TimerId::NONE));
        // A final response that waits for its ACK goes on being sent; anything else is over.
        if call.invite != Invite::Answered {
            self.wheel.cancel(std::mem::replace(&mut call.again, TimerId::NONE));
        }
        if let Some(audio) = call.audio.take() {
            host.audio(now, audio, AudioOrder::Close);
        }
        if time.is_zero() {
            self.remove(id, now, host);
            return;
        }
        call.timer = self.wheel.insert(now + time, Timer::Remove(id));
    }

    pub(super) fn remove(&mut self, id: CallId, now: Time, host: &mut dyn Host) {
        self.leave(id);
        if let Some(call) = self.calls.remove(id) {
            self.wheel.cancel(call.timer);
            self.wheel.cancel(call.again);
            if let Some(audio) = call.audio {
                host.audio(now, audio, AudioOrder::Close);
            }
        }
    }
}
