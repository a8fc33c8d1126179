//! Values of attributes and fields that we act upon.

/// `a=sendrecv` and its kin, as the describing side sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both; the default (RFC 8866 section 6.7).
    #[default]
    SendRecv,
    /// This side only sends.
    SendOnly,
    /// This side only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// The attribute's name.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// The same as the other side sees it; the fullest answer (RFC 3264 section 6.1).
    #[must_use]
    pub const fn reversed(self) -> Direction {
        match self {
            Direction::SendOnly => Direction::RecvOnly,
            Direction::RecvOnly => Direction::SendOnly,
            same => same,
        }
    }

    /// Without receiving: what `c=0.0.0.0` means (RFC 3264 section 8.4).
    #[must_use]
    pub const fn without_receiving(self) -> Direction {
        match self {
            Direction::SendRecv | Direction::SendOnly => Direction::SendOnly,
            Direction::RecvOnly | Direction::Inactive => Direction::Inactive,
        }
    }

    pub(super) fn of(attribute: &[u8]) -> Option<Direction> {
        match attribute {
            b"sendrecv" => Some(Direction::SendRecv),
            b"sendonly" => Some(Direction::SendOnly),
            b"recvonly" => Some(Direction::RecvOnly),
            b"inactive" => Some(Direction::Inactive),
            _ => None,
        }
    }
}

/// How a media line is carried, from its `proto` field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carriage {
    /// RTP/AVP, RTP/AVPF.
    Rtp,
    /// RTP/SAVP(F): SRTP with keys in the description; passed on opaque.
    Secure,
    /// UDP/TLS/RTP/SAVP(F): DTLS and SRTP on one port; passed on opaque.
    Dtls,
    /// udptl: T.38 over UDP; passed on opaque.
    Udptl,
    /// Anything else, not carried.
    #[default]
    Other,
}

impl Carriage {
    pub(super) fn of(proto: &[u8]) -> Carriage {
        let is = |name: &str| proto.eq_ignore_ascii_case(name.as_bytes());
        if is("RTP/AVP") || is("RTP/AVPF") {
            Carriage::Rtp
        } else if is("RTP/SAVP") || is("RTP/SAVPF") {
            Carriage::Secure
        } else if is("UDP/TLS/RTP/SAVP") || is("UDP/TLS/RTP/SAVPF") {
            Carriage::Dtls
        } else if is("udptl") {
            Carriage::Udptl
        } else {
            Carriage::Other
        }
    }

    /// Whether formats are payload types.
    #[must_use]
    pub const fn is_rtp(self) -> bool {
        matches!(self, Carriage::Rtp | Carriage::Secure | Carriage::Dtls)
    }
}
