//! What falls due in a call: no answer, a 200 without ACK, sessions that nobody refreshed
//! (RFC 4028), the longest call.

use super::leg::Session;
use super::{B2bua, State};
use crate::media::Side;
use crate::ops::stats::CallResult;
use crate::protocol::sip::{Message, Method, Name, params, write_number};
use crate::switch::core::Turn;
use crate::switch::site::Site;
use crate::switch::slab::Handle;
use shards::Time;
use std::time::Duration;

impl B2bua {
    /// When [`B2bua::expire`] wants to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.timers.next()
    }

    /// Arms the call's one timer for what falls due first.
    pub(super) fn schedule(&mut self, at: Handle) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let due = call.next_due();
        if due < call.armed {
            call.armed = due;
            self.timers.insert(due, at);
        }
    }

    /// Everything that is due.
    pub fn expire(&mut self, turn: &mut Turn<'_, '_>) {
        while let Some(at) = self.timers.pop(turn.cx.now) {
            let Some(call) = self.calls.get_mut(at) else { continue };
            if call.armed > turn.cx.now {
                continue;
            }
            call.armed = Time::FAR;
            self.due(turn, at);
            self.schedule(at);
        }
    }

    fn due(&mut self, turn: &mut Turn<'_, '_>, at: Handle) {
        let now = turn.cx.now;
        let Some(call) = self.calls.get_mut(at) else { return };
        match call.state {
            State::Over => return,
            State::Opening if call.ring_until <= now => {
                // As Timer C of a proxy: nobody answered.
                return self.abandon(turn, at, 408, CallResult::NoAnswer);
            }
            State::Opening => return,
            State::Answered => {}
        }
        if let Some(pending) = &mut call.unacknowledged
            && pending.next <= now
        {
            if pending.until <= now {
                // RFC 3261 section 13.3.1.4: no ACK; the dialog is confirmed, but it has to end.
                return self.hang_up(turn, at, None, CallResult::Failed);
            }
            let t2 = turn.core.site.plan.sip.timers.t2;
            pending.interval = (pending.interval * 2).min(t2);
            pending.next = (now + pending.interval).min(pending.until);
            turn.respond_octets(pending.server, Method::Invite, 200, &pending.octets);
        }
        if call.life_until <= now {
            return self.hang_up(turn, at, None, CallResult::Expired);
        }
        for side in [Side::A, Side::B] {
            self.session_due(turn, at, side);
        }
    }

    /// RFC 4028 section 10: refresh when that is ours to do, else end a session that was not.
    fn session_due(&mut self, turn: &mut Turn<'_, '_>, at: Handle, side: Side) {
        let now = turn.cx.now;
        let Some(call) = self.calls.get_mut(at) else { return };
        let leg = call.leg(side);
        let Some(session) = leg.session.filter(|session| session.due <= now) else { return };
        if !session.ours || !leg.takes_update {
            return self.hang_up(turn, at, None, CallResult::Expired);
        }
        leg.session = Some(Session { due: now + Duration::from_secs(u64::from(session.interval) / 2), ..session });
        self.refresh(turn, at, side, session.interval);
    }
}

impl super::Call {
    fn next_due(&self) -> Time {
        let mut due = Time::FAR;
        match self.state {
            State::Opening => due = self.ring_until,
            State::Answered => {
                due = due.min(self.unacknowledged.as_ref().map_or(Time::FAR, |pending| pending.next));
                for session in [&self.a.session, &self.b.session].into_iter().flatten() {
                    due = due.min(session.due);
                }
                due = due.min(self.life_until);
            }
            State::Over => {}
        }
        due
    }
}

/// As UAS: the session timer of the caller's leg from its INVITE (RFC 4028 section 9). The caller
/// refreshes. Without support there is none; the media timeout ends such a call.
pub(super) fn as_server(site: &Site, now: Time, request: &Message<'_>) -> Option<Session> {
    let supported = request.values(Name::Supported).any(|value| value.eq_ignore_ascii_case(b"timer"));
    let asked = request.header(Name::SessionExpires).and_then(interval);
    if !supported {
        return None;
    }
    let interval = asked.unwrap_or(site.plan.sip.session_expires).clamp(site.plan.sip.min_se, site.plan.sip.session_expires.max(site.plan.sip.min_se));
    Some(Session { interval, ours: false, due: now + Duration::from_secs(u64::from(interval)) })
}

/// As UAC: what the callee's 2xx says (section 7.2).
pub(super) fn as_client(now: Time, response: &Message<'_>) -> Option<Session> {
    let value = response.header(Name::SessionExpires)?;
    let interval = interval(value)?;
    let ours = params(value).any(|(name, value)| name == b"refresher" && value == Some(b"uac"));
    let wait = if ours { interval / 2 } else { interval };
    Some(Session { interval, ours, due: now + Duration::from_secs(u64::from(wait)) })
}

/// Session-Expires of our answer; returns whether there is one.
pub(super) fn write(out: &mut Vec<u8>, session: &Session) -> bool {
    write_number(out, u64::from(session.interval));
    out.extend_from_slice(if session.ours { b";refresher=uas" } else { b";refresher=uac" });
    true
}

/// The number at the head of a Session-Expires value; at least the RFC's 90 seconds.
fn interval(value: &[u8]) -> Option<u32> {
    let digits = value.split(|&octet| octet == b';' || octet == b' ').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok().map(|seconds: u32| seconds.max(90))
}
