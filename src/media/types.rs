//! The media plane's public values: sides, errors, events, counters, reports.

use super::own::OwnSockets;
use std::net::IpAddr;
use std::sync::Arc;

/// A leg of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The caller's leg; the only one of a call to a built-in service.
    A,
    /// The callee's leg.
    B,
}

impl Side {
    /// The other leg.
    #[must_use]
    pub const fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }

    /// 0 for A, 1 for B.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What signalling knows about the side that a description came from.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Source address of the SIP message that carried the description; the only address that may
    /// ever be learnt for this side.
    pub signalling: IpAddr,
    /// Bound media addresses of the listener that leads to this side, in order of preference;
    /// empty means `[media] address`.
    pub addresses: &'a [IpAddr],
    /// The same for the listener that leads to the other side (used by offers).
    pub other: &'a [IpAddr],
    /// An emergency call: it may take the last ports.
    pub urgent: bool,
}

/// Built-in services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Sends each packet back.
    Echo,
    /// A quiet two-chord pattern.
    Music,
}

/// What the plane is bounded by and seeded with.
#[derive(Clone, Debug)]
pub struct MediaLimits {
    /// Calls with media at once in this shard; beyond them [`MediaError::Exhausted`].
    pub calls: u32,
    /// Seed of session ids, SSRCs, sequence numbers and the first port; unpredictable in
    /// production, fixed in the simulator.
    pub seed: [u8; 32],
    /// Which media ports this process has open, shared by all shards: one
    /// [`OwnSockets::new`] for the process, so that a description that names one of our own
    /// sockets is never followed (loop).
    pub own: Arc<OwnSockets>,
}

/// A call's media: a handle that the call keeps. Empty until the first offer; not `Copy`, because
/// [`super::Media::release`] has to see each one exactly once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CallMedia {
    /// Index into the plane's calls, plus one; 0 means none.
    pub(super) index: u32,
    /// Guards against a handle that outlived its call.
    pub(super) generation: u32,
}

impl CallMedia {
    /// Whether there is anything to release.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index == 0
    }
}

/// Why a description was refused. The peer's message caused it; the call can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaError {
    /// The session description cannot be understood (RFC 8866), or is beyond a limit.
    Malformed(crate::protocol::sdp::SdpError),
    /// No media line that we can carry.
    NoMedia,
    /// No codec that the service speaks.
    NoCodec,
    /// No free port, no descriptor, or too many calls.
    Exhausted,
    /// An answer, and there was no offer to that side.
    NoOffer,
    /// An offer while one from the other side is pending (RFC 3261 section 14: 491).
    Glare,
    /// An answer with fewer media lines than its offer, or an offer with fewer than before
    /// (RFC 3264 sections 6 and 8).
    Mismatch,
}

impl MediaError {
    /// Metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            MediaError::Malformed(_) => "sdp_malformed",
            MediaError::NoMedia => "no_media",
            MediaError::NoCodec => "no_codec",
            MediaError::Exhausted => "ports_exhausted",
            MediaError::NoOffer => "no_offer",
            MediaError::Glare => "offer_pending",
            MediaError::Mismatch => "sdp_mismatch",
        }
    }

    /// The SIP status that fits when the description came in a request.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            MediaError::Malformed(_) | MediaError::NoOffer => 400,
            MediaError::NoMedia | MediaError::NoCodec | MediaError::Mismatch => 488,
            MediaError::Exhausted => 503,
            MediaError::Glare => 491,
        }
    }
}

/// Something that signalling has to act upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaEvent {
    /// No packet in either direction for the configured time, and not on hold: end the call.
    /// Comes once.
    Silent {
        /// As given to [`super::Media::set_user`].
        user: u64,
    },
}

/// Why a packet was not passed on; the index into [`MediaCounters::dropped`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Dropped {
    /// The port is not in use.
    NoFlow,
    /// Not from the address that was negotiated or learnt.
    Source,
    /// Not RTP or RTCP, or lengths that contradict each other.
    Malformed,
    /// A payload type that was not negotiated.
    PayloadType,
    /// STUN; we are no ICE agent.
    Stun,
    /// There is no usable address to send to.
    NoDestination,
    /// An echo beyond its rate, or of our own packet.
    Echo,
    /// Sent to a service that takes nothing in.
    Unwanted,
}

impl Dropped {
    /// All reasons, by index.
    pub const ALL: [Dropped; 8] = [
        Dropped::NoFlow,
        Dropped::Source,
        Dropped::Malformed,
        Dropped::PayloadType,
        Dropped::Stun,
        Dropped::NoDestination,
        Dropped::Echo,
        Dropped::Unwanted,
    ];

    /// Metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Dropped::NoFlow => "no_flow",
            Dropped::Source => "source",
            Dropped::Malformed => "malformed",
            Dropped::PayloadType => "payload_type",
            Dropped::Stun => "stun",
            Dropped::NoDestination => "no_destination",
            Dropped::Echo => "echo",
            Dropped::Unwanted => "unwanted",
        }
    }
}

/// Plain counters and gauges of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaCounters {
    /// RTP packets (and T.38 or DTLS datagrams) received on media ports, good ones.
    pub rtp_in: u64,
    /// The same, passed on or sent.
    pub rtp_out: u64,
    /// Octets of `rtp_in`, without IP and UDP headers.
    pub rtp_in_octets: u64,
    /// RTCP packets received, good ones.
    pub rtcp_in: u64,
    /// RTCP packets passed on.
    pub rtcp_out: u64,
    /// Not passed on, by [`Dropped`].
    pub dropped: [u64; Dropped::ALL.len()],
    /// RTP packets that were missing (RFC 3550 appendix A.3), brought up to date each second.
    pub lost: u64,
    /// Sources that were learnt for phones behind NAT.
    pub learnt: u64,
    /// Streams with audio in one direction only.
    pub one_way: u64,
    /// Ports that failed to open because somebody else has them.
    pub ports_in_use: u64,
    /// Ports in use by calls (gauge; both ports of each pair).
    pub ports_used: u64,
    /// Ports that can be had now (gauge).
    pub ports_free: u64,
    /// Ports that rest (gauge).
    pub ports_quarantined: u64,
    /// Calls with media (gauge).
    pub calls: u64,
}

/// What one side sent in one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideReport {
    /// Packets received from this side.
    pub packets: u64,
    /// Octets of them with RTP headers.
    pub octets: u64,
    /// Packets that were missing (RFC 3550 appendix A.3), 0 at least.
    pub lost: u64,
    /// Interarrival jitter at the end, in microseconds (RFC 3550 appendix A.8).
    pub jitter_us: u32,
    /// Whether the source was learnt, not the one in the description.
    pub learnt: bool,
}

/// One media line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamReport {
    /// Index of the m= line.
    pub line: u8,
    /// By [`Side`] index: A, B.
    pub sides: [SideReport; 2],
    /// The side that was not heard though both were to send; `None` when all is well.
    pub one_way: Option<Side>,
}

/// A call's media figures, for the CDR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaReport {
    pub(super) streams: [StreamReport; MediaReport::STREAMS],
    pub(super) count: u8,
}

impl MediaReport {
    /// How many streams are reported; lines beyond are left out.
    pub const STREAMS: usize = 4;

    /// The streams that carried or could have carried media.
    #[must_use]
    pub fn streams(&self) -> &[StreamReport] {
        self.streams.get(..usize::from(self.count)).unwrap_or(&[])
    }
}
