//! What the shards and `main` tell the ops threads.

use super::latency::Latency;
use super::stats::{ShardStats, labels};
use serde::Serialize;

labels! {
    /// Where a call stands.
    CallState {
        /// INVITE sent on, nothing heard.
        Trying = "trying",
        /// 18x seen.
        Ringing = "ringing",
        /// 2xx passed on.
        Answered = "answered",
        /// Answered, and one side holds.
        Held = "held",
    }
}

impl Serialize for CallState {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

/// One direction of a call's audio.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct StreamRow {
    /// Packets relayed.
    pub packets: u64,
    /// Packets lost on the way to us, by sequence numbers (RFC 3550 A.3).
    pub lost: u64,
    /// Interarrival jitter (RFC 3550 A.8), milliseconds.
    pub jitter_ms: f64,
}

/// One call.
#[derive(Clone, Debug, Serialize)]
pub struct CallRow {
    /// Names the call in `DELETE /api/calls/{id}`; minted by us, only `[A-Za-z0-9._-]`.
    pub id: String,
    /// Its home.
    pub shard: u16,
    /// Where it stands.
    pub state: CallState,
    /// The caller's AOR, as received: hostile text.
    pub from: String,
    /// The called AOR, as received: hostile text.
    pub to: String,
    /// `proxy`, `b2bua` or `service`.
    pub mode: &'static str,
    /// `direct`, `relay` or `none`.
    pub media: &'static str,
    /// When the INVITE came, Unix milliseconds.
    pub started: u64,
    /// When it was answered, Unix milliseconds.
    pub answered: Option<u64>,
    /// Seconds since the answer, or since the INVITE before that.
    pub seconds: u64,
    /// Audio from the caller.
    pub from_caller: StreamRow,
    /// Audio from the called side.
    pub from_callee: StreamRow,
}

/// One binding.
#[derive(Clone, Debug, Serialize)]
pub struct RegistrationRow {
    /// Address of record: hostile text.
    pub aor: String,
    /// Contact URI: hostile text.
    pub contact: String,
    /// Seconds left.
    pub expires_in: u64,
    /// Where the REGISTER came from, `address:port`.
    pub source: String,
    /// `udp`, `tcp`, ...
    pub transport: &'static str,
    /// User-Agent header: hostile text.
    pub user_agent: String,
}

/// One user.
#[derive(Clone, Debug, Serialize)]
pub struct UserRow {
    /// User part of the AOR.
    pub name: String,
    /// Shown in the directory.
    pub display: Option<String>,
    /// Only when secrets were asked for and may be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// What a shard tells about itself, and what the supervisor knows when it does not.
#[derive(Clone, Debug)]
pub struct ShardSnapshot {
    /// Which.
    pub shard: u16,
    /// How often the supervisor has restarted it.
    pub restarts: u64,
    /// `None`: the shard did not answer in time.
    pub figures: Option<Box<ShardFigures>>,
}

/// A shard's figures.
#[derive(Clone, Debug, Default)]
pub struct ShardFigures {
    /// What the program counted.
    pub stats: ShardStats,
    /// What the packet loop counted.
    pub ring: RingFigures,
    /// What the media path counted.
    pub media: MediaFigures,
    /// Transactions now, server and client.
    pub transactions: u64,
    /// Calls now, by [`CallState`].
    pub calls: [u64; CallState::COUNT],
    /// Bindings now.
    pub registrations: u64,
    /// Log lines of this shard that were dropped because the log's queue was full.
    pub log_lines_dropped: u64,
}

/// What the packet loop counted.
#[derive(Clone, Debug, Default)]
pub struct RingFigures {
    /// Signalling and media datagrams received.
    pub datagrams_in: u64,
    /// Signalling and media datagrams sent.
    pub datagrams_out: u64,
    /// Times that the loop woke.
    pub wakeups: u64,
    /// Times that the kernel found no receive buffer.
    pub receive_buffer_exhausted: u64,
    /// Media packets that came past the kernel's IP stack (AF_XDP), that left so, and that it dropped.
    pub xdp: [u64; 3],
    /// Sends that the kernel refused.
    pub send_errors: u64,
    /// Messages over the mesh that had to be refused because a queue was full.
    pub mesh_full: u64,
    /// Messages waiting in this shard's mesh queues.
    pub mesh_depth: u64,
    /// Stream connections open now.
    pub connections: u64,
    /// Nanoseconds of work since the loop's start.
    pub busy_nanos: u64,
    /// Nanoseconds without work since then.
    pub idle_nanos: u64,
    /// Share of the last second or so spent on work, 0 to 1.
    pub busy_ratio: f64,
}

/// What the media path counted.
#[derive(Clone, Debug, Default)]
pub struct MediaFigures {
    /// RTP packets received.
    pub rtp_in: u64,
    /// RTP packets sent.
    pub rtp_out: u64,
    /// RTP packets lost before they reached us.
    pub lost: u64,
    /// RTP packets dropped by us, wrong source and such.
    pub dropped: u64,
    /// Calls that ended with audio in one direction only.
    pub one_way: u64,
    /// Ports in use.
    pub ports_used: u64,
    /// Ports that may be used.
    pub ports_free: u64,
    /// Ports that rest after use.
    pub ports_quarantined: u64,
    /// Receive to send of one packet.
    pub forward: Latency,
}

impl ShardFigures {
    /// Calls now, all states.
    #[must_use]
    pub fn calls_total(&self) -> u64 {
        self.calls.iter().sum()
    }

    /// Adds the counters (not the gauges) of an instance before a restart, so that sums never
    /// run backwards.
    pub fn add_counters(&mut self, earlier: &ShardFigures) {
        self.stats.merge(&earlier.stats);
        self.log_lines_dropped += earlier.log_lines_dropped;
        let (to, from) = (&mut self.ring, &earlier.ring);
        to.datagrams_in += from.datagrams_in;
        to.datagrams_out += from.datagrams_out;
        to.wakeups += from.wakeups;
        to.receive_buffer_exhausted += from.receive_buffer_exhausted;
        to.xdp.iter_mut().zip(from.xdp).for_each(|(to, from)| *to += from);
        to.send_errors += from.send_errors;
        to.mesh_full += from.mesh_full;
        to.busy_nanos += from.busy_nanos;
        let (to, from) = (&mut self.media, &earlier.media);
        to.rtp_in += from.rtp_in;
        to.rtp_out += from.rtp_out;
        to.lost += from.lost;
        to.dropped += from.dropped;
        to.one_way += from.one_way;
        to.forward.merge(&from.forward);
    }

    /// Forgets the gauges: what they stood for is gone with the instance.
    pub fn clear_gauges(&mut self) {
        let counters = ShardFigures::default();
        self.transactions = 0;
        self.calls = counters.calls;
        self.registrations = 0;
        self.ring.mesh_depth = 0;
        self.ring.busy_ratio = 0.0;
        self.media.ports_used = 0;
        self.media.ports_free = 0;
        self.media.ports_quarantined = 0;
    }
}

/// What does not change while the appliance runs.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    /// `ringfort`.
    pub name: &'static str,
    /// Package version.
    pub version: String,
    /// Source revision, empty when unknown.
    pub revision: String,
    /// When it was ready, Unix milliseconds.
    pub started: u64,
    /// Signalling listeners, as in the configuration: `udp:127.0.0.1:5060`.
    pub listeners: Vec<String>,
    /// Domains that we are the registrar of.
    pub domains: Vec<String>,
    /// True when it runs without a configuration file.
    pub demonstration: bool,
    /// True when faults may be injected.
    pub fault_injection: bool,
    /// Number of the echo test.
    pub echo: Option<String>,
    /// Number of music on hold.
    pub music: Option<String>,
    /// Simultaneous calls, all shards.
    pub limit_calls: u64,
    /// Bindings, all shards.
    pub limit_registrations: u64,
    /// Transactions, all shards.
    pub limit_transactions: u64,
    /// Stream connections, all shards.
    pub limit_connections: u64,
}
