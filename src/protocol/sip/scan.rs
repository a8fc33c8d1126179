//! Cutting a head into lines: one pass, the same for the parser and for the framing of streams,
//! so that the two can never disagree about where a line ends.

use super::malformed::{Malformed, Reason};
use super::name::Name;
use super::span::{Field, Span};
use super::text::{is_lws, is_token, line_break};

/// Header lines that a message may have.
pub const MAX_LINES: usize = 256;
/// Octets that a head may have, with its empty line.
pub const MAX_HEAD: usize = 64 * 1024;
/// Octets that a body may have.
pub const MAX_BODY: usize = 64 * 1024;

/// How the message came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// One datagram: Content-Length may be absent, lines may end with LF alone.
    Datagram,
    /// A stream: Content-Length is required, lines end with CR LF.
    Stream,
}

/// A walk over the lines of a head.
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    position: usize,
    carrier: Carrier,
    /// Some line ended without CR.
    pub(super) bare_lf: bool,
}

/// The end of a physical line.
struct LineEnd {
    /// Where the text ends.
    text: usize,
    /// Where the next line begins.
    next: usize,
}

impl<'a> Lines<'a> {
    pub(super) const fn new(bytes: &'a [u8], carrier: Carrier) -> Self {
        Lines {
            bytes,
            position: 0,
            carrier,
            bare_lf: false,
        }
    }

    /// Where the next line begins.
    pub(super) const fn position(&self) -> usize {
        self.position
    }

    /// The start line without its end. It cannot be folded.
    pub(super) fn start_line(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.line_end(self.position)?;
        let line = self.bytes.get(self.position..end.text).unwrap_or(&[]);
        self.position = end.next;
        Ok(line)
    }

    /// The next header; `None` at the empty line, which is consumed.
    #[inline]
    pub(super) fn field(&mut self) -> Result<Option<Field>, Malformed> {
        let start = self.position;
        let mut end = self.line_end(start)?;
        if end.text == start {
            self.position = end.next;
            return Ok(None);
        }
        // Folding: a line that begins with white space continues the one before (7.3.1).
        while matches!(self.bytes.get(end.next), Some(b' ' | b'\t')) {
            end = self.line_end(end.next)?;
        }
        self.position = end.next;
        let line = self.bytes.get(start..end.text).unwrap_or(&[]);
        let (name, name_length, mut value_start) = match common(line) {
            Some((name, length)) => (name, length, length + 1),
            None => {
                let (length, value) = name_and_colon(line).ok_or(Malformed::new(Reason::HeaderLine))?;
                (Name::of(line.get(..length).unwrap_or(&[])), length, value)
            }
        };
        let mut value_end = line.len();
        while line.get(value_start).is_some_and(|&octet| is_lws(octet)) {
            value_start += 1;
        }
        while value_end > value_start && line.get(value_end - 1).is_some_and(|&octet| is_lws(octet)) {
            value_end -= 1;
        }
        Ok(Some(Field {
            name,
            start: start as u32,
            name_end: (start + name_length) as u32,
            value: Span::new(start + value_start, start + value_end),
            end: end.next as u32,
        }))
    }

    fn line_end(&mut self, from: usize) -> Result<LineEnd, Malformed> {
        let limit = self.bytes.len().min(MAX_HEAD);
        let window = self.bytes.get(..limit).unwrap_or(&[]);
        let mut search = from;
        loop {
            let Some(at) = line_break(window, search) else {
                let reason = if limit < self.bytes.len() {
                    Reason::HeadTooLong
                } else {
                    Reason::Unfinished
                };
                return Err(Malformed::new(reason));
            };
            match (window.get(at), window.get(at + 1)) {
                (Some(b'\r'), Some(b'\n')) => return Ok(LineEnd { text: at, next: at + 2 }),
                (Some(b'\n'), _) if self.carrier == Carrier::Datagram => {
                    self.bare_lf = true;
                    return Ok(LineEnd { text: at, next: at + 1 });
                }
                // `\` NUL is a legal quoted pair (RFC 4475 section 3.1.1.2).
                (Some(0), _) if at > from && window.get(at - 1) == Some(&b'\\') => search = at + 1,
                _ => return Err(Malformed::new(Reason::Control)),
            }
        }
    }
}

/// The headers of nearly every message, as nearly everybody spells them: which it is, and how long
/// its name. The comparisons are with constants, which costs a few instructions.
fn common(line: &[u8]) -> Option<(Name, usize)> {
    let is = |name: Name, text: &'static [u8]| line.starts_with(text).then_some((name, text.len() - 1));
    match line.first()? {
        b'V' => is(Name::Via, b"Via:"),
        b'F' => is(Name::From, b"From:"),
        b'T' => is(Name::To, b"To:"),
        b'C' => match line.get(1)? {
            b'a' => is(Name::CallId, b"Call-ID:"),
            b'S' => is(Name::CSeq, b"CSeq:"),
            _ => is(Name::Contact, b"Contact:")
                .or_else(|| is(Name::ContentLength, b"Content-Length:"))
                .or_else(|| is(Name::ContentType, b"Content-Type:")),
        },
        b'M' => is(Name::MaxForwards, b"Max-Forwards:"),
        b'R' => is(Name::Route, b"Route:").or_else(|| is(Name::RecordRoute, b"Record-Route:")),
        b'A' => is(Name::Allow, b"Allow:").or_else(|| is(Name::Authorization, b"Authorization:")),
        b'E' => is(Name::Expires, b"Expires:"),
        b'S' => is(Name::Supported, b"Supported:").or_else(|| is(Name::Subject, b"Subject:")),
        b'U' => is(Name::UserAgent, b"User-Agent:"),
        _ => None,
    }
}

/// Length of the name, and where the value begins behind `name *(SP / HTAB) ":"`.
fn name_and_colon(line: &[u8]) -> Option<(usize, usize)> {
    let length = line.iter().position(|&octet| !is_token(octet))?;
    let mut colon = length;
    while matches!(line.get(colon), Some(b' ' | b'\t')) {
        colon += 1;
    }
    (length > 0 && line.get(colon) == Some(&b':')).then_some((length, colon + 1))
}

/// Without the line ends that may stand before a message (RFC 3261 section 7.5). In a stream these
/// are CR LF alone, as the framing sees it: what cannot be framed is no message.
pub(super) fn skip_leading_line_ends(mut bytes: &[u8], carrier: Carrier) -> &[u8] {
    loop {
        bytes = match (bytes, carrier) {
            ([b'\r', b'\n', rest @ ..], _) | ([b'\r' | b'\n', rest @ ..], Carrier::Datagram) => rest,
            _ => return bytes,
        };
    }
}
