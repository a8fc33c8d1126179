//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  ringfortctl health show
  ringfortctl call list
  ringfortctl call end 0000-b0000000200000001
  ringfortctl registration list --prefix 1001 -o json
  ringfortctl user list --secrets --data ./ringfort-data
  ringfortctl config validate /etc/ringfort/ringfort.toml
  ringfortctl capacity show --url http://[::1]:8080 --token-file /etc/ringfort/token

Exit status: 0 when all is well; 2 when the answer is no (unhealthy, configuration not valid) or the command line is wrong; 1 when the question could not be asked.

The token is read from --token-file, or from the file `token` in --data, or from ./ringfort-data/token, or from /var/lib/ringfort/token.";

/// Asks and commands a running Ringfort.
#[derive(Parser)]
#[command(name = "ringfortctl", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// How answers are printed.
    #[arg(short, long, value_enum, default_value_t = Output::Table, global = true)]
    pub(crate) output: Output,
    /// Where its web interface is.
    #[arg(long, default_value = "http://127.0.0.1:8080", global = true)]
    pub(crate) url: String,
    /// File that holds the access token.
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "data")]
    pub(crate) token_file: Option<PathBuf>,
    /// Its data directory; the token is in the file `token` there.
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) noun: Noun,
}

/// How answers are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Aligned columns for people.
    Table,
    /// The REST interface's answer as it is.
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Noun {
    /// Calls.
    #[command(subcommand, after_help = "Example:\n  ringfortctl call list")]
    Call(Call),
    /// Registrations.
    #[command(subcommand, after_help = "Example:\n  ringfortctl registration list")]
    Registration(Registration),
    /// Shards.
    #[command(subcommand, after_help = "Example:\n  ringfortctl shard list")]
    Shard(Shard),
    /// Users.
    #[command(subcommand, after_help = "Example:\n  ringfortctl user list")]
    User(User),
    /// How much more can be taken, and what gives out first.
    #[command(subcommand, after_help = "Example:\n  ringfortctl capacity show")]
    Capacity(Show),
    /// Whether all is well.
    #[command(subcommand, after_help = "Example:\n  ringfortctl health show")]
    Health(Show),
    /// Configuration.
    #[command(
        subcommand,
        after_help = "Example:\n  ringfortctl config validate /etc/ringfort/ringfort.toml"
    )]
    Config(Config),
    /// Taking it out of service.
    #[command(subcommand, after_help = "Example:\n  ringfortctl drain start")]
    Drain(Drain),
}

#[derive(Subcommand)]
pub(crate) enum Call {
    /// Calls now.
    #[command(after_help = "Example:\n  ringfortctl call list --limit 20")]
    List(Rows),
    /// Ends a call.
    #[command(after_help = "Example:\n  ringfortctl call end 0000-b0000000200000001")]
    End {
        /// The call's identifier, from `call list`.
        id: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum Registration {
    /// Bindings now.
    #[command(after_help = "Example:\n  ringfortctl registration list --prefix 1001 -o json")]
    List {
        #[command(flatten)]
        rows: Rows,
        /// Only addresses of record that begin so.
        #[arg(long, default_value = "")]
        prefix: String,
    },
}

#[derive(Args)]
pub(crate) struct Rows {
    /// Rows at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
}

#[derive(Subcommand)]
pub(crate) enum Shard {
    /// The shards, how busy they are and what they hold.
    #[command(after_help = "Example:\n  ringfortctl shard list")]
    List,
}

#[derive(Subcommand)]
pub(crate) enum User {
    /// All users.
    #[command(after_help = "Example:\n  ringfortctl user list --secrets --data ./ringfort-data")]
    List {
        /// With passwords, where they are known in clear.
        #[arg(long)]
        secrets: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum Show {
    /// Shows it.
    #[command(after_help = "Example:\n  ringfortctl capacity show -o json\n  ringfortctl health show")]
    Show,
}

#[derive(Subcommand)]
pub(crate) enum Config {
    /// Checks a configuration with the running version; changes nothing.
    #[command(after_help = "Example:\n  ringfortctl config validate /etc/ringfort/ringfort.toml")]
    Validate {
        /// The file; `-` reads standard input.
        file: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum Drain {
    /// Refuses new calls, lets the others end, then stops.
    #[command(after_help = "Example:\n  ringfortctl drain start")]
    Start,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_level_of_help_has_an_example() {
        fn walk(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("ringfortctl "), "{}: {help}", command.get_name());
            command.get_subcommands().for_each(walk);
        }
        walk(&Arguments::command());
    }

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
        let parsed = Arguments::try_parse_from(["ringfortctl", "call", "list", "-o", "json", "--url", "http://x"]);
        let parsed = parsed.unwrap_or_else(|error| panic!("{error}"));
        assert!(parsed.output == Output::Json && parsed.url == "http://x");
        assert!(Arguments::try_parse_from(["ringfortctl", "call", "list", "--limit", "0"]).is_err());
        assert!(Arguments::try_parse_from(["ringfortctl", "call", "end"]).is_err());
    }
}
