//! The server side: figures 7 and 8 driven by requests, the TU's responses and time.

use super::key::{Key, has_cookie};
use super::room::is_outside;
use super::table::{Action, invite_server, non_invite_server};
use super::{Due, Event, Full, Incoming, Schedule, ServerId, Token, Tools, Transactions, User};
use crate::protocol::sip::{Carrier, Message, Method, parse};
use crate::protocol::{Path, Wire};
use shards::{Buf, Time};
use std::net::SocketAddr;

/// A server transaction.
pub(super) struct Server {
    key: Key,
    machine: Machine,
    /// True for a request without RFC 3261's magic cookie.
    legacy: bool,
    /// True when it counts for the share of requests outside calls.
    outside: bool,
    /// The port that the request came from; responses may have to go to another one.
    source_port: u16,
    user: User,
    /// Where responses go.
    path: Path,
    /// The request's octets until the final response.
    request: Buf,
    /// The last response, while it may have to be sent again.
    response: Buf,
    schedule: Schedule,
}

#[derive(Clone, Copy)]
enum Machine {
    Invite(invite_server::State),
    NonInvite(non_invite_server::State),
}

/// What any event may be to either machine.
#[derive(Clone, Copy)]
enum Input {
    Request,
    Ack,
    Provisional,
    Success,
    Failure,
    Resend,
    End,
    TransportError,
}

/// What came of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The figure has no such arrow.
    Ignored,
    Done,
    Pass,
    Timeout,
    Failed,
}

impl Transactions {
    /// Matches a request (section 17.2.3) and does what repetitions ask for.
    pub fn receive_request(&mut self, wire: &mut dyn Wire, request: &Message<'_>, _path: &Path) -> Incoming {
        let key = self.keyer.of(request);
        self.newest = Some(key);
        let found = self.find(key);
        match (request.method(), found) {
            (Method::Ack, Some(index)) if self.ack_belongs(index, request) => {
                match self.drive_server(wire, index, Input::Ack, &[]) {
                    // An ACK in Proceeding is for nothing that was sent; the caller drops it.
                    Outcome::Pass | Outcome::Ignored => Incoming::Ack,
                    _ => Incoming::AckAbsorbed,
                }
            }
            (Method::Ack, _) => Incoming::Ack,
            (_, Some(index)) => {
                self.drive_server(wire, index, Input::Request, &[]);
                Incoming::Retransmission
            }
            (Method::Cancel, None) => {
                let invite = self.find(self.keyer.cancelled(request));
                match invite.and_then(|index| Some((self.server_id(index), self.servers.at(index)?.user))) {
                    Some((invite, user)) => Incoming::Cancel { invite, user },
                    None => Incoming::CancelUnmatched,
                }
            }
            (_, None) => Incoming::New,
        }
    }

    /// Makes a server transaction for the request that [`Transactions::receive_request`] saw last,
    /// which was [`Incoming::New`] or a CANCEL.
    /// `path` is how the request came; responses go where section 18.2.2 and RFC 3581 say.
    /// # Errors
    /// [`Full`] when the limit is reached.
    pub fn server(&mut self, _now: Time, request: &Message<'_>, path: &Path, user: User) -> Result<ServerId, Full> {
        if self.is_full(matches!(request.method(), Method::Bye | Method::Cancel)) {
            return Err(Full);
        }
        debug_assert!(request.method() != Method::Ack, "an ACK makes no transaction");
        let key = self.newest.take().unwrap_or_else(|| self.keyer.of(request));
        debug_assert!(key == self.keyer.of(request), "it is the request that came last");
        debug_assert!(self.find(key).is_none(), "receive_request comes first");
        let machine = match request.method() {
            Method::Invite => Machine::Invite(invite_server::start().next),
            _ => Machine::NonInvite(non_invite_server::start().next),
        };
        let outside = is_outside(request);
        self.outside += usize::from(outside);
        let (index, generation) = self.servers.insert(Server {
            key,
            machine,
            legacy: !request.via().branch.is_some_and(has_cookie),
            outside,
            source_port: path.peer.port(),
            user,
            path: reply_path(request, path),
            request: Buf::copy_of(request.bytes()),
            response: Buf::new(),
            schedule: Schedule::idle(),
        });
        let servers = &self.servers;
        self.index.insert_unique(key.hash(), index, |&other| {
            servers.at(other).map_or(0, |server| server.key.hash())
        });
        Ok(ServerId { index, generation })
    }

    /// Sends the user's response and moves the machine. False when there is no such transaction,
    /// or it already has its final response (section 17.2.2: "MUST be discarded"); a further 2xx
    /// of an accepted INVITE is sent.
    pub fn respond(&mut self, wire: &mut dyn Wire, id: ServerId, status: u16, bytes: &[u8]) -> bool {
        if self.servers.get(id.index, id.generation).is_none() {
            return false;
        }
        let input = match status {
            0..200 => Input::Provisional,
            200..300 => Input::Success,
            _ => Input::Failure,
        };
        self.drive_server(wire, id.index, input, bytes) != Outcome::Ignored
    }

    /// The transaction's user.
    #[must_use]
    pub fn server_user(&self, id: ServerId) -> Option<User> {
        self.servers.get(id.index, id.generation).map(|server| server.user)
    }

    /// Gives the transaction to another user.
    pub fn set_server_user(&mut self, id: ServerId, user: User) {
        if self.server_user(id).is_some()
            && let Some(server) = self.servers.at_mut(id.index)
        {
            server.user = user;
        }
    }

    /// Where responses go.
    #[must_use]
    pub fn server_path(&self, id: ServerId) -> Option<Path> {
        self.servers.get(id.index, id.generation).map(|server| server.path)
    }

    /// Where the request came from.
    #[must_use]
    pub fn server_source(&self, id: ServerId) -> Option<SocketAddr> {
        let server = self.servers.get(id.index, id.generation)?;
        Some(SocketAddr::new(server.path.peer.ip(), server.source_port))
    }

    /// The request's octets; `None` after the final response.
    #[must_use]
    pub fn server_request(&self, id: ServerId) -> Option<&[u8]> {
        let server = self.servers.get(id.index, id.generation)?;
        (!server.request.is_empty()).then_some(&*server.request)
    }

    /// Whether the request waits for its first response.
    #[must_use]
    pub fn is_silent(&self, id: ServerId) -> bool {
        let server = self.servers.get(id.index, id.generation);
        server.is_some_and(|server| !server.request.is_empty() && server.response.is_empty())
    }

    pub(super) fn server_due(&mut self, wire: &mut dyn Wire, index: u32, events: &mut Vec<Event>) {
        let Some(server) = self.servers.at_mut(index) else {
            return;
        };
        let input = match server.schedule.fired(wire.now()) {
            Some(Due::End) => Input::End,
            Some(Due::Resend) => Input::Resend,
            None => {
                return server
                    .schedule
                    .arm(Time::FAR, &mut self.tools.wheel, Token::Server(index));
            }
        };
        let user = server.user;
        let server = self.server_id(index);
        if self.drive_server(wire, index, input, &[]) == Outcome::Timeout {
            events.push(Event::ServerTimeout { server, user });
        }
    }

    pub(super) fn server_failed(&mut self, wire: &mut dyn Wire, id: ServerId, events: &mut Vec<Event>) {
        let Some(user) = self.server_user(id) else { return };
        if self.drive_server(wire, id.index, Input::TransportError, &[]) == Outcome::Failed {
            events.push(Event::ServerFailed { server: id, user });
        }
    }

    /// One step of the machine in a place.
    fn drive_server(&mut self, wire: &mut dyn Wire, index: u32, input: Input, bytes: &[u8]) -> Outcome {
        let id = self.server_id(index);
        let Some(server) = self.servers.at_mut(index) else {
            return Outcome::Ignored;
        };
        let before = server.schedule.next();
        let Some((actions, over)) = server.step(input) else {
            return Outcome::Ignored;
        };
        let outcome = server.act(wire, id, actions, bytes, &self.tools);
        if over {
            self.remove_server(index);
        } else {
            server.schedule.arm(before, &mut self.tools.wheel, Token::Server(index));
        }
        outcome
    }

    fn remove_server(&mut self, index: u32) {
        let Some(mut server) = self.servers.remove(index) else {
            return;
        };
        self.outside -= usize::from(server.outside);
        server.schedule.disarm(&mut self.tools.wheel);
        if let Ok(entry) = self.index.find_entry(server.key.hash(), |&other| other == index) {
            entry.remove();
        }
    }

    fn find(&self, key: Key) -> Option<u32> {
        let same = |&index: &u32| self.servers.at(index).is_some_and(|server| server.key == key);
        self.index.find(key.hash(), same).copied()
    }

    fn server_id(&self, index: u32) -> ServerId {
        ServerId {
            index,
            generation: self.servers.generation(index),
        }
    }

    /// Section 17.2.3 for RFC 2543 clients: "the To tag in the ACK is equal to the To tag in the
    /// response sent by the server".
    fn ack_belongs(&mut self, index: u32, ack: &Message<'_>) -> bool {
        let Some(server) = self.servers.at(index) else {
            return false;
        };
        if !server.legacy || server.response.is_empty() {
            return true;
        }
        match parse(&server.response, &mut self.tools.spans, Carrier::Datagram) {
            Ok(response) => response.to_tag() == ack.to_tag(),
            Err(_) => true,
        }
    }
}

impl Server {
    /// How many octets it keeps.
    #[cfg(test)]
    pub(super) fn octets(&self) -> usize {
        self.request.len() + self.response.len()
    }

    /// The table's answer: what to do, and whether it is over then. Moves the state and drops
    /// what the new one does not need.
    fn step(&mut self, input: Input) -> Option<(&'static [Action], bool)> {
        let reliable = self.path.transport.is_reliable();
        match self.machine {
            Machine::Invite(state) => {
                use invite_server::{Input as I, State};
                let input = match (input, state) {
                    (Input::Request, _) => I::Invite,
                    (Input::Ack, _) => I::Ack,
                    (Input::Provisional, _) => I::Provisional,
                    (Input::Success, _) => I::Success,
                    (Input::Failure, _) => I::Failure,
                    (Input::TransportError, _) => I::TransportError,
                    (Input::Resend, _) => I::TimerG,
                    (Input::End, State::Confirmed) => I::TimerI,
                    (Input::End, State::Accepted) => I::TimerL,
                    (Input::End, _) => I::TimerH,
                };
                let step = invite_server::step(state, input, reliable)?;
                self.machine = Machine::Invite(step.next);
                match step.next {
                    State::Proceeding => {}
                    State::Completed => self.request = Buf::new(),
                    _ => (self.request, self.response) = (Buf::new(), Buf::new()),
                }
                Some((step.actions, step.next == State::Terminated))
            }
            Machine::NonInvite(state) => {
                use non_invite_server::{Input as I, State};
                let input = match input {
                    Input::Request => I::Request,
                    Input::Provisional => I::Provisional,
                    Input::Success | Input::Failure => I::Final,
                    Input::End => I::TimerJ,
                    Input::TransportError => I::TransportError,
                    Input::Ack | Input::Resend => return None,
                };
                let step = non_invite_server::step(state, input, reliable)?;
                self.machine = Machine::NonInvite(step.next);
                if step.next == State::Completed {
                    self.request = Buf::new();
                }
                Some((step.actions, step.next == State::Terminated))
            }
        }
    }

    fn act(
        &mut self,
        wire: &mut dyn Wire,
        id: ServerId,
        actions: &'static [Action],
        bytes: &[u8],
        tools: &Tools,
    ) -> Outcome {
        let mut outcome = Outcome::Done;
        for &action in actions {
            match action {
                Action::SendKept => {
                    wire.send(&self.path, id.tag(), bytes);
                    self.response = Buf::copy_of(bytes);
                }
                Action::SendOnce => wire.send(&self.path, id.tag(), bytes),
                Action::Resend if self.response.is_empty() => {}
                Action::Resend => wire.send(&self.path, id.tag(), &self.response),
                Action::Pass => outcome = Outcome::Pass,
                Action::Start(timer) => self.schedule.start(timer, wire.now(), &tools.timers),
                Action::Stop(timer) => self.schedule.stop(timer),
                Action::InformTimeout => outcome = Outcome::Timeout,
                Action::InformFailure => outcome = Outcome::Failed,
                Action::SendRequest | Action::SendAck => debug_assert!(false, "a client's action"),
            }
        }
        outcome
    }
}

/// Where responses go: on a stream back over the connection; on UDP to the source address, at
/// the source port when the client asked for that (RFC 3581 section 4), else at the port of the
/// sent-by (section 18.2.2).
fn reply_path(request: &Message<'_>, path: &Path) -> Path {
    let via = request.via();
    let mut reply = *path;
    if !path.transport.is_reliable() && via.rport.is_none() {
        match via.port {
            None => reply.peer.set_port(5060),
            Some(0) => {}
            Some(port) => reply.peer.set_port(port),
        }
    }
    reply
}
