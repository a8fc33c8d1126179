//! Report of a search: Markdown tables after RFC 7502, and plots as SVG.
//!
//! Terms such as Session Attempt Rate are those of RFC 7501 and RFC 7502 where they fit. Nothing here
//! touches the machine: the caller writes the files.

mod markdown;
mod plot;
#[cfg(test)]
mod tests;

pub use markdown::markdown;

use plot::{Chart, Point, Series};

/// All that a search saw, ready to be told.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Heading of the report.
    pub title: String,
    /// Address of the server under test.
    pub target: String,
    /// What the server did: "proxy", "b2bua with audio", "registration".
    pub mode: String,
    /// When the search began, as text with its time zone.
    pub began: String,
    /// How long all searches took.
    pub seconds: f64,
    /// Rows of the test set-up of RFC 7502: name and value.
    pub machine: Vec<(String, String)>,
    /// Parameters of the search: name and value.
    pub parameters: Vec<(String, String)>,
    /// Pass lines in words.
    pub lines: Vec<String>,
    /// Searches in the order in which they were made.
    pub searches: Vec<Search>,
    /// Remarks, one sentence or more each.
    pub notes: Vec<String>,
    /// What the server itself had estimated, for each search for which it was asked.
    pub capacity: Vec<Capacity>,
}

/// One search for a limit.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// "calls a second", "calls at once" or "registrations a second".
    pub name: String,
    /// Unit of the load, as on an axis: "calls/s".
    pub unit: String,
    /// Highest load that was kept within the pass lines.
    pub found: Option<f64>,
    /// Why the search ended, in words.
    pub ended: String,
    /// Trials in the order in which they were made.
    pub trials: Vec<Trial>,
}

/// One load, carried for some seconds. Times are p50, p90, p99 and the maximum in microseconds; all zero
/// means that none was measured.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// Load that was asked for, in the search's unit.
    pub load: f64,
    /// Whether every pass line was kept.
    pub passed: bool,
    /// Pass lines that were missed, in words.
    pub why: Vec<String>,
    /// Session Attempts, or registration attempts.
    pub attempts: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Time until a session was established, or a registration confirmed.
    pub setup_us: [u64; 4],
    /// Time until it rang.
    pub ringing_us: [u64; 4],
    /// Time until a BYE was answered.
    pub disconnect_us: [u64; 4],
    /// One-way delay of RTP.
    pub delay_us: Option<[u64; 4]>,
    /// Lost share of RTP packets, 0 to 1.
    pub loss: Option<f64>,
    /// Estimated MOS: p50 and p1.
    pub mos: Option<[f64; 2]>,
    /// RTP packets that belonged to another call.
    pub crosstalk: u64,
    /// Cores that the server used, such as 0.83.
    pub server_cpu: Option<f64>,
    /// Cores that the load generator used.
    pub load_cpu: f64,
    /// Resident memory of the server at the end.
    pub memory_bytes: Option<u64>,
    /// Registrations that the server held at the end.
    pub registrations: Option<u64>,
    /// Datagrams that the kernel dropped for want of buffer.
    pub kernel_drops: u64,
    /// SIP messages that were sent again.
    pub retransmissions: u64,
    /// Calls at once, mean.
    pub standing: f64,
}

/// The server's own estimate of a limit, made at half of the limit that was found.
#[derive(Clone, Debug, Default)]
pub struct Capacity {
    /// Limit that the search found.
    pub found: f64,
    /// Limit that the server estimated.
    pub estimate_at_half: f64,
    /// Resource that the server named as the first to run out.
    pub bound_by: String,
    /// What is compared, such as "calls a second".
    pub what: String,
}

/// One image.
#[derive(Clone, Debug, Default)]
pub struct Plot {
    /// File name, without a folder; different for each plot of a report.
    pub file: String,
    /// What it shows, in one line of plain text.
    pub caption: String,
    /// The image.
    pub svg: String,
}

/// What a search is about; terms of RFC 7501 depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rate,
    Standing,
    Registration,
}

impl Kind {
    fn of(search: &Search) -> Self {
        if search.name.contains("regist") {
            Self::Registration
        } else if search.name.contains("at once") {
            Self::Standing
        } else {
            Self::Rate
        }
    }

    /// Name of what [`Trial::setup_us`] timed.
    fn setup(self) -> &'static str {
        if self == Self::Registration {
            "registration"
        } else {
            "set-up"
        }
    }
}

/// Sum that stays at the highest number instead of running over it.
fn sum(values: impl Iterator<Item = u64>) -> u64 {
    values.fold(0, u64::saturating_add)
}

/// With a capital as the first letter.
fn capital(name: &str) -> String {
    let mut rest = name.chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    first.chain(rest).collect()
}

fn or(text: String, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { text }
}

/// Bytes as MiB.
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Milliseconds; all zero means that nothing was measured, which is no point.
fn milliseconds(times: &[u64; 4], index: usize) -> Option<f64> {
    times.iter().any(|time| *time > 0).then(|| times[index] as f64 / 1000.0)
}

/// Failed share of the attempts in percent; none without an attempt.
fn failed_percent(trial: &Trial) -> Option<f64> {
    (trial.attempts > 0).then(|| trial.failed as f64 / trial.attempts as f64 * 100.0)
}

/// All plots for which there is something to show.
#[must_use]
pub fn plots(report: &Report) -> Vec<Plot> {
    let mut plots = Vec::new();
    let mut slugs: Vec<String> = Vec::new();
    for search in &report.searches {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let mut slug: String = search.name.to_ascii_lowercase().chars().map(plain).collect();
        // Two searches of the same name must not overwrite each other's files.
        while slugs.contains(&slug) {
            slug.push_str("-again");
        }
        let charts = [
            Some(latency(search)),
            Some(cpu(search)),
            memory(search),
            failures(search),
        ];
        let charts = charts.into_iter().flatten();
        plots.extend(charts.filter_map(|chart| finish(chart, search, &slug)));
        slugs.push(slug);
    }
    plots
}

/// Draws a chart, unless not a single point is left in it.
fn finish(mut chart: Chart, search: &Search, slug: &str) -> Option<Plot> {
    chart.series.retain(|series| !series.points.is_empty());
    if chart.series.is_empty() {
        return None;
    }
    let caption = format!("{}, search for {}", chart.title, search.name);
    let (trials, passed) = (search.trials.len(), search.trials.iter().filter(|trial| trial.passed));
    let mut about = format!("{caption}. Trials: {trials}, of which {} passed.", passed.count());
    if let Some((_, label)) = &chart.limit {
        about.push_str(&format!(" Limit {label}."));
    }
    let id = format!("{}-{slug}", chart.file);
    let (file, svg) = (format!("{id}.svg"), chart.svg(&id, &caption, &about));
    Some(Plot { file, caption, svg })
}

fn against_load(search: &Search, file: &'static str, title: &'static str, y: &'static str) -> Chart {
    let found = search.found.filter(|found| plot::usable(*found));
    Chart {
        file,
        title,
        x: format!("load: {} ({})", search.name, search.unit),
        y,
        limit: found.map(|found| (found, format!("found: {} {}", markdown::exact(found), search.unit))),
        ..Chart::default()
    }
}

/// Adds a line with a point for each trial that has a value.
fn add(chart: &mut Chart, label: &str, search: &Search, value: impl Fn(&Trial) -> Option<f64>) {
    let point = |trial: &Trial| {
        let (x, y, passed) = (trial.load, value(trial)?, trial.passed);
        Some(Point { x, y, passed })
    };
    chart
        .series
        .push(Series::new(label.into(), search.trials.iter().filter_map(point)));
}

fn latency(search: &Search) -> Chart {
    let mut chart = against_load(search, "latency", "Latency against load", "latency (ms)");
    let setup = Kind::of(search).setup();
    for (index, name) in [(0, "p50"), (2, "p99")] {
        let time = |trial: &Trial| milliseconds(&trial.setup_us, index);
        add(&mut chart, &format!("{setup} {name}"), search, time);
    }
    for (index, name) in [(0, "p50"), (2, "p99")] {
        let delay = |trial: &Trial| milliseconds(&trial.delay_us?, index);
        add(&mut chart, &format!("RTP delay {name}"), search, delay);
    }
    chart.may_be_log = true;
    chart
}

fn cpu(search: &Search) -> Chart {
    let mut chart = against_load(search, "cpu", "CPU against load", "CPU (cores)");
    add(&mut chart, "server", search, |trial| trial.server_cpu);
    add(&mut chart, "load generator", search, |trial| Some(trial.load_cpu));
    chart
}

/// Needs three trials: with fewer the slope says nothing.
fn memory(search: &Search) -> Option<Chart> {
    let point = |trial: &Trial| {
        let (x, y) = (trial.registrations? as f64, mebibytes(trial.memory_bytes?));
        let passed = trial.passed;
        Some(Point { x, y, passed })
    };
    let series = Series::new("server".into(), search.trials.iter().filter_map(point));
    (series.points.len() >= 3).then(|| Chart {
        file: "memory",
        title: "Memory against registrations",
        x: "registrations held by the server (count)".into(),
        y: "resident memory (MiB)",
        series: vec![series],
        ..Chart::default()
    })
}

fn failures(search: &Search) -> Option<Chart> {
    let mut chart = against_load(search, "failures", "Failures and loss against load", "share (%)");
    add(&mut chart, "failed attempts", search, failed_percent);
    add(&mut chart, "lost RTP packets", search, |trial| {
        Some(trial.loss? * 100.0)
    });
    let any = chart.points().any(|point| point.y > 0.0);
    any.then_some(chart)
}
