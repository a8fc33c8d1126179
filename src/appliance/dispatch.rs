//! New requests: who may, where to, which role.

use super::Appliance;
use crate::config::plan::{CallPolicy, MediaPath, Mode, RouteAuth};
use crate::protocol::Path;
use crate::protocol::sip::{Message, Method, Name, Reply, Uri};
use crate::switch::auth::{self, As, Verdict};
use crate::switch::b2bua;
use crate::switch::core::{NOBODY, Turn, Way, role};
use crate::switch::mesh::{Asker, Mesh};
use crate::switch::proxy::{self, Routes, is_loop};
use crate::switch::routing::{self, Destination};
use crate::switch::slab::Handle;
use crate::switch::target::{Hunt, TargetSet};
use shards::{Buf, Cx};
use std::time::Duration;

impl Appliance {
    /// A request that no transaction knows.
    pub(super) fn new_request(&mut self, cx: &mut Cx<'_, Mesh>, path: &Path, back: &Path, request: &Message<'_>) {
        let Ok(uri) = Uri::parse(request.uri()) else {
            return self.refuse(cx, back, request, 400, &[]);
        };
        if let Some(unsupported) = self.unsupported(request, &uri) {
            return self.refuse(cx, back, request, 420, &[("Unsupported", unsupported)]);
        }
        if request.method() == Method::Register {
            return self.register(cx, path, back, request, &uri);
        }
        if request.to_tag().is_some() {
            return self.within(cx, path, back, request, &uri);
        }
        let site = self.core.site.clone();
        let mut user = self.core.scratch.take();
        routing::dialled(&uri, &mut user);
        routing::dial_urn(&site, request.uri(), &mut user);
        let destination = routing::decide(&site, &uri, request.uri(), &user);
        self.route(cx, path, back, request, destination, &user);
        self.core.scratch.give(user);
    }

    fn route(
        &mut self,
        cx: &mut Cx<'_, Mesh>,
        path: &Path,
        back: &Path,
        request: &Message<'_>,
        destination: Destination<'_>,
        user: &[u8],
    ) {
        let emergency = matches!(destination, Destination::Trunks { emergency: true, .. })
            || self.core.site.is_emergency(request.uri(), user);
        if request.max_forwards() == Some(0) && destination != Destination::Here {
            return self.refuse(cx, back, request, 483, &[]);
        }
        let auth = match destination {
            Destination::Here => return self.here(cx, back, request),
            Destination::Scheme => return self.refuse(cx, back, request, 416, &[]),
            Destination::Trunks { auth, .. } => auth,
            _ => RouteAuth::Digest,
        };
        let auth = if emergency { RouteAuth::Open } else { auth };
        let trusted = self.core.site.is_trusted(path.peer.ip());
        if !self.may(cx, back, request, auth, trusted) {
            return;
        }
        let proven = trusted || auth != RouteAuth::Open;
        if is_loop(&self.core.site, request) {
            return self.refuse(cx, back, request, 482, &[]);
        }
        let invite = request.method() == Method::Invite;
        if invite && !emergency && !self.has_room(cx, back, request) {
            return;
        }
        let (policy, targets) = match destination {
            Destination::Nobody => return self.refuse(cx, back, request, 404, &[]),
            Destination::Foreign => return self.refuse(cx, back, request, 403, &[]),
            Destination::Service(_) => (
                CallPolicy {
                    mode: Mode::B2bua,
                    media: MediaPath::Relay,
                },
                None,
            ),
            Destination::User(_) => (self.core.site.plan.local, None),
            Destination::Trunks { trunks, policy, .. } => {
                let mut scratch = self.core.scratch.take();
                let targets = routing::trunk_targets(&self.core.site, trunks, user, &mut scratch);
                self.core.scratch.give(scratch);
                (policy, Some(targets))
            }
            Destination::Here | Destination::Scheme => return,
        };
        let room = emergency || self.core.tx.has_room_for(request);
        let server = room
            .then(|| self.core.tx.server(cx.now, request, back, NOBODY).ok())
            .flatten();
        let service = match destination {
            Destination::Service(service) => Some(service),
            _ => None,
        };
        if service.is_some() && !invite {
            let way = server.map_or(Way::Bare(*back), Way::Transaction);
            return self.about_service(cx, way, back, request);
        }
        let Some(server) = server else {
            self.core.stats.shed("transactions");
            return self.turn_away(cx, back, request, "5");
        };
        let mut turn = Turn {
            core: &mut self.core,
            cx,
        };
        if invite {
            self.trying.insert(turn.cx.now + TRYING, server);
        }
        let hunt = if targets.is_some() { Hunt::Dead } else { Hunt::Any };
        if let Some(service) = service {
            let start = b2bua::Start {
                server,
                request,
                path,
                media: policy.media,
                hunt,
                trusted,
                proven,
                emergency,
            };
            return self.b2bua.serve(&mut turn, &start, service);
        }
        let (role, handle) = match policy.mode {
            Mode::B2bua if invite => {
                let start = b2bua::Start {
                    server,
                    request,
                    path,
                    media: policy.media,
                    hunt,
                    trusted,
                    proven,
                    emergency,
                };
                match self.b2bua.open(&mut turn, &start) {
                    Some(handle) => (role::B2BUA, handle),
                    None => return,
                }
            }
            mode => {
                let start = proxy::Start {
                    server,
                    request,
                    path,
                    hunt,
                    trusted,
                    proven,
                    drop_routes: Routes::of(&turn.core.site, request).own,
                    redirect: mode == Mode::Redirect,
                };
                (role::PROXY, self.proxy.open(&mut turn, &start))
            }
        };
        match targets {
            Some(targets) => self.start(cx, role, handle, targets, request),
            None => self.locate(cx, role, handle, user, request),
        }
    }

    /// A request to a service that is no call.
    fn about_service(&mut self, cx: &mut Cx<'_, Mesh>, way: Way, back: &Path, request: &Message<'_>) {
        let mut turn = Turn {
            core: &mut self.core,
            cx,
        };
        if request.method() == Method::Options {
            return answer_options(&mut turn, way, back, request);
        }
        let tag = turn.stateless_tag(request);
        let reply = Reply {
            to_tag: &tag,
            headers: &[("Allow", ALLOW)],
            ..Reply::of(405)
        };
        turn.answer(way, request, back, &reply);
    }

    /// The role gets its targets with the request at hand.
    fn start(&mut self, cx: &mut Cx<'_, Mesh>, role: u8, handle: Handle, targets: TargetSet, request: &Message<'_>) {
        let mut turn = Turn {
            core: &mut self.core,
            cx,
        };
        match role {
            role::B2BUA => self.b2bua.targets(&mut turn, handle, targets, Some(request)),
            _ => self.proxy.targets(&mut turn, handle, targets, Some(request)),
        }
    }

    /// Looks an AOR up: here, or by a question to its home shard.
    fn locate(&mut self, cx: &mut Cx<'_, Mesh>, role: u8, handle: Handle, aor: &[u8], request: &Message<'_>) {
        let home = self.core.site.home(aor);
        if home == self.core.shard {
            let targets = self.registrar.targets(cx.now, aor);
            return self.start(cx, role, handle, targets, request);
        }
        // The other shard may fail while it looks; nobody waits for ever.
        let until = cx.now + self.core.site.plan.sip.timers.t1 * 64;
        match role {
            role::B2BUA => self.b2bua.wait(handle, until),
            _ => self.proxy.wait(handle, until),
        }
        let asker = Asker {
            shard: self.core.shard,
            role,
            handle,
            redirection: 0,
        };
        self.deliver(
            cx,
            home,
            Mesh::Locate {
                asker,
                aor: Buf::copy_of(aor),
            },
        );
    }

    /// Whether the sender may use the destination; answers the request when not.
    fn may(
        &mut self,
        cx: &mut Cx<'_, Mesh>,
        back: &Path,
        request: &Message<'_>,
        auth: RouteAuth,
        trusted: bool,
    ) -> bool {
        match auth {
            RouteAuth::Open => return true,
            _ if trusted => return true,
            RouteAuth::Trusted => {
                self.refuse(cx, back, request, 403, &[]);
                return false;
            }
            RouteAuth::Digest => {}
        }
        let site = self.core.site.clone();
        let from = Uri::parse(request.from().uri).ok();
        let realm = site.realm(from.map_or(b"", |uri| uri.host));
        let verdict = auth::check(&site, &mut self.core.nonces, cx.now, request, As::Proxy, realm);
        match verdict {
            Verdict::Challenge { .. } | Verdict::Repeated(_) => {
                let stale = verdict != Verdict::Challenge { stale: false };
                let mut turn = Turn {
                    core: &mut self.core,
                    cx,
                };
                auth::challenge(&mut turn, request, back, As::Proxy, realm, stale);
                false
            }
            Verdict::User(index) => {
                // Nobody calls in another user's name.
                let name = site.plan.users.get(index).map_or("", |user| user.name.as_str());
                let anonymous = |uri: &Uri<'_>| uri.host.eq_ignore_ascii_case(b"anonymous.invalid");
                let own = from.is_some_and(|uri| uri.user == name.as_bytes() || anonymous(&uri));
                if !own {
                    self.refuse(cx, back, request, 403, &[]);
                }
                own
            }
        }
    }

    /// Limits for a new call; answers it when there is no room.
    fn has_room(&mut self, cx: &mut Cx<'_, Mesh>, back: &Path, request: &Message<'_>) -> bool {
        let reason = if self.core.draining {
            "draining"
        } else if self.core.calls >= self.core.calls_limit {
            "calls"
        } else {
            return true;
        };
        self.core.stats.shed(reason);
        self.turn_away(cx, back, request, if reason == "calls" { "5" } else { "60" });
        false
    }

    /// A request to this server itself.
    fn here(&mut self, cx: &mut Cx<'_, Mesh>, back: &Path, request: &Message<'_>) {
        match request.method() {
            Method::Options => {
                let tx = &mut self.core.tx;
                let server = tx
                    .has_room_for(request)
                    .then(|| tx.server(cx.now, request, back, NOBODY).ok());
                let mut turn = Turn {
                    core: &mut self.core,
                    cx,
                };
                let way = server.flatten().map_or(Way::Bare(*back), Way::Transaction);
                answer_options(&mut turn, way, back, request);
            }
            Method::Other => self.refuse(cx, back, request, 501, &[("Allow", ALLOW)]),
            Method::Invite => self.refuse(cx, back, request, 404, &[]),
            _ => self.refuse(cx, back, request, 405, &[("Allow", ALLOW)]),
        }
    }

    /// A request with a To tag: of a B2BUA leg, or one that this proxy record-routed.
    fn within(&mut self, cx: &mut Cx<'_, Mesh>, path: &Path, back: &Path, request: &Message<'_>, uri: &Uri<'_>) {
        let of_leg = request.to_tag().is_some_and(|tag| b2bua::read_tag(tag).is_some());
        let mut turn = Turn {
            core: &mut self.core,
            cx,
        };
        let mut routes = Routes::default();
        let mut call = None;
        if !of_leg {
            routes = Routes::of(&turn.core.site, request);
            call = self.proxy.call_of(&turn, request, &routes);
            if routes.own == 0 && call.is_none() {
                return self.refuse(cx, back, request, 481, &[]);
            }
            if request.max_forwards() == Some(0) {
                return self.refuse(cx, back, request, 483, &[]);
            }
        }
        let Ok(server) = turn.core.tx.server(turn.cx.now, request, back, NOBODY) else {
            self.core.stats.shed("transactions");
            return self.turn_away(cx, back, request, "5");
        };
        if of_leg {
            return self.b2bua.within(&mut turn, server, request, path);
        }
        if request.method() == Method::Invite {
            self.trying.insert(turn.cx.now + TRYING, server);
        }
        let trusted = turn.core.site.is_trusted(path.peer.ip());
        let start = proxy::Start {
            server,
            request,
            path,
            hunt: Hunt::Dead,
            trusted,
            proven: false,
            drop_routes: routes.own,
            redirect: false,
        };
        let within = proxy::Within {
            uri,
            routes: &routes,
            call,
        };
        self.proxy.within(&mut turn, &start, &within);
    }

    /// An ACK that no transaction absorbed.
    pub(super) fn ack(&mut self, cx: &mut Cx<'_, Mesh>, path: &Path, request: &Message<'_>) {
        let mut turn = Turn {
            core: &mut self.core,
            cx,
        };
        if request.to_tag().is_some_and(|tag| b2bua::read_tag(tag).is_some()) {
            return self.b2bua.ack(&mut turn, request, path);
        }
        // Section 8.2.7: of an answer that took no transaction, and it repeats the INVITE's branch. The
        // call's next INVITE may have overtaken it, so that its Call-ID is known.
        if request.to_tag() == Some(&turn.stateless_tag(request)) {
            return;
        }
        let Ok(uri) = Uri::parse(request.uri()) else { return };
        let routes = Routes::of(&turn.core.site, request);
        let within = proxy::Within {
            uri: &uri,
            routes: &routes,
            call: self.proxy.call_of(&turn, request, &routes),
        };
        let known = routes.own > 0 || within.call.is_some();
        if known && request.max_forwards() != Some(0) {
            self.proxy.ack(&mut turn, request, path, &within);
        }
    }

    /// A final answer without a transaction.
    pub(super) fn refuse(
        &mut self,
        cx: &mut Cx<'_, Mesh>,
        back: &Path,
        request: &Message<'_>,
        status: u16,
        headers: &[(&str, &[u8])],
    ) {
        let mut turn = Turn {
            core: &mut self.core,
            cx,
        };
        let tag = turn.stateless_tag(request);
        turn.respond_stateless(
            request,
            back,
            &Reply {
                to_tag: &tag,
                headers,
                ..Reply::of(status)
            },
        );
    }

    /// An option tag in Require or Proxy-Require that we do not know (RFC 3261 sections 8.2.2.3 and
    /// 16.3 step 5). Require is the far end's affair when we only pass the request on.
    fn unsupported<'m>(&self, request: &Message<'m>, uri: &Uri<'_>) -> Option<&'m [u8]> {
        let unknown = |value: &&[u8]| !OPTIONS_KNOWN.iter().any(|known| value.eq_ignore_ascii_case(known));
        if let Some(value) = request.values(Name::ProxyRequire).find(|value| unknown(value)) {
            return Some(value);
        }
        let for_us = match request.method() {
            Method::Register => true,
            Method::Options => uri.user.is_empty(),
            _ => false,
        };
        if for_us {
            request.values(Name::Require).find(|value| unknown(value))
        } else {
            None
        }
    }
}

/// When a silent INVITE is answered with 100: before the 200 ms of RFC 3261 section 17.2.1, and well
/// before the caller sends it again.
const TRYING: Duration = Duration::from_millis(150);

/// 200 with what we can do (section 11.2).
fn answer_options(turn: &mut Turn<'_, '_>, way: Way, back: &Path, request: &Message<'_>) {
    let tag = turn.stateless_tag(request);
    let site = turn.core.site.clone();
    let headers: [(&str, &[u8]); 4] = [
        ("Allow", ALLOW),
        ("Accept", b"application/sdp"),
        ("Supported", b"path, outbound, timer"),
        ("Server", site.plan.sip.product.as_bytes()),
    ];
    turn.answer(
        way,
        request,
        back,
        &Reply {
            to_tag: &tag,
            headers: &headers,
            ..Reply::of(200)
        },
    );
}

const ALLOW: &[u8] =
    b"INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, UPDATE, PRACK, INFO, MESSAGE, SUBSCRIBE, NOTIFY, REFER, PUBLISH";
const OPTIONS_KNOWN: [&[u8]; 5] = [b"path", b"outbound", b"timer", b"100rel", b"replaces"];
