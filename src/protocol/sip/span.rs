//! Where the parts of a message are: offsets, filled in one pass and used again for each message.

use super::method::Method;
use super::name::Name;
use std::net::IpAddr;

/// A range of the message's octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// The range between two offsets. Messages are far shorter than 4 GiB (see the limits of
    /// `parse`), so nothing is cut.
    pub(super) const fn new(start: usize, end: usize) -> Span {
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    /// Where `part`, a slice taken from `whole`, lies; empty when it is no part of it.
    pub(super) fn of(whole: &[u8], part: &[u8]) -> Span {
        let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        if part.is_empty() || start > whole.len() || part.len() > whole.len() - start {
            return Span::default();
        }
        Span::new(start, start + part.len())
    }

    /// The octets.
    pub(super) fn get(self, whole: &[u8]) -> &[u8] {
        whole.get(self.start as usize..self.end as usize).unwrap_or(&[])
    }
}

/// One header line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: Name,
    pub(super) start: u32,
    pub(super) name_end: u32,
    pub(super) value: Span,
    /// After the line's own end of line.
    pub(super) end: u32,
}

/// The parts of the topmost Via.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ViaSpans {
    pub(super) raw: Span,
    pub(super) transport: Span,
    pub(super) host: Span,
    pub(super) port: Option<u16>,
    pub(super) branch: Option<Span>,
    pub(super) rport: Option<Option<u16>>,
    pub(super) received: Option<IpAddr>,
    pub(super) maddr: Option<Span>,
}

/// The parts of From or To.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AddrSpans {
    pub(super) display: Span,
    pub(super) uri: Span,
    pub(super) params: Span,
    pub(super) tag: Option<Span>,
}

/// What `parse` found out and guarantees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) request: bool,
    /// Of the request line; in a response, of CSeq.
    pub(super) method: Method,
    pub(super) method_text: Span,
    pub(super) uri: Span,
    pub(super) status: u16,
    pub(super) reason: Span,
    pub(super) via: ViaSpans,
    pub(super) call_id: Span,
    pub(super) cseq_number: u32,
    pub(super) cseq_method: Span,
    pub(super) from: AddrSpans,
    pub(super) to: AddrSpans,
    pub(super) max_forwards: Option<u8>,
    /// Where the header lines begin.
    pub(super) headers: u32,
    /// Where the empty line begins.
    pub(super) blank: u32,
    pub(super) body: Span,
    /// Some line ends without CR.
    pub(super) bare_lf: bool,
}

/// Reusable scratch of the parser; one for each shard. Once it has seen the longest message it
/// allocates no more.
#[derive(Clone, Debug)]
pub struct Spans {
    pub(super) fields: Vec<Field>,
    /// One more than the index of the first line of each name; 0 is none.
    pub(super) first: [u16; Name::COUNT],
    pub(super) facts: Facts,
}

impl Default for Spans {
    fn default() -> Self {
        Spans {
            fields: Vec::with_capacity(64),
            first: [0; Name::COUNT],
            facts: Facts::default(),
        }
    }
}

impl Default for Facts {
    fn default() -> Self {
        Facts {
            request: false,
            method: Method::Other,
            method_text: Span::default(),
            uri: Span::default(),
            status: 0,
            reason: Span::default(),
            via: ViaSpans::default(),
            call_id: Span::default(),
            cseq_number: 0,
            cseq_method: Span::default(),
            from: AddrSpans::default(),
            to: AddrSpans::default(),
            max_forwards: None,
            headers: 0,
            blank: 0,
            body: Span::default(),
            bare_lf: false,
        }
    }
}
