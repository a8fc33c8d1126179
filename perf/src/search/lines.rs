//! Pass lines.

use super::Arguments;
use crate::report_search::Trial;

/// Late starts of ours that make a trial worthless, microseconds at p99.
const LATE_US: u64 = 20_000;

/// The lines in words.
pub(super) fn in_words(arguments: &Arguments) -> Vec<String> {
    let mut lines = vec![
        format!("failed attempts at most {} %", arguments.max_failed),
        format!("set-up (or registration) at p99 at most {} ms", arguments.max_setup),
        "no datagram dropped by the kernel for want of buffer (RcvbufErrors)".to_owned(),
        "the generator starts its calls on time (p99 at most 20 ms late), and never stands still".to_owned(),
    ];
    if arguments.audio {
        lines.push(format!(
            "lost audio at most {} %, no packet of another call, no silent stream",
            arguments.max_loss
        ));
        if arguments.max_delay > 0.0 {
            lines.push(format!(
                "one-way delay of audio at p99 at most {} ms",
                arguments.max_delay
            ));
        }
    }
    lines
}

/// What a trial saw besides what the report shows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) late_us: u64,
    pub(super) skipped: u64,
    pub(super) silent: u64,
    /// Load that was asked for and not reached.
    pub(super) short_of: Option<f64>,
}

/// The lines that a trial missed.
pub(super) fn missed(arguments: &Arguments, trial: &Trial, seen: &Seen) -> Vec<String> {
    let mut why = Vec::new();
    let failed = trial.failed as f64 / trial.attempts.max(1) as f64 * 100.0;
    if failed > arguments.max_failed || trial.attempts == 0 {
        why.push(format!("{} of {} failed ({failed:.2} %)", trial.failed, trial.attempts));
    }
    if let Some(reached) = seen.short_of {
        why.push(format!("only {reached:.0} reached"));
    }
    let p99 = trial.setup_us[2] as f64 / 1000.0;
    if p99 > arguments.max_setup {
        why.push(format!("set-up p99 {p99:.0} ms"));
    }
    if trial.kernel_drops > 0 {
        why.push(format!("{} datagrams dropped by the kernel", trial.kernel_drops));
    }
    if let Some(loss) = trial
        .loss
        .map(|loss| loss * 100.0)
        .filter(|loss| *loss > arguments.max_loss)
    {
        why.push(format!("{loss:.2} % of audio lost"));
    }
    if trial.crosstalk > 0 {
        why.push(format!("{} packets of another call", trial.crosstalk));
    }
    if seen.silent > 0 {
        why.push(format!("{} silent streams", seen.silent));
    }
    if let Some(delay) = trial.delay_us {
        let p99 = delay[2] as f64 / 1000.0;
        if arguments.max_delay > 0.0 && p99 > arguments.max_delay {
            why.push(format!("audio delay p99 {p99:.1} ms"));
        }
    }
    if seen.late_us > LATE_US {
        why.push(format!(
            "the generator was {:.0} ms late at p99",
            seen.late_us as f64 / 1000.0
        ));
    }
    if seen.skipped > 0 {
        why.push(format!(
            "the generator stood still and left out {} packets",
            seen.skipped
        ));
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn each_line_is_kept() {
        let arguments = Arguments::parse_from(["x", "127.0.0.1", "--max-delay", "5"]);
        let good = Trial {
            attempts: 1000,
            failed: 1,
            setup_us: [1, 2, 100_000, 4],
            loss: Some(0.001),
            delay_us: Some([1, 2, 5000, 4]),
            ..Trial::default()
        };
        assert!(missed(&arguments, &good, &Seen::default()).is_empty());
        let bad = |change: fn(&mut Trial, &mut Seen)| {
            let (mut trial, mut seen) = (good.clone(), Seen::default());
            change(&mut trial, &mut seen);
            missed(&arguments, &trial, &seen).len()
        };
        let changes: [fn(&mut Trial, &mut Seen); 10] = [
            |trial, _| trial.failed = 2,
            |trial, _| trial.setup_us[2] = 100_001,
            |trial, _| trial.kernel_drops = 1,
            |trial, _| trial.loss = Some(0.0011),
            |trial, _| trial.crosstalk = 1,
            |trial, _| trial.delay_us = Some([0, 0, 5001, 0]),
            |_, seen| seen.silent = 1,
            |_, seen| seen.late_us = 20_001,
            |_, seen| seen.skipped = 1,
            |_, seen| seen.short_of = Some(1.0),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert_eq!(bad(change), 1, "change {number}");
        }
    }
}
