//! The bare relay floor: what receive and send cost with nothing in between.

use clap::{Parser, Subcommand, ValueEnum};
use ringfort_perf::floor::{plain, ring};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// Relays packets without checks, rewriting or signalling.
#[derive(Parser)]
#[command(after_help = "Examples:
  floor serve --backend uring --calls 500 --pairs pairs.txt
  floor saturated --calls 500")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Relays for `rtpload --setup direct` until it is ended; prints `ready` when it is bound.
    #[command(after_help = "Example:
  floor serve --backend plain --calls 500 --pairs pairs.txt")]
    Serve {
        /// Which relay.
        #[arg(long, value_enum)]
        backend: Backend,
        /// Calls of two legs.
        #[arg(long, default_value_t = 500)]
        calls: u32,
        /// File to write the address pairs to.
        #[arg(long)]
        pairs: String,
        /// uring: shards.
        #[arg(long, default_value_t = 2)]
        shards: u16,
        /// plain: longest wait between two looks at the sockets, microseconds.
        #[arg(long, default_value_t = 500)]
        wait_us: u64,
    },
    /// Measures one thread's receive and send when packets always wait; prints ns a packet.
    #[command(after_help = "Example:
  floor saturated --calls 500 --packets 1000000")]
    Saturated {
        /// Socket pairs.
        #[arg(long, default_value_t = 500)]
        calls: u32,
        /// Packets.
        #[arg(long, default_value_t = 1_000_000)]
        packets: u64,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    Uring,
    Plain,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "floor: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> io::Result<()> {
    match command {
        Command::Serve {
            backend,
            calls,
            pairs,
            shards,
            wait_us,
        } => {
            let announce = |addresses: &[[SocketAddr; 2]]| {
                let mut text = String::new();
                for [a, b] in addresses {
                    let _ = writeln!(text, "{a} {b}");
                }
                std::fs::write(pairs, text)?;
                writeln!(io::stdout(), "ready calls={}", addresses.len())
            };
            match backend {
                Backend::Uring => ring::serve(calls, shards, announce),
                Backend::Plain => plain::serve(calls, Duration::from_micros(wait_us), announce),
            }
        }
        Command::Saturated { calls, packets } => {
            let (single, batched) = plain::saturated(calls, packets)?;
            writeln!(
                io::stdout(),
                "{{\"recvfrom_sendto_ns\":{single:.0},\"recvmmsg_sendmmsg_ns\":{batched:.0}}}"
            )
        }
    }
}
