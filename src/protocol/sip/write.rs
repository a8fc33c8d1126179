//! Writing messages: everything appends to a `Vec<u8>` and allocates nothing else.

use super::name::Name;
use super::params::Params;
use super::span::Span;
use super::text::{ip, trim, trim_end, trim_start};
use super::via::Via;
use super::view::Message;
pub use crate::protocol::decimal::{write_ip, write_number};
use std::net::{IpAddr, SocketAddr};

/// A response to a request: RFC 3261 section 8.2.6.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// 100 to 699.
    pub status: u16,
    /// The reason phrase; see [`super::phrase`].
    pub phrase: &'a str,
    /// Added to To when the request's To has no tag; empty adds none.
    pub to_tag: &'a [u8],
    /// Further headers, in this order. Line ends in values become spaces.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Content-Type and body.
    pub body: Option<(&'a str, &'a [u8])>,
    /// Copy Record-Route (section 12.1.1).
    pub record_route: bool,
}

impl<'a> Reply<'a> {
    /// A reply with the standard phrase and nothing added, to be filled in with `..Reply::of(404)`.
    #[must_use]
    pub fn of(status: u16) -> Self {
        Self {
            status,
            phrase: crate::protocol::sip::phrase(status),
            to_tag: b"",
            headers: &[],
            body: None,
            record_route: false,
        }
    }
}

impl Reply<'_> {
    /// Appends the response. The topmost Via gets `received` and `rport` (section 18.2.1,
    /// RFC 3581 section 4) for a request that came from `source`; a 100 repeats Timestamp.
    pub fn write(&self, out: &mut Vec<u8>, request: &Message<'_>, source: SocketAddr) {
        let folds = Folds::of(request);
        write_status_line(out, self.status, self.phrase);
        let mut vias = request.headers(Name::Via);
        if let Some(first) = vias.next() {
            let top = request.via();
            write_top_via_line(out, folds, &top, first, Amendment::of(&top, source));
        }
        vias.for_each(|value| write_header(out, folds, Name::Via, value));
        if self.record_route {
            request
                .headers(Name::RecordRoute)
                .for_each(|value| write_header(out, folds, Name::RecordRoute, value));
        }
        if let Some(from) = request.header(Name::From) {
            write_header(out, folds, Name::From, from);
        }
        if let Some(to) = request.header(Name::To) {
            write_name(out, Name::To.text());
            folds.copy(out, to);
            if request.to_tag().is_none() && !self.to_tag.is_empty() {
                out.extend_from_slice(b";tag=");
                out.extend_from_slice(self.to_tag);
            }
            out.extend_from_slice(b"\r\n");
        }
        write_header(out, folds, Name::CallId, request.call_id());
        if let Some(cseq) = request.header(Name::CSeq) {
            write_header(out, folds, Name::CSeq, cseq);
        }
        if let Some(timestamp) = request.header(Name::Timestamp).filter(|_| self.status == 100) {
            write_header(out, folds, Name::Timestamp, timestamp);
        }
        write_headers(out, self.headers);
        write_body(out, self.body);
    }
}

/// Appends further headers.
pub(super) fn write_headers(out: &mut Vec<u8>, headers: &[(&str, &[u8])]) {
    for (name, value) in headers {
        write_name(out, name);
        write_one_line(out, value);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends a value that may come from a peer: what could end the line, or cut it short in a
/// reader written in C, becomes a space. A fold means the same as a space (section 7.3.1).
pub(super) fn write_one_line(out: &mut Vec<u8>, value: &[u8]) {
    if memchr::memchr3(b'\r', b'\n', 0, value).is_none() {
        out.extend_from_slice(value);
    } else {
        out.extend(value.iter().map(|octet| {
            if matches!(octet, b'\r' | b'\n' | 0) {
                b' '
            } else {
                *octet
            }
        }));
    }
}

/// Appends Content-Type, Content-Length, the empty line and the body.
pub(super) fn write_body(out: &mut Vec<u8>, body: Option<(&str, &[u8])>) {
    let (mime, body) = body.unwrap_or_default();
    if !mime.is_empty() {
        write_headers(out, &[(Name::ContentType.text(), mime.as_bytes())]);
    }
    write_content_length(out, body.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// Appends a Content-Length line.
pub(super) fn write_content_length(out: &mut Vec<u8>, length: usize) {
    write_name(out, Name::ContentLength.text());
    write_number(out, length as u64);
    out.extend_from_slice(b"\r\n");
}

/// Appends `SIP/2.0 status phrase`.
pub(super) fn write_status_line(out: &mut Vec<u8>, status: u16, phrase: &str) {
    debug_assert!((100..700).contains(&status), "status {status}");
    out.extend_from_slice(b"SIP/2.0 ");
    write_number(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(phrase.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends `name: value`, the value copied from a message.
pub(super) fn write_header(out: &mut Vec<u8>, folds: Folds, name: Name, value: &[u8]) {
    write_name(out, name.text());
    folds.copy(out, value);
    out.extend_from_slice(b"\r\n");
}

/// Appends `name: `.
pub(super) fn write_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
}

/// Appends the first Via line with its first value amended for `source`.
pub(super) fn write_top_via_line(
    out: &mut Vec<u8>,
    folds: Folds,
    top: &Via<'_>,
    line: &[u8],
    amendment: Option<Amendment>,
) {
    write_name(out, Name::Via.text());
    match amendment {
        Some(amendment) => amendment.write(out, folds, top),
        None => folds.copy(out, top.raw),
    }
    let rest = after_value(line, top.raw);
    if !rest.is_empty() {
        out.extend_from_slice(b", ");
        folds.copy(out, rest);
    }
    out.extend_from_slice(b"\r\n");
}

/// What follows the first value of a line, which `value` is, without the comma between them.
pub(super) fn after_value<'a>(line: &'a [u8], value: &[u8]) -> &'a [u8] {
    let span = Span::of(line, value);
    debug_assert!(span.get(line) == value, "the value is part of the line");
    let rest = trim_start(line.get(span.end as usize..).unwrap_or(&[]));
    trim(rest.strip_prefix(b",").unwrap_or(rest))
}

/// What a top Via must be amended with (section 18.2.1, RFC 3581 section 4).
#[derive(Clone, Copy, Debug)]
pub(super) struct Amendment {
    received: Option<IpAddr>,
    rport: Option<u16>,
}

impl Amendment {
    /// For a request that came from `source`; `None` when the Via stays as it is. It does not when
    /// sent-by is not the source's address, the client asked for its port, or it filled in what
    /// is ours to fill in.
    pub(super) fn of(via: &Via<'_>, source: SocketAddr) -> Option<Amendment> {
        let address = source.ip().to_canonical();
        let asked = via.rport.is_some();
        let told = asked || ip(via.host) != Some(address);
        (told || via.received.is_some()).then(|| Amendment {
            received: told.then_some(address),
            rport: asked.then_some(source.port()),
        })
    }

    fn write(self, out: &mut Vec<u8>, folds: Folds, via: &Via<'_>) {
        // What is ours to fill in is absent most times, or a flag at the end.
        let kept = match via.rport {
            None => Some(via.raw),
            Some(_) => via.raw.strip_suffix(b";rport"),
        };
        if let Some(kept) = kept.filter(|_| via.received.is_none()) {
            folds.copy(out, kept);
        } else {
            let params = via.params();
            let head = via.raw.strip_suffix(params).unwrap_or(&[]);
            folds.copy(out, trim_end(head));
            for param in Params::new(params).filter_map(Result::ok) {
                if !param.name.eq_ignore_ascii_case(b"received") && !param.name.eq_ignore_ascii_case(b"rport") {
                    folds.copy(out, param.raw);
                }
            }
        }
        if let Some(address) = self.received {
            out.extend_from_slice(b";received=");
            write_ip(out, address);
        }
        if let Some(port) = self.rport {
            out.extend_from_slice(b";rport=");
            write_number(out, u64::from(port));
        }
    }
}

/// How to copy text of a message: line ends inside folds become CR LF when some had no CR, for
/// the copy may go out on a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folds {
    bare_lf: bool,
}

impl Folds {
    pub(super) const fn of(message: &Message<'_>) -> Folds {
        Folds {
            bare_lf: message.has_bare_lf(),
        }
    }

    /// For text of a message that was not parsed.
    pub(super) const UNKNOWN: Folds = Folds { bare_lf: true };

    pub(super) fn copy(self, out: &mut Vec<u8>, text: &[u8]) {
        if !self.bare_lf {
            out.extend_from_slice(text);
            return;
        }
        let mut before = 0u8;
        for &octet in text {
            if octet == b'\n' && before != b'\r' {
                out.push(b'\r');
            }
            out.push(octet);
            before = octet;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Carrier, Spans, parse};
    use super::*;

    fn reply(request: &str, reply: Reply<'_>, source: &str) -> String {
        let mut spans = Spans::default();
        let message = parse(request.as_bytes(), &mut spans, Carrier::Datagram).expect("a request");
        let mut out = Vec::new();
        reply.write(&mut out, &message, source.parse().expect("an address"));
        let mut spans = Spans::default();
        let again = parse(&out, &mut spans, Carrier::Stream).expect("our response parses");
        assert_eq!(
            (again.status(), again.call_id(), again.method()),
            (reply.status, message.call_id(), message.method())
        );
        String::from_utf8(out).expect("text")
    }

    const OK: Reply<'_> = Reply {
        status: 200,
        phrase: "OK",
        to_tag: b"t1",
        headers: &[],
        body: None,
        record_route: false,
    };

    #[test]
    fn a_whole_response() {
        let request = "OPTIONS sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport;x=\"y\", SIP/2.0/TCP h2\r\n\
                       Via: SIP/2.0/TLS h3\r\nFrom: <sip:c@d>;tag=f\r\nTo: sip:a@b\r\nCall-ID: i\r\nCSeq: 3 OPTIONS\r\n\
                       Record-Route: <sip:p1;lr>,<sip:p2;lr>\r\nTimestamp: 5\r\n\r\n";
        let full = Reply {
            headers: &[("Server", b"R")],
            body: Some(("text/plain", b"hi")),
            record_route: true,
            ..OK
        };
        assert_eq!(
            reply(request, full, "192.0.2.9:5070"),
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;x=\"y\";received=192.0.2.9;rport=5070, SIP/2.0/TCP h2\r\n\
             Via: SIP/2.0/TLS h3\r\nRecord-Route: <sip:p1;lr>,<sip:p2;lr>\r\nFrom: <sip:c@d>;tag=f\r\nTo: sip:a@b;tag=t1\r\n\
             Call-ID: i\r\nCSeq: 3 OPTIONS\r\nServer: R\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
        );
        let trying = reply(
            request,
            Reply {
                status: 100,
                phrase: "Trying",
                to_tag: b"",
                ..OK
            },
            "192.0.2.9:5070",
        );
        assert!(
            trying.contains("To: sip:a@b\r\n") && trying.contains("Timestamp: 5\r\n"),
            "{trying}"
        );
    }

    #[test]
    fn the_top_via_tells_the_source() {
        let top = |via: &str, source: &str| {
            let request = format!(
                "BYE sip:a@b SIP/2.0\r\nVia: {via}\r\nFrom: <sip:c@d>;tag=f\r\nTo: <sip:a@b>;tag=t\r\nCall-ID: i\r\nCSeq: 3 BYE\r\n\r\n"
            );
            let text = reply(&request, OK, source);
            assert!(
                text.contains("To: <sip:a@b>;tag=t\r\n"),
                "a tag is not added to a tag: {text}"
            );
            text.lines()
                .nth(1)
                .and_then(|line| line.strip_prefix("Via: "))
                .expect("Via")
                .to_owned()
        };
        for (via, source, want) in [
            (
                "SIP/2.0/UDP 192.0.2.1;branch=z",
                "192.0.2.1:9",
                "SIP/2.0/UDP 192.0.2.1;branch=z",
            ),
            (
                "SIP/2.0/UDP 192.0.2.1;branch=z",
                "[::ffff:192.0.2.1]:9",
                "SIP/2.0/UDP 192.0.2.1;branch=z",
            ),
            (
                "SIP/2.0/UDP h;branch=z",
                "192.0.2.1:9",
                "SIP/2.0/UDP h;branch=z;received=192.0.2.1",
            ),
            (
                "SIP/2.0/UDP 192.0.2.1;rport",
                "192.0.2.1:9",
                "SIP/2.0/UDP 192.0.2.1;received=192.0.2.1;rport=9",
            ),
            (
                "SIP/2.0/UDP h;rport=1;received=10.0.0.1;z",
                "192.0.2.1:9",
                "SIP/2.0/UDP h;z;received=192.0.2.1;rport=9",
            ),
            (
                "SIP/2.0/UDP [2001:db8::1]",
                "[2001:db8::2]:9",
                "SIP/2.0/UDP [2001:db8::1];received=2001:db8::2",
            ),
            (
                "SIP/2.0/UDP 192.0.2.1;received=10.0.0.1",
                "192.0.2.1:9",
                "SIP/2.0/UDP 192.0.2.1",
            ),
        ] {
            assert_eq!(top(via, source), want, "{via} from {source}");
        }
    }

    #[test]
    fn bare_line_feeds_leave_as_crlf() {
        let request = "BYE sip:a@b SIP/2.0\nVia: SIP/2.0/UDP h\nFrom:\n <sip:c@d>\n ;tag=f\nTo: <sip:a@b>\nCall-ID: i\nCSeq: 3\n BYE\n\n";
        let text = reply(request, OK, "192.0.2.1:9");
        assert!(text.contains("From: <sip:c@d>\r\n ;tag=f\r\n"), "{text}");
        assert!(!text.replace("\r\n", "").contains('\n'), "{text}");
    }

    #[test]
    fn a_value_cannot_inject_a_line() {
        let request = "BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:c@d>\r\nTo: <sip:a@b>\r\nCall-ID: i\r\nCSeq: 3 BYE\r\n\r\n";
        let text = reply(
            request,
            Reply {
                headers: &[("X", b"a\r\nEvil: b\0")],
                ..OK
            },
            "192.0.2.1:9",
        );
        assert!(text.contains("\r\nX: a  Evil: b \r\n"), "{text}");
    }
}
