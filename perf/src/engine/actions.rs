//! `<action>`: patterns, numbers, texts, and things done at once.

use super::call::{Call, CallId};
use super::message;
use super::render::{self, Around};
use super::step::Done;
use super::{AudioOrder, Engine, Failure, Host, Note, Value, Wish, auth, twin};
use crate::scenario::{Action, Exec, Number, Search, Template, Var, Where};
use shards::Time;
use std::borrow::Cow;

impl Engine {
    /// Does a step's actions in order. They look at the last received message, or at `command`, which leaves that
    /// one as it is.
    pub(super) fn act(
        &mut self,
        id: CallId,
        at: usize,
        actions: &[Action],
        command: Option<&[u8]>,
        now: Time,
        host: &mut dyn Host,
    ) -> Done {
        for action in actions {
            let done = self.one(id, at, action, command, now, host);
            if !matches!(done, Done::Next) {
                return done;
            }
        }
        Done::Next
    }

    fn set(&mut self, id: CallId, var: Var, value: Value) {
        if let Some(call) = self.calls.get_mut(id)
            && let Some(place) = render::variable_mut(call, &mut self.globals, var)
        {
            *place = value;
        }
    }

    fn value(&mut self, id: CallId, var: Var) -> Value {
        let globals = &self.globals;
        self.calls
            .get_mut(id)
            .map_or(Value::None, |call| render::value(call, globals, var))
    }

    fn number(&mut self, id: CallId, number: Number) -> f64 {
        match number {
            Number::Value(value) => value,
            Number::Variable(var) => self.value(id, var).number(),
        }
    }

    fn text(&mut self, id: CallId, at: usize, template: &Template, now: Time) -> Vec<u8> {
        let around = Around {
            settings: &self.settings,
            globals: &self.globals,
            step: at,
            tick: now.since(self.began).as_millis() as u64,
            wall: self.wall.0,
            audio_port: None,
        };
        self.calls
            .get_mut(id)
            .map_or_else(Vec::new, |call| render::text(template, call, &around))
    }

    fn one(
        &mut self,
        id: CallId,
        at: usize,
        action: &Action,
        command: Option<&[u8]>,
        now: Time,
        host: &mut dyn Host,
    ) -> Done {
        match action {
            Action::Search(search) => return self.search(id, search, command, now, host),
            Action::Assign(var, number) => {
                let number = self.number(id, *number);
                self.set(id, *var, Value::Number(number));
            }
            Action::AssignText(var, template) => {
                let text = self.text(id, at, template, now);
                self.set(id, *var, Value::Text(text.into()));
            }
            Action::Compute(var, sign, number) => {
                let (left, right) = (self.value(id, *var).number(), self.number(id, *number));
                let result = match sign {
                    '+' => left + right,
                    '-' => left - right,
                    '*' => left * right,
                    // As SIPp: a division by nothing changes nothing.
                    _ if right == 0.0 => left,
                    _ => left / right,
                };
                self.set(id, *var, Value::Number(result));
            }
            Action::ToNumber(to, from) => {
                let number = self.value(id, *from).number();
                self.set(id, *to, Value::Number(number));
            }
            Action::Test(result, left, compare, right, check) => {
                let (left, right) = (self.value(id, *left).number(), self.number(id, *right));
                let holds = compare.holds(left, right);
                if let Some(var) = result {
                    self.set(id, *var, Value::Truth(holds));
                }
                let failures = (Failure::TestDoesntMatch, Failure::TestShouldntMatch);
                return self.checked(id, *check, holds, failures, "test", now, host);
            }
            Action::TextEqual(result, left, right, check) => {
                let mut text = Vec::new();
                self.value(id, *left).write(&mut text);
                let holds = text == self.text(id, at, right, now);
                if let Some(var) = result {
                    self.set(id, *var, Value::Truth(holds));
                }
                let failures = (Failure::StrcmpDoesntMatch, Failure::StrcmpShouldntMatch);
                return self.checked(id, *check, holds, failures, "strcmp", now, host);
            }
            Action::Trim(var) => {
                if let Value::Text(text) = self.value(id, *var) {
                    self.set(id, *var, Value::Text(text.trim_ascii().into()));
                }
            }
            Action::Time(seconds, micros) => {
                let wall = self.wall.0;
                self.set(id, *seconds, Value::Number((wall / 1000) as f64));
                if let Some(var) = micros {
                    self.set(id, *var, Value::Number((wall % 1000 * 1000) as f64));
                }
            }
            Action::LookUp(var, file, key) => {
                let key = String::from_utf8_lossy(&self.text(id, at, key, now)).into_owned();
                let files = &self.settings.files;
                let line = files
                    .find(Some(file))
                    .and_then(|index| files.files[index].look_up(&key));
                self.set(id, *var, Value::Number(line.map_or(-1.0, |line| line as f64)));
            }
            Action::VerifyAuth(var, user, password) => {
                let (user, password) = (self.text(id, at, user, now), self.text(id, at, password, now));
                let proved = self
                    .calls
                    .get_mut(id)
                    .is_some_and(|call| auth::is_proved(command.unwrap_or(&call.last), &user, &password));
                self.set(id, *var, Value::Truth(proved));
            }
            Action::Log(template) => {
                if self.settings.trace.logs {
                    let text = self.text(id, at, template, now);
                    host.note(Note::Log, None, &text);
                }
            }
            Action::Warning(template) => {
                self.stats.counters.warnings += 1;
                if self.settings.trace.errors {
                    let text = self.text(id, at, template, now);
                    host.note(Note::Error, None, &text);
                }
            }
            Action::Error(template) => {
                let text = self.text(id, at, template, now);
                host.note(Note::Error, None, &text);
                host.wish(Wish::StopNow);
            }
            Action::Jump(number) => {
                let to = self.number(id, *number).max(0.0) as usize;
                return Done::Jump(to);
            }
            Action::Exec(exec) => return self.exec(id, exec, now, host),
        }
        Done::Next
    }

    #[allow(clippy::too_many_arguments)]
    fn checked(
        &mut self,
        id: CallId,
        check: Option<bool>,
        holds: bool,
        failures: (Failure, Failure),
        what: &str,
        now: Time,
        host: &mut dyn Host,
    ) -> Done {
        match check {
            Some(inverse) if inverse == holds => {
                let failure = if inverse { failures.1 } else { failures.0 };
                let why = format!("{what}: check_it{} failed", if inverse { "_inverse" } else { "" });
                self.fail(id, failure, &why, now, host)
            }
            _ => Done::Next,
        }
    }

    fn search(&mut self, id: CallId, search: &Search, command: Option<&[u8]>, now: Time, host: &mut dyn Host) -> Done {
        let Self { calls, globals, .. } = self;
        let Some(call) = calls.get_mut(id) else {
            return Done::Ended;
        };
        let Some(text) = text_of(command, call, globals, &search.place) else {
            if search.check == Some(false) {
                return self.fail(
                    id,
                    Failure::RegexpHeaderNotFound,
                    "ereg: the header is not there",
                    now,
                    host,
                );
            }
            for var in &search.assign {
                self.set(id, *var, Value::None);
            }
            return Done::Next;
        };
        let found = search.regex.captures(&text);
        let holds = found.is_some();
        let values: Vec<Value> = (0..search.assign.len())
            .map(|group| {
                let part = found.as_ref().and_then(|found| found.get(group));
                part.map_or(Value::None, |part| Value::Text(part.as_bytes().into()))
            })
            .collect();
        for (var, value) in search.assign.iter().zip(values) {
            self.set(id, *var, value);
        }
        let failures = (Failure::RegexpDoesntMatch, Failure::RegexpShouldntMatch);
        self.checked(id, search.check, holds, failures, "ereg", now, host)
    }

    fn exec(&mut self, id: CallId, exec: &Exec, now: Time, host: &mut dyn Host) -> Done {
        match exec {
            Exec::StopCall => {
                return self.fail(id, Failure::Rejected, "int_cmd stop_call", now, host);
            }
            Exec::StopGracefully => {
                host.wish(Wish::StopGracefully);
                return Done::Next;
            }
            Exec::StopNow => {
                host.wish(Wish::StopNow);
                return Done::Next;
            }
            _ => {}
        }
        let Some(call) = self.calls.get_mut(id) else {
            return Done::Ended;
        };
        if host.audio_port(&mut call.audio).is_none() {
            return self.fail(id, Failure::CannotSend, "no media port is free", now, host);
        }
        let Some(audio) = call.audio else { return Done::Next };
        let order = match exec {
            Exec::Play {
                path,
                loops,
                payload_type,
            } => AudioOrder::Play(path, *loops, *payload_type),
            Exec::PlayCapture(path) => AudioOrder::PlayCapture(path),
            Exec::PauseStream => AudioOrder::Pause,
            Exec::ResumeStream => AudioOrder::Resume,
            _ => AudioOrder::Echo,
        };
        host.audio(now, audio, order);
        Done::Next
    }
}

/// The text to look in; `None` when there is no such header.
fn text_of<'a>(command: Option<&'a [u8]>, call: &'a Call, globals: &[Value], place: &Where) -> Option<Cow<'a, [u8]>> {
    let octets = command.unwrap_or(&call.last);
    Some(match place {
        Where::Message => octets.into(),
        Where::Body => message::body(octets).into(),
        Where::Header(name, occurrence) => {
            let name = name.trim_end_matches(':').as_bytes();
            let skip = occurrence.saturating_sub(1);
            let same = |header: &(&[u8], &[u8])| message::same_name(header.0, name);
            let header = match command {
                Some(command) => twin::headers(command).filter(same).nth(skip),
                None => message::headers(octets).filter(same).nth(skip),
            };
            header?.1.into()
        }
        Where::Variable(var) => {
            let mut text = Vec::new();
            render::value(call, globals, *var).write(&mut text);
            text.into()
        }
    })
}
