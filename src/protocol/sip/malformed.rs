//! What can be wrong with a message, and what to answer.

/// Why a message was not understood. Each has a metric label.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Reason {
    /// Nothing but line ends, or nothing.
    Empty,
    /// The first line is of no SIP message.
    NotSip,
    /// Request line: wrong spacing or a bad method.
    RequestLine,
    /// The Request-URI cannot be used.
    RequestUri,
    /// A version other than SIP/2.0.
    Version,
    /// A response's status is not three digits from 100 to 699.
    Status,
    /// A header line without a name or a colon.
    HeaderLine,
    /// NUL, a lone CR, or on a stream a lone LF, in the head.
    Control,
    /// The head has no end.
    Unfinished,
    /// Too many header lines.
    TooManyHeaders,
    /// The head is too long.
    HeadTooLong,
    /// The body is too long.
    BodyTooLong,
    /// Via, From, To, Call-ID or CSeq is missing.
    Missing,
    /// A header that may stand once stands twice.
    Duplicate,
    /// Topmost Via.
    Via,
    /// From.
    From,
    /// To.
    To,
    /// Call-ID.
    CallId,
    /// CSeq: number or method token.
    CSeq,
    /// CSeq's method is not the request's.
    CSeqMethod,
    /// Max-Forwards.
    MaxForwards,
    /// Content-Length: no number, not fitting, contradictory, or missing on a stream.
    ContentLength,
}

impl Reason {
    /// How many there are, for tables of counters; `reason as usize` is the index.
    pub const COUNT: usize = Reason::ContentLength as usize + 1;

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::NotSip => "not_sip",
            Reason::RequestLine => "request_line",
            Reason::RequestUri => "request_uri",
            Reason::Version => "version",
            Reason::Status => "status",
            Reason::HeaderLine => "header_line",
            Reason::Control => "control",
            Reason::Unfinished => "unfinished",
            Reason::TooManyHeaders => "too_many_headers",
            Reason::HeadTooLong => "head_too_long",
            Reason::BodyTooLong => "body_too_long",
            Reason::Missing => "missing_header",
            Reason::Duplicate => "duplicate_header",
            Reason::Via => "via",
            Reason::From => "from",
            Reason::To => "to",
            Reason::CallId => "call_id",
            Reason::CSeq => "cseq",
            Reason::CSeqMethod => "cseq_method",
            Reason::MaxForwards => "max_forwards",
            Reason::ContentLength => "content_length",
        }
    }
}

/// A message that was not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// What is wrong.
    pub reason: Reason,
    /// What to answer; `None` for a response and for what is no SIP at all: drop it.
    pub status: Option<u16>,
    /// The reason phrase of the answer.
    pub phrase: &'static str,
}

impl Malformed {
    /// A broken request, with the usual answer for the reason. RFC 3261 section 21.4.1 asks for
    /// a phrase that tells more than "Bad Request".
    pub(super) const fn new(reason: Reason) -> Malformed {
        let (status, phrase) = match reason {
            Reason::Empty | Reason::NotSip => (None, ""),
            Reason::RequestLine => (Some(400), "Bad Request Line"),
            Reason::RequestUri => (Some(400), "Bad Request-URI"),
            Reason::Version => (Some(505), "Version Not Supported"),
            Reason::Status => (None, ""),
            Reason::HeaderLine => (Some(400), "Bad Header Line"),
            Reason::Control => (Some(400), "Control Character In Head"),
            Reason::Unfinished => (Some(400), "Head Has No End"),
            Reason::TooManyHeaders => (Some(400), "Too Many Header Lines"),
            Reason::HeadTooLong => (Some(513), "Message Too Large"),
            Reason::BodyTooLong => (Some(413), "Request Entity Too Large"),
            Reason::Missing => (Some(400), "Missing Mandatory Header"),
            Reason::Duplicate => (Some(400), "Duplicate Header"),
            Reason::Via => (Some(400), "Bad Via"),
            Reason::From => (Some(400), "Bad From"),
            Reason::To => (Some(400), "Bad To"),
            Reason::CallId => (Some(400), "Bad Call-ID"),
            Reason::CSeq => (Some(400), "Bad CSeq"),
            Reason::CSeqMethod => (Some(400), "CSeq Method Mismatch"),
            Reason::MaxForwards => (Some(400), "Bad Max-Forwards"),
            Reason::ContentLength => (Some(400), "Bad Content-Length"),
        };
        Malformed { reason, status, phrase }
    }

    /// The same fault in a response: nobody is answered (RFC 3261 section 18.1.2).
    pub(super) const fn unanswered(self) -> Malformed {
        Malformed { status: None, ..self }
    }
}
