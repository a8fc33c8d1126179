//! Judges a run by what passes the server's signalling socket, read with a reader of its own: nothing
//! here calls the code under test. Each rule names its clause of RFC 3261; what is excused stands
//! beside the rule with the reason.
//!
//! Excused altogether:
//! - transactions and dialogs that were open when a program crashed or the process was killed: their
//!   state is gone with it (section 12.2.2: 481 is the answer then);
//! - calls of which one datagram was corrupted: a changed tag or branch is another message, and a changed
//!   Call-ID another call.

mod requests;
mod responses;

use crate::text::Glance;
use requests::{Dialog, Invite};
use responses::Served;
use shards::Time;
use shards::sim::{Fate, Happening, Observed};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When it was seen.
    pub at: Time,
    /// The call, or nothing when it is of no one call.
    pub call_id: String,
    /// What, with the clause.
    pub text: String,
}

/// What the checker has to know of the appliance's role.
#[derive(Clone, Debug)]
pub struct Role {
    /// Where it listens.
    pub server: SocketAddr,
    /// Calls go through the proxy, otherwise the B2BUA.
    pub proxy: bool,
    /// Its queues between shards are so short that it may lose what it was sent, as a network does: it
    /// cannot be blamed for not having heard.
    pub sheds: bool,
    /// How long a message may take from the shard that hears it to the one that owns the call.
    pub grace: Duration,
}

/// Looks at every datagram.
#[derive(Debug)]
pub struct Checker {
    role: Role,
    /// Requests that the server received, by branch, sent-by and method.
    served: HashMap<u64, Served>,
    /// INVITEs that it sent, by branch.
    invites: HashMap<u64, Invite>,
    /// All requests that it sent, by branch and method: a hash of the octets.
    sent: HashMap<u64, u64>,
    /// By Call-ID and both tags, in either order.
    dialogs: HashMap<u64, Dialog>,
    /// Dialogs that a BYE ended.
    byes: HashSet<u64>,
    /// The last CSeq that it sent, by Call-ID and both tags (the remote one empty before the dialog).
    numbers: HashMap<u64, u32>,
    /// Who opened the call, by Call-ID.
    callers: HashMap<u64, IpAddr>,
    /// When the first ACK of a 2xx came, by Call-ID, From tag and CSeq, and when the first BYE came or went.
    acks: HashMap<u64, Time>,
    first_bye: HashMap<u64, Time>,
    /// 2xx to INVITEs that the server sent, by Call-ID, To tag and CSeq.
    passed: HashSet<u64>,
    /// INVITEs that were refused without state, or that a crash made unknown, by Call-ID and CSeq.
    shed: HashSet<u64>,
    /// Calls that a crash may have given a second record.
    twice: HashSet<u64>,
    /// Call-IDs that somebody made; others were made by the network.
    sound: HashSet<u64>,
    /// Calls of which a datagram was corrupted.
    spoiled: HashSet<u64>,
    /// Who received or sent one.
    odd: HashSet<IpAddr>,
    /// Phones that died or do not acknowledge.
    gone: HashSet<IpAddr>,
    found: Vec<Violation>,
}

/// More are not kept: one is enough to fail.
const MOST: usize = 20;

fn key(parts: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// A dialog, whoever sends.
fn dialog_key(message: &Glance<'_>) -> u64 {
    let (one, other) = (message.from_tag(), message.to_tag());
    key((message.call_id, one.min(other), one.max(other)))
}

impl Checker {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            role,
            served: HashMap::new(),
            invites: HashMap::new(),
            sent: HashMap::new(),
            dialogs: HashMap::new(),
            numbers: HashMap::new(),
            callers: HashMap::new(),
            byes: HashSet::new(),
            acks: HashMap::new(),
            first_bye: HashMap::new(),
            passed: HashSet::new(),
            shed: HashSet::new(),
            twice: HashSet::new(),
            sound: HashSet::new(),
            spoiled: HashSet::new(),
            odd: HashSet::new(),
            gone: HashSet::new(),
            found: Vec::new(),
        }
    }

    /// From now on the phone at this address answers nothing, or acknowledges nothing.
    pub fn gone(&mut self, phone: IpAddr) {
        self.gone.insert(phone);
    }

    /// Looks at one event of the world.
    pub fn observe(&mut self, seen: &Observed<'_>) {
        match seen.what {
            Happening::Sent { from, to, octets, fate } => {
                let server = self.role.server;
                if from != server && (to != server || fate != Fate::Corrupted) {
                    return;
                }
                let text = String::from_utf8_lossy(octets);
                let Some(message) = Glance::read(&text) else { return };
                self.heard_of(&message);
                if fate == Fate::Corrupted {
                    self.spoil(from, to, &message);
                }
                if from == server {
                    match message.status() {
                        0 => self.server_asks(seen.at, to, &message, octets),
                        _ => self.server_answers(seen.at, to, &message, octets),
                    }
                }
            }
            Happening::Delivered {
                from,
                to,
                octets,
                corrupted,
            } if to == self.role.server => {
                if corrupted {
                    self.odd.insert(from.ip());
                }
                let text = String::from_utf8_lossy(octets);
                let Some(message) = Glance::read(&text) else { return };
                match corrupted {
                    true => self.spoil(from, to, &message),
                    false => self.heard_of(&message),
                }
                match message.status() {
                    0 => self.server_is_asked(seen.at, from, &message),
                    _ => self.server_is_answered(seen.at, from, &message),
                }
            }
            Happening::Delivered {
                from,
                to,
                octets,
                corrupted: true,
            } => {
                // What the phone makes of it, it says to the server.
                let text = String::from_utf8_lossy(octets);
                if let Some(message) = Glance::read(&text) {
                    self.spoil(from, to, &message);
                }
            }
            Happening::Delivered { .. } => {}
            Happening::Crashed(_) | Happening::Killed => self.excuse(),
        }
    }

    /// Dialogs and transactions begin with a request without a To tag.
    fn heard_of(&mut self, message: &Glance<'_>) {
        if message.status() == 0 && message.to_tag().is_empty() {
            self.sound.insert(key(message.call_id));
        }
    }

    fn spoil(&mut self, from: SocketAddr, to: SocketAddr, message: &Glance<'_>) {
        self.odd.extend([from.ip(), to.ip()]);
        self.spoiled.insert(key(message.call_id));
    }

    /// What is open now may stay open.
    fn excuse(&mut self) {
        self.served.values_mut().for_each(|served| served.excused = true);
        self.invites.values_mut().for_each(|invite| invite.excused = true);
        self.dialogs.values_mut().for_each(|dialog| dialog.excused = true);
        // The ACK of a failure that was answered before is not known as one afterwards (section 16.11).
        let failed = self.invites.values().map(|invite| invite.asked());
        self.shed.extend(failed);
        // An INVITE whose final response was lost is a new one for the next life.
        let calls = self.served.values().filter(|served| served.opening);
        self.twice.extend(calls.map(|served| key(served.call_id.as_str())));
    }

    fn broken(&mut self, at: Time, call_id: &str, text: impl FnOnce() -> String) {
        let call = key(call_id);
        let excused = self.spoiled.contains(&call) || (!self.odd.is_empty() && !self.sound.contains(&call));
        if self.found.len() < MOST && !excused {
            self.found.push(Violation {
                at,
                call_id: call_id.to_owned(),
                text: text(),
            });
        }
    }

    /// Everything has ended: what was never answered, acknowledged or recorded? `records` are the
    /// call records' Call-IDs.
    #[must_use]
    pub fn finish<'a>(mut self, at: Time, records: impl Iterator<Item = &'a str>) -> Vec<Violation> {
        let mut times: HashMap<u64, u32> = HashMap::new();
        for call_id in records {
            let times = times.entry(key(call_id)).or_default();
            *times += 1;
            if *times > 1 && !self.twice.contains(&key(call_id)) {
                self.broken(at, call_id, || "two records of one call".into());
            }
        }
        self.unanswered(at, &times);
        self.unended(at);
        let mut found = std::mem::take(&mut self.found);
        // The maps have no order of their own.
        found.sort_by(|one, other| (one.at, &one.call_id, &one.text).cmp(&(other.at, &other.call_id, &other.text)));
        found
    }
}

#[cfg(test)]
mod tests;
