//! The answer to a request that could not be parsed: best effort, RFC 3261 section 8.2.6.

use super::list::Values;
use super::malformed::Malformed;
use super::method::Method;
use super::name::Name;
use super::name_addr::NameAddr;
use super::parse::is_response;
use super::scan::{Carrier, Lines, MAX_LINES, skip_leading_line_ends};
use super::span::Field;
use super::text::{is_token, take_while};
use super::via::Via;
use super::write::{Amendment, Folds, write_body, write_header, write_name, write_status_line, write_top_via_line};
use std::net::SocketAddr;

/// Appends a response to a broken request: its Via lines, and From, To, Call-ID and CSeq as far
/// as they are there. False, with nothing appended, when nobody should be answered: a response,
/// an ACK, no SIP, or no Via.
pub fn respond_malformed(out: &mut Vec<u8>, bytes: &[u8], malformed: &Malformed, source: SocketAddr) -> bool {
    let bytes = skip_leading_line_ends(bytes, Carrier::Datagram);
    let Some(status) = malformed.status else { return false };
    let (method, _) = take_while(bytes, is_token);
    if is_response(bytes) || Method::of(method) == Method::Ack {
        return false;
    }
    let mut kept = Kept::default();
    let length = out.len();
    write_status_line(out, status, malformed.phrase);
    if !write_vias(out, bytes, source, &mut kept) {
        out.truncate(length);
        return false;
    }
    for (name, field) in [
        (Name::From, kept.from),
        (Name::To, kept.to),
        (Name::CallId, kept.call_id),
        (Name::CSeq, kept.cseq),
    ] {
        let Some(field) = field else { continue };
        let value = field.value.get(bytes);
        if name == Name::To {
            write_to(out, value, kept.call_id.map_or(&[], |field| field.value.get(bytes)));
        } else {
            write_header(out, Folds::UNKNOWN, name, value);
        }
    }
    write_body(out, None);
    true
}

/// The first of each header that a response repeats.
#[derive(Default)]
struct Kept {
    from: Option<Field>,
    to: Option<Field>,
    call_id: Option<Field>,
    cseq: Option<Field>,
}

/// Writes the Via lines and remembers the others. False when there is no Via.
fn write_vias(out: &mut Vec<u8>, bytes: &[u8], source: SocketAddr, kept: &mut Kept) -> bool {
    let mut lines = Lines::new(bytes, Carrier::Datagram);
    let mut vias = 0;
    if lines.start_line().is_err() {
        return false;
    }
    for _ in 0..MAX_LINES {
        let position = lines.position();
        let field = match lines.field() {
            Ok(Some(field)) => field,
            Ok(None) => break,
            Err(_) if lines.position() == position => break, // nothing more can be told apart
            Err(_) => continue,
        };
        let value = field.value.get(bytes);
        match field.name {
            Name::Via if !value.is_empty() => {
                let top = Values::new(value).next().and_then(|top| Via::parse(top).ok());
                match top.filter(|_| vias == 0) {
                    Some(top) => write_top_via_line(out, Folds::UNKNOWN, &top, value, Amendment::of(&top, source)),
                    None => write_header(out, Folds::UNKNOWN, Name::Via, value),
                }
                vias += 1;
            }
            Name::From => _ = kept.from.get_or_insert(field),
            Name::To => _ = kept.to.get_or_insert(field),
            Name::CallId => _ = kept.call_id.get_or_insert(field),
            Name::CSeq => _ = kept.cseq.get_or_insert(field),
            _ => {}
        }
    }
    vias > 0
}

/// To with a tag (section 8.2.6.2). The tag follows from the request, so that a retransmission
/// gets the same (section 8.2.7).
fn write_to(out: &mut Vec<u8>, value: &[u8], call_id: &[u8]) {
    write_name(out, Name::To.text());
    Folds::UNKNOWN.copy(out, value);
    if NameAddr::parse(value).is_ok_and(|to| to.param("tag").is_none()) {
        // FNV-1a: not secret, only steady.
        let octets = call_id.iter().chain(value);
        let hash = octets.fold(0xcbf2_9ce4_8422_2325u64, |hash, &octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        });
        out.extend_from_slice(b";tag=");
        for shift in (0..16).rev() {
            out.push(b"0123456789abcdef"[(hash >> (shift * 4) & 15) as usize]);
        }
    }
    out.extend_from_slice(b"\r\n");
}
