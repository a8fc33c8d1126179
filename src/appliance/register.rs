//! REGISTER up to the registrar: domain, user, credentials.

use super::Appliance;
use crate::protocol::Path;
use crate::protocol::sip::{Message, Scheme, Uri};
use crate::switch::auth::{self, As, Verdict};
use crate::switch::core::{Core, Turn};
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
        let index = match auth::check(site, nonces, cx.now, request, As::Server, realm) {
            Verdict::User(index) => index,
            Verdict::Challenge { stale } => {
                let site = site.clone();
                let realm = site.realm(to.host);
                let mut turn = Turn {
                    core: &mut self.core,
                    cx,
                };
                return auth::challenge(&mut turn, request, back, As::Server, realm, stale);
            }
        };
        let mut aor = self.core.scratch.take();
        to.write_user_decoded(&mut aor);
        let own = self.core.site.plan.users.get(index);
        let own = own.is_some_and(|user| user.name.as_bytes() == aor);
        if !own {
            self.core.scratch.give(aor);
            return self.refuse(cx, back, request, 403, &[]);
        }
        let room = self.core.tx.has_room();
        match room
            .then(|| self.core.tx.server(cx.now, request, back, OWNER).ok())
            .flatten()
        {
            Some(server) => {
                let mut turn = Turn {
                    core: &mut self.core,
                    cx,
                };
                self.registrar.register(&mut turn, server, request, path, &aor);
            }
            None => {
                self.core.stats.shed("transactions");
                self.turn_away(cx, back, request, "5");
            }
        }
        self.core.scratch.give(aor);
    }
}
