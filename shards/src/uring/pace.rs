//! When to sleep, and for how many packets: the one place for this policy.
//!
//! A wake-up costs more than the packet that causes it. Under load the loop therefore asks the
//! kernel to gather packets for a moment; the kernel ends that moment by itself when nothing
//! came, and from then on wakes at the first packet. So an idle shard adds no delay and does not
//! spin, and a busy one is woken a bounded number of times a second.

use crate::time::Time;
use std::time::Duration;

/// How to call the kernel at the loop's blocking point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// How many completions end the wait; 0 does not wait.
    pub(crate) want: u32,
    /// For so long fewer than `want` completions do not end it.
    pub(crate) gather: Duration,
    /// The wait ends after this in any case; `None` is for ever.
    pub(crate) timeout: Option<Duration>,
}

impl Wait {
    /// Submit and look, do not sleep.
    pub(crate) const NO: Wait = Wait {
        want: 0,
        gather: Duration::ZERO,
        timeout: Some(Duration::ZERO),
    };
}

/// Below this rate every packet is handled at once.
const CALM: f64 = 400.0;
/// From this rate on packets are gathered for the full time.
const BUSY: f64 = 1_200.0;
/// The memory of the rate.
const MEMORY: f64 = 0.020;
/// No single wait is longer: a deadline centuries away would overflow the kernel's clock.
const LONGEST: Duration = Duration::from_secs(3600);
/// Most that media may wait: RTP leaves every 20 ms, so this is lost in the noise. The median of
/// the added delay is half of it and has to stay under 0.6 ms.
const MEDIA_GATHER: Duration = Duration::from_micros(800);
/// Most that signalling may wait, where there is no media: nothing against the 500 ms of T1.
const SIGNAL_GATHER: Duration = Duration::from_millis(4);
/// Signalling messages a second up to which the full time is waited. What leaves in one burst has to
/// fit into the receive buffer of a peer that asked for 64 KiB (some 100 messages; SIPp does), and the
/// more there are, the later a peer comes to read: above, the time falls with the square. (The number
/// of datagrams cannot end the wait: those of one socket are one event to the kernel.)
const SIGNAL_FULL: f64 = 16_000.0;

/// Learns the load and chooses the wait.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: f64,
    media: f64,
    last: Time,
    most: u32,
    may_gather: bool,
    punctual: Option<Duration>,
}

impl Pace {
    /// Deadlines are kept under load too, and nothing is gathered for longer than this.
    pub(crate) fn punctual(self, punctual: Option<Duration>) -> Self {
        Self { punctual, ..self }
    }

    /// `most` packets end any wait (so that receive buffers do not run out); `may_gather` says
    /// whether the kernel can gather.
    pub(crate) fn new(now: Time, most: u32, may_gather: bool) -> Self {
        Self {
            rate: 0.0,
            media: 0.0,
            last: now,
            most: most.max(1),
            may_gather,
            punctual: None,
        }
    }

    /// A batch was handled.
    pub(crate) fn batch(&mut self, now: Time, media: usize, signalling: usize) {
        let span = now.since(self.last).as_secs_f64().max(1e-6);
        self.last = now;
        let keep = (-span / MEMORY).exp();
        let gain = (1.0 - keep) / span;
        self.rate = self.rate * keep + (media + signalling) as f64 * gain;
        self.media = self.media * keep + media as f64 * gain;
    }

    /// Packets a second, lately.
    #[cfg(test)]
    fn rate(&self) -> f64 {
        self.rate
    }

    /// How to wait at `now` when the next deadline is `deadline`, and `more` work is at hand.
    pub(crate) fn wait(&self, now: Time, deadline: Option<Time>, more: bool) -> Wait {
        let timeout = deadline.map(|deadline| deadline.since(now).min(LONGEST));
        if more || timeout == Some(Duration::ZERO) {
            return Wait::NO;
        }
        let mut wait = Wait {
            want: 1,
            gather: Duration::ZERO,
            timeout,
        };
        if !self.may_gather || self.rate < CALM {
            return wait;
        }
        let longest = if self.media * 4.0 >= self.rate {
            MEDIA_GATHER
        } else {
            SIGNAL_GATHER.mul_f64((SIGNAL_FULL / self.rate).min(1.0).powi(2))
        };
        let share = ((self.rate - CALM) / (BUSY - CALM)).min(1.0);
        // Timers may be late by as much: under load one falls due in almost every millisecond, and
        // each would be a wake-up of its own.
        let mut gather = longest.mul_f64(share);
        if let Some(most) = self.punctual {
            // What comes before the deadline is handled with it.
            gather = timeout.unwrap_or(most).min(most);
        }
        if gather >= Duration::from_micros(20) {
            wait.gather = gather;
            wait.want = self.most;
            wait.timeout = timeout.map(|timeout| {
                if self.punctual.is_some() {
                    timeout
                } else {
                    timeout.max(gather)
                }
            });
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pace: &mut Pace, from: Time, step: Duration, media: usize, signalling: usize, steps: u32) -> Time {
        let mut now = from;
        for _ in 0..steps {
            now += step;
            pace.batch(now, media, signalling);
        }
        now
    }

    #[test]
    fn idle_waits_for_one_without_delay() {
        let pace = Pace::new(Time::ZERO, 512, true);
        assert_eq!(
            pace.wait(Time::ZERO, None, false),
            Wait {
                want: 1,
                gather: Duration::ZERO,
                timeout: None
            }
        );
        assert_eq!(
            pace.wait(Time::ZERO, Some(Time::from_millis(7)), false).timeout,
            Some(Duration::from_millis(7))
        );
    }

    #[test]
    fn a_deadline_that_never_comes_is_cut() {
        let pace = Pace::new(Time::ZERO, 512, true);
        assert_eq!(pace.wait(Time::ZERO, Some(Time::FAR), false).timeout, Some(LONGEST));
    }

    #[test]
    fn work_at_hand_and_a_past_deadline_do_not_wait() {
        let pace = Pace::new(Time::ZERO, 512, true);
        assert_eq!(pace.wait(Time::ZERO, None, true), Wait::NO);
        assert_eq!(
            pace.wait(Time::from_millis(2), Some(Time::from_millis(1)), false),
            Wait::NO
        );
    }

    #[test]
    fn the_rate_is_learnt_and_forgotten() {
        let mut pace = Pace::new(Time::ZERO, 512, true);
        let now = run(&mut pace, Time::ZERO, Duration::from_micros(500), 25, 0, 400);
        assert!((45_000.0..55_000.0).contains(&pace.rate()), "{}", pace.rate());
        assert_eq!(
            pace.wait(now, None, false),
            Wait {
                want: 512,
                gather: MEDIA_GATHER,
                timeout: None
            }
        );
        // One packet after a silent second: no more gathering.
        let now = run(&mut pace, now, Duration::from_secs(1), 1, 0, 1);
        assert_eq!(pace.wait(now, None, false).gather, Duration::ZERO);
    }

    #[test]
    fn signalling_waits_longer_than_media() {
        let mut pace = Pace::new(Time::ZERO, 512, true);
        let now = run(&mut pace, Time::ZERO, Duration::from_millis(1), 0, 10, 400);
        assert_eq!(pace.wait(now, None, false).gather, SIGNAL_GATHER);
        assert!(SIGNAL_GATHER > MEDIA_GATHER);
        // 48,000 a second: a ninth of the time, some 20 messages.
        let now = run(&mut pace, now, Duration::from_millis(1), 0, 48, 400);
        let gather = pace.wait(now, None, false).gather.as_secs_f64();
        assert!((0.000_43..0.000_46).contains(&gather), "{gather}");
    }

    #[test]
    fn a_deadline_under_load_may_be_late_by_the_gathering() {
        let mut pace = Pace::new(Time::ZERO, 512, true);
        let now = run(&mut pace, Time::ZERO, Duration::from_micros(500), 25, 0, 400);
        let wait = pace.wait(now, Some(now + Duration::from_micros(100)), false);
        assert_eq!((wait.gather, wait.timeout), (MEDIA_GATHER, Some(MEDIA_GATHER)));
    }

    #[test]
    fn a_kernel_that_cannot_gather_is_not_asked() {
        let mut pace = Pace::new(Time::ZERO, 512, false);
        let now = run(&mut pace, Time::ZERO, Duration::from_micros(500), 25, 0, 400);
        assert_eq!(pace.wait(now, None, false).want, 1);
    }
}
