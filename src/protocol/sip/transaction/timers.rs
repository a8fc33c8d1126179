//! How long each timer runs: RFC 3261 table 4, RFC 6026 for L and M.

use super::table::Timer;
use crate::config::plan::Timers;
use std::time::Duration;

/// The span of `timer`. `round` counts how often a retransmission timer has fired before.
/// Wait timers are those of unreliable transports; on reliable ones the tables never start D, I,
/// J and K, because they are zero there.
pub(super) fn span(timer: Timer, round: u8, base: &Timers) -> Duration {
    let doubled = || {
        base.t1
            .saturating_mul(1_u32.checked_shl(u32::from(round)).unwrap_or(u32::MAX))
    };
    match timer {
        // 17.1.1.2: T1, then doubled each time; not capped at T2.
        Timer::A => doubled(),
        // 17.1.2.2 and 17.2.1: T1, then doubled each time up to T2.
        Timer::E | Timer::G => doubled().min(base.t2),
        // 64*T1, which is the 32 s that table 4 asks of D at least when T1 is 500 ms.
        Timer::B | Timer::D | Timer::F | Timer::H | Timer::J | Timer::L | Timer::M => long(base),
        Timer::I | Timer::K => base.t4,
    }
}

/// 64*T1, the transaction timeout.
pub(super) fn long(base: &Timers) -> Duration {
    base.t1.saturating_mul(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Timers = Timers {
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        c: Duration::from_secs(181),
    };

    #[test]
    fn table_4() {
        let seconds = |timer, round| span(timer, round, &BASE).as_secs_f64();
        let a: Vec<f64> = (0..7).map(|round| seconds(Timer::A, round)).collect();
        assert_eq!(a, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]);
        for timer in [Timer::E, Timer::G] {
            let e: Vec<f64> = (0..6).map(|round| seconds(timer, round)).collect();
            assert_eq!(e, [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]);
        }
        for timer in [Timer::B, Timer::D, Timer::F, Timer::H, Timer::J, Timer::L, Timer::M] {
            assert_eq!(seconds(timer, 0), 32.0);
        }
        for timer in [Timer::I, Timer::K] {
            assert_eq!(seconds(timer, 0), 5.0);
        }
        assert!(
            span(Timer::A, u8::MAX, &BASE) > Duration::from_secs(1 << 30),
            "no overflow"
        );
    }
}
