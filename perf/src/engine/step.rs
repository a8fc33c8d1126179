//! Steps are executed until the call has to wait.

use super::call::{CallId, Invite, Phase};
use super::render::{self, Around};
use super::{Engine, Failure, Host, Note, Timer, Transport};
use crate::scenario::{Kind, Send, Span, Start};
use rand_chacha::rand_core::Rng as _;
use shards::{Buf, Time};
use std::time::Duration;

/// Steps without a wait that a call may do in a row: a loop without a pause would never come back.
const MOST_STEPS: u32 = 1000;

/// What a step did.
pub(super) enum Done {
    /// The next one may follow.
    Next,
    /// The call goes on elsewhere.
    Jump(usize),
    /// It waits.
    Waits,
    /// It is over.
    Ended,
}

impl Engine {
    /// Executes a call from its present step on.
    pub(super) fn run(&mut self, id: CallId, now: Time, host: &mut dyn Host) {
        let scenario = self.scenario.clone();
        for _ in 0..MOST_STEPS {
            let Some(call) = self.calls.get_mut(id) else { return };
            let at = call.step;
            let Some(step) = scenario.steps.get(at) else {
                return self.succeed(id, now, host);
            };
            if let Some((var, inverse)) = step.condexec
                && render::is_set(call, &self.globals, var) == inverse
            {
                call.step += 1;
                continue;
            }
            if !step.kind.receives()
                && let Some(watch) = step.start_rtd
            {
                call.watches[usize::from(watch)] = now;
            }
            let done = match &step.kind {
                Kind::Send(send) => self.send(id, at, send, now, host),
                Kind::Receive(receive) => {
                    let timeout = receive.timeout.or(self.settings.receive_timeout);
                    self.wait(id, now, timeout)
                }
                Kind::Pause(span) => {
                    let span = self.span(id, span);
                    self.stats.counters.steps[at].messages += 1;
                    self.wait(id, now, Some(span))
                }
                Kind::Nop => self.act(id, at, &step.actions, None, now, host),
                Kind::SendCommand(_) => self.send_command(id, at, now, host),
                Kind::ReceiveCommand(receive) => {
                    let timeout = receive.timeout.or(self.settings.receive_timeout);
                    self.wait(id, now, timeout)
                }
                Kind::TimeWait(time) => {
                    self.stats.counters.steps[at].messages += 1;
                    self.finish_good(id, now);
                    self.linger(id, now, *time, host);
                    Done::Ended
                }
            };
            match done {
                Done::Next => {
                    self.read_watch(id, at, now);
                    self.advance(id, at);
                }
                Done::Jump(to) => {
                    if let Some(call) = self.calls.get_mut(id) {
                        call.go(to);
                    }
                }
                Done::Waits | Done::Ended => return,
            }
        }
        self.fail(
            id,
            Failure::TestDoesntMatch,
            "1000 steps without a wait: a loop has no end",
            now,
            host,
        );
    }

    /// Reads the stopwatch that a step names.
    pub(super) fn read_watch(&mut self, id: CallId, at: usize, now: Time) {
        let step = &self.scenario.steps[at];
        let (Some(watch), Some(call)) = (step.rtd, self.calls.get_mut(id)) else {
            return;
        };
        let since = call.watches[usize::from(watch)];
        if since == Time::FAR {
            return;
        }
        if !step.repeat_rtd {
            call.watches[usize::from(watch)] = Time::FAR;
        }
        let micros = now.since(since).as_micros() as u64;
        self.stats.rtd(usize::from(watch), micros);
    }

    /// Goes to the step after `at`, or where its `next` says.
    pub(super) fn advance(&mut self, id: CallId, at: usize) {
        let to = self.jump_of(id, at).unwrap_or(at + 1);
        if let Some(call) = self.calls.get_mut(id) {
            call.step = at;
            call.go(to);
        }
    }

    /// Where `next` of a step leads, if it holds.
    pub(super) fn jump_of(&mut self, id: CallId, at: usize) -> Option<usize> {
        let step = self.scenario.steps.get(at)?;
        let next = step.next?;
        let call = self.calls.get_mut(id)?;
        if step.test.is_some_and(|var| !render::is_set(call, &self.globals, var)) {
            return None;
        }
        if let Some(chance) = step.chance
            && self.draw() >= chance
        {
            return None;
        }
        Some(next)
    }

    /// Evenly from 0 to 1.
    pub(super) fn draw(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn wait(&mut self, id: CallId, now: Time, time: Option<Duration>) -> Done {
        let Some(time) = time else { return Done::Waits };
        if time.is_zero()
            && matches!(
                self.calls.get_mut(id).map(|call| &self.scenario.steps[call.step].kind),
                Some(Kind::Pause(_))
            )
        {
            return Done::Next;
        }
        let timer = self.wheel.insert(now + time, Timer::Step(id));
        if let Some(call) = self.calls.get_mut(id) {
            call.timer = timer;
        }
        Done::Waits
    }

    fn span(&mut self, id: CallId, span: &Span) -> Duration {
        let millis = |millis: f64| Duration::from_secs_f64((millis / 1000.0).clamp(0.0, 1e6));
        match span {
            Span::Default => self.settings.pause,
            Span::Fixed(time) => *time,
            Span::Variable(var) => {
                let value = self
                    .calls
                    .get_mut(id)
                    .map(|call| render::value(call, &self.globals, *var));
                millis(value.map_or(0.0, |value| value.number()))
            }
            Span::Uniform(min, max) => *min + (*max - *min).mul_f64(self.draw()),
            Span::Normal(mean, deviation) => {
                // Box and Muller.
                let radius = (-2.0 * (1.0 - self.draw()).ln()).sqrt();
                let angle = std::f64::consts::TAU * self.draw();
                millis(mean + deviation * radius * angle.cos())
            }
            Span::Exponential(mean) => millis(-mean * (1.0 - self.draw()).ln()),
        }
    }

    fn send(&mut self, id: CallId, at: usize, send: &Send, now: Time, host: &mut dyn Host) -> Done {
        let wants_port = self.has_audio;
        let Some(call) = self.calls.get_mut(id) else {
            return Done::Ended;
        };
        let audio_port = if wants_port {
            host.audio_port(&mut call.audio)
        } else {
            None
        };
        if wants_port && audio_port.is_none() {
            return self.fail(id, Failure::CannotSend, "no media port is free", now, host);
        }
        if matches!(send.start, Start::Request(_))
            && !send.start.is("ACK")
            && !send.start.is("CANCEL")
            && call.sends > 0
        {
            call.cseq += 1;
        }
        let around = Around {
            settings: &self.settings,
            globals: &self.globals,
            step: at,
            tick: now.since(self.began).as_millis() as u64,
            wall: self.wall.0,
            audio_port,
        };
        self.scratch.clear();
        if let Some(Some(template)) = self.bound.get(call.port).and_then(|bound| bound.get(at)) {
            render::render(template, call, &around, &mut self.scratch);
        }
        call.sends += 1;
        let keeps = self.settings.transport == Transport::Udp;
        match &send.start {
            Start::Request(method) => match &**method {
                "INVITE" => {
                    if call.invite != Invite::Answered {
                        call.invite = Invite::Sent;
                    }
                    call.invite_text = Buf::copy_of(&self.scratch);
                }
                "CANCEL" => call.invite = Invite::Over,
                "BYE" => {
                    call.invite = Invite::Over;
                    call.bye_at = Some(now);
                }
                "REGISTER" => {
                    call.register_at.get_or_insert(now);
                }
                _ => {}
            },
            Start::Response(status) if call.incoming && call.invite == Invite::Sent => {
                call.invite = match status {
                    200..300 => Invite::Answered,
                    300.. => Invite::Over,
                    _ => Invite::Sent,
                };
            }
            Start::Response(_) => {}
        }
        if keeps {
            call.sent.clear();
            call.sent.extend_from_slice(&self.scratch);
        }
        call.sent_step = at;
        let (peer, port) = (call.peer, call.port);
        self.wheel
            .cancel(std::mem::replace(&mut call.again, shards::TimerId::NONE));
        if keeps
            && self.settings.retransmit
            && let Some(first) = send.retrans
        {
            call.repeats = 0;
            call.interval_ms = first.as_millis() as u32;
            call.again = self.wheel.insert(now + first, Timer::Again(id));
        }
        self.stats.counters.steps[at].messages += 1;
        if send.lost > 0.0 && self.draw() < send.lost {
            return Done::Next;
        }
        if self.settings.trace.messages {
            host.note(Note::Sent, Some(peer), &self.scratch);
        }
        host.send(peer, &self.scratch, id, port);
        Done::Next
    }

    /// The scenario is at its end.
    pub(super) fn succeed(&mut self, id: CallId, now: Time, host: &mut dyn Host) {
        self.finish_good(id, now);
        self.linger(id, now, super::timers::DEAD_CALL, host);
    }

    fn finish_good(&mut self, id: CallId, now: Time) {
        let Some(call) = self.calls.get_mut(id).filter(|call| call.phase == Phase::Running) else {
            return;
        };
        let micros = now.since(call.began).as_micros() as u64;
        self.stats.counters.successful += 1;
        self.stats.length(micros);
        self.leave(id);
    }

    /// The call does not run any more.
    pub(super) fn leave(&mut self, id: CallId) {
        if let Some(call) = self.calls.get_mut(id)
            && call.phase == Phase::Running
        {
            call.phase = Phase::Dead;
            if call.user > 0 {
                self.users.give_back(call.user, std::mem::take(&mut call.user_vars));
            }
            self.running -= 1;
            self.stats.counters.current = self.running;
        }
    }
}
