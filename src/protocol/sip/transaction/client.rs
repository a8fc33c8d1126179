//! The client side: figures 5 and 6 driven by responses, the TU's CANCEL and time.

use super::branch::{Branch, Parts, parse as parse_branch};
use super::room::counts_outside;
use super::table::{Action, Step, invite_client, non_invite_client};
use super::{Answered, ClientId, Due, Event, Full, Schedule, Token, Tools, Transactions, User, compose};
use crate::protocol::sip::{Carrier, Message, Method, parse};
use crate::protocol::{Path, Wire};
use rand_chacha::rand_core::Rng;
use shards::{Buf, Time};

/// A client transaction.
pub(super) struct Client {
    pub(super) machine: Machine,
    pub(super) method: Method,
    /// What a response's branch must name besides the place.
    pub(super) random: u64,
    user: User,
    pub(super) path: Option<Path>,
    /// The request until its final response; of an INVITE then its ACK.
    pub(super) request: Buf,
    /// Of an INVITE: the place of its CANCEL. Of a CANCEL: the place of its INVITE.
    pub(super) partner: Option<u32>,
    pub(super) schedule: Schedule,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    /// Minted, not started.
    Reserved,
    /// A CANCEL that waits for the INVITE's provisional response (section 9.1).
    Held,
    Invite(invite_client::State),
    NonInvite(non_invite_client::State),
    /// An INVITE that is over; it stays to lead responses to its CANCEL, which bear its branch.
    Husk,
}

/// What any event may be to either machine.
#[derive(Clone, Copy)]
enum Input {
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
    Nothing,
    Pass,
    Timeout,
    Failed,
}

impl Transactions {
    /// Reserves a client transaction and its branch.
    /// # Errors
    /// [`Full`] when the limit is reached.
    pub fn mint(&mut self) -> Result<(ClientId, Branch), Full> {
        self.mint_for(Method::Invite)
    }

    /// The same for a method that is known: BYE finds room where others do not.
    /// # Errors
    /// [`Full`] when that room is taken too.
    pub fn mint_for(&mut self, method: Method) -> Result<(ClientId, Branch), Full> {
        if self.is_full(method == Method::Bye) {
            return Err(Full);
        }
        let random = self.random.next_u64();
        let (index, generation) = self.clients.insert(Client::new(Machine::Reserved, random));
        let branch = Branch::new(Parts {
            shard: self.shard,
            slot: index,
            random,
        });
        Ok((ClientId { index, generation }, branch))
    }

    /// A branch for a request that has no transaction: an ACK to a 2xx (section 13.2.2.4), or the BYE for
    /// which there is no room. It needs no place in the table, so that a full one cannot keep an ACK back;
    /// what bears it in an answer matches nothing.
    pub fn bare_branch(&mut self) -> Branch {
        Branch::new(Parts {
            shard: self.shard,
            slot: u32::MAX,
            random: self.random.next_u64(),
        })
    }

    /// Sends a request that bears the minted branch, and runs its transaction. `path` is used for
    /// all repetitions, the ACK to a failure and the CANCEL.
    pub fn client(
        &mut self,
        wire: &mut dyn Wire,
        id: ClientId,
        request: &[u8],
        method: Method,
        path: &Path,
        user: User,
    ) {
        debug_assert!(
            method != Method::Ack && method != Method::Cancel,
            "not a transaction of the user's"
        );
        debug_assert!(
            self.clients
                .get(id.index, id.generation)
                .is_some_and(|c| c.machine == Machine::Reserved)
        );
        if self.clients.get(id.index, id.generation).is_none() {
            return;
        }
        let Some(client) = self.clients.at_mut(id.index) else {
            return;
        };
        self.outside += usize::from(counts_outside(method));
        client.method = method;
        client.user = user;
        client.path = Some(*path);
        client.request = Buf::copy_of(request);
        client.start(wire, id, &mut self.tools);
    }

    /// Gives a minted slot back that was not used after all.
    pub fn release(&mut self, id: ClientId) {
        let reserved = self
            .clients
            .get(id.index, id.generation)
            .is_some_and(|c| c.machine == Machine::Reserved);
        debug_assert!(reserved, "only a minted slot is released");
        if reserved {
            self.clients.remove(id.index);
        }
    }

    /// Matches a response (section 17.1.3) and moves its transaction.
    pub fn receive_response(&mut self, wire: &mut dyn Wire, response: &Message<'_>) -> Answered {
        let Some(index) = self.match_response(response) else {
            return Answered::Stray;
        };
        let input = match response.status() {
            0..200 => Input::Provisional,
            200..300 => Input::Success,
            _ => Input::Failure,
        };
        let client = self.client_id(index);
        let user = self.clients.at(index).map(|client| client.user).unwrap_or_default();
        match self.drive_client(wire, index, input, Some(response)) {
            Outcome::Pass if response.method() != Method::Cancel => Answered::Pass { client, user },
            _ => Answered::Absorbed,
        }
    }

    /// Where the request goes; `None` before [`Transactions::client`].
    #[must_use]
    pub fn client_path(&self, id: ClientId) -> Option<Path> {
        self.clients.get(id.index, id.generation)?.path
    }

    /// The transaction's user.
    #[must_use]
    pub fn client_user(&self, id: ClientId) -> Option<User> {
        let client = self.clients.get(id.index, id.generation)?;
        (client.machine != Machine::Reserved).then_some(client.user)
    }

    /// Gives the transaction to another user.
    pub fn set_client_user(&mut self, id: ClientId, user: User) {
        if self.client_user(id).is_some()
            && let Some(client) = self.clients.at_mut(id.index)
        {
            client.user = user;
        }
    }

    /// The request's octets; `None` after the final response.
    #[must_use]
    pub fn client_request(&self, id: ClientId) -> Option<&[u8]> {
        use {invite_client::State as I, non_invite_client::State as N};
        let client = self.clients.get(id.index, id.generation)?;
        let pending = matches!(
            client.machine,
            Machine::Invite(I::Calling | I::Proceeding) | Machine::NonInvite(N::Trying | N::Proceeding)
        );
        pending.then_some(&*client.request)
    }

    pub(super) fn client_due(&mut self, wire: &mut dyn Wire, index: u32, events: &mut Vec<Event>) {
        let Some(client) = self.clients.at_mut(index) else {
            return;
        };
        let input = match client.schedule.fired(wire.now()) {
            Some(Due::End) => Input::End,
            Some(Due::Resend) => Input::Resend,
            None => {
                return client
                    .schedule
                    .arm(Time::FAR, &mut self.tools.wheel, Token::Client(index));
            }
        };
        self.drive_and_tell(wire, index, input, events);
    }

    pub(super) fn client_failed(&mut self, wire: &mut dyn Wire, id: ClientId, events: &mut Vec<Event>) {
        if self.clients.get(id.index, id.generation).is_some() {
            self.drive_and_tell(wire, id.index, Input::TransportError, events);
        }
    }

    fn drive_and_tell(&mut self, wire: &mut dyn Wire, index: u32, input: Input, events: &mut Vec<Event>) {
        let Some(entry) = self.clients.at(index) else { return };
        let (client, user, own) = (self.client_id(index), entry.user, entry.method == Method::Cancel);
        match self.drive_client(wire, index, input, None) {
            // Nobody waits for the fate of the layer's own CANCEL; the INVITE gives up by itself.
            _ if own => {}
            Outcome::Timeout => events.push(Event::ClientTimeout { client, user }),
            Outcome::Failed => events.push(Event::ClientFailed { client, user }),
            Outcome::Nothing | Outcome::Pass => {}
        }
    }

    /// One step of the machine in a place.
    fn drive_client(
        &mut self,
        wire: &mut dyn Wire,
        index: u32,
        input: Input,
        response: Option<&Message<'_>>,
    ) -> Outcome {
        let id = self.client_id(index);
        let Some(client) = self.clients.at_mut(index) else {
            return Outcome::Nothing;
        };
        let before = client.schedule.next();
        let Some((actions, after)) = client.step(input) else {
            return Outcome::Nothing;
        };
        let outcome = client.act(wire, id, actions, response, &mut self.tools);
        client.forget(after);
        client.schedule.arm(before, &mut self.tools.wheel, Token::Client(index));
        if client.partner.is_some() && client.method == Method::Invite {
            match after {
                After::Waiting => {}
                After::Proceeding => self.start_cancel(wire, index),
                After::Acknowledged | After::Done | After::Over => self.drop_held_cancel(index),
            }
        }
        if after == After::Over {
            self.remove_client(index);
        }
        outcome
    }

    /// Section 17.1.3: "the same value of the branch parameter in the top Via header field as
    /// ... the request that created the transaction", and the method of the CSeq.
    fn match_response(&self, response: &Message<'_>) -> Option<u32> {
        let branch = parse_branch(response.via().branch?)?;
        let client = self.clients.at(branch.slot)?;
        if branch.shard != self.shard || branch.random != client.random {
            return None;
        }
        let (index, client) = match (response.method(), client.partner) {
            (Method::Cancel, Some(cancel)) => (cancel, self.clients.at(cancel)?),
            _ => (branch.slot, client),
        };
        let running = matches!(client.machine, Machine::Invite(_) | Machine::NonInvite(_));
        (running && client.is_method(response)).then_some(index)
    }

    pub(super) fn client_id(&self, index: u32) -> ClientId {
        ClientId {
            index,
            generation: self.clients.generation(index),
        }
    }
}

/// What a step leaves of a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// The request may be sent again.
    Waiting,
    /// An INVITE has a provisional response: its CANCEL may go.
    Proceeding,
    /// An INVITE failed: its ACK is kept.
    Acknowledged,
    /// The final response came, nothing will be sent again.
    Done,
    Over,
}

impl Client {
    /// How many octets it keeps.
    #[cfg(test)]
    pub(super) fn octets(&self) -> usize {
        self.request.len()
    }

    pub(super) fn new(machine: Machine, random: u64) -> Self {
        Self {
            machine,
            method: Method::Other,
            random,
            user: User::default(),
            path: None,
            request: Buf::new(),
            partner: None,
            schedule: Schedule::idle(),
        }
    }

    /// Enters the figure: the request goes out for the first time.
    pub(super) fn start(&mut self, wire: &mut dyn Wire, id: ClientId, tools: &mut Tools) {
        let reliable = self.is_reliable();
        let actions = if self.method == Method::Invite {
            let Step { next, actions } = invite_client::start(reliable);
            self.machine = Machine::Invite(next);
            actions
        } else {
            let Step { next, actions } = non_invite_client::start(reliable);
            self.machine = Machine::NonInvite(next);
            actions
        };
        self.act(wire, id, actions, None, tools);
        self.schedule.arm(Time::FAR, &mut tools.wheel, Token::Client(id.index));
    }

    /// The table's answer, and what it leaves. Moves the state.
    fn step(&mut self, input: Input) -> Option<(&'static [Action], After)> {
        let reliable = self.is_reliable();
        match self.machine {
            Machine::Invite(state) => {
                use invite_client::{Input as I, State};
                let input = match (input, state) {
                    (Input::Provisional, _) => I::Provisional,
                    (Input::Success, _) => I::Success,
                    (Input::Failure, _) => I::Failure,
                    (Input::TransportError, _) => I::TransportError,
                    (Input::Resend, _) => I::TimerA,
                    (Input::End, State::Proceeding) => I::GiveUp,
                    (Input::End, State::Completed) => I::TimerD,
                    (Input::End, State::Accepted) => I::TimerM,
                    (Input::End, _) => I::TimerB,
                };
                let step = invite_client::step(state, input, reliable)?;
                self.machine = Machine::Invite(step.next);
                let after = match step.next {
                    State::Calling => After::Waiting,
                    State::Proceeding => After::Proceeding,
                    State::Completed => After::Acknowledged,
                    State::Accepted => After::Done,
                    State::Terminated => After::Over,
                };
                Some((step.actions, after))
            }
            Machine::NonInvite(state) => {
                use non_invite_client::{Input as I, State};
                let input = match (input, state) {
                    (Input::Provisional, _) => I::Provisional,
                    (Input::Success | Input::Failure, _) => I::Final,
                    (Input::TransportError, _) => I::TransportError,
                    (Input::Resend, _) => I::TimerE,
                    (Input::End, State::Completed) => I::TimerK,
                    (Input::End, _) => I::TimerF,
                };
                let step = non_invite_client::step(state, input, reliable)?;
                self.machine = Machine::NonInvite(step.next);
                if step.next == State::Proceeding {
                    // 17.1.2.2: in Proceeding "Timer E MUST be reset with a value of T2 seconds".
                    self.schedule.round = u8::MAX;
                }
                let after = match step.next {
                    State::Trying | State::Proceeding => After::Waiting,
                    State::Completed => After::Done,
                    State::Terminated => After::Over,
                };
                Some((step.actions, after))
            }
            Machine::Reserved | Machine::Held | Machine::Husk => None,
        }
    }

    fn act(
        &mut self,
        wire: &mut dyn Wire,
        id: ClientId,
        actions: &'static [Action],
        response: Option<&Message<'_>>,
        tools: &mut Tools,
    ) -> Outcome {
        let mut outcome = Outcome::Nothing;
        for &action in actions {
            match action {
                Action::SendRequest => self.send(wire, id),
                Action::SendAck => {
                    self.turn_into_ack(response, tools);
                    self.send(wire, id);
                }
                Action::Pass => outcome = Outcome::Pass,
                Action::Start(timer) => self.schedule.start(timer, wire.now(), &tools.timers),
                Action::Stop(timer) => self.schedule.stop(timer),
                Action::InformTimeout => outcome = Outcome::Timeout,
                Action::InformFailure => outcome = Outcome::Failed,
                Action::SendKept | Action::SendOnce | Action::Resend => debug_assert!(false, "a server's action"),
            }
        }
        outcome
    }

    fn send(&self, wire: &mut dyn Wire, id: ClientId) {
        if let Some(path) = &self.path {
            wire.send(path, id.tag(), &self.request);
        }
    }

    /// Replaces the stored INVITE by the ACK to its response; repetitions of the response find
    /// the ACK already there.
    fn turn_into_ack(&mut self, response: Option<&Message<'_>>, tools: &mut Tools) {
        let Some(response) = response else { return };
        let Ok(stored) = parse(&self.request, &mut tools.spans, Carrier::Datagram) else {
            debug_assert!(false, "our own INVITE can be read");
            return;
        };
        if stored.method() != Method::Invite {
            return;
        }
        tools.text.clear();
        compose::ack(&mut tools.text, &stored, response);
        self.request = Buf::copy_of(&tools.text);
    }

    /// Gives memory back that the new state does not need.
    fn forget(&mut self, after: After) {
        if matches!(after, After::Done | After::Over) {
            self.request = Buf::new();
        }
    }

    fn is_reliable(&self) -> bool {
        self.path.is_some_and(|path| path.transport.is_reliable())
    }

    /// Methods without a name of their own are compared as long as the request is kept.
    fn is_method(&self, response: &Message<'_>) -> bool {
        self.method == response.method()
            && (self.method != Method::Other
                || self.request.is_empty()
                || self.request.split(|&octet| octet == b' ').next() == Some(response.cseq().method))
    }
}
