//! A message came.

use super::call::{Call, CallId, Invite, Peer, Phase};
use super::message::{self, Incoming};
use super::{AudioOrder, Clock, Engine, Failure, Host, Note, StepCount, auth, record};
use crate::scenario::{Expect, Kind, Optional, Receive, Role, Scenario, Start};
use shards::{Buf, Time, TimerId};

/// For each step that waits for a response, the methods of all requests sent before it.
pub(super) fn answers(scenario: &Scenario) -> Vec<Vec<Box<str>>> {
    let mut methods: Vec<Box<str>> = Vec::new();
    let mut all = Vec::with_capacity(scenario.steps.len());
    for step in &scenario.steps {
        match &step.kind {
            Kind::Send(send) => {
                if let Start::Request(method) = &send.start
                    && !methods.contains(method)
                {
                    methods.push(method.clone());
                }
                all.push(Vec::new());
            }
            Kind::Receive(_) => all.push(methods.clone()),
            _ => all.push(Vec::new()),
        }
    }
    all
}

/// What is to be done with a message.
enum Match {
    /// It is what this step waits for.
    Step(usize),
    /// A copy of a final response that was read already.
    Copy,
    /// Nothing waits for it.
    None,
}

impl Engine {
    /// A message for this engine, which our kernel had at `arrived`: times are measured to there. Whether it
    /// was understood as SIP.
    pub fn receive(&mut self, clock: Clock, peer: Peer, octets: &[u8], host: &mut dyn Host) -> bool {
        let now = clock.now;
        (self.wall, self.arrived) = (clock.wall, clock.arrived);
        let Some(incoming) = Incoming::read(octets) else {
            self.stats.counters.damaged += 1;
            return false;
        };
        if self.settings.trace.messages {
            host.note(Note::Received, Some(peer), octets);
        }
        let hash = message::fingerprint(incoming.call_id);
        let id = match self.calls.find(incoming.call_id, hash) {
            Some(id) => id,
            None if self.accepts(&incoming) => self.begin_incoming(incoming.call_id, peer, now),
            None => {
                self.stats.counters.out_of_call += 1;
                // A repeated BYE of a call that is forgotten, most likely: as SIPp, it is answered, but it is
                // no call that failed.
                if incoming.is_request() && ends_calls(&incoming) && self.settings.defaults {
                    self.reply_without_call(peer, &incoming, host);
                }
                return true;
            }
        };
        self.message(id, peer, &incoming, now, host);
        true
    }

    /// Whether a message without a call begins one.
    fn accepts(&self, incoming: &Incoming<'_>) -> bool {
        self.role() == Role::Server
            && !self.scenario.by_command
            && !self.stopping
            && incoming.is_request()
            && incoming.method != b"ACK"
            && !ends_calls(incoming)
            && self.running < self.limit
    }

    fn message(&mut self, id: CallId, peer: Peer, incoming: &Incoming<'_>, now: Time, host: &mut dyn Host) {
        let Some(call) = self.calls.get_mut(id) else { return };
        // Answers go where requests come from; ours go on to where they were sent.
        if call.incoming || matches!(peer, Peer::Stream(..)) {
            call.peer = peer;
        }
        let print = message::fingerprint(incoming.octets);
        if call.phase != Phase::Running {
            return self.after_the_end(id, incoming, print, now, host);
        }
        if call.received == print {
            return self.copy_came(id, incoming, host);
        }
        match self.find(id, incoming) {
            Match::Step(at) => self.matched(id, at, incoming, print, now, host),
            Match::Copy => self.copy_came(id, incoming, host),
            Match::None => self.unexpected(id, incoming, print, now, host),
        }
    }

    /// A message came again, the last one or a final response whose transaction is over: what was sent in answer
    /// to it is sent again; an INVITE's is acknowledged again (RFC 3261 section 13.2.2.4).
    fn copy_came(&mut self, id: CallId, incoming: &Incoming<'_>, host: &mut dyn Host) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let at = last_of(&self.stats.counters.steps, call);
        self.stats.counters.steps[at].retransmissions += 1;
        // An ACK is never answered: two ends that repeat to each other would never stop.
        let is_answer = if incoming.is_request() {
            incoming.method != b"ACK" && call.sent.starts_with(b"SIP/")
        } else {
            call.sent.starts_with(b"ACK ") && incoming.method == b"INVITE"
        };
        if is_answer {
            self.stats.counters.retransmissions += 1;
            host.send(call.peer, &call.sent, id, call.port);
        }
    }

    fn find(&mut self, id: CallId, incoming: &Incoming<'_>) -> Match {
        let Some(call) = self.calls.get_mut(id) else {
            return Match::None;
        };
        if incoming.status >= 200 && call.is_finished(incoming.cseq, incoming.method == b"INVITE") {
            return Match::Copy;
        }
        let steps = &self.scenario.steps;
        for (at, step) in steps.iter().enumerate().skip(call.step) {
            let receive = match &step.kind {
                Kind::Receive(receive) => receive,
                Kind::ReceiveCommand(command) if command.optional => continue,
                _ => break,
            };
            if fits(receive, &self.answers[at], incoming) {
                return Match::Step(at);
            }
            if receive.optional == Optional::No {
                break;
            }
        }
        // A message that may come late: the optional ones just passed, and those that may come at any time.
        let mut adjacent = true;
        for (at, step) in steps.iter().enumerate().take(call.step).rev() {
            let Kind::Receive(receive) = &step.kind else {
                adjacent &= !matches!(step.kind, Kind::Send(_));
                continue;
            };
            adjacent &= receive.optional != Optional::No;
            if (adjacent || receive.optional == Optional::Global) && fits(receive, &self.answers[at], incoming) {
                return Match::Step(at);
            }
        }
        Match::None
    }

    fn matched(&mut self, id: CallId, at: usize, incoming: &Incoming<'_>, print: u64, now: Time, host: &mut dyn Host) {
        let scenario = self.scenario.clone();
        let step = &scenario.steps[at];
        let Kind::Receive(receive) = &step.kind else { return };
        if receive.lost > 0.0 && self.draw() < receive.lost {
            return;
        }
        self.stats.counters.steps[at].messages += 1;
        if incoming.is_request() && incoming.method == b"ACK"
            || !incoming.is_request()
            || self.calls.get_mut(id).is_some_and(|call| call.incoming)
        {
            let again = self
                .calls
                .get_mut(id)
                .map(|call| std::mem::replace(&mut call.again, TimerId::NONE));
            self.wheel.cancel(again.unwrap_or(TimerId::NONE));
        }
        self.times(id, incoming);
        let keeps_last = self.scenario.keeps_last || !step.actions.is_empty();
        let Some(call) = self.calls.get_mut(id) else { return };
        call.received = print;
        remember(call, receive, incoming, keeps_last);
        if self.has_audio
            && let Some(target) = message::audio_target(incoming.octets)
            && host.audio_port(&mut call.audio).is_some()
            && let Some(audio) = call.audio
        {
            host.audio(now, audio, AudioOrder::Remote(target));
        }
        if let Some(watch) = step.start_rtd {
            call.watches[usize::from(watch)] = now;
        }
        self.read_watch(id, at, self.arrived);
        if !step.actions.is_empty() {
            match self.act(id, at, &step.actions, None, now, host) {
                super::step::Done::Next => {}
                super::step::Done::Jump(to) => {
                    self.stop_waiting(id);
                    if let Some(call) = self.calls.get_mut(id) {
                        call.go(to);
                    }
                    return self.run(id, now, host);
                }
                super::step::Done::Waits | super::step::Done::Ended => return,
            }
        }
        let jump = self.jump_of(id, at);
        if receive.optional == Optional::No || jump.is_some() {
            self.stop_waiting(id);
            if let Some(call) = self.calls.get_mut(id) {
                call.step = at;
                call.go(jump.unwrap_or(at + 1));
            }
            self.run(id, now, host);
        }
    }

    pub(super) fn stop_waiting(&mut self, id: CallId) {
        if let Some(call) = self.calls.get_mut(id) {
            let timer = std::mem::replace(&mut call.timer, TimerId::NONE);
            self.wheel.cancel(timer);
        }
    }

    /// The times that every test wants, whatever its stopwatches are.
    fn times(&mut self, id: CallId, incoming: &Incoming<'_>) {
        let now = self.arrived;
        let Some(call) = self.calls.get_mut(id) else { return };
        let micros = |since: Time| u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX);
        if incoming.is_request() {
            if incoming.method == b"INVITE" && call.incoming {
                if call.invite != Invite::Answered {
                    call.invite = Invite::Sent;
                }
            } else if incoming.method == b"BYE" {
                call.invite = Invite::Over;
            }
            return;
        }
        match (incoming.method, incoming.status) {
            (b"INVITE", 100..200) => {
                if call.invite == Invite::Sent {
                    call.invite = Invite::Provisional;
                }
                if incoming.status > 100 && !std::mem::replace(&mut call.rung, true) {
                    record(&mut self.stats.times.ringing, micros(call.due));
                }
            }
            (b"INVITE", 200..300) => {
                call.invite = Invite::Answered;
                if !std::mem::replace(&mut call.set_up, true) {
                    record(&mut self.stats.times.setup, micros(call.due));
                }
            }
            (b"INVITE", _) => call.invite = Invite::Over,
            (b"BYE", 200..) => {
                if let Some(at) = call.bye_at.take() {
                    record(&mut self.stats.times.disconnect, micros(at));
                }
            }
            (b"REGISTER", 200..300) if call.register_at.take().is_some() => {
                record(&mut self.stats.times.register, micros(call.due));
            }
            _ => {}
        }
        if incoming.status >= 200 {
            call.finish(incoming.cseq, incoming.method == b"INVITE");
        }
    }

    /// Nothing in the scenario waits for it.
    fn unexpected(&mut self, id: CallId, incoming: &Incoming<'_>, print: u64, now: Time, host: &mut dyn Host) {
        let Some(call) = self.calls.get_mut(id) else { return };
        if incoming.is_request() && self.settings.auto_answer && is_auto_answered(incoming.method) {
            call.received = print;
            self.stats.counters.auto_answered += 1;
            return self.reply(id, incoming, host);
        }
        // A provisional answer or an ACK that nothing waits for does no harm.
        if incoming.is_request() && incoming.method == b"ACK" {
            self.stats.counters.out_of_call += 1;
            return;
        }
        let at = last_of(&self.stats.counters.steps, call);
        self.stats.counters.steps[at].unexpected += 1;
        if self.settings.trace.errors {
            let line = self.scenario.steps.get(at).map_or(0, |step| step.line);
            let text = format!(
                "call {} at step {at} (line {line}): unexpected message\n",
                String::from_utf8_lossy(&call.id)
            );
            let whole = [text.as_bytes(), incoming.octets].concat();
            host.note(Note::Error, Some(call.peer), &whole);
        }
        if !self.settings.defaults {
            self.fail(id, Failure::Unexpected, "", now, host);
            return;
        }
        self.abort_twin(id, host);
        let Some(call) = self.calls.get_mut(id) else { return };
        if incoming.is_request() && (incoming.method == b"BYE" || incoming.method == b"CANCEL") {
            call.received = print;
            call.invite = Invite::Over;
            self.reply(id, incoming, host);
        } else if incoming.is_request() && incoming.method == b"PING" {
            return self.reply(id, incoming, host);
        } else if !incoming.is_request() {
            self.times(id, incoming);
            self.acknowledge_failure(id, incoming, host);
        }
        self.fail(id, Failure::Unexpected, "", now, host);
    }

    /// The call is counted already.
    fn after_the_end(&mut self, id: CallId, incoming: &Incoming<'_>, print: u64, now: Time, host: &mut dyn Host) {
        self.stats.counters.dead_call += 1;
        let Some(call) = self.calls.get_mut(id) else { return };
        if incoming.is_request() {
            if incoming.method == b"ACK" {
                let again = std::mem::replace(&mut call.again, TimerId::NONE);
                self.wheel.cancel(again);
            } else if call.received == print && call.sent.starts_with(b"SIP/") {
                host.send(call.peer, &call.sent, id, call.port);
            } else if incoming.method == b"BYE" || incoming.method == b"CANCEL" {
                self.reply(id, incoming, host);
            }
            return;
        }
        if call.phase == Phase::HangingUp {
            return self.hung_up(id, incoming, now, host);
        }
        if incoming.method == b"INVITE" && incoming.status >= 200 && call.sent.starts_with(b"ACK ") {
            host.send(call.peer, &call.sent, id, call.port);
        }
    }
}

/// The step that a call stands at; past the end, the last one.
fn last_of(steps: &[StepCount], call: &Call) -> usize {
    call.step.min(steps.len().saturating_sub(1))
}

/// Requests that end calls and begin none.
fn ends_calls(incoming: &Incoming<'_>) -> bool {
    incoming.method == b"BYE" || incoming.method == b"CANCEL"
}

/// Requests that `-aa` answers with 200.
fn is_auto_answered(method: &[u8]) -> bool {
    [&b"INFO"[..], b"NOTIFY", b"OPTIONS", b"UPDATE"].contains(&method)
}

/// Whether a step waits for this message.
fn fits(receive: &Receive, answers: &[Box<str>], incoming: &Incoming<'_>) -> bool {
    match &receive.what {
        Expect::Request(method) => incoming.is_request() && incoming.method == method.as_bytes(),
        Expect::RequestPattern(pattern) => incoming.is_request() && pattern.is_match(incoming.method),
        Expect::Response(status) => incoming.status == *status && answered(answers, incoming),
        Expect::ResponsePattern(pattern) => {
            !incoming.is_request()
                && pattern.is_match(incoming.status.to_string().as_bytes())
                && answered(answers, incoming)
        }
    }
}

fn answered(answers: &[Box<str>], incoming: &Incoming<'_>) -> bool {
    answers.iter().any(|method| method.as_bytes() == incoming.method)
}

/// Keeps what later messages show of this one.
fn remember(call: &mut Call, receive: &Receive, incoming: &Incoming<'_>, keeps_last: bool) {
    if keeps_last {
        call.last.clear();
        call.last.extend_from_slice(incoming.octets);
    }
    if let Some(tag) = incoming.peer_tag()
        && *call.peer_tag != *tag
    {
        call.peer_tag.clear();
        call.peer_tag.extend_from_slice(tag);
    }
    if receive.auth
        && let Some(challenge) = auth::challenge_of(incoming.octets)
    {
        if *call.challenge != *challenge {
            call.nonce_count = 0;
        }
        call.challenge = Buf::copy_of(&challenge);
    }
    if receive.rrs {
        // The route set: a caller reads Record-Route from the bottom (RFC 3261 section 12.1.2), a callee
        // from the top (12.1.1).
        let mut routes: Vec<&[u8]> = message::values(incoming.octets, b"record-route")
            .flat_map(message::entries)
            .collect();
        if !incoming.is_request() {
            routes.reverse();
        }
        call.routes = Buf::copy_of(&routes.join(&b", "[..]));
        let contact = message::values(incoming.octets, b"contact").next();
        call.next_url = Buf::copy_of(contact.map(message::uri).unwrap_or_default());
    }
}
