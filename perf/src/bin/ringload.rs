//! The load generator: SIPp's language and flags, all cores, audio that is judged.

use clap::Parser;
use ringfort_perf::cli::{self, Options};
use ringfort_perf::run::{self, Refusal, Signals};
use ringfort_perf::scenario::builtin;
use ringfort_perf::search::{self, Arguments};
use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "search") {
        let arguments = Arguments::parse_from(std::env::args().skip(1));
        run::block();
        return ended(search::search(&arguments, &Signals::watch()));
    }
    let wants = |names: &[&str]| arguments.iter().any(|argument| names.contains(&argument.as_str()));
    if wants(&["--help", "-help", "-h"]) {
        let _ = io::stdout().write_all(cli::help().as_bytes());
        return ExitCode::SUCCESS;
    }
    if wants(&["--version", "-v"]) {
        let _ = writeln!(io::stdout(), "ringload {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    ended(start(&arguments))
}

fn ended(result: Result<u8, Refusal>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(refusal) => {
            let _ = writeln!(io::stderr(), "ringload: {}", refusal.sentence);
            ExitCode::from(refusal.code)
        }
    }
}

fn start(arguments: &[String]) -> Result<u8, Refusal> {
    let options = cli::parse(arguments).map_err(Refusal::error)?;
    if let Some(name) = &options.dump {
        let text = builtin::find(name).ok_or_else(|| {
            Refusal::error(format!(
                "-sd {name}: no built-in scenario; `ringload --help` lists them"
            ))
        })?;
        let _ = io::stdout().write_all(text.as_bytes());
        return Ok(0);
    }
    if options.background {
        return background(arguments, &options);
    }
    let prepared = run::prepare(&options)?;
    run::block();
    let signals = Signals::watch();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(io::stderr)
        .init();
    run::conduct(&options, &prepared, &signals)
}

/// `-bg`: the same command line again, without a terminal. What is wrong with it is said before.
fn background(arguments: &[String], options: &Options) -> Result<u8, Refusal> {
    run::prepare(options)?;
    let own = std::env::current_exe().map_err(|error| Refusal::error(format!("-bg: {error}")))?;
    let child = Command::new(own)
        .args(arguments.iter().filter(|argument| *argument != "-bg"))
        .arg("--quiet")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Refusal::error(format!("-bg: {error}")))?;
    let _ = writeln!(io::stdout(), "Background mode - PID=[{}]", child.id());
    Ok(99)
}
