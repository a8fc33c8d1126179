//! Runs seeds, for seconds or for hours, and shows what the failing ones did.

use clap::Parser;
use ringfort_sim::check::Violation;
use ringfort_sim::ladder::Recording;
use ringfort_sim::swarm::{self, Outcome, Size};
use std::cell::RefCell;
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Plays the whole appliance in simulated worlds: one seed, one world, always the same.
///
/// Each seed draws shards, limits, phones and faults. First nothing wrong may happen although
/// everything goes wrong, then the world is healed and all must end. A seed that fails is played
/// again with a recording; exit code 1.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  ringfort-sim --seeds 0..1000               a thousand worlds
  ringfort-sim --hours 2                     new worlds for two hours
  ringfort-sim --seed 42 --ladder out.txt    one world, with the ladder of what failed, or of everything"
)]
struct Args {
    /// Seeds, the last one not included.
    #[arg(long, value_parser = range, conflicts_with_all = ["seed", "hours"])]
    seeds: Option<Range<u64>>,
    /// One seed.
    #[arg(long, conflicts_with = "hours")]
    seed: Option<u64>,
    /// Seeds that nobody has tried, for so many hours.
    #[arg(long)]
    hours: Option<f64>,
    /// Calls a seed.
    #[arg(long, default_value_t = Size::default().calls)]
    calls: u32,
    /// Where the ladder of the first failure goes.
    #[arg(long, default_value = "ladder.txt")]
    ladder: PathBuf,
    /// Go on after a failure.
    #[arg(long)]
    keep_going: bool,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let parts = text
        .split_once("..")
        .and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    parts
        .filter(|range| !range.is_empty())
        .ok_or_else(|| "FROM..TO, for example 0..1000".into())
}

/// Totals, and when to speak.
struct Progress {
    begin: Instant,
    spoke: Instant,
    seeds: u64,
    calls: u64,
    answered: u64,
    events: u64,
    failed: u64,
}

const SPEAK: Duration = Duration::from_secs(10);
const LAST: usize = 60;

/// The runner measures its own speed; the worlds have their own time.
fn clock() -> Instant {
    Instant::now()
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            let _ = writeln!(io::stderr(), "ringfort-sim: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> io::Result<u64> {
    let mut out = io::stdout().lock();
    let begin = clock();
    let until = args
        .hours
        .map(|hours| begin + Duration::from_secs_f64(hours.max(0.0) * 3600.0));
    let seeds = match (&args.seeds, args.seed, until) {
        (Some(seeds), ..) => seeds.clone(),
        (None, Some(seed), _) => seed..seed.saturating_add(1),
        (None, None, Some(_)) => fresh()..u64::MAX,
        (None, None, None) => 0..100,
    };
    writeln!(
        out,
        "commit {}, seeds from {}, {} calls a seed",
        commit(),
        seeds.start,
        args.calls
    )?;
    let mut progress = Progress {
        begin,
        spoke: begin,
        seeds: 0,
        calls: 0,
        answered: 0,
        events: 0,
        failed: 0,
    };
    let size = Size { calls: args.calls };
    for seed in seeds {
        let outcome = swarm::run(seed, &size, None);
        progress.add(&outcome);
        if !outcome.violations.is_empty() || args.seed.is_some() {
            show(&mut out, args, &outcome, progress.failed <= 1)?;
            if !args.keep_going && !outcome.violations.is_empty() {
                break;
            }
        }
        if progress.spoke.elapsed() >= SPEAK {
            progress.spoke = clock();
            progress.say(&mut out)?;
        }
        if until.is_some_and(|until| clock() >= until) {
            break;
        }
    }
    progress.say(&mut out)?;
    Ok(progress.failed)
}

impl Progress {
    fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.calls += outcome.calls;
        self.answered += outcome.answered;
        self.events += outcome.events;
        self.failed += u64::from(!outcome.violations.is_empty());
    }

    fn say(&self, out: &mut impl Write) -> io::Result<()> {
        let spent = self.begin.elapsed().as_secs_f64().max(0.001);
        writeln!(
            out,
            "{} seeds, {} calls ({} answered), {} events in {spent:.1} s: {:.0} calls/s; {} seeds failed",
            self.seeds,
            self.calls,
            self.answered,
            self.events,
            self.calls as f64 / spent,
            self.failed
        )?;
        out.flush()
    }
}

/// The failure, the last events, and the ladder: from a second run of the seed.
fn show(out: &mut impl Write, args: &Args, outcome: &Outcome, ladder: bool) -> io::Result<()> {
    let seed = outcome.seed;
    let recording = Rc::new(RefCell::new(Recording::default()));
    let again = swarm::run(seed, &Size { calls: args.calls }, Some(recording.clone()));
    writeln!(
        out,
        "seed {seed}: trace {:016x}, {} calls",
        outcome.trace, outcome.calls
    )?;
    if again.trace != outcome.trace {
        writeln!(out, "seed {seed} is not the same twice: {:016x}", again.trace)?;
    }
    let recording = recording.borrow();
    if let Some(first) = outcome.violations.first() {
        writeln!(out, "seed {seed} FAILED at commit {}", commit())?;
        for violation in &outcome.violations {
            writeln!(
                out,
                "  at {} ms, {}: {}",
                violation.at.millis(),
                violation.call_id,
                violation.text
            )?;
        }
        writeln!(
            out,
            "the last {LAST} events before:\n{}",
            recording.last(first.at, LAST)
        )?;
    }
    if ladder {
        let whole = Violation {
            at: shards::Time::ZERO,
            call_id: String::new(),
            text: format!("seed {seed}, everything"),
        };
        let first = outcome.violations.first().unwrap_or(&whole);
        // Of no call: everything with its Call-IDs.
        let picture = match first.call_id.is_empty() {
            true => format!("{}\n{}", first.text, recording.last(shards::Time::FAR, usize::MAX)),
            false => recording.ladder(first),
        };
        std::fs::write(&args.ladder, format!("seed {seed}, commit {}\n{picture}", commit()))?;
        writeln!(out, "ladder: {}", args.ladder.display())?;
    }
    Ok(())
}

/// A beginning that another run hardly has.
fn fresh() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one("seed") >> 16
}

/// The commit that was built, or that is checked out where this runs.
fn commit() -> String {
    if let Some(built) = option_env!("RINGFORT_REVISION").filter(|built| !built.is_empty()) {
        return built.to_owned();
    }
    let answer = Command::new("git").args(["rev-parse", "--short=10", "HEAD"]).output();
    let text = answer.ok().filter(|answer| answer.status.success());
    let text = text.and_then(|answer| String::from_utf8(answer.stdout).ok());
    text.map_or_else(|| "unknown".into(), |text| text.trim().to_owned())
}
