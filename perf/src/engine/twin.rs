//! Third-party call control as SIPp's `-3pcc`: two controllers, each with a call of its own, tell each other by
//! commands what their callees said. A command is a text with a `Call-ID:` line, followed by [`END`].

use super::call::{CallId, Peer, Phase};
use super::message::fingerprint;
use super::render::{self, Around};
use super::step::Done;
use super::{Engine, Failure, Host, Note};
use crate::scenario::{Kind, Optional, Step};
use shards::{Buf, ConnId, Time, Wall};

/// The octet after each command.
pub const END: u8 = 0x1b;
/// Most octets of a command; a twin that sends more without an [`END`] is not one.
pub const MOST_OCTETS: usize = 64 * 1024;

/// A command is longer than [`MOST_OCTETS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Cuts what comes on the link into commands.
#[derive(Debug, Default)]
pub struct Cutter {
    begun: Vec<u8>,
}

impl Cutter {
    /// Takes the next octets of the link and gives each command that is complete, without its end.
    /// # Errors
    /// [`TooLong`]: the link is of no use any more.
    pub fn feed(&mut self, octets: &[u8], mut give: impl FnMut(&[u8])) -> Result<(), TooLong> {
        let mut rest = octets;
        while let Some(at) = memchr::memchr(END, rest) {
            self.hold(&rest[..at])?;
            rest = &rest[at + 1..];
            give(&self.begun);
            self.begun.clear();
        }
        self.hold(rest)
    }

    fn hold(&mut self, octets: &[u8]) -> Result<(), TooLong> {
        if self.begun.len() + octets.len() > MOST_OCTETS {
            return Err(TooLong);
        }
        self.begun.extend_from_slice(octets);
        Ok(())
    }
}

impl Engine {
    /// A command of the twin, without its end.
    pub fn command(&mut self, now: Time, wall: Wall, octets: &[u8], host: &mut dyn Host) {
        (self.wall, self.arrived) = (wall, now);
        if self.settings.trace.messages {
            host.note(Note::Received, None, octets);
        }
        let Some(call_id) = value_of(octets, &["call-id", "i"]) else {
            self.stats.counters.damaged += 1;
            return;
        };
        let aborts = value_of(octets, &["internal-cmd"]).is_some_and(|text| text.starts_with(b"abort_call"));
        let id = match self.calls.find(call_id, fingerprint(call_id)) {
            Some(id) => id,
            None if self.scenario.by_command && !aborts && !self.stopping && self.running < self.limit => {
                self.begin_by_command(call_id, now, host)
            }
            None => {
                self.stats.counters.out_of_call += 1;
                return;
            }
        };
        let Some(call) = self.calls.get_mut(id) else { return };
        if call.phase != Phase::Running {
            self.stats.counters.dead_call += 1;
        } else if aborts {
            self.stats.counters.aborted_by_twin += 1;
            self.fail_without_cause(id, "the twin aborted the call", now, host);
        } else if let Some(at) = place(&self.scenario.steps, call.step) {
            self.command_matched(id, at, octets, now, host);
        } else {
            self.fail(
                id,
                Failure::Rejected,
                "a command came where none is expected",
                now,
                host,
            );
        }
    }

    /// A call for an unknown Call-ID: it is ours towards the target.
    fn begin_by_command(&mut self, call_id: &[u8], now: Time, host: &mut dyn Host) -> CallId {
        let peer = self.target();
        let number = self.take_number();
        self.stats.counters.outgoing += 1;
        let id = self.new_call(number, Buf::copy_of(call_id), peer, false, now, now);
        self.run(id, now, host);
        id
    }

    fn command_matched(&mut self, id: CallId, at: usize, octets: &[u8], now: Time, host: &mut dyn Host) {
        let scenario = self.scenario.clone();
        let step = &scenario.steps[at];
        self.stats.counters.steps[at].messages += 1;
        if let (Some(watch), Some(call)) = (step.start_rtd, self.calls.get_mut(id)) {
            call.watches[usize::from(watch)] = now;
        }
        self.read_watch(id, at, now);
        let to = match self.act(id, at, &step.actions, Some(without_end(octets)), now, host) {
            Done::Next => self.jump_of(id, at).unwrap_or(at + 1),
            Done::Jump(to) => to,
            Done::Waits | Done::Ended => return,
        };
        self.stop_waiting(id);
        if let Some(call) = self.calls.get_mut(id) {
            call.step = at;
            call.go(to);
        }
        self.run(id, now, host);
    }

    pub(super) fn send_command(&mut self, id: CallId, at: usize, now: Time, host: &mut dyn Host) -> Done {
        let wants_port = self.has_audio;
        let Some(call) = self.calls.get_mut(id) else {
            return Done::Ended;
        };
        let around = Around {
            settings: &self.settings,
            globals: &self.globals,
            step: at,
            tick: now.since(self.began).as_millis() as u64,
            wall: self.wall.0,
            audio_port: if wants_port {
                host.audio_port(&mut call.audio)
            } else {
                None
            },
        };
        self.scratch.clear();
        if let Some(Some(template)) = self.bound.get(call.port).and_then(|bound| bound.get(at)) {
            render::render(template, call, &around, &mut self.scratch);
        }
        if self.scratch.len() > MOST_OCTETS || self.scratch.contains(&END) {
            let why = "the command holds its own end, octet 27, or is longer than 64 KiB";
            return self.fail(id, Failure::CommandNotSent, why, now, host);
        }
        if !self.put_command(host) {
            return self.fail(id, Failure::CommandNotSent, "the twin takes no command", now, host);
        }
        self.stats.counters.steps[at].messages += 1;
        Done::Next
    }

    /// As SIPp: a call that got an unexpected message takes the twin's call with it.
    pub(super) fn abort_twin(&mut self, id: CallId, host: &mut dyn Host) {
        let Some(call) = self.calls.get_mut(id) else { return };
        if self.scenario.controller.is_none() || call.step == 0 {
            return;
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(b"call-id: ");
        self.scratch.extend_from_slice(&call.id);
        self.scratch.extend_from_slice(b"\r\ninternal-cmd: abort_call\r\n\r\n");
        // A twin that takes no command is seen by the next call that has one for it.
        let _ = self.put_command(host);
    }

    /// Sends the command that is in the scratch buffer.
    fn put_command(&mut self, host: &mut dyn Host) -> bool {
        if self.settings.trace.messages {
            host.note(Note::Sent, None, &self.scratch);
        }
        self.scratch.push(END);
        host.command(&self.scratch)
    }

    /// Where our requests go.
    pub(super) fn target(&self) -> Peer {
        match self.settings.transport {
            super::Transport::Udp => Peer::Datagram(self.settings.remote),
            super::Transport::Tcp => Peer::Stream(ConnId::NONE, self.settings.remote),
        }
    }
}

/// The step that a command is for: the one that the call waits at, or one behind it past optional ones.
fn place(steps: &[Step], from: usize) -> Option<usize> {
    for (at, step) in steps.iter().enumerate().skip(from) {
        match &step.kind {
            Kind::ReceiveCommand(_) => return Some(at),
            Kind::Receive(receive) if receive.optional != Optional::No => {}
            _ => return None,
        }
    }
    None
}

/// Names and values of the head's lines. Unlike a SIP message, a command has no start line, and its last line may
/// lack its end.
pub(super) fn headers(command: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = command.split(|&octet| octet == b'\n').map(<[u8]>::trim_ascii);
    let head = lines
        .skip_while(|line| line.is_empty())
        .take_while(|line| !line.is_empty());
    head.filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        Some((line[..colon].trim_ascii_end(), line[colon + 1..].trim_ascii()))
    })
}

/// The first value that one of these names has.
fn value_of<'a>(command: &'a [u8], names: &[&str]) -> Option<&'a [u8]> {
    let known = |name: &[u8]| names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    let mut all = headers(command);
    all.find_map(|(name, value)| (known(name) && !value.is_empty()).then_some(value))
}

/// The text that actions see: line ends at its end belong to the transport, as in SIPp.
fn without_end(mut command: &[u8]) -> &[u8] {
    while let Some(shorter) = command.strip_suffix(b"\r\n") {
        command = shorter;
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(parts: &[&[u8]]) -> Result<Vec<Vec<u8>>, TooLong> {
        let (mut cutter, mut all) = (Cutter::default(), Vec::new());
        for part in parts {
            cutter.feed(part, |command| all.push(command.to_vec()))?;
        }
        Ok(all)
    }

    #[test]
    fn commands_are_cut_at_their_end() {
        assert_eq!(
            cut(&[b"a\x1bb", b"", b"c\x1b\x1bd"]),
            Ok(vec![b"a".to_vec(), b"bc".to_vec(), b"".to_vec()])
        );
        let long = vec![b'x'; MOST_OCTETS];
        assert_eq!(cut(&[&long, b"\x1b"]).map(|all| all.len()), Ok(1));
        assert_eq!(cut(&[&long, b"y"]), Err(TooLong));
        assert_eq!(cut(&[&long, b"y\x1b"]), Err(TooLong));
    }

    #[test]
    fn heads_of_commands() {
        let names = ["call-id", "i"];
        assert_eq!(value_of(b"Call-ID: 1-2@h\r\n\r\n", &names), Some(&b"1-2@h"[..]));
        assert_eq!(value_of(b"\r\nFrom: m\r\ncall-id : x", &names), Some(&b"x"[..]));
        assert_eq!(
            value_of(b"From: m\r\n\r\nCall-ID: x", &names),
            None,
            "the body is no head"
        );
        assert_eq!(value_of(b"Call-ID:\r\n", &names), None);
        assert_eq!(without_end(b"a\r\n\r\nb\r\n\r\n"), b"a\r\n\r\nb");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// However the stream is cut, the commands are the same, and what is kept is bounded.
        #[test]
        fn any_octets_in_any_pieces(octets in prop::collection::vec(any::<u8>(), 0..600), piece in 1usize..50) {
            let whole = cut(&[&octets]).expect("short");
            let pieces: Vec<&[u8]> = octets.chunks(piece).collect();
            prop_assert_eq!(&cut(&pieces).expect("short"), &whole);
            for command in whole {
                let _ = (value_of(&command, &["call-id"]), without_end(&command));
            }
        }
    }
}
