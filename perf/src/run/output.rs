//! Figures for people and programs: last screen, JSON, `.hgrm`.

use super::prepare::RoleSetup;
use super::{Refusal, screen};
use crate::cli::Options;
use crate::engine::{Counters, FAILURES};
use crate::rig::{Figures, Order};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use shards::Handle;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

/// What the shards' loops counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loops {
    /// Receives that ended for want of a buffer.
    pub no_buffer: u64,
    /// Sends that the kernel refused.
    pub send_errors: u64,
    /// CPU time of the packet threads in nanoseconds.
    pub busy_nanos: u64,
    /// Messages between shards that found the queue full.
    pub mesh_full: u64,
    /// Audio packets that came and left by AF_XDP, and those that it dropped.
    pub xdp: [u64; 3],
}

impl Loops {
    /// Of all shards.
    #[must_use]
    pub fn of(handle: &Handle<Order>) -> Self {
        let mut all = Self::default();
        for shard in 0..handle.shards() {
            let stats = handle.stats(shard);
            all.no_buffer += stats.enobufs.get();
            all.send_errors += stats.send_errors.get();
            all.busy_nanos += stats.busy_nanos.get();
            all.mesh_full += stats.mesh_full.get();
            all.xdp.iter_mut().zip(stats.xdp()).for_each(|(all, one)| *all += one);
        }
        all
    }
}

/// A finished run.
pub(super) struct Outcome<'a> {
    pub(super) options: &'a Options,
    pub(super) setup: &'a RoleSetup,
    pub(super) figures: &'a Figures,
    pub(super) seconds: f64,
    pub(super) rate: f64,
    pub(super) loops: Loops,
}

impl Outcome<'_> {
    /// Shows and writes everything that was asked for.
    pub(super) fn write(&self) -> Result<(), Refusal> {
        let text = screen::last(self);
        let _ = write!(io::stdout(), "{text}");
        if self.options.trace_screen {
            let default = || format!("{}_{}_screen.log", self.setup.scenario.name, std::process::id()).into();
            let path = self.options.screen_file.clone().unwrap_or_else(default);
            save(&path, text.as_bytes())?;
        }
        if let Some(path) = &self.options.json {
            save(path, format!("{:#}\n", self.json()).as_bytes())?;
        }
        if let Some(folder) = &self.options.hgrm {
            let role = &self.figures.roles[0];
            let own = role.times.named();
            let audio = self.figures.audio.named();
            let all = own
                .iter()
                .map(|(name, histogram)| (name.as_str(), *histogram))
                .chain(audio);
            hgrm_files(folder, all)?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let role = &self.figures.roles[0];
        let histograms = role.times.named();
        let histograms = histograms.iter().map(|(name, histogram)| (name.as_str(), *histogram));
        json!({
            "scenario": self.setup.scenario.name,
            "seconds": self.seconds,
            "rate": self.rate,
            "cpu_seconds": self.loops.busy_nanos as f64 / 1e9,
            "receives_without_buffer": self.loops.no_buffer,
            "send_errors": self.loops.send_errors,
            "xdp": { "received": self.loops.xdp[0], "sent": self.loops.xdp[1], "dropped": self.loops.xdp[2] },
            "calls": counters(&role.counters),
            "times_us": times(histograms.filter(|(_, histogram)| !histogram.is_empty())),
            "audio": audio(self.figures),
        })
    }
}

/// Calls as JSON.
#[must_use]
pub fn counters(counters: &Counters) -> Value {
    let failures: serde_json::Map<String, Value> = FAILURES
        .iter()
        .zip(&counters.failures)
        .filter(|(_, count)| **count > 0)
        .map(|(name, &count)| ((*name).to_owned(), count.into()))
        .collect();
    json!({
        "created": counters.created(), "incoming": counters.incoming, "outgoing": counters.outgoing,
        "successful": counters.successful, "failed": counters.failed, "stopped": counters.stopped,
        "peak": counters.peak, "retransmissions": counters.retransmissions,
        "out_of_call": counters.out_of_call, "dead_call": counters.dead_call,
        "aborted_by_twin": counters.aborted_by_twin, "damaged": counters.damaged,
        "held_back": counters.held_back, "failures": failures,
    })
}

/// Audio as JSON.
#[must_use]
pub fn audio(figures: &Figures) -> Value {
    let audio = &figures.audio;
    let mut all: serde_json::Map<String, Value> = audio
        .counts()
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count.into()))
        .collect();
    all.insert("loss".into(), audio.loss().into());
    all.insert(
        "times_us".into(),
        times(audio.named().into_iter().filter(|(_, histogram)| !histogram.is_empty())),
    );
    Value::Object(all)
}

fn times<'a>(histograms: impl Iterator<Item = (&'a str, &'a Histogram<u64>)>) -> Value {
    let all = histograms.map(|(name, histogram)| {
        let at = |quantile| histogram.value_at_quantile(quantile);
        let value = json!({
            "count": histogram.len(), "min": histogram.min(), "mean": histogram.mean(), "p50": at(0.5), "p90": at(0.9),
            "p99": at(0.99), "p999": at(0.999), "max": histogram.max(),
        });
        (name.to_owned(), value)
    });
    Value::Object(all.collect())
}

/// Writes a file of each histogram into a folder, made if need be.
/// # Errors
/// When the folder or a file cannot be written.
pub fn hgrm_files<'a>(
    folder: &Path,
    histograms: impl Iterator<Item = (&'a str, &'a Histogram<u64>)>,
) -> Result<(), Refusal> {
    std::fs::create_dir_all(folder).map_err(|error| Refusal::error(format!("{}: {error}", folder.display())))?;
    for (name, histogram) in histograms.filter(|(_, histogram)| !histogram.is_empty()) {
        save(&folder.join(format!("{name}.hgrm")), hgrm(histogram).as_bytes())?;
    }
    Ok(())
}

/// The percentile distribution in the format that HdrHistogram's plotters read; values in milliseconds.
#[must_use]
pub fn hgrm(histogram: &Histogram<u64>) -> String {
    let mut out = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut total = 0;
    for step in histogram.iter_quantiles(5) {
        total += step.count_since_last_iteration();
        let (value, quantile) = (step.value_iterated_to() as f64 / 1000.0, step.quantile_iterated_to());
        let _ = write!(out, "{value:12.3} {quantile:2.12} {total:10}");
        let _ = if quantile < 1.0 {
            writeln!(out, " {:14.2}", 1.0 / (1.0 - quantile))
        } else {
            writeln!(out)
        };
    }
    let _ = write!(
        out,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]\n#[Max     = {:12.3}, Total count    = {:12}]\n#[Buckets = {:12}, SubBuckets     = {:12}]\n",
        histogram.mean() / 1000.0,
        histogram.stdev() / 1000.0,
        histogram.max() as f64 / 1000.0,
        histogram.len(),
        histogram.buckets(),
        2048,
    );
    out
}

/// Writes a file.
/// # Errors
/// With its name.
pub fn save(path: &Path, octets: &[u8]) -> Result<(), Refusal> {
    std::fs::write(path, octets)
        .map_err(|error| Refusal::error(format!("{} cannot be written: {error}", path.display())))
}
