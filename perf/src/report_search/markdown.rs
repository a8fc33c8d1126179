//! The report as Markdown.

use super::{Capacity, Kind, Report, Search, Trial, capital, failed_percent, mebibytes, milliseconds, or, sum};
use std::fmt::Write;

/// An estimate so far off, in percent, still counts as right.
const NEAR: f64 = 20.0;

/// Digits in groups of three, with at most so many decimals; a dash when it is no number.
pub(super) fn grouped(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut out = String::new();
    if value < 0.0 && (whole != "0" || !fraction.is_empty()) {
        out.push('-');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// A load or a count as it is.
pub(super) fn exact(value: f64) -> String {
    grouped(value, 3)
}

/// A measured value with three significant digits; whole numbers are not rounded.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    // A value below one keeps up to seven decimals, so that a loss of one in a million is not shown as none.
    let small = size > 0.0 && size < 100.0;
    let decimals = if small {
        (2.0 - size.log10().floor()).clamp(0.0, 7.0)
    } else {
        0.0
    };
    grouped(value, decimals as usize)
}

fn count(value: u64) -> String {
    exact(value as f64)
}

/// For text within a line or a table cell: nothing in it is taken for markup, and it stays one line.
fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in raw.trim().chars() {
        match c {
            // A backslash before a pipe works in cells, and before the others everywhere.
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '~' | '$' | '#' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The report. `plots` are file name, as a link from the report, and caption of each image.
#[must_use]
pub fn markdown(report: &Report, plots: &[(String, String)]) -> String {
    let mut out = format!("# {}\n\n", or(text(&report.title), "Load search"));
    results(&mut out, &report.searches);
    setup(&mut out, report);
    table(&mut out, "Parameters", &report.parameters);
    list(&mut out, "Pass lines", &report.lines);
    report.searches.iter().for_each(|search| trials(&mut out, search));
    images(&mut out, plots);
    list(&mut out, "Notes", &report.notes);
    if !report.capacity.is_empty() {
        out.push_str("## The server's own estimate\n\n");
        out.push_str("The server was asked for its capacity while it carried half of the load found.\n\n");
        let last = format!("Within {NEAR} %? | Bound by");
        let _ = writeln!(out, "| | Found | Estimate at half load | Difference | {last} |");
        out.push_str("|---|---:|---:|---:|---|---|\n");
        report.capacity.iter().for_each(|capacity| compare(&mut out, capacity));
    }
    // Files end with one line end.
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

// Writing to a string cannot fail, here and below.
fn results(out: &mut String, searches: &[Search]) {
    let none = "No load that was tried was kept within the pass lines";
    out.push_str("## Result\n\n");
    if searches.is_empty() {
        out.push_str("No search was made.\n\n");
    }
    for search in searches {
        let (name, unit) = (capital(&text(&search.name)), text(&search.unit));
        let (head, what) = match search.found {
            Some(found) => (format!("{} {unit}", exact(found)), kept(search, found)),
            None => ("none found".into(), none.to_owned()),
        };
        let ended = or(text(&search.ended), "no reason was given");
        let _ = writeln!(out, "### {name}: {head}\n\n{what}; end of the search: {ended}.\n");
    }
}

/// The benchmark's name, and what became of all tries at the limit, the failed ones too. RFC 7501 defines
/// its rates for no failure at all; the pass lines may allow some, which then is said.
fn kept(search: &Search, found: f64) -> String {
    let kind = Kind::of(search);
    let (name, attempt) = match kind {
        Kind::Rate => ("Session Establishment Rate", "Session Attempts"),
        Kind::Standing => ("Session Capacity", "Session Attempts"),
        Kind::Registration => ("Registration Rate", "registration attempts"),
    };
    let (found_text, unit) = (exact(found), text(&search.unit));
    let head = format!("Within the pass lines the server kept a {name} of **{found_text} {unit}**");
    let tries: Vec<_> = search.trials.iter().filter(|trial| trial.load == found).collect();
    if tries.is_empty() {
        return head;
    }
    let missed = tries.iter().filter(|trial| !trial.passed).count();
    let failed = sum(tries.iter().map(|trial| trial.failed));
    let attempts = count(sum(tries.iter().map(|trial| trial.attempts)));
    let strict = failed > 0 && kind != Kind::Standing;
    let remark = if strict { ", while RFC 7501 allows none" } else { "" };
    let (tries, failed) = (tries.len(), count(failed));
    format!("{head} ({failed} of {attempts} {attempt} failed{remark}; trials at this load: {tries}, failed: {missed})")
}

fn setup(out: &mut String, report: &Report) {
    let row = |name: &str, value: String| (name.to_owned(), value);
    let mut rows = vec![
        row("Device under test (DUT)", report.target.clone()),
        row("Mode of the DUT", report.mode.clone()),
        row("Began", report.began.clone()),
        row("Duration", format!("{} s", grouped(report.seconds, 0))),
    ];
    rows.extend(report.machine.iter().cloned());
    for search in &report.searches {
        if let Some(first) = search.trials.first() {
            let name = format!("First load tried, {}", search.name);
            rows.push((name, format!("{} {}", exact(first.load), search.unit)));
        }
        let total = sum(search.trials.iter().map(|trial| trial.attempts));
        rows.push((format!("Total attempts, {}", search.name), count(total)));
    }
    table(out, "Test set-up", &rows);
}

fn section(out: &mut String, title: &str, head: &str, rows: &[String]) {
    if !rows.is_empty() {
        let _ = writeln!(out, "## {title}\n\n{head}{}\n", rows.join("\n").trim_end());
    }
}

fn table(out: &mut String, title: &str, rows: &[(String, String)]) {
    let rows = rows
        .iter()
        .map(|(name, value)| format!("| {} | {} |", text(name), text(value)));
    section(out, title, "| | |\n|---|---|\n", &rows.collect::<Vec<_>>());
}

fn list(out: &mut String, title: &str, items: &[String]) {
    let rows = items.iter().map(|item| format!("- {}", text(item)));
    section(out, title, "", &rows.collect::<Vec<_>>());
}

/// A column: a trial's cell, or none when the trial has no such value. Without a cell there is no column.
type Column = (&'static str, fn(&Trial) -> Option<String>);

const COLUMNS: [Column; 17] = [
    ("Verdict", verdict),
    ("Attempts", |trial| Some(count(trial.attempts))),
    ("Attempt Failures", failures),
    ("Set-up p50 / p90 / p99 / max, ms", |trial| four(&trial.setup_us)),
    ("Ringing p50 / p90 / p99 / max, ms", |trial| four(&trial.ringing_us)),
    ("Hang-up p50 / p90 / p99 / max, ms", |trial| four(&trial.disconnect_us)),
    ("RTP delay p50 / p90 / p99 / max, ms", |trial| four(&trial.delay_us?)),
    ("RTP loss, %", |trial| Some(short(trial.loss? * 100.0))),
    ("MOS p50 / p1", |trial| trial.mos.map(|[p50, p1]| pair(p50, p1))),
    // Without audio nothing could have been seen.
    ("RTP of other calls", |trial| trial.loss.map(|_| count(trial.crosstalk))),
    ("CPU of server / generator, cores", cores),
    ("Memory, MiB", |trial| Some(grouped(mebibytes(trial.memory_bytes?), 1))),
    ("Registrations held", |trial| Some(count(trial.registrations?))),
    ("Calls at once, mean", standing),
    ("SIP retransmissions", |trial| Some(count(trial.retransmissions))),
    ("Kernel drops", |trial| Some(count(trial.kernel_drops))),
    ("Pass lines missed", missed),
];

fn verdict(trial: &Trial) -> Option<String> {
    Some(if trial.passed { "passed" } else { "**failed**" }.into())
}

fn standing(trial: &Trial) -> Option<String> {
    (trial.standing > 0.0).then(|| grouped(trial.standing, 0))
}

fn missed(trial: &Trial) -> Option<String> {
    (!trial.why.is_empty()).then(|| text(&trial.why.join("; ")))
}

fn pair(first: f64, second: f64) -> String {
    format!("{} / {}", grouped(first, 2), grouped(second, 2))
}

fn failures(trial: &Trial) -> Option<String> {
    let share = failed_percent(trial).map_or(String::new(), |share| format!(" ({} %)", short(share)));
    Some(format!("{}{share}", count(trial.failed)))
}

fn four(times: &[u64; 4]) -> Option<String> {
    let all = (0..4).filter_map(|index| milliseconds(times, index));
    let all: Vec<_> = all.map(short).collect();
    (!all.is_empty()).then(|| all.join(" / "))
}

fn cores(trial: &Trial) -> Option<String> {
    Some(pair(trial.server_cpu.unwrap_or(f64::NAN), trial.load_cpu))
}

fn trials(out: &mut String, search: &Search) {
    let _ = writeln!(out, "## Trials: {}\n", text(&search.name));
    let mut trials: Vec<_> = search.trials.iter().collect();
    if trials.is_empty() {
        out.push_str("No trial was made.\n\n");
        return;
    }
    // Stable: tries of the same load stay in the order in which they were made.
    trials.sort_by(|a, b| a.load.total_cmp(&b.load));
    let shown = |column: &&Column| trials.iter().any(|trial| column.1(trial).is_some());
    let columns: Vec<_> = COLUMNS.iter().filter(shown).collect();
    let kind = Kind::of(search);
    let load = match kind {
        Kind::Rate => "Session Attempt Rate",
        Kind::Standing => "Sessions at once",
        Kind::Registration => "Registration Attempt Rate",
    };
    let _ = write!(out, "| {load}, {} |", text(&search.unit));
    for (name, _) in &columns {
        let _ = write!(out, " {} |", name.replace("Set-up", &capital(kind.setup())));
    }
    let _ = writeln!(out, "\n|---:|{}", "---|".repeat(columns.len()));
    for trial in trials {
        let _ = write!(out, "| {} |", exact(trial.load));
        for (_, cell) in &columns {
            let _ = write!(out, " {} |", cell(trial).unwrap_or("–".into()));
        }
        out.push('\n');
    }
    out.push('\n');
}

fn images(out: &mut String, plots: &[(String, String)]) {
    let legend = "Filled marks are trials that passed, hollow ones trials that failed. Lines join the means of \
        the trials of each load. The dashed vertical line is the load found.\n\n";
    let rows = plots
        .iter()
        .map(|(file, caption)| format!("![{}]({})\n", text(caption), link(file)));
    section(out, "Plots", legend, &rows.collect::<Vec<_>>());
}

/// A file name as the address of a link: what could end the address is written in percent.
fn link(file: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let link = |byte: u8| {
        if plain(byte) {
            char::from(byte).into()
        } else {
            format!("%{byte:02X}")
        }
    };
    file.bytes().map(link).collect()
}

fn compare(out: &mut String, capacity: &Capacity) {
    let percent = (capacity.estimate_at_half - capacity.found) / capacity.found * 100.0;
    let sign = if percent > 0.0 { "+" } else { "" };
    let (difference, near) = if !percent.is_finite() || capacity.found <= 0.0 {
        ("–".into(), "cannot be told")
    } else {
        let near = if percent.abs() <= NEAR { "yes" } else { "no" };
        (format!("{sign}{} %", grouped(percent, 1)), near)
    };
    let (what, bound) = (text(&capacity.what), text(&capacity.bound_by));
    let (found, estimate) = (exact(capacity.found), exact(capacity.estimate_at_half));
    let _ = write!(out, "| {what} | {found} | {estimate} | {difference} | {near} ");
    let _ = writeln!(out, "| {bound} |");
}
