//! A parsed message: a view over its octets. RFC 3261 sections 7 and 20.

use super::list::Values;
use super::method::Method;
use super::name::Name;
use super::name_addr::NameAddr;
use super::span::{AddrSpans, Field, Spans};
use super::text::{number_saturating, trim_end};
use super::via::Via;

/// A message that [`super::parse`] accepted. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    spans: &'a Spans,
}

/// CSeq, RFC 3261 section 20.16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Below 2^31.
    pub number: u32,
    /// The method as written.
    pub method: &'a [u8],
}

/// One header line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Which header it is.
    pub name: Name,
    /// The name as written.
    pub name_text: &'a [u8],
    /// The value, trimmed; folds are left in.
    pub value: &'a [u8],
    /// The whole header with folds and end of line.
    pub raw: &'a [u8],
}

impl<'a> Message<'a> {
    pub(super) const fn new(bytes: &'a [u8], spans: &'a Spans) -> Self {
        Message { bytes, spans }
    }

    /// Head and body, without what came before the first line or after Content-Length.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// False for a response.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        self.spans.facts.request
    }

    /// The request's method; of a response, CSeq's.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.spans.facts.method
    }

    /// The text of [`Message::method`].
    #[must_use]
    pub fn method_text(&self) -> &'a [u8] {
        self.spans.facts.method_text.get(self.bytes)
    }

    /// Request-URI; empty in a response. A SIP, SIPS or TEL URI here can be parsed.
    #[must_use]
    pub fn uri(&self) -> &'a [u8] {
        self.spans.facts.uri.get(self.bytes)
    }

    /// 100 to 699, or 0 in a request.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.spans.facts.status
    }

    /// The reason phrase; empty in a request.
    #[must_use]
    pub fn reason(&self) -> &'a [u8] {
        self.spans.facts.reason.get(self.bytes)
    }

    /// The value of the first line with that name, trimmed; folds are left in.
    #[must_use]
    pub fn header(&self, name: Name) -> Option<&'a [u8]> {
        if name == Name::Other {
            return None;
        }
        self.fields_from(name).next().map(|field| field.value.get(self.bytes))
    }

    /// The value of each line with that name.
    pub fn headers(&self, name: Name) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.fields_from(name)
            .filter(move |field| field.name == name)
            .map(move |field| field.value.get(bytes))
    }

    /// The values of all lines with that name, split at commas outside quotes and `<>`.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.headers(name).flat_map(Values::new)
    }

    /// The value of the first line with that name, in any case and form.
    #[must_use]
    pub fn header_named(&self, name: &[u8]) -> Option<&'a [u8]> {
        match Name::of(name) {
            Name::Other => self
                .lines()
                .find(|line| line.name_text.eq_ignore_ascii_case(name))
                .map(|line| line.value),
            known => self.header(known),
        }
    }

    /// All header lines in order.
    pub fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let bytes = self.bytes;
        self.spans.fields.iter().map(move |field| line(bytes, field))
    }

    /// The topmost Via.
    #[must_use]
    pub fn via(&self) -> Via<'a> {
        let via = &self.spans.facts.via;
        Via {
            transport: via.transport.get(self.bytes),
            host: via.host.get(self.bytes),
            port: via.port,
            branch: via.branch.map(|span| span.get(self.bytes)),
            rport: via.rport,
            received: via.received,
            maddr: via.maddr.map(|span| span.get(self.bytes)),
            raw: via.raw.get(self.bytes),
        }
    }

    /// Call-ID, never empty, without white space.
    #[must_use]
    pub fn call_id(&self) -> &'a [u8] {
        self.spans.facts.call_id.get(self.bytes)
    }

    /// CSeq.
    #[must_use]
    pub fn cseq(&self) -> CSeq<'a> {
        CSeq {
            number: self.spans.facts.cseq_number,
            method: self.spans.facts.cseq_method.get(self.bytes),
        }
    }

    /// From.
    #[must_use]
    pub fn from(&self) -> NameAddr<'a> {
        self.address(&self.spans.facts.from)
    }

    /// To.
    #[must_use]
    pub fn to(&self) -> NameAddr<'a> {
        self.address(&self.spans.facts.to)
    }

    /// From's tag; empty when absent (RFC 2543).
    #[must_use]
    pub fn from_tag(&self) -> &'a [u8] {
        self.spans.facts.from.tag.map_or(&[], |span| span.get(self.bytes))
    }

    /// To's tag, never empty.
    #[must_use]
    pub fn to_tag(&self) -> Option<&'a [u8]> {
        self.spans.facts.to.tag.map(|span| span.get(self.bytes))
    }

    /// Max-Forwards.
    #[must_use]
    pub const fn max_forwards(&self) -> Option<u8> {
        self.spans.facts.max_forwards
    }

    /// Expires in seconds, cut at the largest number; `None` when absent or no number, which
    /// is treated alike (RFC 3261 section 20.19, 10.2.1.1).
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        number_saturating(self.header(Name::Expires)?)
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.spans.facts.body.get(self.bytes)
    }

    /// True when Content-Type's type and subtype are `mime`, whatever its parameters.
    #[must_use]
    pub fn content_type_is(&self, mime: &str) -> bool {
        let Some(value) = self.header(Name::ContentType) else {
            return false;
        };
        let value = value.split(|&octet| octet == b';').next().unwrap_or(&[]);
        trim_end(value).eq_ignore_ascii_case(mime.as_bytes())
    }

    /// The start line with its end of line.
    pub(super) fn start_line(&self) -> &'a [u8] {
        self.bytes.get(..self.spans.facts.headers as usize).unwrap_or(&[])
    }

    /// Where the empty line that ends the head begins.
    pub(super) const fn blank(&self) -> usize {
        self.spans.facts.blank as usize
    }

    /// True when some line ends without CR.
    pub(super) const fn has_bare_lf(&self) -> bool {
        self.spans.facts.bare_lf
    }

    fn address(&self, spans: &AddrSpans) -> NameAddr<'a> {
        NameAddr {
            display: spans.display.get(self.bytes),
            uri: spans.uri.get(self.bytes),
            params: spans.params.get(self.bytes),
        }
    }

    /// The lines from the first one with that name on.
    fn fields_from(&self, name: Name) -> std::slice::Iter<'a, Field> {
        let first = self.spans.first.get(name as usize).copied().unwrap_or(0);
        let fields = match first.checked_sub(1) {
            Some(index) => self.spans.fields.get(usize::from(index)..).unwrap_or(&[]),
            None => &[],
        };
        fields.iter()
    }
}

fn line<'a>(bytes: &'a [u8], field: &Field) -> Line<'a> {
    Line {
        name: field.name,
        name_text: bytes.get(field.start as usize..field.name_end as usize).unwrap_or(&[]),
        value: field.value.get(bytes),
        raw: bytes.get(field.start as usize..field.end as usize).unwrap_or(&[]),
    }
}
