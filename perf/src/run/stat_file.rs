//! SIPp's statistics file: a line of semicolon-separated values each interval.

use super::Refusal;
use super::prepare::RoleSetup;
use crate::calendar;
use crate::cli::Options;
use crate::engine::{Counters, FAILURES, Moments};
use crate::scenario::Scenario;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// An open statistics file.
pub(super) struct StatFile {
    file: File,
    scenario: Arc<Scenario>,
    delimiter: String,
    start: Duration,
    began: Instant,
    last: Counters,
    last_at: (Duration, Instant),
    watches: Vec<usize>,
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl StatFile {
    pub(super) fn create(options: &Options, setup: &RoleSetup) -> Result<Option<Self>, Refusal> {
        if !options.trace_stat {
            return Ok(None);
        }
        let default = || PathBuf::from(format!("{}_{}_.csv", setup.scenario.name, std::process::id()));
        let path = options.stat_file.clone().unwrap_or_else(default);
        let file = File::create(&path)
            .map_err(|error| Refusal::error(format!("-stf {} cannot be written: {error}", path.display())))?;
        let used = |watch: usize| setup.scenario.steps.iter().any(|step| step.rtd == Some(watch as u8));
        let now = (wall(), Instant::now());
        let mut stats = Self {
            file,
            scenario: setup.scenario.clone(),
            delimiter: options.delimiter.clone(),
            start: now.0,
            began: now.1,
            last: Counters::default(),
            last_at: now,
            watches: (0..crate::engine::RTDS).filter(|&watch| used(watch)).collect(),
        };
        let write = |error: io::Error| Refusal::error(format!("{} cannot be written: {error}", path.display()));
        stats.header().map_err(write)?;
        let first = Counters::default();
        stats
            .line(&first, options.calls_per_second(), options.users)
            .map_err(write)?;
        Ok(Some(stats))
    }

    fn header(&mut self) -> io::Result<()> {
        let mut names: Vec<String> = [
            "StartTime",
            "LastResetTime",
            "CurrentTime",
            "ElapsedTime(P)",
            "ElapsedTime(C)",
            "TargetRate",
            "CallRate(P)",
            "CallRate(C)",
            "IncomingCall(P)",
            "IncomingCall(C)",
            "OutgoingCall(P)",
            "OutgoingCall(C)",
            "TotalCallCreated",
            "CurrentCall",
        ]
        .map(str::to_owned)
        .to_vec();
        let mut both = |name: &str| {
            for kind in ["(P)", "(C)"] {
                names.push(format!("{name}{kind}"));
            }
        };
        both("SuccessfulCall");
        both("FailedCall");
        FAILURES.iter().for_each(|name| both(&format!("Failed{name}")));
        for name in [
            "OutOfCallMsgs",
            "DeadCallMsgs",
            "Retransmissions",
            "AutoAnswered",
            "Warnings",
            "FatalErrors",
            "WatchdogMajor",
            "WatchdogMinor",
        ] {
            both(name);
        }
        for watch in &self.watches {
            both(&format!("ResponseTime{}", self.scenario.rtd_names[*watch]));
            both(&format!("ResponseTime{}StDev", self.scenario.rtd_names[*watch]));
        }
        both("CallLength");
        both("CallLengthStDev");
        let mut partition = |name: &str, bounds: &[u64]| {
            if bounds.is_empty() {
                return;
            }
            names.push(name.to_owned());
            names.extend(bounds.iter().map(|bound| format!("{name}_<{bound}")));
            names.push(format!("{name}_>={}", bounds.last().copied().unwrap_or(0)));
        };
        for watch in &self.watches {
            partition(
                &format!("ResponseTimeRepartition{}", self.scenario.rtd_names[*watch]),
                &self.scenario.response_bounds,
            );
        }
        partition("CallLengthRepartition", &self.scenario.length_bounds);
        self.put(&names)
    }

    fn put(&mut self, values: &[String]) -> io::Result<()> {
        let mut line = values.join(&self.delimiter);
        line.push_str(&self.delimiter);
        writeln!(self.file, "{line}")
    }

    /// One line: what was counted since the line before, and since the start.
    pub(super) fn line(&mut self, now: &Counters, rate: f64, users: Option<u64>) -> io::Result<()> {
        let (at, instant) = (wall(), Instant::now());
        let (period, whole) = (instant - self.last_at.1, instant - self.began);
        let last = std::mem::replace(&mut self.last, now.clone());
        let per_second = |calls: u64, time: Duration| calls as f64 / time.as_secs_f64().max(0.001);
        let mut values = vec![
            stamp(self.start),
            stamp(self.last_at.0),
            stamp(at),
            clock(period),
            clock(whole),
        ];
        values.push(users.map_or_else(|| rate.to_string(), |users| users.to_string()));
        values.push(format!("{:.3}", per_second(now.created() - last.created(), period)));
        values.push(format!("{:.3}", per_second(now.created(), whole)));
        let mut both = |now: u64, last: u64| {
            values.push((now - last).to_string());
            values.push(now.to_string());
        };
        both(now.incoming, last.incoming);
        both(now.outgoing, last.outgoing);
        values.push(now.created().to_string());
        values.push(now.current.to_string());
        let mut both = |now: u64, last: u64| {
            values.push((now - last).to_string());
            values.push(now.to_string());
        };
        both(now.successful, last.successful);
        both(now.failed, last.failed);
        for (now, last) in now.failures.iter().zip(&last.failures) {
            both(*now, *last);
        }
        both(now.out_of_call, last.out_of_call);
        both(now.dead_call, last.dead_call);
        both(now.retransmissions, last.retransmissions);
        both(now.auto_answered, last.auto_answered);
        both(now.warnings, last.warnings);
        for _ in ["FatalErrors", "WatchdogMajor", "WatchdogMinor"] {
            both(0, 0);
        }
        let mut moments = |now: &Moments, last: &Moments| {
            let (period, whole) = (now.since(last).mean_and_deviation(), now.mean_and_deviation());
            for micros in [period.0, whole.0, period.1, whole.1] {
                values.push(precise(micros));
            }
        };
        for &watch in &self.watches {
            moments(&now.rtd[watch], &last.rtd[watch]);
        }
        moments(&now.length, &last.length);
        let mut partition = |counts: &[u64], bounds: usize| {
            if bounds == 0 {
                return;
            }
            values.push(String::new());
            values.extend((0..=bounds).map(|place| counts.get(place).copied().unwrap_or(0).to_string()));
        };
        for &watch in &self.watches {
            partition(&now.rtd_partition[watch], self.scenario.response_bounds.len());
        }
        partition(&now.length_partition, self.scenario.length_bounds.len());
        self.last_at = (at, instant);
        self.put(&values)
    }
}

/// Date, time of day and seconds since the epoch, with tabs between, as SIPp writes them (UTC here).
fn stamp(at: Duration) -> String {
    let (date, time) = calendar::utc(at.as_secs());
    format!(
        "{date}\t{time}.{:06}\t{}.{:06}",
        at.subsec_micros(),
        at.as_secs(),
        at.subsec_micros()
    )
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn precise(micros: f64) -> String {
    let time = Duration::from_micros(micros as u64);
    let mut text = clock(time);
    let _ = write!(text, ":{:06}", time.subsec_micros());
    text
}
