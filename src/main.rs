//! Arguments -> configuration -> plan -> run.

use clap::Parser;
use ringfort::{cli, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::dispatch(cli::Args::parse(), run::run)
}
