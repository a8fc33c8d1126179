//! Recursion on a 3xx: RFC 3261 section 16.7 step 4.

use super::Proxy;
use crate::config::plan::{CallPolicy, MediaPath, Mode};
use crate::protocol::sip::Message;
use crate::protocol::sip::transaction::ClientId;
use crate::switch::core::Turn;
use crate::switch::redirect::{Case, Lookup, is_trunk};
use crate::switch::slab::Handle;
use crate::switch::target::{Hunt, TargetSet};
use shards::Buf;

/// What a proxied call can be led to: nothing that wants a B2BUA.
const HAS: CallPolicy = CallPolicy {
    mode: Mode::Proxy,
    media: MediaPath::Direct,
};

impl Proxy {
    /// A branch's 3xx; false when nothing of it is followed, and it is a response like others.
    pub(super) fn redirected(
        &mut self,
        turn: &mut Turn<'_, '_>,
        at: Handle,
        client: ClientId,
        response: &Message<'_>,
    ) -> bool {
        let Some(entry) = self.requests.get_mut(at) else {
            return false;
        };
        if entry.done || entry.cancelled || !entry.redirects.may_follow(response.status()) {
            return false;
        }
        let Some(branch) = entry.branches.iter_mut().find(|branch| branch.client == client) else {
            return false;
        };
        let from = branch.path;
        let site = turn.core.site.clone();
        let until = turn.cx.now + site.plan.sip.timers.t1 * 64;
        let lookups = &mut self.lookups;
        let mut octets = turn.core.scratch.take();
        octets.extend_from_slice(turn.core.tx.server_request(entry.server).unwrap_or(&[]));
        let followed = turn.reparse(&octets, |turn, request| {
            let case = Case {
                site: &site,
                request,
                response,
                from: &from,
                has: HAS,
                until,
            };
            entry
                .redirects
                .follow(&case, &mut turn.core.scratch, &mut |redirection, aor| {
                    lookups.push(Lookup {
                        handle: at,
                        redirection,
                        aor: Buf::copy_of(aor),
                    });
                })
        });
        octets.clear();
        let Some(followed) = followed.filter(|followed| !followed.is_none()) else {
            turn.core.scratch.give(octets);
            return false;
        };
        branch.status = response.status();
        if !followed.is_all() {
            followed.write_rest(&mut octets, response);
            turn.reparse(&octets, |turn, rest| entry.best.offer(turn, rest));
        }
        turn.core.scratch.give(octets);
        entry.best.redirected(false);
        if entry.hunt == Hunt::Dead && is_trunk(&site, &from) {
            // The trunk is alive: the next one is not to be asked.
            entry.targets = TargetSet::default();
        }
        if entry.redirects.is_waiting() {
            entry.alarm.ring_by(&mut self.timers, until, at);
        } else {
            self.go_on(turn, at);
        }
        true
    }

    /// The next user that a redirected request asks for.
    pub fn next_lookup(&mut self) -> Option<Lookup> {
        self.lookups.pop()
    }

    /// The bindings of a user that [`Proxy::next_lookup`] asked for.
    pub fn more_targets(&mut self, turn: &mut Turn<'_, '_>, at: Handle, redirection: u8, targets: TargetSet) {
        let Some(entry) = self.requests.get_mut(at) else { return };
        if entry.redirects.located(redirection, targets) && !entry.redirects.is_waiting() {
            self.go_on(turn, at);
            self.settle(turn, at);
        }
    }

    /// The first group that a redirection has found takes the place of the branch that redirected;
    /// the others come before the targets that were left.
    pub(super) fn go_on(&mut self, turn: &mut Turn<'_, '_>, at: Handle) {
        let Some(entry) = self.requests.get_mut(at) else { return };
        if entry.redirects.lead(&mut entry.targets, &mut entry.hunt) {
            entry.best.redirected(true);
            self.send_stored(turn, at);
        }
    }
}
