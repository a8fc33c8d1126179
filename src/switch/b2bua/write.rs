//! The messages that we make up: the INVITE to the callee's side and the headers of our answers.

use super::leg::Leg;
use crate::protocol::Path;
use crate::protocol::sip::{Message, Method, Name, Reply, phrase, write_number};
use crate::switch::core::Turn;
use crate::switch::site::{ListenerText, Site};
use crate::switch::target::Target;

/// What we answer in Allow.
pub(super) const ALLOW: &[u8] = b"INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO";
/// The one body that crosses.
pub(super) const SDP: &str = "application/sdp";

/// What the INVITE to one target is made of.
pub(super) struct Invite<'a> {
    pub target: &'a Target<'a>,
    pub branch: &'a [u8],
    pub call_id: &'a [u8],
    pub tag: &'a [u8],
    /// The caller's INVITE.
    pub request: &'a Message<'a>,
    pub sdp: &'a [u8],
    pub trusted: bool,
    /// 100rel is offered when the caller knows it and there is one target, so that the numbers of
    /// reliable answers pass through (RFC 3262).
    pub reliable: bool,
    /// What this branch may become (RFC 5393), when it has to be said.
    pub share: Option<usize>,
}

/// Writes the INVITE (RFC 3261 section 8.1.1).
pub(super) fn invite(site: &Site, out: &mut Vec<u8>, invite: &Invite<'_>) {
    let listener = site.listener(invite.target.path.listener);
    let request = invite.request;
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    put(&[
        b"INVITE ",
        invite.target.uri,
        b" SIP/2.0\r\nVia: ",
        &listener.via,
        b";branch=",
        invite.branch,
    ]);
    put(&[
        if invite.target.path.transport.is_reliable() {
            b""
        } else {
            b";rport"
        },
        b"\r\n",
    ]);
    if !invite.target.route.is_empty() {
        put(&[b"Route: ", invite.target.route, b"\r\n"]);
    }
    let from = request.from();
    let caller = crate::protocol::sip::Uri::parse(from.uri).map_or(&b""[..], |uri| uri.user);
    let callee = crate::protocol::sip::Uri::parse(request.uri()).map_or(&b""[..], |uri| uri.user);
    put(&[
        b"From: ",
        from.display,
        if from.display.is_empty() { b"<sip:" } else { b" <sip:" },
    ]);
    put(&[
        if caller.is_empty() { b"anonymous" } else { caller },
        b"@",
        site.realm(b""),
        b">;tag=",
        invite.tag,
    ]);
    put(&[
        b"\r\nTo: <sip:",
        callee,
        b"@",
        site.realm(b""),
        b">\r\nCall-ID: ",
        invite.call_id,
    ]);
    put(&[b"\r\nCSeq: 1 INVITE\r\nMax-Forwards: "]);
    write_number(out, u64::from(request.max_forwards().unwrap_or(70).saturating_sub(1)));
    if let Some(share) = invite.share {
        out.extend_from_slice(b"\r\nMax-Breadth: ");
        write_number(out, share as u64);
    }
    out.extend_from_slice(b"\r\n");
    for line in request
        .lines()
        .filter(|line| passes(line.name, line.name_text, invite.trusted))
    {
        out.extend_from_slice(line.raw);
    }
    contact(out, listener);
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    put(&[
        b"Allow: ",
        ALLOW,
        b"\r\nSupported: timer",
        if invite.reliable { b", 100rel" } else { b"" },
    ]);
    put(&[
        b"\r\nUser-Agent: ",
        site.plan.sip.product.as_bytes(),
        b"\r\nSession-Expires: ",
    ]);
    write_number(out, u64::from(site.plan.sip.session_expires));
    out.extend_from_slice(b"\r\nMin-SE: ");
    write_number(out, u64::from(site.plan.sip.min_se));
    if !invite.sdp.is_empty() {
        out.extend_from_slice(b"\r\nContent-Type: application/sdp");
    }
    out.extend_from_slice(b"\r\nContent-Length: ");
    write_number(out, invite.sdp.len() as u64);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(invite.sdp);
}

/// End-to-end headers that cross; the rest stays on its side (topology hiding). Identity only from
/// those who are trusted to state it (RFC 3325 section 5).
fn passes(name: Name, text: &[u8], trusted: bool) -> bool {
    match name {
        Name::Subject | Name::AlertInfo | Name::Privacy | Name::Geolocation => true,
        Name::PAssertedIdentity | Name::Diversion | Name::HistoryInfo | Name::Identity => trusted,
        Name::Other => [
            &b"user-to-user"[..],
            b"priority",
            b"accept-language",
            b"geolocation-routing",
            b"x-call-id",
        ]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(text)),
        _ => false,
    }
}

/// Our Contact line.
pub(super) fn contact(out: &mut Vec<u8>, listener: &ListenerText) {
    out.extend_from_slice(b"Contact: ");
    contact_value(out, listener);
    out.extend_from_slice(b"\r\n");
}

/// Our Contact's value. Requests within the dialog are found by their tag, so it says no more than
/// where we are.
pub(super) fn contact_value(out: &mut Vec<u8>, listener: &ListenerText) {
    out.extend_from_slice(b"<sip:");
    out.extend_from_slice(&listener.hostport);
    out.extend_from_slice(listener.param.as_bytes());
    out.push(b'>');
}

/// A response that opens or keeps a dialog on a leg: Contact, Allow, and what else is given.
#[expect(
    clippy::too_many_arguments,
    reason = "each says one thing about one message; a struct would only rename them"
)]
pub(super) fn dialog_reply(
    turn: &mut Turn<'_, '_>,
    out: &mut Vec<u8>,
    leg: &Leg,
    request: &Message<'_>,
    path: &Path,
    status: u16,
    extra: &[(&str, &[u8])],
    sdp: &[u8],
) {
    let site = turn.core.site.clone();
    let mut contact = turn.core.scratch.take();
    contact_value(&mut contact, site.listener(path.listener));
    let mut headers: [(&str, &[u8]); 8] = [("", b""); 8];
    let fixed: [(&str, &[u8]); 3] = [
        ("Contact", &contact),
        ("Allow", ALLOW),
        ("Server", site.plan.sip.product.as_bytes()),
    ];
    let mut count = 0;
    for (place, header) in headers.iter_mut().zip(fixed.iter().chain(extra)) {
        *place = *header;
        count += 1;
    }
    let reply = Reply {
        phrase: phrase(status),
        to_tag: &leg.tag,
        headers: headers.get(..count).unwrap_or(&[]),
        body: (!sdp.is_empty()).then_some((SDP, sdp)),
        record_route: request.method() == Method::Invite,
        ..Reply::of(status)
    };
    reply.write(out, request, path.peer);
    turn.core.scratch.give(contact);
}
