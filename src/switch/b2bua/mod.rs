//! Back-to-back user agent: two legs with dialogs of their own, media relayed between them.
//!
//! Towards the caller it is a UAS, towards the callee a UAC (RFC 3261 sections 8, 12, 13). Nothing
//! of one side's topology is shown to the other: Call-ID, tags, Contact, Via and SDP addresses are
//! ours. Max-Forwards goes down across it, so that a loop through it ends (RFC 7332).

mod answers;
mod body;
mod end;
mod exchange;
mod invite;
mod late;
mod leg;
mod redirected;
mod rows;
mod service;
mod timers;
mod within;
mod write;

use super::alarm::Alarm;
use super::core::{Turn, handle, role, user};
use super::redirect::{Lookup, Redirects};
use super::slab::{Handle, Slab};
use super::target::{Hunt, TargetSet};
use crate::config::plan::MediaPath;
use crate::media::{CallMedia, Service, Side};
use crate::ops::stats::CallResult;
use crate::protocol::Path;
use crate::protocol::sip::transaction::{ClientId, ServerId, User};
use crate::protocol::sip::{Message, Method};
use exchange::Exchange;
use leg::Leg;
use shards::wheel::Wheel;
use shards::{Buf, Time, Wall};

pub use leg::read_tag;

/// A shard's B2BUA calls.
pub struct B2bua {
    calls: Slab<Call>,
    timers: Wheel<Handle>,
    spare: Vec<Vec<Branch>>,
    /// Users that redirected calls ask for; the appliance takes them after each response.
    lookups: Vec<Lookup>,
}

/// One call.
struct Call {
    state: State,
    /// The caller's INVITE until its final response.
    invite: Option<ServerId>,
    a: Leg,
    b: Leg,
    /// INVITEs to the callee's side.
    branches: Vec<Branch>,
    targets: TargetSet,
    hunt: Hunt,
    redirects: Redirects,
    media: CallMedia,
    relay: MediaPath,
    /// The SDP for the callee's side, the same for all branches; empty when the caller made no
    /// offer (delayed offer).
    offer: Buf,
    /// Best failure so far.
    failure: u16,
    /// An offer/answer or other request on its way across.
    exchange: Option<Exchange>,
    /// A 2xx of ours that was not acknowledged yet.
    unacknowledged: Option<Unacknowledged>,
    /// The callee's side waits for an ACK with the answer of a delayed offer.
    ack_owed: Option<Side>,
    /// Marks of dialogs that were ended because another branch had answered.
    surplus: Vec<u64>,
    ring_until: Time,
    /// The longest call ends here: ghosts too.
    life_until: Time,
    alarm: Alarm,
    ringing: bool,
    /// The built-in service that answers; `None` between two phones.
    service: Option<Service>,
    trusted: bool,
    /// To an emergency number: it may take the last ports.
    emergency: bool,
    /// Call-ID of the caller, caller's URI, called URI.
    texts: Buf,
    ends: [u16; 3],
    began: Time,
    started: Wall,
    answered: Option<(Time, Wall)>,
    result: Option<CallResult>,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the callee's answer.
    Opening,
    /// Both legs are confirmed, or their 2xx is on its way.
    Answered,
    /// Over; waits for branches that may still be answered.
    Over,
}

/// An INVITE to one target.
struct Branch {
    client: ClientId,
    path: Path,
    flow: bool,
    /// Last status; 0 before any.
    status: u16,
    /// Its 2xx answered the call.
    won: bool,
}

/// A 2xx to an INVITE, sent again until its ACK comes (RFC 3261 section 13.3.1.4).
struct Unacknowledged {
    side: Side,
    server: ServerId,
    /// The CSeq number of the INVITE, which its ACK bears: the ACK of a later INVITE that was refused
    /// without a transaction is another one.
    number: u32,
    octets: Buf,
    interval: std::time::Duration,
    next: Time,
    until: Time,
}

/// What a call needs to begin.
pub struct Start<'a> {
    /// Its server transaction.
    pub server: ServerId,
    /// The INVITE.
    pub request: &'a Message<'a>,
    /// Where it came from.
    pub path: &'a Path,
    /// Who carries the audio.
    pub media: MediaPath,
    /// How to go on after a failure.
    pub hunt: Hunt,
    /// From a trusted source: identity headers go on.
    pub trusted: bool,
    /// The caller showed who he is: a redirection may lead him where users may call.
    pub proven: bool,
    /// To an emergency number.
    pub emergency: bool,
}

impl Default for B2bua {
    fn default() -> Self {
        Self {
            calls: Slab::default(),
            timers: Wheel::new(Time::ZERO),
            spare: Vec::new(),
            lookups: Vec::new(),
        }
    }
}

impl Call {
    fn leg(&mut self, side: Side) -> &mut Leg {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    fn is_over(&self) -> bool {
        self.state == State::Over
    }

    fn text(&self, place: usize) -> &[u8] {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        self.texts
            .get(usize::from(start)..usize::from(self.ends[place]))
            .unwrap_or(&[])
    }
}

impl B2bua {
    /// How many timers wait; none without calls.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.timers.len()
    }

    /// How many calls there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The CANCEL of an INVITE transaction of ours: of the call, or of a re-INVITE within it.
    pub fn cancel(&mut self, turn: &mut Turn<'_, '_>, owner: User, invite: ServerId) {
        let at = handle(owner);
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.invite == Some(invite) {
            self.abandon(turn, at, 487, CallResult::Cancelled);
        } else if let Some(exchange) = call.exchange.as_ref().filter(|exchange| exchange.server == invite) {
            let client = exchange.client;
            turn.with_wire(|tx, wire| tx.cancel(wire, client, None));
        }
    }

    /// A response in one of our client transactions.
    pub fn response(&mut self, turn: &mut Turn<'_, '_>, owner: User, client: ClientId, response: &Message<'_>) {
        let at = handle(owner);
        let Some(call) = self.calls.get(at) else {
            return self.orphan(turn, client, response);
        };
        if call.exchange.as_ref().is_some_and(|exchange| exchange.client == client) {
            self.exchange_answered(turn, at, response);
        } else if let Some(place) = call.branches.iter().position(|branch| branch.client == client) {
            self.branch_answered(turn, at, place, response);
        } else if let Some(side) = self.refresh_of(at, client) {
            self.refreshed_by_us(turn, at, side, response.status(), Some(response));
        } else if (200..300).contains(&response.status()) && response.method() == Method::Invite {
            // A re-INVITE's 2xx again: our ACK was lost.
            self.acknowledge_again(turn, at, response);
        }
    }

    /// A client transaction ended without a final response.
    pub fn failed(&mut self, turn: &mut Turn<'_, '_>, owner: User, client: ClientId, status: u16) {
        let at = handle(owner);
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.exchange.as_ref().is_some_and(|exchange| exchange.client == client) {
            self.exchange_failed(turn, at, status);
        } else if let Some(branch) = call
            .branches
            .iter_mut()
            .find(|branch| branch.client == client && branch.status < 200)
        {
            branch.status = status;
            call.failure = worse(call.failure, status);
            self.settle(turn, at);
        } else if let Some(side) = self.refresh_of(at, client) {
            self.refreshed_by_us(turn, at, side, status, None);
        }
    }
}

/// Of two failures the one to tell the caller (RFC 3261 section 16.7 step 6 in short: a decline,
/// then an answer, then silence).
fn worse(one: u16, other: u16) -> u16 {
    let rank = |status: u16| match status {
        0 => 9,
        600.. => 0,
        486 => 1,
        408 => 6,
        400..=499 => 2,
        300..=399 => 3,
        503 => 5,
        _ => 4,
    };
    if rank(other) < rank(one) { other } else { one }
}

fn owner(at: Handle) -> User {
    user(role::B2BUA, at)
}
