//! Requests within a dialog that this proxy record-routed: RFC 3261 section 16.12.

use super::forward::{Build, write};
use super::record::{TEXT_MOST, read_token};
use super::{Proxy, Start};
use crate::media::Side;
use crate::protocol::Path;
use crate::protocol::sip::{Message, Method, Name, NameAddr, Reply, Uri};
use crate::switch::core::Turn;
use crate::switch::next_hop::{self, NoPath};
use crate::switch::slab::Handle;
use crate::switch::target::{Target, TargetSet};

impl Proxy {
    /// A request with a To tag whose top Route values (`drop_routes` of them) name us.
    pub fn within(&mut self, turn: &mut Turn<'_, '_>, start: &Start<'_>) {
        let (call, side) = self.call_of(turn, start.request);
        let next = self.next_hop(turn, start.request, start.path, start.drop_routes, call, side);
        match next {
            Ok(target_path) => {
                if start.request.method() == Method::Bye
                    && let Some(record) = call.and_then(|call| self.records.get_mut(call))
                {
                    record.bye_from_callee = side == Some(Side::B);
                }
                let at = self.insert(turn, start, call);
                let mut targets = TargetSet::default();
                targets.push(&Target { uri: start.request.uri(), route: b"", path: target_path, q: 1000, flow: false });
                self.targets(turn, at, targets, Some(start.request));
            }
            Err(refusal) => {
                let tag = turn.stateless_tag(start.request);
                turn.respond(start.server, start.request, start.path, &Reply { to_tag: &tag, ..Reply::of(refusal.status()) });
            }
        }
    }

    /// An ACK to a 2xx: passed on without state (section 16.11).
    pub fn ack(&mut self, turn: &mut Turn<'_, '_>, request: &Message<'_>, path: &Path, drop_routes: usize) {
        let (call, side) = self.call_of(turn, request);
        let Ok((client, branch)) = turn.core.tx.mint() else { return };
        // An ACK has no response, so its branch finds no one: the slot is free again at once.
        turn.core.tx.release(client);
        let Ok(next) = self.next_hop(turn, request, path, drop_routes, call, side) else { return };
        let target = Target { uri: request.uri(), route: b"", path: next, q: 1000, flow: false };
        let mut octets = turn.core.scratch.take();
        write(turn, &mut octets, &Build { request, from: path, target: &target, branch: &branch, record: None, drop_routes, trusted: false, share: None });
        turn.send(&next, &octets);
        turn.core.stats.request(crate::ops::stats::MethodLabel::Ack, crate::ops::stats::Direction::Out);
        turn.core.scratch.give(octets);
    }

    /// Whether a request without Route is of a call that went through here: sloppy phones send
    /// within a dialog to the address that they dialled.
    #[must_use]
    pub fn knows(&self, turn: &Turn<'_, '_>, request: &Message<'_>) -> bool {
        self.by_call_id(turn, request).is_some()
    }

    fn by_call_id(&self, turn: &Turn<'_, '_>, request: &Message<'_>) -> Option<Handle> {
        let call_id = request.call_id();
        let kept = call_id.get(..TEXT_MOST).unwrap_or(call_id);
        let is_it = |&call: &Handle| self.records.get(call).is_some_and(|record| record.side(request).is_some());
        self.by_call_id.find(turn.core.site.hash_of(&[kept]), is_it).copied()
    }

    /// The call that our Route value names (or the Call-ID), and the side that asks.
    fn call_of(&self, turn: &Turn<'_, '_>, request: &Message<'_>) -> (Option<Handle>, Option<Side>) {
        let ours = request.values(Name::Route).next().and_then(|value| NameAddr::parse(value).ok());
        let named = ours.and_then(|ours| Uri::parse(ours.uri).ok()).and_then(|uri| read_token(uri.user));
        let call = named.filter(|&call| self.records.get(call).is_some()).or_else(|| self.by_call_id(turn, request));
        let side = call.and_then(|call| self.records.get(call)).and_then(|record| record.side(request));
        match side {
            Some(side) => (call, Some(side)),
            None => (None, None),
        }
    }

    /// The next Route value, or the Request-URI; over the recorded flow for an end behind NAT.
    fn next_hop(&self, turn: &Turn<'_, '_>, request: &Message<'_>, from: &Path, drop_routes: usize, call: Option<Handle>, side: Option<Side>) -> Result<Path, NoPath> {
        let next = request.values(Name::Route).nth(drop_routes).and_then(|value| NameAddr::parse(value).ok());
        if next.is_none()
            && let Some(record) = call.and_then(|call| self.records.get(call))
        {
            // A Request-URI that is our own says nothing about the way.
            let lost = Uri::parse(request.uri()).is_ok_and(|uri| turn.core.site.is_ours(&uri));
            match side {
                Some(Side::A) if record.callee_flow || lost => return Ok(record.callee),
                Some(Side::B) if record.caller_flow || lost => return Ok(record.caller),
                _ => {}
            }
        }
        let uri = next.map_or(request.uri(), |next| next.uri);
        next_hop::resolve(&turn.core.site, uri, from.listener)
    }
}
