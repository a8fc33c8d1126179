//! What one engine counts. Plain numbers: the main thread gets a copy when it asks.

use super::RTDS;
use crate::scenario::Scenario;
use hdrhistogram::Histogram;

/// Why a call failed; the order is that of SIPp's statistics file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The message could not be sent.
    CannotSend,
    /// Sent again as often as allowed, never answered.
    MaxRetrans,
    /// No TCP connection.
    TcpConnect,
    /// The TCP connection went away.
    TcpClosed,
    /// Another message came than the scenario expects.
    Unexpected,
    /// Refused.
    Rejected,
    /// The twin could not be reached.
    CommandNotSent,
    /// `check_it` failed.
    RegexpDoesntMatch,
    /// `check_it_inverse` failed.
    RegexpShouldntMatch,
    /// The header to look in is not there.
    RegexpHeaderNotFound,
    /// No room to send.
    Congestion,
    /// Nothing came in time.
    ReceiveTimeout,
    /// Could not be sent in time.
    SendTimeout,
    /// `<test check_it>` failed.
    TestDoesntMatch,
    /// `<test check_it_inverse>` failed.
    TestShouldntMatch,
    /// `<strcmp check_it>` failed.
    StrcmpDoesntMatch,
    /// `<strcmp check_it_inverse>` failed.
    StrcmpShouldntMatch,
}

/// Names of [`Failure`] in the statistics file, in its order.
pub const FAILURES: [&str; 17] = [
    "CannotSendMessage",
    "MaxUDPRetrans",
    "TcpConnect",
    "TcpClosed",
    "UnexpectedMessage",
    "CallRejected",
    "CmdNotSent",
    "RegexpDoesntMatch",
    "RegexpShouldntMatch",
    "RegexpHdrNotFound",
    "OutboundCongestion",
    "TimeoutOnRecv",
    "TimeoutOnSend",
    "TestDoesntMatch",
    "TestShouldntMatch",
    "StrcmpDoesntMatch",
    "StrcmpShouldntMatch",
];

/// Counts of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepCount {
    /// Messages sent or received, pauses begun.
    pub messages: u64,
    /// Sent again, or received again.
    pub retransmissions: u64,
    /// Ended by time.
    pub timeouts: u64,
    /// Something else came while the call stood here.
    pub unexpected: u64,
}

/// Sum and sum of squares, for mean and deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// How many.
    pub count: u64,
    /// Sum in microseconds.
    pub sum: f64,
    /// Sum of squares.
    pub squares: f64,
}

impl Moments {
    fn add(&mut self, micros: u64) {
        let micros = micros as f64;
        self.count += 1;
        self.sum += micros;
        self.squares += micros * micros;
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// What came since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            count: self.count - earlier.count,
            sum: self.sum - earlier.sum,
            squares: self.squares - earlier.squares,
        }
    }

    /// Mean and standard deviation in microseconds.
    #[must_use]
    pub fn mean_and_deviation(&self) -> (f64, f64) {
        if self.count == 0 {
            return (0.0, 0.0);
        }
        let mean = self.sum / self.count as f64;
        (mean, (self.squares / self.count as f64 - mean * mean).max(0.0).sqrt())
    }
}

/// Counts that only grow, except `current`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Calls begun by the other end.
    pub incoming: u64,
    /// Calls begun by us.
    pub outgoing: u64,
    /// Calls now.
    pub current: u64,
    /// Most calls at once.
    pub peak: u64,
    /// Calls that went as the scenario says.
    pub successful: u64,
    /// Calls that did not.
    pub failed: u64,
    /// Calls ended by us before their time because the run was stopped.
    pub stopped: u64,
    /// Why calls failed.
    pub failures: [u64; FAILURES.len()],
    /// Messages without a call.
    pub out_of_call: u64,
    /// Messages of calls that are over.
    pub dead_call: u64,
    /// Failed calls that the twin aborted: SIPp's statistics have no cause for them.
    pub aborted_by_twin: u64,
    /// Messages sent again.
    pub retransmissions: u64,
    /// Requests answered by `-aa`.
    pub auto_answered: u64,
    /// Warnings.
    pub warnings: u64,
    /// Octets that are no message.
    pub damaged: u64,
    /// Calls that were due while `-l` was reached.
    pub held_back: u64,
    /// Each step.
    pub steps: Vec<StepCount>,
    /// Each stopwatch.
    pub rtd: [Moments; RTDS],
    /// Lengths of calls.
    pub length: Moments,
    /// Stopwatches by the scenario's bounds; the last place is beyond all.
    pub rtd_partition: [Vec<u64>; RTDS],
    /// Lengths of calls by the scenario's bounds.
    pub length_partition: Vec<u64>,
}

impl Counters {
    /// Adds another shard's.
    pub fn merge(&mut self, other: &Self) {
        for (to, from) in [
            (&mut self.incoming, other.incoming),
            (&mut self.outgoing, other.outgoing),
            (&mut self.current, other.current),
            (&mut self.peak, other.peak),
            (&mut self.successful, other.successful),
            (&mut self.failed, other.failed),
            (&mut self.stopped, other.stopped),
            (&mut self.out_of_call, other.out_of_call),
            (&mut self.dead_call, other.dead_call),
            (&mut self.aborted_by_twin, other.aborted_by_twin),
            (&mut self.retransmissions, other.retransmissions),
            (&mut self.auto_answered, other.auto_answered),
            (&mut self.warnings, other.warnings),
            (&mut self.damaged, other.damaged),
            (&mut self.held_back, other.held_back),
        ] {
            *to += from;
        }
        add_all(&mut self.failures, &other.failures);
        if self.steps.len() < other.steps.len() {
            self.steps.resize(other.steps.len(), StepCount::default());
        }
        for (to, from) in self.steps.iter_mut().zip(&other.steps) {
            to.messages += from.messages;
            to.retransmissions += from.retransmissions;
            to.timeouts += from.timeouts;
            to.unexpected += from.unexpected;
        }
        for (to, from) in self.rtd.iter_mut().zip(&other.rtd) {
            to.merge(from);
        }
        self.length.merge(&other.length);
        for (to, from) in self.rtd_partition.iter_mut().zip(&other.rtd_partition) {
            to.resize(to.len().max(from.len()), 0);
            add_all(to, from);
        }
        let lengths = &mut self.length_partition;
        lengths.resize(lengths.len().max(other.length_partition.len()), 0);
        add_all(lengths, &other.length_partition);
    }

    /// Calls begun.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.incoming + self.outgoing
    }
}

fn add_all(to: &mut [u64], from: &[u64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// Times in microseconds, full range.
#[derive(Clone, Debug)]
pub struct Times {
    /// When the call was due until its INVITE (or first request) got a final 2xx: the time that users feel,
    /// with what our own lateness adds (no coordinated omission).
    pub setup: Histogram<u64>,
    /// When the call was due until the first provisional answer above 100.
    pub ringing: Histogram<u64>,
    /// BYE until its answer (RFC 6076, session disconnect delay).
    pub disconnect: Histogram<u64>,
    /// REGISTER sent first until its 2xx (RFC 6076, registration request delay).
    pub register: Histogram<u64>,
    /// Stopwatches of the scenario.
    pub rtd: [Histogram<u64>; RTDS],
    /// Length of calls.
    pub length: Histogram<u64>,
    /// How late calls started after they were due.
    pub lateness: Histogram<u64>,
}

/// Records a time; what is longer than an hour counts as one.
pub fn record(histogram: &mut Histogram<u64>, micros: u64) {
    // A histogram that grows refuses nothing below its unit's end.
    let _ = histogram.record(micros.min(LONGEST_MICROS));
}

/// An hour in microseconds: what is longer counts as that.
const LONGEST_MICROS: u64 = 3_600_000_000;

/// A histogram of microseconds, exact to a thousandth; it grows with the longest one.
#[must_use]
pub fn micros() -> Histogram<u64> {
    match Histogram::new(3) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("three digits are allowed: {error}"),
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            setup: micros(),
            ringing: micros(),
            disconnect: micros(),
            register: micros(),
            rtd: std::array::from_fn(|_| micros()),
            length: micros(),
            lateness: micros(),
        }
    }
}

impl Times {
    /// Every histogram with its name.
    #[must_use]
    pub fn named(&self) -> Vec<(String, &Histogram<u64>)> {
        let mut all = vec![
            ("setup".to_owned(), &self.setup),
            ("ringing".to_owned(), &self.ringing),
            ("disconnect".to_owned(), &self.disconnect),
            ("register".to_owned(), &self.register),
            ("length".to_owned(), &self.length),
            ("lateness".to_owned(), &self.lateness),
        ];
        all.extend(
            self.rtd
                .iter()
                .enumerate()
                .map(|(index, histogram)| (format!("rtd{}", index + 1), histogram)),
        );
        all
    }

    /// Adds another shard's.
    pub fn merge(&mut self, other: &Self) {
        let own = [
            &mut self.setup,
            &mut self.ringing,
            &mut self.disconnect,
            &mut self.register,
            &mut self.length,
            &mut self.lateness,
        ];
        let others = [
            &other.setup,
            &other.ringing,
            &other.disconnect,
            &other.register,
            &other.length,
            &other.lateness,
        ];
        for (to, from) in own.into_iter().zip(others).chain(self.rtd.iter_mut().zip(&other.rtd)) {
            // The ranges are the same, so that nothing can be refused.
            let _ = to.add(from);
        }
    }
}

/// Counts and times of one engine.
#[derive(Debug)]
pub struct Stats {
    /// Since the start.
    pub counters: Counters,
    /// Since they were last taken.
    pub times: Times,
    response_bounds: Vec<u64>,
    length_bounds: Vec<u64>,
}

impl Stats {
    /// Of a scenario's calls.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let places = vec![0; scenario.response_bounds.len() + 1];
        Self {
            counters: Counters {
                steps: vec![StepCount::default(); scenario.steps.len()],
                rtd_partition: std::array::from_fn(|_| places.clone()),
                length_partition: vec![0; scenario.length_bounds.len() + 1],
                ..Counters::default()
            },
            times: Times::default(),
            response_bounds: scenario.response_bounds.clone(),
            length_bounds: scenario.length_bounds.clone(),
        }
    }

    pub(super) fn rtd(&mut self, index: usize, micros: u64) {
        self.counters.rtd[index].add(micros);
        record(&mut self.times.rtd[index], micros);
        let place = self
            .response_bounds
            .iter()
            .take_while(|&&bound| micros >= bound * 1000)
            .count();
        self.counters.rtd_partition[index][place] += 1;
    }

    pub(super) fn length(&mut self, micros: u64) {
        self.counters.length.add(micros);
        record(&mut self.times.length, micros);
        let place = self
            .length_bounds
            .iter()
            .take_while(|&&bound| micros >= bound * 1000)
            .count();
        self.counters.length_partition[place] += 1;
    }
}
