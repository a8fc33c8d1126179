//! RTP load and judgement: K calls of two legs through a relay, every packet judged.

use clap::{Parser, ValueEnum};
use ringfort_perf::load::{self, PHASE, PHASE_DRAINING, PHASE_MEASURING, Pace};
use ringfort_perf::report::Report;
use ringfort_perf::setup::{self, Relays, ng::Ng, sip};
use ringfort_perf::{mark, procfs};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Sends RTP through a relay in both directions of every call; prints latency, loss and the
/// server's CPU time for each packet, for people on stderr and as one line of JSON on stdout.
/// Exits 1 when a bound is exceeded, 2 when the run could not be made.
#[derive(Parser)]
#[command(after_help = "Example:
  floor serve --backend uring --calls 500 --pairs pairs.txt &
  rtpload --setup direct --pairs pairs.txt --calls 500 --server-pid $!
  rtpload --setup sip --server 127.0.0.1:5060 --callee 127.0.0.1:5080 --calls 500")]
struct Arguments {
    /// How calls are set up.
    #[arg(long, value_enum)]
    setup: Setup,
    /// The server: SIP address, or rtpengine's ng address.
    #[arg(long, default_value = "127.0.0.1:5060")]
    server: SocketAddr,
    /// direct: file with a line a call, `relay-of-A relay-of-B`.
    #[arg(long, default_value = "")]
    pairs: String,
    /// sip: our called phone, the target of the server's route.
    #[arg(long, default_value = "127.0.0.1:5080")]
    callee: SocketAddr,
    /// sip: digits before the six digits of the call's number.
    #[arg(long, default_value = "7")]
    prefix: String,
    /// Calls, two streams each.
    #[arg(long, default_value_t = 500)]
    calls: u32,
    /// Length of the measured window.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Time before it that is not judged (latching).
    #[arg(long, default_value_t = 2)]
    warm_up: u32,
    /// Calls set up a second.
    #[arg(long, default_value_t = 200)]
    setup_rate: u32,
    /// Root of the server's process tree.
    #[arg(long)]
    server_pid: Option<u32>,
    /// Threads of the load.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Longest sleep of a load thread, microseconds.
    #[arg(long, default_value_t = 250)]
    tick_us: u64,
    /// Local address of the load.
    #[arg(long, default_value = "127.0.0.1")]
    ip: IpAddr,
    /// Loss in percent beyond which the run fails.
    #[arg(long, default_value_t = 0.1)]
    max_loss: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Setup {
    Direct,
    Rtpengine,
    Sip,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let _ = writeln!(io::stderr(), "rtpload: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<bool> {
    let run = std::process::id() ^ 0x5a5a_0000;
    let rss = || arguments.server_pid.map_or(0, procfs::rss_kb);
    let pairs = setup::open_pairs(arguments.ip, arguments.calls)?;
    let rss_idle = rss();
    let mut ng = None;
    let mut calls = None;
    let relays: Relays = match arguments.setup {
        Setup::Direct => setup::direct(&arguments.pairs)?,
        Setup::Rtpengine => ng
            .insert(Ng::new(arguments.server, run)?)
            .establish(&pairs, arguments.setup_rate)?,
        Setup::Sip => {
            let plan = sip::Plan {
                server: arguments.server,
                callee: arguments.callee,
                prefix: arguments.prefix.clone(),
                per_second: arguments.setup_rate,
            };
            calls.insert(sip::Calls::new(plan, run, &pairs)?).establish()?
        }
    };
    let legs = setup::join(pairs, &relays);
    let up = legs.len() as u32;
    let mut watch = Watch {
        pid: arguments.server_pid,
        run,
        arguments,
        cpu_ns: 0,
        window: Duration::ZERO,
        rss_busy: 0,
    };
    let report = watch.load(legs, calls.as_mut())?;
    let (mut ended, mut dropped) = (None, 0);
    if let Some(calls) = &mut calls {
        ended = Some(calls.hang_up()?);
        dropped = calls.dropped;
    }
    if let Some(ng) = &mut ng {
        ng.hang_up(arguments.calls as usize, arguments.setup_rate.max(1000))?;
    }
    let ns_per_packet = watch.cpu_ns as f64 / report.received.max(1) as f64;
    let mut json = report.json();
    if let Some(map) = json.as_object_mut() {
        map.insert("calls".into(), up.into());
        map.insert("setup_failed".into(), (arguments.calls - up).into());
        map.insert("calls_ended".into(), ended.into());
        map.insert("calls_dropped".into(), dropped.into());
        map.insert("window_seconds".into(), watch.window.as_secs_f64().into());
        map.insert("server_cpu_ns".into(), watch.cpu_ns.into());
        map.insert("ns_per_packet".into(), ns_per_packet.into());
        map.insert("rss_idle_kb".into(), rss_idle.into());
        map.insert("rss_busy_kb".into(), watch.rss_busy.into());
    }
    let good = up == arguments.calls
        && dropped == 0
        && report.crosstalk == 0
        && report.damaged == 0
        && report.wrong_source == 0
        && report.received > 0
        && 100.0 * report.lost() as f64 <= arguments.max_loss * report.sent as f64;
    writeln!(io::stdout(), "{json}")?;
    writeln!(
        io::stderr(),
        "{up} of {} calls, {} of {} packets, {} lost, {} of another call, p50 {} us, p99 {} us, {ns_per_packet:.0} ns a packet: {}",
        arguments.calls,
        report.received,
        report.sent,
        report.lost(),
        report.crosstalk,
        json["p50_us"],
        json["p99_us"],
        if good { "good" } else { "BAD" }
    )?;
    Ok(good)
}

/// Runs the load's threads and reads the server's CPU time around the measured window.
struct Watch<'a> {
    pid: Option<u32>,
    run: u32,
    arguments: &'a Arguments,
    cpu_ns: u64,
    window: Duration,
    rss_busy: u64,
}

impl Watch<'_> {
    fn load(&mut self, legs: Vec<(u32, [load::Leg; 2])>, mut calls: Option<&mut sip::Calls>) -> io::Result<Report> {
        let per_second = (1000 / mark::INTERVAL.as_millis()) as u32;
        let pace = Pace {
            run: self.run,
            warm_up: self.arguments.warm_up.max(1) * per_second,
            measured: self.arguments.seconds.max(1) * per_second,
            tick: Duration::from_micros(self.arguments.tick_us),
        };
        let threads = self.arguments.threads.clamp(1, 8);
        let mut shares: Vec<Vec<_>> = (0..threads).map(|_| Vec::new()).collect();
        for (index, call) in legs.into_iter().enumerate() {
            shares[index % threads].push(call);
        }
        let start = Instant::now() + Duration::from_millis(50);
        let workers: Vec<_> = shares
            .into_iter()
            .filter(|share| !share.is_empty())
            .map(|share| std::thread::spawn(move || load::run(share, pace, start)))
            .collect();
        let mut begun: Option<(Instant, u64)> = None;
        while workers.iter().any(|worker| !worker.is_finished()) {
            match &mut calls {
                Some(calls) => calls.service(Duration::from_millis(2))?,
                None => std::thread::sleep(Duration::from_millis(2)),
            }
            let (phase, now) = (PHASE.load(Ordering::Relaxed), Instant::now());
            let cpu = || self.pid.map_or(0, procfs::cpu_ns);
            if phase == PHASE_MEASURING && begun.is_none() {
                begun = Some((now, cpu()));
            } else if phase == PHASE_DRAINING && self.window.is_zero() {
                let (from, before) = begun.unwrap_or((start, 0));
                self.window = now - from;
                self.cpu_ns = cpu().saturating_sub(before);
                self.rss_busy = self.pid.map_or(0, procfs::rss_kb);
            }
        }
        let mut report = Report::new();
        for worker in workers {
            report.add(
                &worker
                    .join()
                    .map_err(|_| io::Error::other("a load thread panicked"))??,
            );
        }
        Ok(report)
    }
}
