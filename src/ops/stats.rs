//! What a shard counts. One shard's program owns one [`ShardStats`] and nobody else touches it;
//! a copy is made only when somebody asks. No call here allocates once the shard runs.

use super::latency::Latency;
use std::time::Duration;

/// Defines an enum whose variants index a fixed array of counters and have a metric label.
macro_rules! labels {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $label:literal),+ $(,)? }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$inner])* $variant),+ }

        impl $name {
            /// How many there are.
            pub const COUNT: usize = [$($label),+].len();
            /// All, in the order of their indices.
            pub const ALL: [$name; Self::COUNT] = [$($name::$variant),+];

            /// The value of the metric label.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $($name::$variant => $label),+ }
            }
        }
    };
}
pub(crate) use labels;

labels! {
    /// A SIP method, as far as metrics tell them apart. Same order as the protocol's `Method`.
    MethodLabel {
        /// INVITE.
        Invite = "INVITE",
        /// ACK.
        Ack = "ACK",
        /// BYE.
        Bye = "BYE",
        /// CANCEL.
        Cancel = "CANCEL",
        /// REGISTER.
        Register = "REGISTER",
        /// OPTIONS.
        Options = "OPTIONS",
        /// INFO.
        Info = "INFO",
        /// PRACK.
        Prack = "PRACK",
        /// UPDATE.
        Update = "UPDATE",
        /// SUBSCRIBE.
        Subscribe = "SUBSCRIBE",
        /// NOTIFY.
        Notify = "NOTIFY",
        /// MESSAGE.
        Message = "MESSAGE",
        /// REFER.
        Refer = "REFER",
        /// PUBLISH.
        Publish = "PUBLISH",
        /// Any other.
        Other = "other",
    }
}

labels! {
    /// Seen from the appliance.
    Direction {
        /// Received.
        In = "in",
        /// Sent.
        Out = "out",
    }
}

labels! {
    /// A response's class.
    Class {
        /// Provisional.
        Provisional = "1xx",
        /// Success.
        Success = "2xx",
        /// Redirection.
        Redirection = "3xx",
        /// Client error.
        ClientError = "4xx",
        /// Server error.
        ServerError = "5xx",
        /// Global failure; also any number that SIP does not know.
        GlobalFailure = "6xx",
    }
}

impl Class {
    /// The class of a status code.
    #[must_use]
    pub const fn of(status: u16) -> Self {
        match status / 100 {
            1 => Self::Provisional,
            2 => Self::Success,
            3 => Self::Redirection,
            4 => Self::ClientError,
            5 => Self::ServerError,
            _ => Self::GlobalFailure,
        }
    }
}

labels! {
    /// How a call ended.
    CallResult {
        /// Was answered, and one side hung up.
        Completed = "completed",
        /// The caller gave up before an answer.
        Cancelled = "cancelled",
        /// The called side is busy (486, 600).
        Busy = "busy",
        /// Nobody answered in time (408, 480, Timer C).
        NoAnswer = "no_answer",
        /// No such user or number (404, 484, 604).
        NotFound = "not_found",
        /// Turned down otherwise (403, 603, 488).
        Rejected = "rejected",
        /// A next hop or we ourselves failed (5xx, transport).
        Failed = "failed",
        /// Media was silent in both directions for too long.
        MediaTimeout = "media_timeout",
        /// Lived longer than allowed, or its session was not refreshed (RFC 4028).
        Expired = "expired",
        /// Ended by an operator, or by shutdown.
        Administrative = "administrative",
        /// Refused because a limit was reached.
        Shed = "shed",
    }
}

/// Counters under labels that other parts of the program choose. Fixed size: labels beyond the
/// last place count as `other`.
#[derive(Clone, Debug, Default)]
pub struct Labelled {
    places: [(&'static str, u64); Labelled::PLACES],
    other: u64,
}

impl Labelled {
    /// How many labels can be told apart.
    pub const PLACES: usize = 32;

    /// Counts one.
    pub fn count(&mut self, label: &'static str) {
        self.add(label, 1);
    }

    fn add(&mut self, label: &'static str, n: u64) {
        for (known, value) in &mut self.places {
            if known.is_empty() {
                *known = label;
            }
            // The address decides nearly always; the text, when the same literal exists twice.
            if std::ptr::eq(*known, label) || *known == label {
                *value += n;
                return;
            }
        }
        self.other += n;
    }

    /// All labels that were ever counted, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let other = (self.other > 0).then_some(("other", self.other));
        self.places
            .iter()
            .copied()
            .filter(|(label, _)| !label.is_empty())
            .chain(other)
    }

    /// The sum over all labels.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, value)| value).sum()
    }

    fn merge(&mut self, other: &Self) {
        for (label, value) in other.iter() {
            self.add(label, value);
        }
    }
}

/// One shard's counters. Plain numbers, because one thread owns them.
#[derive(Clone, Debug, Default)]
pub struct ShardStats {
    /// Requests by method and direction, retransmissions included.
    pub requests: [[u64; Direction::COUNT]; MethodLabel::COUNT],
    /// Responses by the CSeq's method, class and direction.
    pub responses: [[[u64; Direction::COUNT]; Class::COUNT]; MethodLabel::COUNT],
    /// Messages that could not be understood, by reason.
    pub parse_errors: Labelled,
    /// Work refused because a limit was reached, by reason.
    pub shed: Labelled,
    /// Calls begun: initial INVITE requests that were let in.
    pub calls_started: u64,
    /// Calls ended, by result.
    pub calls_ended: [u64; CallResult::COUNT],
    /// Post-dial delay: INVITE to the first 18x or final response (RFC 6076, SRD).
    pub pdd: Latency,
    /// Set-up: INVITE received to 200 passed on.
    pub setup: Latency,
    /// Time from receiving a request to having its first output ready, by method.
    pub processing: [Latency; MethodLabel::COUNT],
}

impl ShardStats {
    /// A request was received or sent.
    pub fn request(&mut self, method: MethodLabel, direction: Direction) {
        self.requests[method as usize][direction as usize] += 1;
    }

    /// A response was received or sent; `method` is that of its CSeq.
    pub fn response(&mut self, method: MethodLabel, status: u16, direction: Direction) {
        self.responses[method as usize][Class::of(status) as usize][direction as usize] += 1;
    }

    /// A message could not be understood.
    pub fn parse_error(&mut self, reason: &'static str) {
        self.parse_errors.count(reason);
    }

    /// Work was refused or dropped because a limit was reached.
    pub fn shed(&mut self, reason: &'static str) {
        self.shed.count(reason);
    }

    /// A call was let in.
    pub fn call_started(&mut self) {
        self.calls_started += 1;
    }

    /// A call ended, or was refused.
    pub fn call_ended(&mut self, result: CallResult) {
        self.calls_ended[result as usize] += 1;
    }

    /// The time from INVITE to the first 18x or final response.
    pub fn pdd(&mut self, span: Duration) {
        self.pdd.record(span);
    }

    /// The time from INVITE to its 200.
    pub fn setup(&mut self, span: Duration) {
        self.setup.record(span);
    }

    /// The time that a request took inside the appliance.
    pub fn processing(&mut self, method: MethodLabel, span: Duration) {
        self.processing[method as usize].record(span);
    }

    /// A copy for an ops thread. This allocates (some 20 KiB for each latency that has values):
    /// call it only when asked.
    #[must_use]
    pub fn snapshot(&self) -> ShardStats {
        self.clone()
    }

    /// All requests in one direction.
    #[must_use]
    pub fn requests_total(&self, direction: Direction) -> u64 {
        self.requests.iter().map(|by| by[direction as usize]).sum()
    }

    /// Adds what another instance counted, for example the one before a restart.
    pub fn merge(&mut self, other: &ShardStats) {
        let add = |to: &mut [u64], from: &[u64]| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        add(self.requests.as_flattened_mut(), other.requests.as_flattened());
        add(
            self.responses.as_flattened_mut().as_flattened_mut(),
            other.responses.as_flattened().as_flattened(),
        );
        add(&mut self.calls_ended, &other.calls_ended);
        self.calls_started += other.calls_started;
        self.parse_errors.merge(&other.parse_errors);
        self.shed.merge(&other.shed);
        self.pdd.merge(&other.pdd);
        self.setup.merge(&other.setup);
        self.processing
            .iter_mut()
            .zip(&other.processing)
            .for_each(|(to, from)| to.merge(from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_land_under_their_labels() {
        let mut stats = ShardStats::default();
        stats.request(MethodLabel::Invite, Direction::In);
        stats.request(MethodLabel::Other, Direction::Out);
        stats.response(MethodLabel::Invite, 486, Direction::Out);
        stats.response(MethodLabel::Invite, 999, Direction::In);
        stats.call_ended(CallResult::Busy);
        assert_eq!(stats.requests[0], [1, 0]);
        assert_eq!(stats.requests[MethodLabel::COUNT - 1], [0, 1]);
        assert_eq!(stats.responses[0][Class::ClientError as usize], [0, 1]);
        assert_eq!(stats.responses[0][Class::GlobalFailure as usize], [1, 0]);
        assert_eq!(stats.calls_ended[CallResult::Busy as usize], 1);
        assert_eq!(stats.requests_total(Direction::Out), 1);
    }

    #[test]
    fn labels_beyond_the_last_place_count_as_other() {
        let mut counters = Labelled::default();
        for n in 0..Labelled::PLACES + 5 {
            counters.count(Box::leak(format!("reason_{n}").into_boxed_str()));
        }
        counters.count("reason_0");
        let all: Vec<_> = counters.iter().collect();
        assert_eq!(all.len(), Labelled::PLACES + 1);
        assert_eq!(all.first(), Some(&("reason_0", 2)));
        assert_eq!(all.last(), Some(&("other", 5)));
        assert_eq!(counters.total(), Labelled::PLACES as u64 + 6);
    }

    #[test]
    fn merging_adds_everything() {
        let mut one = ShardStats::default();
        one.shed("ports");
        one.call_started();
        one.setup(Duration::from_millis(30));
        one.processing(MethodLabel::Register, Duration::from_micros(9));
        one.response(MethodLabel::Register, 200, Direction::Out);
        let mut sum = one.snapshot();
        sum.merge(&one);
        assert_eq!(sum.shed.total(), 2);
        assert_eq!(sum.calls_started, 2);
        assert_eq!(sum.setup.count(), 2);
        assert_eq!(sum.processing[MethodLabel::Register as usize].count(), 2);
        assert_eq!(
            sum.responses[MethodLabel::Register as usize][Class::Success as usize],
            [0, 2]
        );
    }
}
