//! Arguments -> configuration -> plan -> run.

use clap::Parser;
use ringfort::{cli, run};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::dispatch(cli::Args::parse(), run::run)
}
