//! From octets to a message: everything the accessors of [`Message`] promise is checked here.

use super::list::Values;
use super::malformed::{Malformed, Reason};
use super::method::Method;
use super::name::Name;
use super::name_addr::tagged;
use super::scan::{Carrier, Lines, MAX_BODY, MAX_LINES, skip_leading_line_ends};
use super::span::{AddrSpans, Facts, Span, Spans, ViaSpans};
use super::text::{is_token, number, take_while, trim, trim_end, trim_start};
use super::uri::Uri;
use super::via::Via;
use super::view::Message;

/// Reads one message. Nothing is copied; nothing is allocated once `spans` has grown.
///
/// # Errors
/// [`Malformed`] with the reason, and with the answer to give where there is one.
pub fn parse<'a>(bytes: &'a [u8], spans: &'a mut Spans, carrier: Carrier) -> Result<Message<'a>, Malformed> {
    let bytes = skip_leading_line_ends(bytes, carrier);
    let end = fill(bytes, spans, carrier)?;
    Ok(Message::new(bytes.get(..end).unwrap_or(bytes), spans))
}

/// Fills `spans`; returns where the message ends.
fn fill(bytes: &[u8], spans: &mut Spans, carrier: Carrier) -> Result<usize, Malformed> {
    spans.fields.clear();
    spans.first = [0; Name::COUNT];
    if bytes.is_empty() {
        return Err(Malformed::new(Reason::Empty));
    }
    let request = !is_response(bytes);
    let filled = fill_lines(bytes, spans, carrier, request);
    // Nobody answers a response, however broken it is.
    filled.map_err(|malformed| if request { malformed } else { malformed.unanswered() })
}

fn fill_lines(bytes: &[u8], spans: &mut Spans, carrier: Carrier, request: bool) -> Result<usize, Malformed> {
    let mut lines = Lines::new(bytes, carrier);
    let start_line = lines.start_line().map_err(|fault| not_sip_unless_named(bytes, fault))?;
    let mut facts = Facts {
        request,
        headers: lines.position() as u32,
        ..Facts::default()
    };
    if request {
        request_line(bytes, start_line, &mut facts)?;
    } else {
        status_line(bytes, start_line, &mut facts)?;
    }
    loop {
        facts.blank = lines.position() as u32;
        let Some(field) = lines.field()? else { break };
        if spans.fields.len() == MAX_LINES {
            return Err(Malformed::new(Reason::TooManyHeaders));
        }
        spans.fields.push(field);
        if let Some(first @ 0) = spans.first.get_mut(field.name as usize) {
            *first = spans.fields.len() as u16;
        } else if is_single(field.name) {
            return Err(Malformed::new(Reason::Duplicate));
        }
    }
    facts.bare_lf = lines.bare_lf;
    let body = lines.position();
    headers(bytes, spans, &mut facts)?;
    let length = content_length(bytes, spans, carrier, bytes.len() - body)?;
    facts.body = Span::new(body, body + length);
    spans.facts = facts;
    Ok(body + length)
}

/// A response begins with the version; no method can, because `/` is no token character.
pub(super) fn is_response(bytes: &[u8]) -> bool {
    bytes.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"))
}

/// A head without a first line is only worth an answer when it looks like SIP.
fn not_sip_unless_named(bytes: &[u8], fault: Malformed) -> Malformed {
    let looks_like_sip = bytes
        .windows(5)
        .take(512)
        .any(|window| window.eq_ignore_ascii_case(b" SIP/"));
    if looks_like_sip {
        fault
    } else {
        Malformed::new(Reason::NotSip)
    }
}

/// `Method SP Request-URI SP SIP/2.0`, with exactly one SP each (RFC 4475 section 3.1.2.9).
fn request_line(bytes: &[u8], line: &[u8], facts: &mut Facts) -> Result<(), Malformed> {
    let (method, rest) = take_while(line, is_token);
    let version_at = version_start(line).ok_or(Malformed::new(Reason::NotSip))?;
    let version = line.get(version_at..).unwrap_or(&[]);
    if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        let digits = version.get(4..).unwrap_or(&[]);
        let other = !digits.is_empty() && digits.iter().all(|&octet| octet.is_ascii_digit() || octet == b'.');
        return Err(Malformed::new(if other {
            Reason::Version
        } else {
            Reason::RequestLine
        }));
    }
    if method.is_empty() || rest.first() != Some(&b' ') {
        return Err(Malformed::new(Reason::RequestLine));
    }
    let uri = line.get(method.len() + 1..version_at - 1).unwrap_or(&[]);
    if matches!(uri, [] | [b' ', ..] | [.., b' ']) {
        return Err(Malformed::new(Reason::RequestLine));
    }
    if !is_routable(uri) {
        return Err(Malformed::new(Reason::RequestUri));
    }
    facts.method = Method::of(method);
    facts.method_text = Span::of(bytes, method);
    facts.uri = Span::of(bytes, uri);
    Ok(())
}

/// Where the version begins, behind the last ` SIP/`.
fn version_start(line: &[u8]) -> Option<usize> {
    let space = memchr::memrchr(b' ', trim_end(line))?;
    let version = line.get(space + 1..)?;
    version.get(..4)?.eq_ignore_ascii_case(b"SIP/").then_some(space + 1)
}

/// A Request-URI must be one that can be read, and has no headers (RFC 3261 section 19.1.1,
/// table 1; RFC 4475 section 3.1.2.11). Unknown schemes are for the 416 further up.
fn is_routable(uri: &[u8]) -> bool {
    Uri::parse(uri).is_ok_and(|uri| uri.headers.is_empty())
}

/// `SIP/2.0 SP 3DIGIT SP reason`; the second SP may be missing.
fn status_line(bytes: &[u8], line: &[u8], facts: &mut Facts) -> Result<(), Malformed> {
    let bad = Malformed::new(Reason::Status);
    let Some((version, rest)) = line.split_at_checked(7) else {
        return Err(bad);
    };
    if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        return Err(Malformed::new(Reason::Version));
    }
    let (digits, rest) = take_while(rest.strip_prefix(b" ").ok_or(bad)?, |octet| octet.is_ascii_digit());
    let status = number(digits)
        .filter(|status| digits.len() == 3 && (100..700).contains(status))
        .ok_or(bad)?;
    let reason = match rest {
        [] => rest,
        [b' ', reason @ ..] => trim_end(reason),
        _ => return Err(bad),
    };
    facts.status = status as u16;
    facts.reason = Span::of(bytes, reason);
    Ok(())
}

/// Headers that a message may have once (RFC 4475 section 3.3.8). Content-Length has its own
/// rule: repeated, it must be the same.
const fn is_single(name: Name) -> bool {
    matches!(
        name,
        Name::CallId | Name::From | Name::To | Name::CSeq | Name::MaxForwards
    )
}

/// The headers that section 8.1.1 requires; Max-Forwards, the branch and From's tag may be
/// missing, as RFC 2543 had none.
fn headers(bytes: &[u8], spans: &Spans, facts: &mut Facts) -> Result<(), Malformed> {
    let value = |name: Name| {
        let index = usize::from(*spans.first.get(name as usize)?).checked_sub(1)?;
        spans.fields.get(index).map(|field| field.value.get(bytes))
    };
    let missing = Malformed::new(Reason::Missing);
    let via = value(Name::Via).ok_or(missing)?;
    let call_id = value(Name::CallId).ok_or(missing)?;
    let from = value(Name::From).ok_or(missing)?;
    let to = value(Name::To).ok_or(missing)?;
    let cseq = value(Name::CSeq).ok_or(missing)?;
    let top = Values::new(via).next().ok_or(Malformed::new(Reason::Via))?;
    facts.via = via_spans(bytes, &Via::parse(top)?);
    facts.from = address(bytes, from).ok_or(Malformed::new(Reason::From))?;
    facts.to = address(bytes, to).ok_or(Malformed::new(Reason::To))?;
    if call_id.is_empty() || call_id.iter().any(|&octet| octet <= b' ' || octet == 0x7f) {
        return Err(Malformed::new(Reason::CallId));
    }
    facts.call_id = Span::of(bytes, call_id);
    sequence(bytes, cseq, facts)?;
    if let Some(hops) = value(Name::MaxForwards) {
        let hops = number(hops).and_then(|hops| u8::try_from(hops).ok());
        facts.max_forwards = Some(hops.ok_or(Malformed::new(Reason::MaxForwards))?);
    }
    Ok(())
}

fn via_spans(bytes: &[u8], via: &Via<'_>) -> ViaSpans {
    ViaSpans {
        raw: Span::of(bytes, via.raw),
        transport: Span::of(bytes, via.transport),
        host: Span::of(bytes, via.host),
        port: via.port,
        branch: via.branch.map(|branch| Span::of(bytes, branch)),
        rport: via.rport,
        received: via.received,
        maddr: via.maddr.map(|maddr| Span::of(bytes, maddr)),
    }
}

fn address(bytes: &[u8], value: &[u8]) -> Option<AddrSpans> {
    let (address, tag) = tagged(value)?;
    if tag.is_some_and(<[u8]>::is_empty) {
        return None;
    }
    Some(AddrSpans {
        display: Span::of(bytes, address.display),
        uri: Span::of(bytes, address.uri),
        params: Span::of(bytes, address.params),
        tag: tag.map(|tag| Span::of(bytes, tag)),
    })
}

/// CSeq: a number below 2^31 (section 8.1.1.5) and the request's method (section 8.1.1.5). An
/// unknown method with the wrong CSeq is answered as unknown (RFC 4475 section 3.1.2.18).
fn sequence(bytes: &[u8], value: &[u8], facts: &mut Facts) -> Result<(), Malformed> {
    let bad = Malformed::new(Reason::CSeq);
    let (digits, rest) = take_while(value, |octet| octet.is_ascii_digit());
    let method = trim_start(rest);
    if method.is_empty() || method.len() == rest.len() || !method.iter().all(|&octet| is_token(octet)) {
        return Err(bad);
    }
    facts.cseq_number = number(digits).filter(|&number| number < 1 << 31).ok_or(bad)?;
    facts.cseq_method = Span::of(bytes, method);
    if !facts.request {
        facts.method = Method::of(method);
        facts.method_text = facts.cseq_method;
    } else if method != facts.method_text.get(bytes) {
        let fault = Malformed::new(Reason::CSeqMethod);
        let unknown = facts.method == Method::Other;
        return Err(if unknown {
            Malformed {
                status: Some(501),
                phrase: "Not Implemented",
                ..fault
            }
        } else {
            fault
        });
    }
    Ok(())
}

/// How long the body is. Contradictory lengths are an attack or a fault (RFC 4475 section
/// 3.3.9); a datagram without the header has its body up to its end (section 18.3).
fn content_length(bytes: &[u8], spans: &Spans, carrier: Carrier, available: usize) -> Result<usize, Malformed> {
    let mut length = None;
    if spans
        .first
        .get(Name::ContentLength as usize)
        .is_some_and(|&first| first != 0)
    {
        for field in spans.fields.iter().filter(|field| field.name == Name::ContentLength) {
            length = Some(agreed(length, field.value.get(bytes))?);
        }
    }
    let bad = Malformed::new(Reason::ContentLength);
    let length = match (length, carrier) {
        (Some(length), _) => length,
        (None, Carrier::Datagram) => return Ok(available),
        (None, Carrier::Stream) => return Err(bad),
    };
    if length > MAX_BODY && carrier == Carrier::Stream {
        return Err(Malformed::new(Reason::BodyTooLong));
    }
    if length > available { Err(bad) } else { Ok(length) }
}

/// One more Content-Length value beside those seen.
pub(super) fn agreed(seen: Option<usize>, value: &[u8]) -> Result<usize, Malformed> {
    let bad = Malformed::new(Reason::ContentLength);
    let length = number(trim(value)).ok_or(bad)? as usize;
    if seen.is_some_and(|seen| seen != length) {
        Err(bad)
    } else {
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In steady state nothing is allocated: the scratch keeps its memory between messages.
    #[test]
    fn the_scratch_keeps_its_memory() {
        let head = "BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:c@d>\r\nTo: <sip:a@b>\r\nCall-ID: i\r\nCSeq: 3 BYE\r\n";
        let text = |lines: usize| format!("{head}{}\r\n", "X: y\r\n".repeat(lines));
        let mut spans = Spans::default();
        assert!(parse(text(251).as_bytes(), &mut spans, Carrier::Datagram).is_ok());
        let memory = (spans.fields.as_ptr(), spans.fields.capacity());
        for lines in [0, 100, 251, 400, 20] {
            let accepted = parse(text(lines).as_bytes(), &mut spans, Carrier::Datagram).is_ok();
            assert_eq!(accepted, lines <= 251);
            assert_eq!((spans.fields.as_ptr(), spans.fields.capacity()), memory);
        }
    }
}
