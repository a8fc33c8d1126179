//! A callee's side that redirects: RFC 3261 section 8.1.3.4.

use super::{B2bua, State};
use crate::config::plan::{CallPolicy, Mode};
use crate::protocol::Path;
use crate::protocol::sip::Message;
use crate::switch::core::Turn;
use crate::switch::redirect::{Case, Lookup, is_trunk};
use crate::switch::slab::Handle;
use crate::switch::target::{Hunt, TargetSet};
use shards::Buf;

impl B2bua {
    /// A 3xx that came from `from`; false when nothing of it is followed, and it is a failure like
    /// others. What is not followed is lost: the caller is not told where the callee would have him go.
    pub(super) fn redirected(
        &mut self,
        turn: &mut Turn<'_, '_>,
        at: Handle,
        from: &Path,
        response: &Message<'_>,
    ) -> bool {
        let Some(call) = self.calls.get_mut(at) else {
            return false;
        };
        let Some(server) = call.invite.filter(|_| call.state == State::Opening) else {
            return false;
        };
        if !call.redirects.may_follow(response.status()) {
            return false;
        }
        let site = turn.core.site.clone();
        let lookups = &mut self.lookups;
        let mut octets = turn.core.scratch.take();
        octets.extend_from_slice(turn.core.tx.server_request(server).unwrap_or(&[]));
        let followed = turn.reparse(&octets, |turn, request| {
            let case = Case {
                site: &site,
                request,
                response,
                from,
                has: CallPolicy {
                    mode: Mode::B2bua,
                    media: call.relay,
                },
                until: turn.cx.now + site.plan.sip.timers.t1 * 64,
            };
            call.redirects
                .follow(&case, &mut turn.core.scratch, &mut |redirection, aor| {
                    lookups.push(Lookup {
                        handle: at,
                        redirection,
                        aor: Buf::copy_of(aor),
                    });
                })
        });
        turn.core.scratch.give(octets);
        if followed.is_none_or(|followed| followed.is_none()) {
            return false;
        }
        if call.hunt == Hunt::Dead && is_trunk(&site, from) {
            // The trunk is alive: the next one is not to be asked.
            call.targets = TargetSet::default();
        }
        if call.redirects.is_waiting() {
            self.schedule(at);
        } else {
            self.go_on(turn, at);
        }
        true
    }

    /// The next user that a redirected call asks for.
    pub fn next_lookup(&mut self) -> Option<Lookup> {
        self.lookups.pop()
    }

    /// The bindings of a user that [`B2bua::next_lookup`] asked for.
    pub fn more_targets(&mut self, turn: &mut Turn<'_, '_>, at: Handle, redirection: u8, targets: TargetSet) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let waited = call.state == State::Opening && call.redirects.located(redirection, targets);
        if waited && !call.redirects.is_waiting() {
            self.go_on(turn, at);
            self.settle(turn, at);
        }
    }

    /// The first group that a redirection has found takes the place of the branch that redirected;
    /// the others come before the targets that were left. All get the offer that was rewritten for
    /// the first.
    pub(super) fn go_on(&mut self, turn: &mut Turn<'_, '_>, at: Handle) {
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.redirects.lead(&mut call.targets, &mut call.hunt) {
            self.send_stored(turn, at);
        }
    }
}
