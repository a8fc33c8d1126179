//! What a search is told.

use crate::engine::Transport;
use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// What is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Calls a second, each hung up after --hold.
    Rate,
    /// Calls at once.
    Calls,
    /// Registrations a second.
    Register,
}

/// Finds the highest load that a target carries within stated lines: doubles the load until a line is
/// missed, then halves the interval. Each load that misses a line is tried again. Writes a report as Markdown
/// with plots, and all histograms.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "ringload search",
    after_help = "Examples:
  calls through a proxy or B2BUA whose route for 2001 leads to us at 127.0.0.1:5080:
    ringload search 127.0.0.1:5060 --callee 2001 --answer 127.0.0.1:5080 --what rate --report proxy/
  calls at once with audio both ways through its relay:
    ringload search 127.0.0.1:5060 --callee 2001 --answer 127.0.0.1:5080 --audio --what calls --pid $(pidof ringfort)
  registrations, users and passwords from a file:
    ringload search 127.0.0.1:5060 --what register --users users.csv --capacity http://127.0.0.1:8080"
)]
pub struct Arguments {
    /// Address of the target.
    pub target: String,
    /// What to search for; may be given again.
    #[arg(long, value_enum, default_value = "rate")]
    pub what: Vec<What>,
    /// User part that is called.
    #[arg(long, default_value = "2001")]
    pub callee: String,
    /// Where we answer the calls: the target has to lead them here.
    #[arg(long, default_value = "127.0.0.1:5080")]
    pub answer: String,
    /// Audio both ways in every call, each packet judged.
    #[arg(long)]
    pub audio: bool,
    /// TCP instead of UDP.
    #[arg(long)]
    pub tcp: bool,
    /// Scenario of the caller instead of the built-in one.
    #[arg(long)]
    pub caller_scenario: Option<PathBuf>,
    /// Scenario of the callee instead of the built-in one.
    #[arg(long)]
    pub callee_scenario: Option<PathBuf>,
    /// Injection file: SEQUENTIAL, then user;password in each line.
    #[arg(long)]
    pub users: Option<String>,
    /// Users that are made up when there is no file: u1, u2, ...
    #[arg(long, default_value_t = 10_000)]
    pub user_count: u32,
    /// Their password.
    #[arg(long, default_value = "secret")]
    pub password: String,
    /// The domain in request URIs, when it is not the target's address.
    #[arg(long)]
    pub domain: Option<String>,
    /// First load.
    #[arg(long)]
    pub start: Option<f64>,
    /// Highest load that is tried.
    #[arg(long)]
    pub most: Option<f64>,
    /// Seconds that a load is measured.
    #[arg(long, default_value_t = 8)]
    pub seconds: u64,
    /// Seconds that a call lasts when rates are searched for.
    #[arg(long, default_value_t = 0.0)]
    pub hold: f64,
    /// Calls a second while calls at once pile up.
    #[arg(long, default_value_t = 200.0)]
    pub ramp: f64,
    /// Tries of a load that misses a line; it is carried if most of them pass.
    #[arg(long, default_value_t = 3)]
    pub repeats: u32,
    /// The search ends when the interval is this share of the load.
    #[arg(long, default_value_t = 0.05)]
    pub precision: f64,
    /// Most of the calls that may fail, in percent.
    #[arg(long, default_value_t = 0.1)]
    pub max_failed: f64,
    /// Longest set-up at p99, milliseconds.
    #[arg(long, default_value_t = 100.0)]
    pub max_setup: f64,
    /// Most audio that may be lost, in percent.
    #[arg(long, default_value_t = 0.1)]
    pub max_loss: f64,
    /// Longest one-way delay of audio at p99, milliseconds; 0 for none.
    #[arg(long, default_value_t = 0.0)]
    pub max_delay: f64,
    /// Process of the target: its CPU time and memory are read.
    #[arg(long)]
    pub pid: Option<u32>,
    /// Ringfort's web address: its capacity estimate at half the found load is compared.
    #[arg(long)]
    pub capacity: Option<String>,
    /// File with the token for it.
    #[arg(long)]
    pub token_file: Option<PathBuf>,
    /// Ports of the caller on each of its cores: a target with several sockets shares its load out by them.
    #[arg(long, default_value_t = 16)]
    pub ports: u8,
    /// Cores of the generator.
    #[arg(long, default_value_t = 1)]
    pub shards: u16,
    /// Ports for audio.
    #[arg(long, default_value = "20000-31999")]
    pub rtp_ports: String,
    /// Folder for report.md, the plots and histograms.
    #[arg(long, default_value = "search-report")]
    pub report: PathBuf,
    /// Title of the report.
    #[arg(long, default_value = "Saturation search")]
    pub title: String,
    /// The target is not on this machine, and it is yours.
    #[arg(long)]
    pub i_own_the_target: bool,
}

impl Arguments {
    /// How signalling travels.
    #[must_use]
    pub fn transport(&self) -> Transport {
        if self.tcp { Transport::Tcp } else { Transport::Udp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_are_sound() {
        Arguments::command().debug_assert();
        let arguments = Arguments::parse_from(["x", "127.0.0.1:5060", "--what", "rate", "--what", "calls"]);
        assert_eq!(arguments.what, [What::Rate, What::Calls]);
    }
}
