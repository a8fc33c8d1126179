//! REGISTER up to the registrar: domain, user, credentials.

use super::Appliance;
use crate::protocol::Path;
use crate::protocol::sip::{Message, Scheme, Uri};
use crate::switch::auth::{self, As, Verdict};
use crate::switch::core::{Core, Turn, Way};
use crate::switch::mesh::Mesh;
use crate::switch::registrar::OWNER;
use shards::Cx;

impl Appliance {
    /// RFC 3261 section 10.3 steps 1 to 5.
    pub(super) fn register(
        &mut self,
        cx: &mut Cx<'_, Mesh>,
        path: &Path,
        back: &Path,
        request: &Message<'_>,
        uri: &Uri<'_>,
    ) {
        let Ok(to) = Uri::parse(request.to().uri) else {
            return self.refuse(cx, back, request, 400, &[]);
        };
        if !matches!(to.scheme, Scheme::Sip | Scheme::Sips) || to.user.is_empty() {
            return self.refuse(cx, back, request, 400, &[]);
        }
        if !self.core.site.is_ours(uri) {
            return self.refuse(cx, back, request, 403, &[]);
        }
        if self.core.draining {
            self.core.stats.shed("draining");
            return self.turn_away(cx, back, request, "10");
        }
        // The site is borrowed and not cloned: its count is one cache line for all shards.
        let Core { site, nonces, .. } = &mut self.core;
        let realm = site.realm(to.host);
        let (index, repeated) = match auth::check(site, nonces, cx.now, request, As::Server, realm) {
            Verdict::User(index) => (index, false),
            Verdict::Repeated(index) => (index, true),
            Verdict::Challenge { stale } => return self.challenge(cx, back, request, to.host, stale),
        };
        let mut aor = self.core.scratch.take();
        to.write_user_decoded(&mut aor);
        let own = self.core.site.plan.users.get(index);
        let own = own.is_some_and(|user| user.name.as_bytes() == aor);
        if !own {
            self.core.scratch.give(aor);
            return self.refuse(cx, back, request, 403, &[]);
        }
        if repeated && !self.registrar.has_taken(cx.now, request, path, &aor) {
            self.core.scratch.give(aor);
            return self.challenge(cx, back, request, to.host, true);
        }
        match self.way(cx, back, request) {
            Some(way) => {
                let mut turn = Turn {
                    core: &mut self.core,
                    cx,
                };
                match repeated {
                    true => self.registrar.repeat(&mut turn, way, request, path, &aor),
                    false => self.registrar.register(&mut turn, way, request, path, &aor),
                }
            }
            None => {
                self.core.stats.shed("transactions");
                self.turn_away(cx, back, request, "5");
            }
        }
        self.core.scratch.give(aor);
    }

    /// How a REGISTER will be answered: beyond the share of the transactions without one. Its repetition is
    /// then computed again, and `has_taken` knows it. Answers that wait for the disk take memory in either
    /// way, so that there is an end to those without a transaction too: `None`.
    fn way(&mut self, cx: &Cx<'_, Mesh>, back: &Path, request: &Message<'_>) -> Option<Way> {
        let tx = &mut self.core.tx;
        let server = tx
            .has_room_for(request)
            .then(|| tx.server(cx.now, request, back, OWNER).ok());
        match server.flatten() {
            Some(server) => Some(Way::Transaction(server)),
            None => (self.registrar.waiting() < tx.share()).then_some(Way::Bare(*back)),
        }
    }

    fn challenge(&mut self, cx: &mut Cx<'_, Mesh>, back: &Path, request: &Message<'_>, host: &[u8], stale: bool) {
        let site = self.core.site.clone();
        let realm = site.realm(host);
        let mut turn = Turn {
            core: &mut self.core,
            cx,
        };
        auth::challenge(&mut turn, request, back, As::Server, realm, stale);
    }
}
