//! Arguments and subcommands. `main` gives the body of `run`; the others are complete here.

mod doctor;
mod findings;
mod init;
mod template;

use crate::config::{self, ConfigErrors, Plan, Warning, plan};
use crate::store::{Store, StoreError, StoredUser};
use clap::{Parser, Subcommand};
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

pub use doctor::doctor;
pub use init::init;

/// What a wrong configuration exits with.
pub const EXIT_CONFIGURATION: u8 = 2;

/// A campus telephone system in one binary.
#[derive(Debug, Parser)]
#[command(name = "ringfort", version = env!("RINGFORT_VERSION"), about, long_about = None, arg_required_else_help = true)]
#[command(after_help = "Examples:
  ringfort run                            a demonstration on loopback: users 1001 to 1009, web page on port 8080
  ringfort init /etc/ringfort             write a commented configuration for this host
  ringfort run --config /etc/ringfort/ringfort.toml --data /var/lib/ringfort")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM.
    #[command(after_help = "Example:
  ringfort run --config /etc/ringfort/ringfort.toml --data /var/lib/ringfort

Without --config: a demonstration on loopback with users 1001 to 1009, echo test 9196, music 9664.
SIGTERM lets calls end for [limits] drain_seconds; SIGHUP reads the configuration again.")]
    Run(RunArgs),
    /// Write a commented configuration for this host.
    #[command(after_help = "Example:
  ringfort init /etc/ringfort             writes /etc/ringfort/ringfort.toml; never overwrites one")]
    Init(InitArgs),
    /// Say what is wrong with a configuration; exits with 2 if anything is.
    #[command(after_help = "Example:
  ringfort check --config /etc/ringfort/ringfort.toml")]
    Check(CheckArgs),
    /// Examine this host: kernel, limits, buffers, cores; print a fix for each finding.
    #[command(after_help = "Example:
  ringfort doctor                         exits with 1 if there is something to fix")]
    Doctor,
}

/// Arguments of `run`.
#[derive(Clone, Debug, Default, Parser)]
pub struct RunArgs {
    /// Configuration file (TOML); a demonstration on loopback without it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder for bindings, call records and secrets [default: ./ringfort-data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Arguments of `init`.
#[derive(Clone, Debug, Parser)]
pub struct InitArgs {
    /// Folder for ringfort.toml; made if needed.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// Arguments of `check`.
#[derive(Clone, Debug, Parser)]
pub struct CheckArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Does what the arguments say; `run` is the body of that subcommand.
pub fn dispatch(args: Args, run: impl FnOnce(RunArgs) -> ExitCode) -> ExitCode {
    match args.command {
        Command::Run(args) => run(args),
        Command::Init(args) => init(&args),
        Command::Check(args) => check(&args),
        Command::Doctor => doctor(),
    }
}

/// Why `run` cannot begin. Its text is for the operator; its code for the shell.
#[derive(Debug)]
pub enum Refusal {
    /// The configuration is wrong: exit code 2.
    Configuration(ConfigErrors),
    /// The data directory cannot be used: exit code 1.
    Store(StoreError),
}

impl Refusal {
    /// What the process exits with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Refusal::Configuration(_) => ExitCode::from(EXIT_CONFIGURATION),
            Refusal::Store(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Configuration(errors) => errors.fmt(f),
            Refusal::Store(error @ StoreError::Io { .. }) => {
                write!(f, "{error}; --data names another data directory")
            }
            Refusal::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

/// The plan, the open store, and what the operator should know.
pub struct Prepared {
    /// What to run with; in the demonstration its users come from the store.
    pub plan: Plan,
    /// The open store, not loaded yet.
    pub store: Store,
    /// For the log.
    pub warnings: Vec<Warning>,
}

/// Resolves the configuration and opens the store: what `run` does first.
/// # Errors
/// [`Refusal`]: print it on stderr and exit with its code.
pub fn prepare(args: &RunArgs) -> Result<Prepared, Refusal> {
    match &args.config {
        Some(file) => {
            let resolved = config::load(file, args.data.clone()).map_err(Refusal::Configuration)?;
            let store = Store::open(&resolved.plan.data, resolved.plan.shards).map_err(Refusal::Store)?;
            Ok(Prepared {
                plan: resolved.plan,
                store,
                warnings: resolved.warnings,
            })
        }
        None => {
            let data = args.data.clone().unwrap_or_else(|| config::DEFAULT_DATA.into());
            let mut plan = config::demonstration(data, Vec::new());
            let store = Store::open(&plan.data, plan.shards).map_err(Refusal::Store)?;
            let users = store.demonstration_users().map_err(Refusal::Store)?;
            plan.users = users.into_iter().map(demonstration_user).collect();
            Ok(Prepared {
                plan,
                store,
                warnings: Vec::new(),
            })
        }
    }
}

/// `ringfort check`: errors and exit code 2, or warnings and what the limits add up to.
pub fn check(args: &CheckArgs) -> ExitCode {
    match config::load(&args.config, None) {
        Ok(resolved) => {
            for warning in &resolved.warnings {
                say(&format!("warning: {warning}"));
            }
            if let Some(shortage) = resolved.plan.shortage() {
                say(&format!("warning: {shortage}"));
            }
            for line in resolved.plan.arithmetic() {
                say(&line);
            }
            say(&format!("{} is fine", args.config.display()));
            ExitCode::SUCCESS
        }
        Err(errors) => {
            complain(&errors.to_string());
            ExitCode::from(EXIT_CONFIGURATION)
        }
    }
}

fn demonstration_user(user: StoredUser) -> plan::User {
    plan::User {
        name: user.name,
        password: user.password,
        digest: None,
        display: user.display,
    }
}

/// A line on stdout; a closed pipe is no reason to fail.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on stderr.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_subcommand_shows_an_example() {
        let command = Args::command();
        command.clone().debug_assert();
        assert!(command.get_after_help().unwrap().to_string().contains("ringfort run"));
        for sub in command.get_subcommands() {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("ringfort {}", sub.get_name())), "{help}");
        }
    }

    #[test]
    fn the_arguments_of_run() {
        let args = Args::try_parse_from(["ringfort", "run", "--config", "a.toml", "--data", "d"]).unwrap();
        let Command::Run(run) = args.command else {
            panic!("{args:?}")
        };
        assert_eq!((run.config, run.data), (Some("a.toml".into()), Some("d".into())));
        assert!(Args::try_parse_from(["ringfort", "check"]).is_err());
    }

    #[test]
    fn the_demonstration_keeps_its_passwords() {
        let folder = tempfile::tempdir().unwrap();
        let args = RunArgs {
            config: None,
            data: Some(folder.path().join("data")),
        };
        let passwords = |prepared: &Prepared| -> Vec<(String, String)> {
            prepared
                .plan
                .users
                .iter()
                .map(|user| (user.name.clone(), user.password.clone()))
                .collect()
        };
        let first = passwords(&prepare(&args).map_err(|refusal| refusal.to_string()).unwrap());
        let names: Vec<_> = first.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008", "1009"]
        );
        assert!(first.iter().all(|(_, password)| password.len() == 12));
        let second = passwords(&prepare(&args).map_err(|refusal| refusal.to_string()).unwrap());
        assert_eq!(first, second);
    }

    #[test]
    fn a_wrong_configuration_is_refused_before_the_store_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ringfort.toml");
        std::fs::write(&file, "[sip]\nlisten = \"udp:1.2.3\"\n").unwrap();
        let args = RunArgs {
            config: Some(file),
            data: Some(folder.path().join("data")),
        };
        let refusal = prepare(&args).err().unwrap();
        assert!(
            refusal
                .to_string()
                .contains("ringfort.toml:2: sip.listen: found \"udp:1.2.3\""),
            "{refusal}"
        );
        assert!(!folder.path().join("data").exists());
    }
}
