//! Runs seeds, for seconds or for hours, and shows what the failing ones did.

use clap::Parser;
use ringfort_sim::check::Violation;
use ringfort_sim::ladder::Recording;
use ringfort_sim::swarm::{self, Outcome, Size};
use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Plays the whole appliance in simulated worlds: one seed, one world, always the same.
///
/// Each seed draws shards, limits, phones and faults. First nothing wrong may happen although
/// everything goes wrong, then the world is healed and all must end. The first seed that fails is
/// played again with a recording. The last line is
/// `seeds=N calls=M events=E violations=V trace=HASH`; exit code 1 when something was violated.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  ringfort-sim --seeds 1000                  a thousand worlds, seeds 0 to 999
  ringfort-sim --minutes 120                 worlds that nobody has tried, for two hours
  ringfort-sim --seed 42 --ladder out.txt    one world, with the ladder of what failed, or of everything"
)]
struct Args {
    /// How many seeds; without it and without --minutes: 100, or the one of --seed.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed; with --minutes and without it: one that another run hardly has.
    #[arg(long)]
    seed: Option<u64>,
    /// Ends after so many minutes.
    #[arg(long)]
    minutes: Option<f64>,
    /// Calls a seed.
    #[arg(long, default_value_t = Size::default().calls)]
    calls: u32,
    /// Worlds at the same time; they do not influence each other.
    #[arg(long, default_value_t = 1)]
    jobs: u16,
    /// Seconds after which a seed counts as one that never ends.
    #[arg(long, default_value_t = 300)]
    patience: u64,
    /// Where the ladder of the first failure goes.
    #[arg(long, default_value = "ladder.txt")]
    ladder: PathBuf,
    /// Where the ladder goes: every message of the world instead, with its Call-ID.
    #[arg(long)]
    all: bool,
    /// Go on after a failure.
    #[arg(long)]
    keep_going: bool,
}

/// What all seeds together came to, and when to speak.
struct Totals {
    spoke: Instant,
    seeds: u64,
    calls: u64,
    answered: u64,
    events: u64,
    violations: u64,
    failed: Vec<u64>,
    /// Of each seed a part, whatever the order.
    trace: u64,
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
    let begin = clock();
    let until = args
        .minutes
        .map(|minutes| begin + Duration::from_secs_f64(minutes.max(0.0) * 60.0));
    let first = args.seed.unwrap_or_else(|| if until.is_some() { fresh() } else { 0 });
    let count = match (args.seeds, args.seed, until) {
        (Some(seeds), ..) => seeds,
        (None, _, Some(_)) => u64::MAX,
        (None, Some(_), None) => 1,
        (None, None, None) => 100,
    };
    writeln!(
        io::stdout(),
        "commit {}, seeds from {first}, {} calls a seed",
        commit(),
        args.calls
    )?;
    let totals = Mutex::new(Totals {
        spoke: begin,
        seeds: 0,
        calls: 0,
        answered: 0,
        events: 0,
        violations: 0,
        failed: Vec::new(),
        trace: 0,
    });
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    // What each job plays, and since when.
    let playing: Vec<_> = (0..args.jobs.max(1))
        .map(|_| Mutex::new(None::<(u64, Instant)>))
        .collect();
    let play = |job: usize| -> io::Result<()> {
        let playing = |seed: Option<u64>| {
            let now = seed.map(|seed| (seed, clock()));
            *playing[job].lock().unwrap_or_else(std::sync::PoisonError::into_inner) = now;
        };
        while !stop.load(Ordering::Relaxed) && until.is_none_or(|until| clock() < until) {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= count {
                break;
            }
            let seed = first.wrapping_add(place);
            playing(Some(seed));
            let outcome = swarm::run(seed, &Size { calls: args.calls }, None);
            playing(None);
            let mut totals = totals.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            totals.add(&outcome);
            let bad = !outcome.violations.is_empty();
            if bad || (args.seed.is_some() && count == 1) {
                show(&mut io::stdout(), args, &outcome, totals.failed.len() <= 1)?;
                if bad && !args.keep_going {
                    stop.store(true, Ordering::Relaxed);
                }
            }
            if totals.spoke.elapsed() >= SPEAK {
                totals.spoke = clock();
                totals.say(begin)?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..playing.len()).map(|job| scope.spawn(move || play(job))).collect();
        while !jobs.iter().all(|job| job.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
            for job in &playing {
                let now = *job.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some((seed, _)) = now.filter(|(_, since)| since.elapsed().as_secs() >= args.patience) {
                    // It cannot be stopped from outside, and shows where it is under a debugger.
                    writeln!(io::stdout(), "seed {seed} FAILED at commit {}", commit())?;
                    writeln!(
                        io::stdout(),
                        "  at its end: it does not come to one in {} s",
                        args.patience
                    )?;
                    std::process::exit(1);
                }
            }
        }
        let all = jobs.into_iter().map(|job| job.join().unwrap_or(Ok(())));
        all.fold(Ok(()), io::Result::and)
    })?;
    let mut totals = totals.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    totals.failed.sort_unstable();
    totals.say(begin)?;
    if !totals.failed.is_empty() {
        writeln!(io::stdout(), "seeds that failed: {:?}", totals.failed)?;
    }
    let Totals {
        seeds,
        calls,
        events,
        violations,
        trace,
        ..
    } = totals;
    writeln!(
        io::stdout(),
        "seeds={seeds} calls={calls} events={events} violations={violations} trace={trace:016x}"
    )?;
    Ok(violations)
}

impl Totals {
    fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.calls += outcome.calls;
        self.answered += outcome.answered;
        self.events += outcome.events;
        self.violations += outcome.violations.len() as u64;
        if !outcome.violations.is_empty() {
            self.failed.push(outcome.seed);
        }
        let mut mixed = shards::sim::Random::new(outcome.seed ^ outcome.trace.rotate_left(17));
        self.trace ^= mixed.next();
    }

    fn say(&self, begin: Instant) -> io::Result<()> {
        let spent = begin.elapsed().as_secs_f64().max(0.001);
        let mut out = io::stdout();
        writeln!(
            out,
            "{} seeds, {} calls ({} answered), {} events in {spent:.1} s: {:.0} calls/s; {} seeds failed",
            self.seeds,
            self.calls,
            self.answered,
            self.events,
            self.calls as f64 / spent,
            self.failed.len()
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
        let picture = match first.call_id.is_empty() || args.all {
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
