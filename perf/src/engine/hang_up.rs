//! Calls that end before the scenario does: failures, and the end of the run. They are hung up, so that
//! the target keeps nothing of them.

use super::call::{CallId, Invite, Peer, Phase};
use super::message::{self, Incoming};
use super::step::Done;
use super::{AudioOrder, Engine, Failure, Host, Note, Timer, Transport};
use shards::{ConnId, Time, TimerId, Wall};
use std::time::Duration;

/// How long the answer to a BYE or CANCEL is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

impl Engine {
    /// The call failed: counted with its cause, hung up.
    pub(super) fn fail(&mut self, id: CallId, failure: Failure, why: &str, now: Time, host: &mut dyn Host) -> Done {
        if self.calls.get_mut(id).is_some_and(|call| call.phase == Phase::Running) {
            self.stats.counters.failures[failure as usize] += 1;
        }
        self.fail_without_cause(id, why, now, host)
    }

    /// The call failed for none of the causes that are counted.
    pub(super) fn fail_without_cause(&mut self, id: CallId, why: &str, now: Time, host: &mut dyn Host) -> Done {
        let Some(call) = self.calls.get_mut(id).filter(|call| call.phase == Phase::Running) else {
            return Done::Ended;
        };
        let micros = now.since(call.began).as_micros() as u64;
        if self.settings.trace.errors && !why.is_empty() {
            let line = self.scenario.steps.get(call.step).map_or(0, |step| step.line);
            let text = format!(
                "call {} at step {} (line {line}): {why}\n",
                String::from_utf8_lossy(&call.id),
                call.step
            );
            host.note(Note::Error, Some(call.peer), text.as_bytes());
        }
        self.stats.counters.failed += 1;
        self.stats.length(micros);
        self.hang_up(id, now, host);
        Done::Ended
    }

    /// Ends a call without counting it as failed or good.
    fn stop_call(&mut self, id: CallId, now: Time, host: &mut dyn Host) {
        if self.calls.get_mut(id).is_some_and(|call| call.phase == Phase::Running) {
            self.stats.counters.stopped += 1;
            self.hang_up(id, now, host);
        }
    }

    /// A message could not be sent on a stream: there is no connection.
    pub fn not_connected(&mut self, id: CallId, now: Time, wall: Wall, host: &mut dyn Host) {
        self.wall = wall;
        self.fail(id, Failure::TcpConnect, "no TCP connection to the target", now, host);
    }

    /// A connection went away, and with it the calls on it.
    pub fn disconnected(&mut self, conn: ConnId, now: Time, wall: Wall, host: &mut dyn Host) {
        self.wall = wall;
        for id in self.calls.ids() {
            if let Some(call) = self.calls.get_mut(id)
                && matches!(call.peer, Peer::Stream(known, _) if known == conn)
            {
                // What is still to be said goes over a new connection.
                call.peer = Peer::Stream(ConnId::NONE, call.peer.address());
                self.fail(id, Failure::TcpClosed, "the TCP connection was closed", now, host);
            }
        }
    }

    /// No new calls. Calls that run are ended at once when `at_once`, otherwise they go on to their end.
    pub fn stop(&mut self, at_once: bool, now: Time, wall: Wall, host: &mut dyn Host) {
        self.stopping = true;
        if at_once {
            self.end_calls(now, wall, host);
        } else {
            self.arrivals.stop();
        }
    }

    /// No new calls by schedule, those that run are hung up; the schedule may be set again.
    pub fn end_calls(&mut self, now: Time, wall: Wall, host: &mut dyn Host) {
        self.wall = wall;
        self.arrivals.stop();
        for id in self.calls.ids() {
            self.stop_call(id, now, host);
        }
    }

    fn hang_up(&mut self, id: CallId, now: Time, host: &mut dyn Host) {
        self.leave(id);
        self.stop_waiting(id);
        let Some(call) = self.calls.get_mut(id) else { return };
        let again = std::mem::replace(&mut call.again, TimerId::NONE);
        self.wheel.cancel(again);
        if let Some(audio) = call.audio.take() {
            host.audio(now, audio, AudioOrder::Close);
        }
        if self.settings.defaults && !call.incoming {
            let request = match call.invite {
                // Without any answer a CANCEL may not be sent (RFC 3261 section 9.1): the call is forgotten,
                // and a late answer is hung up below.
                Invite::None | Invite::Over => None,
                Invite::Sent => Some(Vec::new()),
                Invite::Provisional => Some(cancel(&call.invite_text)),
                Invite::Answered => {
                    let ack = acknowledged(&call.sent, &call.invite_text, &call.peer_tag);
                    if !call.sent.starts_with(b"ACK ") {
                        self.say(id, &ack, host);
                    }
                    Some(bye(&ack))
                }
            };
            let Some(call) = self.calls.get_mut(id) else { return };
            if let Some(request) = request {
                call.phase = Phase::HangingUp;
                if !request.is_empty() {
                    if call.invite == Invite::Answered {
                        call.invite = Invite::Over;
                    }
                    self.say(id, &request, host);
                }
            }
        }
        if let Some(call) = self.calls.get_mut(id) {
            call.timer = self.wheel.insert(now + PATIENCE, Timer::Remove(id));
        }
    }

    /// Sends a text to the call's other end.
    fn say(&mut self, id: CallId, text: &[u8], host: &mut dyn Host) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let peer = call.peer;
        self.scratch.clear();
        self.scratch.extend_from_slice(text);
        self.put(id, peer, host);
    }

    /// Sends what is in the scratch buffer.
    fn put(&mut self, id: CallId, peer: Peer, host: &mut dyn Host) {
        if self.settings.trace.messages {
            host.note(Note::Sent, Some(peer), &self.scratch);
        }
        let port = self.calls.get_mut(id).map_or(0, |call| call.port);
        host.send(peer, &self.scratch, id, port);
    }

    /// An answer for a call that is being hung up.
    pub(super) fn hung_up(&mut self, id: CallId, incoming: &Incoming<'_>, now: Time, host: &mut dyn Host) {
        if incoming.status < 200 {
            let Some(call) = self.calls.get_mut(id) else { return };
            if incoming.method == b"INVITE" && call.invite == Invite::Sent {
                // Now it may be cancelled.
                call.invite = Invite::Provisional;
                let request = cancel(&call.invite_text);
                self.say(id, &request, host);
            }
            return;
        }
        if incoming.method == b"INVITE" {
            if incoming.status < 300 {
                let Some(call) = self.calls.get_mut(id) else { return };
                let tag = incoming.peer_tag().unwrap_or_default();
                let ack = acknowledged(b"", &call.invite_text, tag);
                for text in [&ack, &bye(&ack)] {
                    self.say(id, text, host);
                }
                return;
            }
            self.acknowledge_failure(id, incoming, host);
        }
        if incoming.method != b"CANCEL" {
            self.remove(id, now, host);
        }
    }

    /// ACK for an INVITE's failure: the INVITE's own branch (RFC 3261 section 17.1.1.3).
    pub(super) fn acknowledge_failure(&mut self, id: CallId, incoming: &Incoming<'_>, host: &mut dyn Host) {
        if incoming.method != b"INVITE" || incoming.status < 300 {
            return;
        }
        let Some(call) = self.calls.get_mut(id).filter(|call| !call.invite_text.is_empty()) else {
            return;
        };
        let text = changed(
            &call.invite_text,
            "ACK",
            |name| name != b"content-type",
            incoming.peer_tag().unwrap_or_default(),
            0,
            false,
        );
        self.say(id, &text, host);
    }

    /// 200 for a request that the scenario does not wait for.
    pub(super) fn reply(&mut self, id: CallId, incoming: &Incoming<'_>, host: &mut dyn Host) {
        let Some(call) = self.calls.get_mut(id) else { return };
        self.scratch.clear();
        okay(incoming, call.number, &mut self.scratch);
        if self.settings.transport == Transport::Udp {
            call.sent.clear();
            call.sent.extend_from_slice(&self.scratch);
        }
        let peer = call.peer;
        self.put(id, peer, host);
    }

    /// The same where there is no call.
    pub(super) fn reply_without_call(&mut self, peer: Peer, incoming: &Incoming<'_>, host: &mut dyn Host) {
        self.scratch.clear();
        okay(incoming, 0, &mut self.scratch);
        self.put(CallId::from_bits(u64::MAX), peer, host);
    }
}

/// Writes a 200 (RFC 3261 section 8.2.6).
fn okay(incoming: &Incoming<'_>, tag: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"SIP/2.0 200 OK\r\n");
    for (name, value) in message::headers(incoming.octets) {
        let copied = [&b"via"[..], b"from", b"to", b"call-id", b"cseq"];
        if !copied.iter().any(|known| message::same_name(name, known)) {
            continue;
        }
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        if message::same_name(name, b"to") && message::parameter(value, b"tag").is_none() {
            out.extend_from_slice(format!(";tag={tag}").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
}

/// The request `method` made from another one of the dialog: its head without what `keep` refuses, To with
/// the tag, CSeq raised by `raise`, and another branch when `new_branch`.
fn changed(
    text: &[u8],
    method: &str,
    keep: impl Fn(&[u8]) -> bool,
    tag: &[u8],
    raise: u32,
    new_branch: bool,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let uri = text.split(|&octet| octet == b' ').nth(1).unwrap_or_default();
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(uri);
    out.extend_from_slice(b" SIP/2.0\r\n");
    let mut first_via = true;
    for (name, value) in message::headers(text) {
        let lower = name.to_ascii_lowercase();
        if matches!(&lower[..], b"content-length" | b"l" | b"c") || !keep(&lower) {
            continue;
        }
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        if message::same_name(name, b"cseq") {
            let number = value
                .split(|octet| octet.is_ascii_whitespace())
                .next()
                .unwrap_or_default();
            let number: u32 = std::str::from_utf8(number)
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(1);
            out.extend_from_slice(format!("{} {method}", number + raise).as_bytes());
        } else {
            out.extend_from_slice(value);
            if message::same_name(name, b"to") && !tag.is_empty() && message::parameter(value, b"tag").is_none() {
                out.extend_from_slice(b";tag=");
                out.extend_from_slice(tag);
            }
            if new_branch && std::mem::replace(&mut first_via, false) && message::same_name(name, b"via") {
                out.extend_from_slice(format!("-{}", method.to_ascii_lowercase()).as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    out
}

/// CANCEL: as the INVITE, without a body (RFC 3261 section 9.1).
fn cancel(invite: &[u8]) -> Vec<u8> {
    changed(
        invite,
        "CANCEL",
        |name| !matches!(name, b"content-type" | b"contact" | b"m"),
        b"",
        0,
        false,
    )
}

/// The ACK of a 2xx: the one that was sent, or one made from the INVITE.
fn acknowledged(sent: &[u8], invite: &[u8], tag: &[u8]) -> Vec<u8> {
    if sent.starts_with(b"ACK ") {
        return sent.to_vec();
    }
    changed(invite, "ACK", |name| name != b"content-type", tag, 0, true)
}

/// BYE after that ACK.
fn bye(ack: &[u8]) -> Vec<u8> {
    changed(ack, "BYE", |name| name != b"content-type", b"", 1, true)
}
