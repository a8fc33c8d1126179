//! What all streams of a shard were like.

use crate::audio::judge::{Heard, Judge, Kind};
use crate::engine::{micros, record};
use hdrhistogram::Histogram;

/// Packets that a stream must have sent before silence from the other end says something.
const SENT_TO_JUDGE: u32 = 25;

/// Counts and distributions of received and sent streams. Times in microseconds.
#[derive(Clone, Debug)]
pub struct AudioFigures {
    /// Streams open now.
    pub open: u64,
    /// Streams opened.
    pub opened: u64,
    /// Streams judged, at the end of their calls.
    pub judged: u64,
    /// Of these, streams that sent for half a second and heard nothing: one-way audio.
    pub silent: u64,
    /// Packets sent.
    pub sent: u64,
    /// Packets sent back as they came.
    pub echoed: u64,
    /// Packets never sent because this machine stood still.
    pub skipped: u64,
    /// New packets received.
    pub received: u64,
    /// Packets that judged streams should have had, by their sequence numbers.
    pub expected: u64,
    /// Of these, packets that did not come.
    pub lost: u64,
    /// Copies.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub late: u64,
    /// Packets that are no RTP, or whose payload was changed.
    pub damaged: u64,
    /// Packets of another call.
    pub crosstalk: u64,
    /// Packets without a mark of this run.
    pub unmarked: u64,
    /// Packets for ports without a call.
    pub stray: u64,
    /// Calls that got no port.
    pub no_port: u64,
    /// Ports that somebody else has.
    pub ports_taken: u64,
    /// One-way delay of each packet, sender's system call to receiver's kernel.
    pub delay: Histogram<u64>,
    /// Time between two arrivals of a stream.
    pub arrival: Histogram<u64>,
    /// Time between two departures of a stream.
    pub departure: Histogram<u64>,
    /// Jitter of each stream (RFC 3550 section 6.4.1).
    pub jitter: Histogram<u64>,
    /// Longest gap of each stream.
    pub gap: Histogram<u64>,
    /// Time until each stream heard its first packet, from when it began to play.
    pub first: Histogram<u64>,
    /// Mean opinion score of each stream times a thousand (ITU-T G.107).
    pub mos: Histogram<u64>,
}

impl Default for AudioFigures {
    fn default() -> Self {
        Self {
            open: 0,
            opened: 0,
            judged: 0,
            silent: 0,
            sent: 0,
            echoed: 0,
            skipped: 0,
            received: 0,
            expected: 0,
            lost: 0,
            duplicates: 0,
            late: 0,
            damaged: 0,
            crosstalk: 0,
            unmarked: 0,
            stray: 0,
            no_port: 0,
            ports_taken: 0,
            delay: micros(),
            arrival: micros(),
            departure: micros(),
            jitter: micros(),
            gap: micros(),
            first: micros(),
            mos: micros(),
        }
    }
}

impl AudioFigures {
    /// One packet.
    pub(super) fn heard(&mut self, heard: &Heard, arrived_us: u64, last_us: &mut u64) {
        match heard.kind {
            Kind::Fresh | Kind::Late | Kind::Unmarked => {
                self.received += 1;
                if *last_us != 0 {
                    record(&mut self.arrival, arrived_us.saturating_sub(*last_us));
                }
                *last_us = arrived_us;
            }
            Kind::Crosstalk => self.crosstalk += 1,
            _ => {}
        }
        if let Some(delay) = heard.delay_us {
            record(&mut self.delay, delay.max(0) as u64);
        }
    }

    /// A stream is over.
    pub(super) fn judged(&mut self, judge: &Judge, sent: u32, since_us: u64) {
        let verdict = judge.verdict(None);
        if verdict.received == 0 && sent == 0 {
            return;
        }
        self.judged += 1;
        if verdict.received == 0 {
            self.silent += u64::from(sent >= SENT_TO_JUDGE);
            return;
        }
        self.expected += u64::from(verdict.expected);
        self.lost += u64::from(verdict.lost);
        self.duplicates += u64::from(verdict.duplicates);
        self.late += u64::from(verdict.late);
        self.damaged += u64::from(verdict.damaged);
        self.unmarked += u64::from(verdict.unmarked);
        record(&mut self.jitter, verdict.jitter_us.into());
        record(&mut self.gap, verdict.longest_gap_us.into());
        if let Some(mos) = verdict.mos {
            record(&mut self.mos, (mos * 1000.0) as u64);
        }
        if let Some(first) = verdict.first_us.filter(|_| since_us != 0) {
            record(&mut self.first, first.saturating_sub(since_us));
        }
    }

    /// Every histogram with its name.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, &Histogram<u64>)> {
        vec![
            ("rtp_delay", &self.delay),
            ("rtp_arrival", &self.arrival),
            ("rtp_departure", &self.departure),
            ("rtp_jitter", &self.jitter),
            ("rtp_gap", &self.gap),
            ("rtp_first", &self.first),
            ("rtp_mos_thousandths", &self.mos),
        ]
    }

    /// Every count with its name.
    #[must_use]
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("open", self.open),
            ("opened", self.opened),
            ("judged", self.judged),
            ("silent", self.silent),
            ("sent", self.sent),
            ("echoed", self.echoed),
            ("skipped", self.skipped),
            ("received", self.received),
            ("expected", self.expected),
            ("lost", self.lost),
            ("duplicates", self.duplicates),
            ("late", self.late),
            ("damaged", self.damaged),
            ("crosstalk", self.crosstalk),
            ("unmarked", self.unmarked),
            ("stray", self.stray),
            ("no_port", self.no_port),
            ("ports_taken", self.ports_taken),
        ]
    }

    /// Share of packets that did not come.
    #[must_use]
    pub fn loss(&self) -> f64 {
        if self.expected == 0 {
            0.0
        } else {
            self.lost as f64 / self.expected as f64
        }
    }

    /// Adds another shard's, or a later time's.
    pub fn merge(&mut self, other: &Self) {
        for (to, from) in [
            (&mut self.opened, other.opened),
            (&mut self.judged, other.judged),
            (&mut self.silent, other.silent),
            (&mut self.sent, other.sent),
            (&mut self.echoed, other.echoed),
            (&mut self.received, other.received),
            (&mut self.expected, other.expected),
            (&mut self.lost, other.lost),
            (&mut self.duplicates, other.duplicates),
            (&mut self.late, other.late),
            (&mut self.damaged, other.damaged),
            (&mut self.crosstalk, other.crosstalk),
            (&mut self.unmarked, other.unmarked),
            (&mut self.stray, other.stray),
            (&mut self.no_port, other.no_port),
            (&mut self.ports_taken, other.ports_taken),
        ] {
            *to += from;
        }
        let own = [
            &mut self.delay,
            &mut self.arrival,
            &mut self.departure,
            &mut self.jitter,
            &mut self.gap,
            &mut self.first,
            &mut self.mos,
        ];
        for (to, (_, from)) in own.into_iter().zip(other.named()) {
            // The ranges are the same, so that nothing can be refused.
            let _ = to.add(from);
        }
    }
}
