//! `ringfortctl NOUN VERB`: what operators do, over the REST interface.

mod arguments;
mod client;
mod commands;
mod table;

use arguments::Arguments;
use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

/// What the command came to.
enum Outcome {
    /// All is well.
    Well,
    /// The answer is no: unhealthy, or a configuration with findings. The text was printed.
    No,
}

/// Why it could not be done: a sentence for people.
struct Trouble(String);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout().lock();
    let done = commands::run(&arguments, &mut out);
    // A reader that went away (`| head`) is no trouble of ours.
    let _ = out.flush();
    match done {
        Ok(Outcome::Well) => ExitCode::SUCCESS,
        Ok(Outcome::No) => ExitCode::from(2),
        Err(Trouble(sentence)) => {
            let _ = writeln!(std::io::stderr(), "ringfortctl: {sentence}");
            ExitCode::FAILURE
        }
    }
}
