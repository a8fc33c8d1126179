//! Requests within a dialog that this proxy record-routed: RFC 3261 section 16.12.

use super::forward::{Build, write};
use super::record::call_id_hash;
use super::route::Routes;
use super::{Proxy, Start};
use crate::media::Side;
use crate::protocol::Path;
use crate::protocol::sip::{Message, Method, Reply, Uri};
use crate::switch::core::Turn;
use crate::switch::next_hop::{self, NoPath};
use crate::switch::slab::Handle;
use crate::switch::target::Target;

/// What was read of a request within a dialog.
pub struct Within<'a> {
    /// The Request-URI.
    pub uri: &'a Uri<'a>,
    /// The Route header.
    pub routes: &'a Routes<'a>,
    /// The call, and the side that asks; see [`Proxy::call_of`].
    pub call: Option<(Handle, Side)>,
}

impl Proxy {
    /// A request with a To tag whose top Route values name us, or that is of a call known here.
    pub fn within(&mut self, turn: &mut Turn<'_, '_>, start: &Start<'_>, within: &Within<'_>) {
        match self.next_hop(turn, start.path, within) {
            Ok(path) => {
                if start.request.method() == Method::Bye
                    && let Some((call, side)) = within.call
                    && let Some(record) = self.records.get_mut(call)
                {
                    record.bye_from_callee = side == Side::B;
                }
                let at = self.insert(turn, start, within.call.map(|(call, _)| call));
                let target = Target {
                    uri: start.request.uri(),
                    route: b"",
                    path,
                    q: 1000,
                    flow: false,
                };
                if !self.send_to(turn, at, start.request, &target) {
                    self.finish(turn, at);
                }
            }
            Err(refusal) => {
                let tag = turn.stateless_tag(start.request);
                turn.respond(
                    start.server,
                    start.request,
                    start.path,
                    &Reply {
                        to_tag: &tag,
                        ..Reply::of(refusal.status())
                    },
                );
            }
        }
    }

    /// An ACK to a 2xx: passed on without state (section 16.11).
    pub fn ack(&mut self, turn: &mut Turn<'_, '_>, request: &Message<'_>, path: &Path, within: &Within<'_>) {
        let Ok((client, branch)) = turn.core.tx.mint_for(Method::Ack) else {
            return;
        };
        // An ACK has no response, so its branch finds no one: the slot is free again at once.
        turn.core.tx.release(client);
        let Ok(next) = self.next_hop(turn, path, within) else {
            return;
        };
        let target = Target {
            uri: request.uri(),
            route: b"",
            path: next,
            q: 1000,
            flow: false,
        };
        let mut octets = turn.core.scratch.take();
        write(
            turn,
            &mut octets,
            &Build {
                request,
                from: path,
                target: &target,
                branch: &branch,
                record: None,
                drop_routes: within.routes.own,
                trusted: false,
                share: None,
            },
        );
        turn.send(&next, &octets);
        turn.core
            .stats
            .request(crate::ops::stats::MethodLabel::Ack, crate::ops::stats::Direction::Out);
        turn.core.scratch.give(octets);
    }

    /// The call that the request is of, and the side that asks: our Route value names it, else it
    /// is found by its Call-ID, since sloppy phones leave the Route set out and send within a
    /// dialog to the address that they dialled.
    #[must_use]
    pub fn call_of(&self, turn: &Turn<'_, '_>, request: &Message<'_>, routes: &Routes<'_>) -> Option<(Handle, Side)> {
        let with_side = |call: Handle| Some((call, self.records.get(call)?.side(request)?));
        routes
            .call
            .and_then(with_side)
            .or_else(|| with_side(self.by_call_id(turn, request)?))
    }

    fn by_call_id(&self, turn: &Turn<'_, '_>, request: &Message<'_>) -> Option<Handle> {
        let hash = call_id_hash(&turn.core.site, request.call_id());
        let is_it = |&call: &Handle| {
            self.records
                .get(call)
                .is_some_and(|record| record.side(request).is_some())
        };
        self.by_call_id.find(hash, is_it).copied()
    }

    /// The next Route value, or the Request-URI; over the recorded flow for an end behind NAT.
    fn next_hop(&self, turn: &Turn<'_, '_>, from: &Path, within: &Within<'_>) -> Result<Path, NoPath> {
        let site = &turn.core.site;
        if let Some(next) = within.routes.next {
            return next_hop::resolve(site, next, from.listener);
        }
        let far = within.call.and_then(|(call, side)| {
            let record = self.records.get(call)?;
            Some(match side {
                Side::A => (record.callee, record.callee_flow),
                Side::B => (record.caller, record.caller_flow),
            })
        });
        // A Request-URI that is our own says nothing about the way.
        if let Some((far, flow)) = far
            && (flow || site.is_ours(within.uri))
        {
            return Ok(far);
        }
        match (next_hop::resolve_uri(site, within.uri, from.listener), far) {
            // An end on this host gave its loopback address, which a caller from elsewhere may not
            // name: the call's messages show the way.
            (Err(NoPath::Forbidden), Some((far, _))) => Ok(far),
            (found, _) => found,
        }
    }
}
