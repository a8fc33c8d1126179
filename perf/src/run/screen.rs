//! What people see: the progress line and the last screen.

use super::output::Outcome;
use crate::engine::FAILURES;
use crate::rig::Figures;
use crate::scenario::{Expect, Kind, Span, Start};
use hdrhistogram::Histogram;
use std::fmt::Write as _;
use std::time::Duration;

/// One line about a run that goes on.
#[must_use]
pub fn progress(figures: &Figures, elapsed: Duration) -> String {
    let Some(role) = figures.roles.first() else {
        return String::new();
    };
    let counters = &role.counters;
    let mut line = format!(
        "{:6.0} s  {} calls made, {} now, {} good, {} failed, {} sent again",
        elapsed.as_secs_f64(),
        counters.created(),
        counters.current,
        counters.successful,
        counters.failed,
        counters.retransmissions,
    );
    if !role.times.setup.is_empty() {
        let _ = write!(line, ", set-up p99 {}", time(role.times.setup.value_at_quantile(0.99)));
    }
    let audio = &figures.audio;
    if audio.sent > 0 {
        let _ = write!(
            line,
            ", audio {} out {} in {} lost",
            audio.sent, audio.received, audio.lost
        );
    }
    line
}

/// Microseconds for people.
#[must_use]
pub fn time(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

fn quantiles(histogram: &Histogram<u64>) -> String {
    let at = |quantile| time(histogram.value_at_quantile(quantile));
    format!(
        "p50 {:>9}  p90 {:>9}  p99 {:>9}  p99.9 {:>9}  max {:>9}  ({})",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        time(histogram.max()),
        histogram.len()
    )
}

fn step_name(kind: &Kind) -> (String, &'static str) {
    match kind {
        Kind::Send(send) => (
            match &send.start {
                Start::Request(method) => method.to_string(),
                Start::Response(status) => status.to_string(),
            },
            "---------->",
        ),
        Kind::Receive(receive) => (
            match &receive.what {
                Expect::Request(method) => method.to_string(),
                Expect::Response(status) => status.to_string(),
                Expect::RequestPattern(pattern) | Expect::ResponsePattern(pattern) => pattern.to_string(),
            },
            "<----------",
        ),
        Kind::Pause(Span::Fixed(time)) => (format!("Pause {} ms", time.as_millis()), ""),
        Kind::Pause(_) => ("Pause".into(), ""),
        Kind::Nop => ("Nop".into(), ""),
        Kind::SendCommand(_) => ("[ Sent Command ]".into(), ""),
        Kind::ReceiveCommand(_) => ("[ Received Command ]".into(), ""),
        Kind::TimeWait(time) => (format!("Timewait {} ms", time.as_millis()), ""),
    }
}

/// The last screen.
#[must_use]
pub(super) fn last(outcome: &Outcome<'_>) -> String {
    let mut out = String::new();
    let role = &outcome.figures.roles[0];
    let counters = &role.counters;
    let _ = writeln!(
        out,
        "{:>34} {:>10} {:>9} {:>9} {:>15}",
        "", "Messages", "Retrans", "Timeout", "Unexpected-Msg"
    );
    for (step, count) in outcome.setup.scenario.steps.iter().zip(&counters.steps) {
        let (name, arrow) = step_name(&step.kind);
        let _ = writeln!(
            out,
            "{name:>20} {arrow:<13} {:>10} {:>9} {:>9} {:>15}",
            count.messages, count.retransmissions, count.timeouts, count.unexpected
        );
    }
    let _ = writeln!(
        out,
        "\n{} calls in {:.1} s ({:.1} a second): {} good, {} failed, {} stopped, {} still running; most at once {}",
        counters.created(),
        outcome.seconds,
        counters.created() as f64 / outcome.seconds.max(0.001),
        counters.successful,
        counters.failed,
        counters.stopped,
        counters.current,
        counters.peak,
    );
    for (name, &count) in FAILURES.iter().zip(&counters.failures) {
        if count > 0 {
            let _ = writeln!(out, "  failed, {name}: {count}");
        }
    }
    let more = [
        ("sent again", counters.retransmissions),
        ("out of call", counters.out_of_call),
        ("after the end", counters.dead_call),
        ("aborted by the twin", counters.aborted_by_twin),
        ("no SIP", counters.damaged),
        ("answered by -aa", counters.auto_answered),
        ("calls left out at -l", counters.held_back),
        ("receives without a buffer", outcome.loops.no_buffer),
        ("sends refused by the kernel", outcome.loops.send_errors),
        ("audio heard by AF_XDP", outcome.loops.xdp[0]),
        ("sent by AF_XDP", outcome.loops.xdp[1]),
        ("dropped by AF_XDP", outcome.loops.xdp[2]),
    ];
    let more: Vec<String> = more
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(what, n)| format!("{what} {n}"))
        .collect();
    if !more.is_empty() {
        let _ = writeln!(out, "  {}", more.join(", "));
    }
    out.push('\n');
    for (name, histogram) in role.times.named() {
        if !histogram.is_empty() {
            let _ = writeln!(out, "{name:<12} {}", quantiles(histogram));
        }
    }
    audio(&mut out, outcome.figures);
    out
}

fn audio(out: &mut String, figures: &Figures) {
    let audio = &figures.audio;
    if audio.opened == 0 && audio.sent == 0 {
        return;
    }
    let _ = writeln!(
        out,
        "\nAudio: {} streams judged, {} packets sent, {} received, {} lost ({:.4} %), {} late, {} twice, {} damaged, {} of another call, {} silent streams",
        audio.judged,
        audio.sent,
        audio.received,
        audio.lost,
        audio.loss() * 100.0,
        audio.late,
        audio.duplicates,
        audio.damaged,
        audio.crosstalk,
        audio.silent,
    );
    if audio.skipped + audio.no_port + audio.stray + audio.unmarked > 0 {
        let _ = writeln!(
            out,
            "  {} never sent (this machine stood still), {} calls without a port, {} for no call, {} without our mark",
            audio.skipped, audio.no_port, audio.stray, audio.unmarked
        );
    }
    for (name, histogram) in audio.named() {
        if histogram.is_empty() {
            continue;
        }
        if name == "rtp_mos_thousandths" {
            let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
            let _ = writeln!(
                out,
                "{:<14} p50 {:.2}  p1 {:.2}  least {:.2}  ({})",
                "MOS",
                at(0.5),
                at(0.01),
                histogram.min() as f64 / 1000.0,
                histogram.len()
            );
        } else {
            let _ = writeln!(out, "{name:<14} {}", quantiles(histogram));
        }
    }
}
