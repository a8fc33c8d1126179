//! What falls due in a call: no answer, a 200 without ACK, sessions that nobody refreshed
//! (RFC 4028), the longest call.

use super::leg::{Leg, Refresh};
use super::{B2bua, State};
use crate::media::Side;
use crate::ops::stats::CallResult;
use crate::protocol::sip::dialog::session_timer::{self, Due, Policy, SessionTimer};
use crate::protocol::sip::transaction::ClientId;
use crate::protocol::sip::{Message, Method, Name};
use crate::switch::core::Turn;
use crate::switch::site::Site;
use crate::switch::slab::Handle;
use shards::Time;

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
        call.alarm.ring_by(&mut self.timers, due, at);
    }

    /// Everything that is due.
    pub fn expire(&mut self, turn: &mut Turn<'_, '_>) {
        while let Some(at) = self.timers.pop(turn.cx.now) {
            let Some(call) = self.calls.get_mut(at) else { continue };
            call.alarm.rang();
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
            State::Opening => {
                if call.redirects.give_up(now) {
                    self.go_on(turn, at);
                    self.settle(turn, at);
                }
                return;
            }
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

    /// RFC 4028 section 10: refresh when that is ours to do, else end a session that nobody refreshed.
    fn session_due(&mut self, turn: &mut Turn<'_, '_>, at: Handle, side: Side) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let leg = call.leg(side);
        let Some(session) = leg.session else { return };
        let (due, what) = session.next(leg.refreshing.is_some());
        if due > turn.cx.now {
            return;
        }
        match what {
            Due::Refresh => {
                let client = self.refresh(turn, at, side, &session);
                let Some(call) = self.calls.get_mut(at) else { return };
                let leg = call.leg(side);
                leg.refreshing = client;
                if client.is_none()
                    && let Some(session) = &mut leg.session
                {
                    session.postpone(turn.cx.now);
                }
            }
            Due::Expired => self.hang_up(turn, at, None, CallResult::Expired),
        }
    }
}

impl B2bua {
    /// The leg whose refresh this is.
    pub(super) fn refresh_of(&self, at: Handle, client: ClientId) -> Option<Side> {
        let call = self.calls.get(at)?;
        let asked = |leg: &Leg| leg.refreshing == Some(client);
        match (asked(&call.a), asked(&call.b)) {
            (true, _) => Some(Side::A),
            (_, true) => Some(Side::B),
            _ => None,
        }
    }

    /// What came of our refresh: a response, or none (`status` alone).
    pub(super) fn refreshed_by_us(
        &mut self,
        turn: &mut Turn<'_, '_>,
        at: Handle,
        side: Side,
        status: u16,
        response: Option<&Message<'_>>,
    ) {
        if status < 200 {
            return;
        }
        let site = turn.core.site.clone();
        let Some(call) = self.calls.get_mut(at) else { return };
        let leg = call.leg(side);
        leg.refreshing = None;
        let Some(session) = &mut leg.session else { return };
        match (status, leg.refresh, response) {
            // RFC 3261 section 12.2.1.2, RFC 4028 section 10: there is no such dialog any more.
            (408 | 481, ..) => return self.hang_up(turn, at, None, CallResult::Expired),
            (200..300, Refresh::Update, Some(response)) => leg.session_answered(&site, turn.cx.now, response),
            // Whatever it says, it has not lost the dialog.
            (_, Refresh::Options, Some(_)) => session.refreshed(turn.cx.now),
            (405 | 501, Refresh::Update, _) => leg.refresh = Refresh::Options,
            _ => session.postpone(turn.cx.now),
        }
        self.schedule(at);
    }
}

impl super::Call {
    fn next_due(&self) -> Time {
        let mut due = Time::FAR;
        match self.state {
            State::Opening => due = self.ring_until.min(self.redirects.until()),
            State::Answered => {
                due = due.min(self.unacknowledged.as_ref().map_or(Time::FAR, |pending| pending.next));
                for leg in [&self.a, &self.b] {
                    due = due.min(
                        leg.session
                            .map_or(Time::FAR, |session| session.next(leg.refreshing.is_some()).0),
                    );
                }
                due = due.min(self.life_until);
            }
            State::Over => {}
        }
        due
    }
}

/// What we offer and accept.
pub(super) fn policy(site: &Site) -> Policy {
    Policy {
        interval: site.plan.sip.session_expires,
        min_se: site.plan.sip.min_se,
    }
}

impl super::leg::Leg {
    /// As UAS: the timer of an INVITE or UPDATE (RFC 4028 section 9); false when it is too small
    /// (422). Of a peer that neither knows timers nor takes UPDATE we ask now and then whether it still has
    /// the dialog, or a call on hold whose phone has died would last as long as any call may.
    pub(super) fn session_asked(&mut self, site: &Site, now: Time, request: &Message<'_>) -> bool {
        let verdict = session_timer::answer(request, policy(site));
        let session_timer::Verdict::Agreed { expires, .. } = verdict else {
            return false;
        };
        let usable = session_timer::supports_timer(request) || self.takes_update;
        self.agreed = usable.then_some(verdict);
        match usable {
            true => self.session = Some(SessionTimer::of_uas(now, expires)),
            false => self.ask(site, now),
        }
        self.refreshing = None;
        true
    }

    /// As UAC: what the 2xx says (section 7.2).
    pub(super) fn session_answered(&mut self, site: &Site, now: Time, response: &Message<'_>) {
        let known = response.header(Name::SessionExpires).is_some();
        match known || self.takes_update {
            true => self.session = Some(SessionTimer::of_uac(now, response, policy(site))),
            false => self.ask(site, now),
        }
        self.refreshing = None;
    }

    fn ask(&mut self, site: &Site, now: Time) {
        self.refresh = Refresh::Options;
        self.session = Some(SessionTimer::of_own(now, site.plan.sip.session_expires));
    }

    /// Writes the Session-Expires value of our 2xx; `None` without a timer, else whether
    /// `Require: timer` goes with it.
    pub(super) fn write_session(&self, out: &mut Vec<u8>) -> Option<bool> {
        let Some(session_timer::Verdict::Agreed { expires, require }) = self.agreed else {
            return None;
        };
        expires.write(out);
        Some(require)
    }
}
