//! The judge of one received stream: takes each packet, says what it was, and adds up what the call's
//! verdict needs. Sequence numbers and jitter are RFC 3550's; whose audio it is, and how old, is read
//! from the [`Mark`].

use super::emodel::{Concealment, Measured};
use super::mark::{Mark, RUN_MASK, stream_word};
use super::sequence::{Sequence, Step};
use ringfort::protocol::rtp;

/// What a packet was; of several the first that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RTCP on the same port (RFC 5761): not looked at.
    Control,
    /// No RTP, or audio of the far stream whose mark was changed on the way. Audio counts as received.
    Damaged,
    /// Audio of a third stream (not counted as received), or the far stream says that it hears a third.
    Crosstalk,
    /// A sequence number that was seen before; not counted as received.
    Duplicate,
    /// New, though a later one came first.
    Late,
    /// A sequence number far off, once (RFC 3550 appendix A.1); counted when the next one follows.
    Stray,
    /// New, without a mark of this run: a server's announcement, a telephone event, a clip's payload.
    Unmarked,
    /// New, in order and marked.
    Fresh,
}

/// What [`Judge::packet`] says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What it was.
    pub kind: Kind,
    /// Delay since it was sent in microseconds, of new marked packets of the far stream. Below 0 when the
    /// clocks differ by more. Of an echo it is the way there and back.
    pub delay_us: Option<i32>,
    /// Its mark, when it has one of this run.
    pub mark: Option<Mark>,
}

/// State of one received stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judge {
    sequence: Sequence,
    first_us: u64,
    last_us: u64,
    delay_sum_us: i64,
    delay_min_us: i32,
    delay_max_us: i32,
    delays: u32,
    longest_gap_us: u32,
    far: u32,
    received: u32,
    duplicates: u32,
    late: u32,
    damaged: u32,
    crosstalk: u32,
    unmarked: u32,
    echo: bool,
}

/// Thousands of streams are judged: three cache lines at most.
const _: () = assert!(size_of::<Judge>() <= 160);

impl Judge {
    /// Judges a packet as it came from the socket, header and all. `me` is the number of the stream
    /// that this call sends (not 0), `run` this run's, `arrived_us` the receiver's clock, the one
    /// that senders write their low 32 bits of into marks.
    #[inline]
    pub fn packet(&mut self, me: u32, run: u32, arrived_us: u64, packet: &[u8]) -> Heard {
        if rtp::is_rtcp(packet) {
            return heard(Kind::Control, None, None);
        }
        let Ok(header) = rtp::check_plain(packet) else {
            self.damaged += 1;
            return heard(Kind::Damaged, None, None);
        };
        let padding = if header.padding {
            packet.last().copied().unwrap_or(0)
        } else {
            0
        };
        let end = packet.len() - usize::from(padding);
        let payload = packet.get(header.length as usize..end).unwrap_or_default();
        let read = payload.try_into().ok().and_then(Mark::read);
        let mark = read.filter(|mark| mark.run == run & RUN_MASK);
        if let Some(mark) = mark
            && self.far != 0
            && mark.stream != self.far
        {
            // Its sequence numbers are another stream's.
            self.crosstalk += 1;
            return heard(Kind::Crosstalk, None, Some(mark));
        }
        let (step, counted) = self.sequence.take(header.ssrc, header.sequence);
        self.received += counted;
        let new = counted != 0;
        if new {
            self.sequence.jitter(header.timestamp, arrived_us);
            self.arrived(arrived_us);
        }
        self.late += u32::from(step == Step::Late);
        self.duplicates += u32::from(step == Step::Duplicate);
        let Some(mark) = mark else {
            return heard(self.without_mark(step, payload, read.is_some()), None, None);
        };
        if new && self.far == 0 {
            self.far = mark.stream;
            self.echo = mark.stream == me;
        }
        let delay_us = new.then(|| self.delay((arrived_us as u32).wrapping_sub(mark.sent_us) as i32));
        let third = mark.heard != 0 && mark.heard != me && !self.echo;
        self.crosstalk += u32::from(third);
        let kind = match step {
            _ if third => Kind::Crosstalk,
            Step::Duplicate => Kind::Duplicate,
            Step::Late => Kind::Late,
            Step::Stray => Kind::Stray,
            Step::Next => Kind::Fresh,
        };
        heard(kind, delay_us, Some(mark))
    }

    /// The stream number that is heard; 0 is nothing marked yet. This is what `heard` of the marks
    /// that the call sends has to be.
    #[must_use]
    pub fn far(&self) -> u32 {
        self.far
    }

    /// What the stream was like. With `sent_by_peer`, the packets that the far stream has sent and that had
    /// the time to arrive, loss is exact; without, losses before the first and after the last packet
    /// received are not known.
    #[must_use]
    pub fn verdict(&self, sent_by_peer: Option<u32>) -> Verdict {
        let expected = sent_by_peer.unwrap_or_else(|| self.sequence.expected());
        let lost = expected.saturating_sub(self.received);
        let loss = if expected == 0 {
            0.0
        } else {
            f64::from(lost) / f64::from(expected)
        };
        let mean_us = (self.delays != 0).then(|| self.delay_sum_us as f64 / f64::from(self.delays));
        let ways = if self.echo { 2.0 } else { 1.0 };
        let measured = Measured {
            loss,
            delay_ms: mean_us.unwrap_or(0.0) / ways / 1_000.0,
            jitter_ms: f64::from(self.sequence.jitter_us()) / 1_000.0,
            concealment: Concealment::default(),
        };
        Verdict {
            expected,
            received: self.received,
            lost,
            loss,
            duplicates: self.duplicates,
            late: self.late,
            damaged: self.damaged,
            crosstalk: self.crosstalk,
            unmarked: self.unmarked,
            far: self.far,
            echo: self.echo,
            jitter_us: self.sequence.jitter_us(),
            delay_us: mean_us.map(|mean| Delay {
                min: self.delay_min_us,
                mean,
                max: self.delay_max_us,
            }),
            first_us: (self.received != 0).then_some(self.first_us),
            last_us: (self.received != 0).then_some(self.last_us),
            longest_gap_us: self.longest_gap_us,
            mos: (expected != 0).then(|| measured.mos()),
        }
    }

    #[inline]
    fn arrived(&mut self, arrived_us: u64) {
        if self.last_us == 0 {
            self.first_us = arrived_us;
        } else {
            let gap = arrived_us.saturating_sub(self.last_us).min(u64::from(u32::MAX)) as u32;
            self.longest_gap_us = self.longest_gap_us.max(gap);
        }
        self.last_us = self.last_us.max(arrived_us);
    }

    #[inline]
    fn delay(&mut self, delay_us: i32) -> i32 {
        if self.delays == 0 {
            (self.delay_min_us, self.delay_max_us) = (delay_us, delay_us);
        }
        self.delay_min_us = self.delay_min_us.min(delay_us);
        self.delay_max_us = self.delay_max_us.max(delay_us);
        self.delay_sum_us += i64::from(delay_us);
        self.delays += 1;
        delay_us
    }

    /// A payload whose mark does not verify was ours and is damaged when the far stream's number can
    /// still be read but for a few bits: of random payloads, 1 in 100,000 has 4 or fewer wrong.
    /// `foreign`: it verifies, as another run's (or is one of 256 that do so by chance).
    fn without_mark(&mut self, step: Step, payload: &[u8], foreign: bool) -> Kind {
        let near = |word: u32| (word ^ self.far).count_ones() <= 4;
        if !foreign && self.far != 0 && stream_word(payload).is_some_and(near) {
            self.damaged += 1;
            return Kind::Damaged;
        }
        match step {
            Step::Duplicate => return Kind::Duplicate,
            Step::Stray => return Kind::Stray,
            Step::Late | Step::Next => self.unmarked += 1,
        }
        if step == Step::Late { Kind::Late } else { Kind::Unmarked }
    }
}

#[inline]
fn heard(kind: Kind, delay_us: Option<i32>, mark: Option<Mark>) -> Heard {
    Heard { kind, delay_us, mark }
}

/// Delays of the marked packets in microseconds, see [`Heard::delay_us`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Delay {
    pub min: i32,
    pub mean: f64,
    pub max: i32,
}

/// What a stream was like, see [`Judge::verdict`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Packets that should have come.
    pub expected: u32,
    /// Different packets that came.
    pub received: u32,
    /// Packets that did not.
    pub lost: u32,
    /// `lost` of `expected`, 0 to 1.
    pub loss: f64,
    /// Packets that came again.
    pub duplicates: u32,
    /// Packets that came after a later one; they are received too.
    pub late: u32,
    /// Packets that are no RTP, or whose mark was changed on the way.
    pub damaged: u32,
    /// Packets of a third stream, and packets in which the far stream said that it heard one.
    pub crosstalk: u32,
    /// Packets received without a mark.
    pub unmarked: u32,
    /// The stream that was heard, 0 for none.
    pub far: u32,
    /// Whether that was the call's own: an echo.
    pub echo: bool,
    /// Interarrival jitter in microseconds (RFC 3550 section 6.4.1), at the last packet.
    pub jitter_us: u32,
    /// Delays, when packets were marked.
    pub delay_us: Option<Delay>,
    /// When the first packet came, receiver's clock in microseconds.
    pub first_us: Option<u64>,
    /// When the last packet came, receiver's clock in microseconds.
    pub last_us: Option<u64>,
    /// Longest time between two packets in microseconds.
    pub longest_gap_us: u32,
    /// Mean opinion score by [`super::emodel`]; of an echo, each way is half of the delay. `None` when
    /// no packet was expected. Without marks the network's delay is taken as 0.
    pub mos: Option<f64>,
}

#[cfg(test)]
mod tests;
