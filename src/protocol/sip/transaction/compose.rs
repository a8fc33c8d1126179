//! The two requests that the layer writes itself, from the INVITE that it keeps.

use crate::protocol::sip::{Message, Name, write_number};

/// The ACK for a response of 300 to 699, RFC 3261 section 17.1.1.3. Appends to `out`.
pub(super) fn ack(out: &mut Vec<u8>, invite: &Message<'_>, response: &Message<'_>) {
    // "The To header field in the ACK MUST equal the To header field in the response being
    // acknowledged, and therefore will usually differ from the To header field in the original
    // request by the addition of the tag parameter."
    let to = response.header(Name::To).or_else(|| invite.header(Name::To));
    request(out, "ACK", invite, to);
    end(out);
}

/// The CANCEL of an INVITE, RFC 3261 section 9.1, with the value of a Reason header (RFC 3326)
/// when one is given. Appends to `out`.
pub(super) fn cancel(out: &mut Vec<u8>, invite: &Message<'_>, reason: Option<&[u8]>) {
    request(out, "CANCEL", invite, invite.header(Name::To));
    if let Some(reason) = reason {
        header(out, "Reason", reason);
    }
    end(out);
}

/// What both have in common: Request-URI, a single Via equal to the INVITE's topmost, its Route
/// set, From, Call-ID and CSeq number.
fn request(out: &mut Vec<u8>, method: &str, invite: &Message<'_>, to: Option<&[u8]>) {
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(invite.uri());
    out.extend_from_slice(b" SIP/2.0\r\n");
    header(out, "Via", invite.via().raw);
    for route in invite.headers(Name::Route) {
        header(out, "Route", route);
    }
    out.extend_from_slice(b"Max-Forwards: 70\r\n");
    header(out, "From", invite.header(Name::From).unwrap_or_default());
    header(out, "To", to.unwrap_or_default());
    header(out, "Call-ID", invite.call_id());
    out.extend_from_slice(b"CSeq: ");
    write_number(out, u64::from(invite.cseq().number));
    out.push(b' ');
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
}

fn header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
