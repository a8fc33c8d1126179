//! Registrar, RFC 3261 section 10, with Path (RFC 3327) and flow bindings (RFC 5626).
//!
//! Bindings live in the memory of the AOR's home shard. A change is appended to the shard's log,
//! and the 200 waits until the log has reached the operating system: what was answered is not lost
//! when the process is killed.

mod change;
mod keep_alive;
pub mod record;
pub mod table;

use super::core::{Turn, Way, role};
use super::target::{Target, TargetSet};
use crate::protocol::Path;
use crate::protocol::sip::transaction::User;
use crate::protocol::sip::{Message, Method, Name, Reply, Uri, phrase};
use crate::store::journal;
use crate::switch::keyed::Keyed;
use change::{Change, Refusal};
use record::{Contact, FLOW};
use shards::{Buf, Time, Wall, Written};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::SocketAddr;
use table::{Place, Table};

/// Who owns the server transactions of REGISTERs.
pub const OWNER: User = User {
    role: role::REGISTRAR,
    index: 0,
    generation: 0,
};

/// A shard's bindings.
#[derive(Debug)]
pub struct Registrar {
    table: Table,
    held: VecDeque<Held>,
    /// Octets that were appended to the present log file.
    log_octets: u64,
    /// Writing failed last time: bindings live in memory only.
    log_broken: bool,
    next_walk: Time,
    steps: u64,
}

/// A 200 that waits for the log.
#[derive(Debug)]
struct Held {
    offset: u64,
    way: Way,
    octets: Buf,
}

impl Registrar {
    /// An empty registrar.
    #[must_use]
    pub fn new(hasher: Keyed) -> Self {
        Self {
            table: Table::new(hasher),
            held: VecDeque::new(),
            log_octets: 0,
            log_broken: false,
            next_walk: Time::ZERO,
            steps: 0,
        }
    }

    /// Takes a stored record at start. Bindings that expired meanwhile are left out; connections
    /// are gone, so a binding over a stream is reached again as its URI says.
    pub fn restore(&mut self, now: Time, wall: Wall, aor: &[u8], stored: &[u8]) {
        let mut kept = Vec::with_capacity(stored.len());
        for contact in record::contacts(stored) {
            let left = u64::from(contact.expires).saturating_sub(wall.seconds());
            if left == 0 {
                continue;
            }
            let mut path = contact.path;
            path.conn = shards::ConnId::NONE;
            if path.transport.is_reliable()
                && let Ok(uri) = Uri::parse(contact.uri)
                && let Some(ip) = uri.host_ip()
            {
                path.peer = SocketAddr::new(ip, uri.port.unwrap_or(5060));
            }
            let expires = u32::try_from(now.seconds() + left).unwrap_or(u32::MAX);
            let _ = record::push(
                &mut kept,
                &Contact {
                    expires,
                    path,
                    ..contact
                },
            );
        }
        self.table.set(aor, &kept);
    }

    /// How many bindings there are.
    #[must_use]
    pub fn bindings(&self) -> usize {
        self.table.bindings()
    }

    /// AORs and their records.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.table.iter()
    }

    /// True while bindings cannot be made durable.
    #[must_use]
    pub fn is_log_broken(&self) -> bool {
        self.log_broken
    }

    /// Octets in the present log file, to decide when it is time for a new one.
    #[must_use]
    pub fn log_octets(&self) -> u64 {
        self.log_octets
    }

    /// A new log file was begun.
    pub fn log_switched(&mut self) {
        self.log_octets = 0;
    }

    /// The AOR's targets by falling preference.
    #[must_use]
    pub fn targets(&self, now: Time, aor: &[u8]) -> TargetSet {
        let mut set = TargetSet::default();
        let record = self.table.get(aor);
        let alive = |contact: &Contact<'_>| u64::from(contact.expires) > now.seconds();
        let mut below = u32::MAX;
        while let Some(q) = record::contacts(record)
            .filter(alive)
            .map(|contact| u32::from(contact.q))
            .filter(|&q| q < below)
            .max()
        {
            for contact in record::contacts(record)
                .filter(alive)
                .filter(|contact| u32::from(contact.q) == q)
            {
                set.push(&Target {
                    uri: contact.uri,
                    route: contact.route,
                    path: contact.path,
                    q: contact.q,
                    flow: contact.flags & FLOW != 0,
                });
            }
            below = q;
        }
        set
    }

    /// How many answers wait for the log.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.held.len()
    }

    /// Whether a REGISTER whose credentials have served before is one that was taken: a binding still bears
    /// its Call-ID and CSeq, which no other request has, and it comes from the same address.
    #[must_use]
    pub fn has_taken(&self, now: Time, request: &Message<'_>, path: &Path, aor: &[u8]) -> bool {
        record::contacts(self.table.get(aor)).any(|contact| {
            u64::from(contact.expires) > now.seconds()
                && contact.call_id == request.call_id()
                && contact.cseq == request.cseq().number
                && contact.path.peer.ip() == path.peer.ip()
        })
    }

    /// Answers such a repetition with the bindings that there are; it changes nothing.
    pub fn repeat(&mut self, turn: &mut Turn<'_, '_>, way: Way, request: &Message<'_>, path: &Path, aor: &[u8]) {
        let mut record = turn.core.scratch.take();
        change::keep_alive_ones(self.table.get(aor), turn.cx.now, &mut record);
        let waits = self.held.back().map(|held| held.offset);
        self.grant(turn, way, request, path, &record, waits);
        turn.core.scratch.give(record);
    }

    /// An authenticated REGISTER for `aor`.
    pub fn register(&mut self, turn: &mut Turn<'_, '_>, way: Way, request: &Message<'_>, path: &Path, aor: &[u8]) {
        let mut record = turn.core.scratch.take();
        let place = self.table.find(aor);
        let before = self.table.at(place);
        let room = (turn.core.site.plan.limits.registrations as usize / usize::from(turn.cx.shards.max(1))).max(1);
        let change = Change {
            site: &turn.core.site,
            now: turn.cx.now,
            request,
            path,
            full: self.table.bindings() >= room,
        };
        match change.apply(before, &mut record) {
            Err(refusal) => refuse(turn, way, request, path, &refusal),
            Ok(changed) => {
                // What shows bindings that are not written yet waits with them: each 200 is a promise.
                let waits = self.held.back().map(|held| held.offset);
                let offset = match changed {
                    true => Some(self.store(turn, place, aor, &record)),
                    false => waits,
                };
                self.grant(turn, way, request, path, &record, offset);
            }
        }
        turn.core.scratch.give(record);
    }

    /// The 200, once the log has come to `offset`.
    fn grant(
        &mut self,
        turn: &mut Turn<'_, '_>,
        way: Way,
        request: &Message<'_>,
        path: &Path,
        record: &[u8],
        offset: Option<u64>,
    ) {
        let mut octets = turn.core.scratch.take();
        answer(turn, &mut octets, request, path, record);
        match offset {
            Some(offset) => self.held.push_back(Held {
                offset,
                way,
                octets: octets.as_slice().into(),
            }),
            None => turn.answer_octets(way, Method::Register, 200, &octets),
        }
        turn.core.scratch.give(octets);
    }

    /// Changes memory and log; returns the log offset to wait for.
    fn store(&mut self, turn: &mut Turn<'_, '_>, place: Place, aor: &[u8], record: &[u8]) -> u64 {
        self.table.put(place, aor, record);
        let mut stored = turn.core.scratch.take();
        let (now, wall) = (turn.cx.now.seconds(), turn.cx.wall.seconds());
        record::convert_expiry(&mut stored, record, |expires| {
            u32::try_from((u64::from(expires) + wall).saturating_sub(now)).ok()
        });
        let before = turn.cx.out.log_end();
        let offset = turn.cx.out.log_with(|log| journal::append(log, aor, &stored));
        self.log_octets += offset - before;
        turn.core.scratch.give(stored);
        if self.next_walk == Time::ZERO {
            self.next_walk = turn.cx.now + keep_alive::STEP;
        }
        offset
    }

    /// The log has come so far: the answers that waited for it leave. When the disk refuses, calls
    /// and registrations go on from memory; an alarm says so.
    pub fn written(&mut self, turn: &mut Turn<'_, '_>, written: Written) {
        self.log_broken = !written.ok;
        while let Some(held) = self.held.front()
            && held.offset <= written.upto
        {
            turn.answer_octets(held.way, Method::Register, 200, &held.octets);
            self.held.pop_front();
        }
    }

    /// When [`Registrar::expire`] wants to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        (self.table.aors() > 0).then_some(self.next_walk)
    }
}

fn refuse(turn: &mut Turn<'_, '_>, way: Way, request: &Message<'_>, path: &Path, refusal: &Refusal) {
    let mut number = turn.core.scratch.take();
    if let Some((_, value)) = refusal.header {
        crate::protocol::sip::write_number(&mut number, u64::from(value));
    }
    let header = refusal.header.map(|(name, _)| (name, &number[..]));
    let tag = turn.stateless_tag(request);
    let reply = Reply {
        phrase: refusal.phrase,
        to_tag: &tag,
        headers: header.as_slice(),
        ..Reply::of(refusal.status)
    };
    turn.answer(way, request, path, &reply);
    if refusal.status == 503 {
        turn.core.stats.shed("registrations");
    }
    turn.core.scratch.give(number);
}

/// The 200 with all bindings (section 10.3 step 8), the Path when the phone understands it
/// (RFC 3327 section 5.3).
fn answer(turn: &mut Turn<'_, '_>, out: &mut Vec<u8>, request: &Message<'_>, path: &Path, record: &[u8]) {
    let now = turn.cx.now.seconds();
    let mut contacts = turn.core.scratch.take();
    let mut outbound = false;
    for contact in record::contacts(record) {
        if !contacts.is_empty() {
            contacts.extend_from_slice(b", ");
        }
        contacts.push(b'<');
        contacts.extend_from_slice(contact.uri);
        contacts.extend_from_slice(b">;expires=");
        crate::protocol::sip::write_number(&mut contacts, u64::from(contact.expires).saturating_sub(now));
        if contact.q != 1000 {
            contacts.extend_from_slice(b";q=0.");
            contacts.extend_from_slice(&[
                b'0' + (contact.q / 100) as u8,
                b'0' + (contact.q / 10 % 10) as u8,
                b'0' + (contact.q % 10) as u8,
            ]);
        }
        if !contact.instance.is_empty() {
            contacts.extend_from_slice(b";+sip.instance=\"");
            contacts.extend_from_slice(contact.instance);
            contacts.push(b'"');
        }
        if contact.reg_id != 0 {
            outbound = true;
            contacts.extend_from_slice(b";reg-id=");
            crate::protocol::sip::write_number(&mut contacts, u64::from(contact.reg_id));
        }
    }
    let path_values = path_of(request);
    let mut headers: [(&str, &[u8]); 3] = [("", b""); 3];
    let mut count = 0;
    let mut add = |name, value| {
        if let Some(place) = headers.get_mut(count) {
            *place = (name, value);
            count += 1;
        }
    };
    if !contacts.is_empty() {
        add("Contact", &contacts);
    }
    if !path_values.is_empty() {
        add("Path", &path_values);
    }
    if outbound {
        add("Require", b"outbound");
    }
    let tag = turn.stateless_tag(request);
    let reply = Reply {
        phrase: phrase(200),
        to_tag: &tag,
        headers: headers.get(..count).unwrap_or(&[]),
        ..Reply::of(200)
    };
    reply.write(out, request, path.peer);
    turn.core.scratch.give(contacts);
}

/// The values of all Path lines in order, as one list (RFC 3327 section 5.3); nearly always there is
/// one line at most, which is not copied.
fn path_of<'a>(request: &Message<'a>) -> Cow<'a, [u8]> {
    let mut lines = request.headers(Name::Path);
    let mut values = Cow::Borrowed(lines.next().unwrap_or(b""));
    for line in lines {
        let values = values.to_mut();
        values.extend_from_slice(b", ");
        values.extend_from_slice(line);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::sip::{Carrier, Spans, parse};

    #[test]
    fn all_path_lines_count() {
        let head = "REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:a@h>\r\n\
                    Call-ID: i\r\nCSeq: 1 REGISTER\r\n";
        for (lines, values) in [
            ("", ""),
            ("Path: <sip:a;lr>,<sip:b;lr>\r\n", "<sip:a;lr>,<sip:b;lr>"),
            (
                "Path: <sip:a;lr>\r\nX: y\r\npath: <sip:b;lr>\r\n",
                "<sip:a;lr>, <sip:b;lr>",
            ),
        ] {
            let text = format!("{head}{lines}\r\n");
            let mut spans = Spans::default();
            let request = parse(text.as_bytes(), &mut spans, Carrier::Datagram).expect("a request");
            assert_eq!(*path_of(&request), *values.as_bytes());
        }
    }
}
