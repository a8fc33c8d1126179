//! Requests that cross from one leg to the other: re-INVITE, UPDATE, INFO, PRACK. One at a time.

use super::body::{Part, cross, sdp_of};
use super::end::via;
use super::leg::Refresh;
use super::within::plain;
use super::write::{self, dialog_reply};
use super::{B2bua, State, Unacknowledged, owner};
use crate::media::Side;
use crate::ops::stats::{CallResult, Direction};
use crate::protocol::Path;
use crate::protocol::sip::dialog::session_timer::SessionTimer;
use crate::protocol::sip::transaction::{ClientId, ServerId};
use crate::protocol::sip::{Message, Method, Name, Reply, write_number};
use crate::switch::core::{Turn, label};
use crate::switch::slab::Handle;
use shards::Buf;

/// One request on its way across.
pub(super) struct Exchange {
    /// Who asks.
    pub from: Side,
    /// The transaction to answer; for a refresh of our own there is none.
    pub server: ServerId,
    pub client: ClientId,
    pub method: Method,
    pub path: Path,
    /// The request carried an offer that is pending in the media plane.
    pub offered: bool,
}

impl B2bua {
    /// A re-INVITE, UPDATE or INFO.
    pub(super) fn cross_request(
        &mut self,
        turn: &mut Turn<'_, '_>,
        at: Handle,
        side: Side,
        server: ServerId,
        request: &Message<'_>,
        path: &Path,
    ) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let method = request.method();
        if let Some(status) = call.busy(side, method) {
            // Section 14.2: 491 when our own is pending there, 500 with a pause when theirs is.
            let tag = call.leg(side).tag;
            let retry: &[(&str, &[u8])] = if status == 500 { &[("Retry-After", b"2")] } else { &[] };
            return turn.respond(
                server,
                request,
                path,
                &Reply {
                    to_tag: &tag,
                    headers: retry,
                    ..Reply::of(status)
                },
            );
        }
        if method == Method::Update && request.body().is_empty() {
            // A refresh of the session (RFC 4028): ours to answer, nothing to tell the other side.
            self.refreshed(turn, at, side, server, request, path, &[]);
            return;
        }
        let sdp = if method == Method::Info {
            Ok(&[][..])
        } else {
            sdp_of(request)
        };
        let Ok(sdp) = sdp else {
            let tag = call.leg(side).tag;
            let reply = Reply {
                to_tag: &tag,
                headers: &[("Accept", write::SDP.as_bytes())],
                ..Reply::of(415)
            };
            return turn.respond(server, request, path, &reply);
        };
        if let Some(service) = call.service {
            return self.serve_again(turn, at, service, server, request, path, sdp);
        }
        let other = side.other();
        let to = call.leg(other).next_hop(turn);
        let mut crossed = Buf::new();
        let offered = !sdp.is_empty() && method != Method::Info;
        if offered {
            match cross(turn, at, call, side, Part::Offer, sdp, path, &to) {
                Ok(octets) => crossed = octets,
                Err(error) => return plain(turn, server, request, path, error.status()),
            }
        }
        let body = if method == Method::Info {
            info_body(request)
        } else {
            (!crossed.is_empty()).then_some((write::SDP, &crossed[..]))
        };
        let package = request.header_named(b"Info-Package").unwrap_or(b"");
        let extra = [("Info-Package", package)];
        let extra = if package.is_empty() { &[][..] } else { &extra[..] };
        match self.send_across(turn, at, other, method, &to, extra, body) {
            Some(client) => {
                turn.core.tx.set_server_user(server, owner(at));
                if let Some(call) = self.calls.get_mut(at) {
                    if method == Method::Invite && !call.a.path.transport.is_reliable() {
                        // The other side may take its time; without a 100 the phone would send
                        // its request again and again.
                        trying(turn, server, request, path);
                    }
                    call.exchange = Some(Exchange {
                        from: side,
                        server,
                        client,
                        method,
                        path: *path,
                        offered,
                    });
                }
            }
            None => {
                if let Some(call) = self.calls.get_mut(at)
                    && offered
                {
                    turn.core.media.reject(&mut call.media);
                }
                plain(turn, server, request, path, 503);
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "each says one thing about one message; a struct would only rename them"
    )]
    fn send_across(
        &mut self,
        turn: &mut Turn<'_, '_>,
        at: Handle,
        side: Side,
        method: Method,
        to: &Path,
        extra: &[(&str, &[u8])],
        body: Option<(&str, &[u8])>,
    ) -> Option<ClientId> {
        let (client, branch) = turn.core.tx.mint().ok()?;
        let site = turn.core.site.clone();
        let call = self.calls.get_mut(at)?;
        let Some(dialog) = call.leg(side).dialog.as_mut() else {
            turn.core.tx.release(client);
            return None;
        };
        let mut contact = turn.core.scratch.take();
        write::contact_value(&mut contact, site.listener(to.listener));
        let mut headers: [(&str, &[u8]); 4] = [("", b""); 4];
        let mut count = 0;
        let refresh = matches!(method, Method::Invite | Method::Update);
        let own = [
            ("Contact", &contact[..]),
            ("Allow", write::ALLOW),
            ("Supported", b"timer"),
        ];
        for (place, header) in headers.iter_mut().zip(own.iter().filter(|_| refresh).chain(extra)) {
            *place = *header;
            count += 1;
        }
        let via = via(turn, to, &branch);
        let mut octets = turn.core.scratch.take();
        dialog.write_request(&mut octets, method, &via, headers.get(..count).unwrap_or(&[]), body);
        turn.with_wire(|tx, wire| tx.client(wire, client, &octets, method, to, owner(at)));
        turn.core.stats.request(label(method), Direction::Out);
        for octets in [contact, via, octets] {
            turn.core.scratch.give(octets);
        }
        Some(client)
    }

    /// The other side's response to what crossed.
    pub(super) fn exchange_answered(&mut self, turn: &mut Turn<'_, '_>, at: Handle, response: &Message<'_>) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let status = response.status();
        if status < 200 {
            return;
        }
        let Some(exchange) = call.exchange.take() else { return };
        let other = exchange.from.other();
        if status >= 300 {
            return self.exchange_refused(turn, at, &exchange, status);
        }
        if matches!(exchange.method, Method::Invite | Method::Update)
            && let Some(dialog) = call.leg(other).dialog.as_mut()
        {
            dialog.refresh(response);
        }
        let source = call.leg(other).path;
        let sdp = sdp_of(response).unwrap_or(&[]);
        let part = if exchange.offered { Part::Answer } else { Part::Offer };
        let mut crossed = Buf::new();
        let mut failed = false;
        if !sdp.is_empty() && matches!(exchange.method, Method::Invite | Method::Update) {
            match cross(turn, at, call, other, part, sdp, &source, &exchange.path) {
                Ok(octets) => crossed = octets,
                Err(_) => failed = true,
            }
        }
        if exchange.method == Method::Invite && (exchange.offered || failed || sdp.is_empty()) {
            self.acknowledge(turn, at, other, &[]);
        } else if exchange.method == Method::Invite
            && let Some(call) = self.calls.get_mut(at)
        {
            call.ack_owed = Some(other);
        }
        if failed {
            return self.exchange_refused(turn, at, &exchange, 488);
        }
        self.reply_across(turn, at, &exchange, status, &crossed);
    }

    /// Passes a 2xx back to the side that asked.
    fn reply_across(&mut self, turn: &mut Turn<'_, '_>, at: Handle, exchange: &Exchange, status: u16, sdp: &[u8]) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let mut request = turn.core.scratch.take();
        request.extend_from_slice(turn.core.tx.server_request(exchange.server).unwrap_or(&[]));
        let leg = call.leg(exchange.from);
        let kept = turn.reparse(&request, |turn, request| {
            let mut value = turn.core.scratch.take();
            let mut timed = None;
            if matches!(exchange.method, Method::Invite | Method::Update) {
                let site = turn.core.site.clone();
                leg.session_asked(&site, turn.cx.now, request);
                timed = leg.write_session(&mut value);
            }
            let extra = [("Session-Expires", &value[..]), ("Require", &b"timer"[..])];
            let extra = extra
                .get(..timed.map_or(0, |require| 1 + usize::from(require)))
                .unwrap_or(&[]);
            let mut octets = turn.core.scratch.take();
            dialog_reply(turn, &mut octets, leg, request, &exchange.path, status, extra, sdp);
            turn.respond_octets(exchange.server, exchange.method, status, &octets);
            let kept = Buf::copy_of(&octets);
            turn.core.scratch.give(octets);
            turn.core.scratch.give(value);
            (request.cseq().number, kept)
        });
        turn.core.scratch.give(request);
        if exchange.method == Method::Invite
            && let Some(kept) = kept
        {
            call.unacknowledged = Some(Unacknowledged::new(turn, exchange.from, exchange.server, kept));
        }
        self.schedule(at);
    }

    fn exchange_refused(&mut self, turn: &mut Turn<'_, '_>, at: Handle, exchange: &Exchange, status: u16) {
        if let Some(call) = self.calls.get_mut(at)
            && exchange.offered
        {
            turn.core.media.reject(&mut call.media);
        }
        let told = if matches!(status, 401 | 407) { 403 } else { status };
        reply_open(turn, exchange, told);
        // Section 12.2.1.2: these end the dialog, and with it the call.
        if matches!(status, 481 | 408) && exchange.method != Method::Info {
            self.hang_up(turn, at, None, CallResult::Failed);
        }
    }

    /// What crossed got no answer.
    pub(super) fn exchange_failed(&mut self, turn: &mut Turn<'_, '_>, at: Handle, status: u16) {
        let exchange = self.calls.get_mut(at).and_then(|call| call.exchange.take());
        if let Some(exchange) = exchange {
            self.exchange_refused(turn, at, &exchange, status);
        }
    }

    /// The ACK of a 2xx that crossed: with the answer of a delayed offer it goes on.
    pub(super) fn ack_crosses(
        &mut self,
        turn: &mut Turn<'_, '_>,
        at: Handle,
        side: Side,
        request: &Message<'_>,
        path: &Path,
    ) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let other = side.other();
        if call.ack_owed != Some(other) {
            if call.service.is_some() && !request.body().is_empty() {
                // The answer to an offer of our own.
                let sdp = sdp_of(request).unwrap_or(&[]);
                let _ = cross(turn, at, call, side, Part::Answer, sdp, path, path);
            }
            return;
        }
        let to = call.leg(other).path;
        let sdp = sdp_of(request).unwrap_or(&[]);
        match cross(turn, at, call, side, Part::Answer, sdp, path, &to) {
            Ok(crossed) => self.acknowledge(turn, at, other, &crossed),
            Err(_) => {
                // No usable answer: both dialogs stand, but there is nothing to say in them.
                self.acknowledge(turn, at, other, &[]);
                self.hang_up(turn, at, None, CallResult::Failed);
            }
        }
    }

    /// An UPDATE without a body, or a change that ends here (`sdp` is our answer to it): answered.
    /// Gives the answer when it is a 2xx.
    #[expect(
        clippy::too_many_arguments,
        reason = "each says one thing about one message; a struct would only rename them"
    )]
    pub(super) fn refreshed(
        &mut self,
        turn: &mut Turn<'_, '_>,
        at: Handle,
        side: Side,
        server: ServerId,
        request: &Message<'_>,
        path: &Path,
        sdp: &[u8],
    ) -> Option<Buf> {
        let site = turn.core.site.clone();
        let call = self.calls.get_mut(at)?;
        let leg = call.leg(side);
        if let Some(dialog) = leg.dialog.as_mut() {
            dialog.refresh(request);
        }
        let mut value = turn.core.scratch.take();
        let long_enough = leg.session_asked(&site, turn.cx.now, request);
        let timed = leg.write_session(&mut value);
        if !long_enough {
            write_number(&mut value, u64::from(site.plan.sip.min_se));
        }
        let agreed = [("Session-Expires", &value[..]), ("Require", &b"timer"[..])];
        let refused = [("Min-SE", &value[..])];
        let extra = if long_enough {
            agreed
                .get(..timed.map_or(0, |require| 1 + usize::from(require)))
                .unwrap_or(&[])
        } else {
            &refused
        };
        let mut octets = turn.core.scratch.take();
        let status = if long_enough { 200 } else { 422 };
        let sdp = if long_enough { sdp } else { &[] };
        dialog_reply(turn, &mut octets, leg, request, path, status, extra, sdp);
        turn.respond_octets(server, request.method(), status, &octets);
        let sent = (long_enough && request.method() == Method::Invite).then(|| Buf::copy_of(&octets));
        turn.core.scratch.give(octets);
        turn.core.scratch.give(value);
        self.schedule(at);
        sent
    }

    /// Our own refresh of a leg's session: a request that says nothing else. `None` when there is no room.
    pub(super) fn refresh(
        &mut self,
        turn: &mut Turn<'_, '_>,
        at: Handle,
        side: Side,
        session: &SessionTimer,
    ) -> Option<ClientId> {
        let leg = self.calls.get_mut(at)?.leg(side);
        let (to, by) = (leg.next_hop(turn), leg.refresh);
        if by == Refresh::Options {
            return self.send_across(turn, at, side, Method::Options, &to, &[], None);
        }
        let mut value = turn.core.scratch.take();
        session.for_refresh().write(&mut value);
        let extra = [("Session-Expires", &value[..])];
        let client = self.send_across(turn, at, side, Method::Update, &to, &extra, None);
        turn.core.scratch.give(value);
        client
    }

    /// PRACK (RFC 3262): the numbers are the callee's own, so only the CSeq in RAck is ours to
    /// change.
    pub(super) fn prack(
        &mut self,
        turn: &mut Turn<'_, '_>,
        at: Handle,
        side: Side,
        server: ServerId,
        request: &Message<'_>,
        path: &Path,
    ) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let number = request
            .header(Name::RAck)
            .and_then(|value| value.split(|octet| octet.is_ascii_whitespace()).next());
        let (Some(number), Side::A, State::Opening, true) = (number, side, call.state, request.body().is_empty())
        else {
            return plain(
                turn,
                server,
                request,
                path,
                if call.state == State::Opening { 488 } else { 481 },
            );
        };
        if call.exchange.is_some() {
            return plain(turn, server, request, path, 500);
        }
        let to = call.b.next_hop(turn);
        let mut rack = turn.core.scratch.take();
        rack.extend_from_slice(number);
        rack.extend_from_slice(b" 1 INVITE");
        let client = self.send_across(turn, at, Side::B, Method::Prack, &to, &[("RAck", &rack)], None);
        turn.core.scratch.give(rack);
        match (client, self.calls.get_mut(at)) {
            (Some(client), Some(call)) => {
                turn.core.tx.set_server_user(server, owner(at));
                call.exchange = Some(Exchange {
                    from: side,
                    server,
                    client,
                    method: Method::Prack,
                    path: *path,
                    offered: false,
                });
            }
            _ => plain(turn, server, request, path, 481),
        }
    }
}

impl super::Call {
    /// Why a request from `side` cannot cross now.
    fn busy(&self, side: Side, method: Method) -> Option<u16> {
        if method == Method::Info {
            return self.exchange.is_some().then_some(491);
        }
        if self.state == State::Opening {
            return Some(491);
        }
        if let Some(exchange) = &self.exchange {
            return Some(if exchange.from == side { 500 } else { 491 });
        }
        self.unacknowledged
            .as_ref()
            .map(|pending| if pending.side == side { 500 } else { 491 })
    }
}

/// Answers the request of an exchange with a failure.
pub(super) fn reply_open(turn: &mut Turn<'_, '_>, exchange: &Exchange, status: u16) {
    let mut request = turn.core.scratch.take();
    request.extend_from_slice(turn.core.tx.server_request(exchange.server).unwrap_or(&[]));
    turn.reparse(&request, |turn, request| {
        plain(turn, exchange.server, request, &exchange.path, status)
    });
    turn.core.scratch.give(request);
}

fn trying(turn: &mut Turn<'_, '_>, server: ServerId, request: &Message<'_>, path: &Path) {
    turn.respond(server, request, path, &Reply::of(100));
}

/// An INFO's body crosses as it is when its type is one that carries DTMF or nothing of ours.
fn info_body<'a>(request: &Message<'a>) -> Option<(&'static str, &'a [u8])> {
    const TYPES: [&str; 4] = [
        "application/dtmf-relay",
        "application/dtmf",
        "application/media_control+xml",
        "text/plain",
    ];
    if request.body().is_empty() {
        return None;
    }
    TYPES
        .iter()
        .find(|mime| request.content_type_is(mime))
        .map(|mime| (*mime, request.body()))
}
