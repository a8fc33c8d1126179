//! The shard's brain: the one place that knows all roles. It demultiplexes what arrives, finds the
//! home shard, hands requests to roles, and carries their questions to other shards.

mod admission;
mod dispatch;
mod durable;
mod figures;
mod redirect;
mod register;

pub use admission::calls_limit;
pub use durable::Durable;
pub use figures::Leftovers;

use crate::media::MediaEvent;
use crate::ops::stats::Direction;
use crate::protocol::sip::transaction::{Answered, Event, Incoming, ServerId, Transactions};
use crate::protocol::sip::{Carrier, Message, Method, NameAddr, Peek, Reply, Uri, Via, parse, peek, respond_malformed};
use crate::protocol::{Path, Transport};
use crate::store::LOG_ROTATE_OCTETS;
use crate::switch::b2bua::B2bua;
use crate::switch::core::{Core, CxWire, NOBODY, Turn, label, role};
use crate::switch::mesh::{Ask, Asker, Mesh};
use crate::switch::proxy::Proxy;
use crate::switch::registrar::Registrar;
use shards::wheel::Wheel;
use shards::{Buf, ConnId, Cx, ListenerId, Program, Sender, ShardId, Slot, StreamEvent, Time, Verdict, Written};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// AORs and their records, as the store gives them.
pub type Stored = Vec<(Box<[u8]>, Box<[u8]>)>;

/// One shard of the appliance.
pub struct Appliance {
    core: Core,
    registrar: Registrar,
    /// Bindings to begin with.
    stored: Stored,
    proxy: Proxy,
    b2bua: B2bua,
    durable: Arc<dyn Durable>,
    /// Answers to other shards for which there was no room in their queue yet.
    undelivered: VecDeque<(ShardId, Mesh)>,
    /// Log files that are being written to an end: serial, and the log offset at which they do.
    closing: VecDeque<(u64, u64)>,
    log_serial: u64,
    /// INVITEs that get a 100 unless something else was said by then.
    trying: Wheel<ServerId>,
    events: Vec<Event>,
    media_events: Vec<MediaEvent>,
}

impl Appliance {
    /// A shard with the bindings that the store has for it.
    #[must_use]
    pub fn new(core: Core, registrar: Registrar, stored: Stored, durable: Arc<dyn Durable>) -> Self {
        Self {
            core,
            registrar,
            stored,
            proxy: Proxy::default(),
            b2bua: B2bua::default(),
            durable,
            undelivered: VecDeque::new(),
            closing: VecDeque::new(),
            log_serial: 0,
            trying: Wheel::new(Time::ZERO),
            events: Vec::new(),
            media_events: Vec::new(),
        }
    }

    /// A SIP message from the wire, or (`at_home`) over the mesh from the shard that received it.
    fn sip(&mut self, cx: &mut Cx<'_, Mesh>, path: &Path, octets: &[u8], at_home: bool) {
        if octets.iter().all(|octet| matches!(octet, b'\r' | b'\n' | 0 | b' ')) {
            return;
        }
        if !at_home
            && self.core.site.plan.shards > 1
            && let Some(home) = self.glance(octets).filter(|home| *home != self.core.shard)
        {
            return self.hand_over(cx, home, path, octets);
        }
        let carrier = if path.transport.is_reliable() {
            Carrier::Stream
        } else {
            Carrier::Datagram
        };
        let mut spans = self.core.scratch.take_spans();
        match parse(octets, &mut spans, carrier) {
            Ok(message) => match self.elsewhere(&message).filter(|_| !at_home) {
                Some(home) => self.hand_over(cx, home, path, message.bytes()),
                None if message.is_request() => self.request(cx, path, &message),
                None => self.response(cx, &message),
            },
            Err(malformed) => {
                self.core.stats.parse_error(malformed.reason.label());
                let mut answer = self.core.scratch.take();
                if respond_malformed(&mut answer, octets, &malformed, path.peer) {
                    Turn {
                        core: &mut self.core,
                        cx,
                    }
                    .send(path, &answer);
                }
                self.core.scratch.give(answer);
            }
        }
        self.core.scratch.give_spans(spans);
    }

    /// The message's home when it is not this shard: of a response, the shard that minted the
    /// branch; of a REGISTER, the AOR's; of any other request, the Call-ID's.
    fn elsewhere(&mut self, message: &Message<'_>) -> Option<ShardId> {
        if self.core.site.plan.shards == 1 {
            return None;
        }
        let home = if !message.is_request() {
            Transactions::home(message.via().branch.unwrap_or(b""))?
        } else if message.method() == Method::Register {
            self.aor_home(message.to().uri)
        } else {
            self.core.site.call_home(message.call_id())
        };
        (home != self.core.shard && usize::from(home) < self.core.site.plan.shards).then_some(home)
    }

    fn aor_home(&mut self, to: &[u8]) -> ShardId {
        let Ok(uri) = Uri::parse(to) else {
            return self.core.shard;
        };
        let mut aor = self.core.scratch.take();
        uri.write_user_decoded(&mut aor);
        let home = self.core.site.home(&aor);
        self.core.scratch.give(aor);
        home
    }

    /// The home of a message by a look at the one header that decides it; `None` when that takes
    /// the parser.
    fn glance(&mut self, octets: &[u8]) -> Option<ShardId> {
        let home = match peek(octets)? {
            Peek::Request(call_id) => self.core.site.call_home(call_id),
            Peek::Register(to) => self.aor_home(NameAddr::parse(to).ok()?.uri),
            Peek::Response(via) => Transactions::home(Via::parse(via).ok()?.branch?)?,
        };
        (usize::from(home) < self.core.site.plan.shards).then_some(home)
    }

    fn hand_over(&mut self, cx: &mut Cx<'_, Mesh>, home: ShardId, path: &Path, octets: &[u8]) {
        let message = Mesh::Sip {
            path: *path,
            octets: Buf::copy_of(octets),
        };
        if cx.host.mesh(home, message).is_err() {
            self.core.stats.shed("mesh_full");
            self.turn_away_octets(cx, path, octets);
        }
    }

    /// 503 to a request that was not parsed yet.
    fn turn_away_octets(&mut self, cx: &mut Cx<'_, Mesh>, path: &Path, octets: &[u8]) {
        let mut spans = self.core.scratch.take_spans();
        if let Ok(message) = parse(octets, &mut spans, Carrier::Datagram)
            && message.is_request()
            && message.method() != Method::Ack
        {
            self.turn_away(cx, path, &message, "5");
        }
        self.core.scratch.give_spans(spans);
    }

    /// 503 without state: this request only, and when to come again.
    fn turn_away(&mut self, cx: &mut Cx<'_, Mesh>, path: &Path, request: &Message<'_>, seconds: &str) {
        let mut turn = Turn {
            core: &mut self.core,
            cx,
        };
        let tag = turn.stateless_tag(request);
        let path = Turn::reply_path(request, path);
        turn.respond_stateless(
            request,
            &path,
            &Reply {
                to_tag: &tag,
                headers: &[("Retry-After", seconds.as_bytes())],
                ..Reply::of(503)
            },
        );
    }

    fn request(&mut self, cx: &mut Cx<'_, Mesh>, path: &Path, request: &Message<'_>) {
        self.core.stats.request(label(request.method()), Direction::In);
        let back = Turn::reply_path(request, path);
        match self.core.tx.receive_request(&mut CxWire(cx), request, &back) {
            Incoming::Retransmission | Incoming::AckAbsorbed => {}
            Incoming::Ack => self.ack(cx, path, request),
            Incoming::Cancel { invite, user } => {
                let room = self.core.tx.server(cx.now, request, &back, NOBODY);
                let mut turn = Turn {
                    core: &mut self.core,
                    cx,
                };
                let tag = turn.stateless_tag(request);
                let reply = Reply {
                    to_tag: &tag,
                    ..Reply::of(200)
                };
                // What takes load away is heard even when there is no room for its transaction.
                match room {
                    Ok(server) => turn.respond(server, request, &back, &reply),
                    Err(_) => turn.respond_stateless(request, &back, &reply),
                }
                match user.role {
                    role::PROXY => self.proxy.cancel(&mut turn, user),
                    role::B2BUA => self.b2bua.cancel(&mut turn, user, invite),
                    _ => {}
                }
            }
            Incoming::CancelUnmatched => {
                let mut turn = Turn {
                    core: &mut self.core,
                    cx,
                };
                let tag = turn.stateless_tag(request);
                turn.respond_stateless(
                    request,
                    &back,
                    &Reply {
                        to_tag: &tag,
                        ..Reply::of(481)
                    },
                );
            }
            Incoming::New => self.new_request(cx, path, &back, request),
        }
    }

    fn response(&mut self, cx: &mut Cx<'_, Mesh>, response: &Message<'_>) {
        self.core
            .stats
            .response(label(response.method()), response.status(), Direction::In);
        if let Answered::Pass { client, user } = self.core.tx.receive_response(&mut CxWire(cx), response) {
            let mut turn = Turn {
                core: &mut self.core,
                cx,
            };
            match user.role {
                role::PROXY => self.proxy.response(&mut turn, user, client, response),
                role::B2BUA => self.b2bua.response(&mut turn, user, client, response),
                role::ENDED => self.b2bua.late(&mut turn, user, client, response),
                _ => {}
            }
            self.look_up(cx);
        }
    }

    /// What the transaction layer noticed by itself.
    fn transaction_events(&mut self, cx: &mut Cx<'_, Mesh>) {
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            let (client, user, status) = match event {
                Event::ClientTimeout { client, user } => (client, user, 408),
                Event::ClientFailed { client, user } => (client, user, 503),
                // No ACK to a failure: the transaction has ended, and there is no one to tell.
                Event::ServerTimeout { .. } | Event::ServerFailed { .. } => continue,
            };
            let mut turn = Turn {
                core: &mut self.core,
                cx,
            };
            match user.role {
                role::PROXY => self.proxy.failed(&mut turn, user, client, status),
                role::B2BUA => self.b2bua.failed(&mut turn, user, client, status),
                _ => {}
            }
        }
        self.events = events;
    }

    /// Targets for a request that waits in one of the roles.
    fn located(&mut self, cx: &mut Cx<'_, Mesh>, asker: Asker, targets: crate::switch::target::TargetSet) {
        let mut turn = Turn {
            core: &mut self.core,
            cx,
        };
        match asker.role {
            _ if asker.redirection > 0 => self.more_targets(cx, asker, targets),
            role::PROXY => self.proxy.targets(&mut turn, asker.handle, targets, None),
            role::B2BUA => self.b2bua.targets(&mut turn, asker.handle, targets, None),
            _ => {}
        }
    }

    /// Sends to a shard, later if its queue is full now.
    fn deliver(&mut self, cx: &mut Cx<'_, Mesh>, to: ShardId, message: Mesh) {
        if let Err(message) = cx.host.mesh(to, message) {
            if self.undelivered.len() < UNDELIVERED {
                self.undelivered.push_back((to, message));
            } else {
                self.core.stats.shed("mesh_full");
            }
        }
    }
}

/// Answers kept for a full queue. Questions are bounded by the transactions that ask them.
const UNDELIVERED: usize = 65_536;

impl Program for Appliance {
    type Mesh = Mesh;

    fn start(&mut self, cx: &mut Cx<'_, Mesh>) {
        for (aor, record) in std::mem::take(&mut self.stored) {
            self.registrar.restore(cx.now, cx.wall, &aor, &record);
        }
        if let Some(file) = self.durable.first_log(self.core.shard) {
            self.switch_log(cx, file);
        }
    }

    fn datagram(&mut self, cx: &mut Cx<'_, Mesh>, listener: ListenerId, from: SocketAddr, octets: &[u8]) {
        let path = Path {
            transport: Transport::Udp,
            listener,
            peer: from,
            conn: ConnId::NONE,
        };
        self.sip(cx, &path, octets, false);
    }

    fn media(&mut self, now: Time, slot: Slot, from: SocketAddr, packet: &mut [u8]) -> Verdict {
        self.core.media.packet(now, slot, from, packet)
    }

    fn media_odd(&mut self, cx: &mut Cx<'_, Mesh>, slot: Slot, from: SocketAddr, packet: &mut [u8]) {
        self.core.media.odd(cx.now, cx.out, slot, from, packet);
    }

    fn stream(&mut self, cx: &mut Cx<'_, Mesh>, event: StreamEvent) {
        match event {
            StreamEvent::Message {
                conn,
                listener,
                peer,
                bytes,
            } => {
                let transport = self.core.site.listener(listener).transport;
                self.sip(
                    cx,
                    &Path {
                        transport,
                        listener,
                        peer,
                        conn,
                    },
                    &bytes,
                    false,
                );
            }
            StreamEvent::Failed { tag, .. } => self.stream_failed(cx, tag),
            StreamEvent::Opened { .. } | StreamEvent::Closed { .. } => {}
        }
    }

    fn mesh(&mut self, cx: &mut Cx<'_, Mesh>, _from: Sender, message: Mesh) {
        match message {
            Mesh::Sip { path, octets } => self.sip(cx, &path, &octets, true),
            Mesh::Locate { asker, aor } => {
                let targets = self.registrar.targets(cx.now, &aor);
                self.deliver(cx, asker.shard, Mesh::Located { asker, targets });
            }
            Mesh::Located { asker, targets } => self.located(cx, asker, targets),
            Mesh::StreamFailed { tag } => self.stream_failed(cx, tag),
            Mesh::Ask(ask) => self.answer_ask(cx, ask),
            Mesh::Reload(site) => {
                self.core.calls_limit = calls_limit(&site);
                self.core.site = site;
            }
            Mesh::Drain => self.core.draining = true,
            Mesh::HangUpAll => self.b2bua.end_all(&mut Turn {
                core: &mut self.core,
                cx,
            }),
            Mesh::Panic => panic!("a panic was asked for (fault injection)"),
        }
    }

    fn written(&mut self, cx: &mut Cx<'_, Mesh>, written: Written) {
        self.registrar.written(
            &mut Turn {
                core: &mut self.core,
                cx,
            },
            written,
        );
        while let Some(&(serial, end)) = self.closing.front()
            && end <= written.upto
        {
            self.durable.log_closed(self.core.shard, serial);
            self.closing.pop_front();
        }
    }

    fn deadline(&self) -> Option<Time> {
        let parts = [
            self.core.tx.deadline(),
            self.core.media.deadline(),
            self.registrar.deadline(),
            self.proxy.deadline(),
            self.b2bua.deadline(),
            self.trying.next(),
        ];
        parts.into_iter().flatten().min()
    }

    fn expire(&mut self, cx: &mut Cx<'_, Mesh>) {
        let now = cx.now;
        let due = |deadline: Option<Time>| deadline.is_some_and(|at| at <= now);
        if due(self.core.tx.deadline()) {
            self.core.tx.expire(&mut CxWire(cx), &mut self.events);
            self.transaction_events(cx);
        }
        if due(self.core.media.deadline()) {
            self.core.media.expire(now, cx.out, &mut self.media_events);
            let mut events = std::mem::take(&mut self.media_events);
            for MediaEvent::Silent { user } in events.drain(..) {
                self.b2bua.silent(
                    &mut Turn {
                        core: &mut self.core,
                        cx,
                    },
                    user,
                );
            }
            self.media_events = events;
        }
        if due(self.trying.next()) {
            self.say_trying(cx);
        }
        let mut turn = Turn {
            core: &mut self.core,
            cx,
        };
        if due(self.registrar.deadline()) {
            self.registrar.expire(&mut turn);
        }
        if due(self.proxy.deadline()) {
            self.proxy.expire(&mut turn);
        }
        if due(self.b2bua.deadline()) {
            self.b2bua.expire(&mut turn);
        }
    }

    fn batch_end(&mut self, cx: &mut Cx<'_, Mesh>) {
        for (slot, peer) in self.core.media.points() {
            cx.host.point_media(slot, peer);
        }
        if !self.core.cdr.is_empty() {
            let next = Vec::with_capacity(self.core.cdr.len());
            self.durable.cdr(cx.wall, std::mem::replace(&mut self.core.cdr, next));
        }
        if self.log_serial == 0 || self.registrar.log_octets() > LOG_ROTATE_OCTETS {
            self.next_log(cx);
        }
        for _ in 0..self.undelivered.len() {
            let Some((to, message)) = self.undelivered.pop_front() else {
                break;
            };
            self.deliver(cx, to, message);
        }
    }
}

impl Appliance {
    /// RFC 3261 section 17.2.1: an INVITE gets a 100 unless another response comes within 200 ms.
    fn say_trying(&mut self, cx: &mut Cx<'_, Mesh>) {
        while let Some(server) = self.trying.pop(cx.now) {
            let path = self.core.tx.server_path(server);
            let Some(path) = path.filter(|_| self.core.tx.is_silent(server)) else {
                continue;
            };
            let mut octets = self.core.scratch.take();
            octets.extend_from_slice(self.core.tx.server_request(server).unwrap_or(&[]));
            let mut turn = Turn {
                core: &mut self.core,
                cx,
            };
            turn.reparse(&octets, |turn, request| {
                turn.respond(server, request, &path, &Reply::of(100))
            });
            self.core.scratch.give(octets);
        }
    }

    fn stream_failed(&mut self, cx: &mut Cx<'_, Mesh>, tag: u64) {
        self.core.tx.stream_failed(&mut CxWire(cx), tag, &mut self.events);
        self.transaction_events(cx);
    }

    fn answer_ask(&mut self, cx: &mut Cx<'_, Mesh>, ask: Ask) {
        // An asker that gave up has dropped its end of the channel.
        match ask {
            Ask::Figures(reply) => drop(reply.try_send(Box::new(self.figures()))),
            Ask::Calls(limit, reply) => drop(reply.try_send(self.call_rows(cx, limit))),
            Ask::Registrations(limit, prefix, reply) => {
                drop(reply.try_send(self.registration_rows(cx, limit, &prefix)))
            }
            Ask::HangUp(id, reply) => {
                let done = self.hang_up(cx, &id);
                let _ = reply.try_send(done);
            }
        }
    }
}
