//! Doubling, then bisection.

use super::lines;
use super::probe::Web;
use super::trial::{Bench, Carried};
use super::{Arguments, What};
use crate::calendar;
use crate::cli::{self, Options};
use crate::engine::{Arrivals, Load};
use crate::report_search::{Capacity, Report, Search, Trial, markdown, plots};
use crate::rig::{Clips, Figures, Outlets};
use crate::run::{Fleet, Prepared, Refusal, Signals, output, prepare, resolve};
use crate::scenario::Role;
use serde_json::Value;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A call that waits for so long has failed: the line is a tenth of a second.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Standing calls last until they are hung up.
const STANDING: Duration = Duration::from_secs(3600);

/// Searches, writes the report; the exit code is 0 when every search found a load that is carried.
/// # Errors
/// [`Refusal`] when it cannot begin, or the report cannot be written.
pub fn search(arguments: &Arguments, signals: &Signals) -> Result<u8, Refusal> {
    let web = arguments
        .capacity
        .as_ref()
        .map(|url| Web::new(url, arguments.token_file.as_ref()).map_err(Refusal::error))
        .transpose()?;
    if let Some(web) = &web {
        web.capacity().map_err(Refusal::error)?;
    }
    let began = Instant::now();
    let mut report = Report {
        title: arguments.title.clone(),
        target: arguments.target.clone(),
        mode: mode(arguments),
        began: now(),
        machine: machine(),
        parameters: parameters(arguments),
        lines: lines::in_words(arguments),
        ..Report::default()
    };
    let mut best = Vec::new();
    for &what in &arguments.what {
        let (prepared, options) = prepared(arguments, what)?;
        let (prepared, options) = (&prepared, &options);
        let shards = prepared.shards;
        let fleet = Fleet::start(prepared, options, Outlets::default(), move |_, shard, start| Load {
            arrivals: Arrivals::new(0.0, Some(0), shard, shards, start),
            limit: u64::MAX,
            keep: None,
        })?;
        let mut bench = Bench {
            arguments,
            fleet: &fleet,
            signals,
            web: web.as_ref(),
            registered: 0,
        };
        let (found, figures) = one(&mut bench, what);
        if let (Some(limit), Some(_)) = (found.found, &web)
            && signals.stops() == 0
        {
            say(&format!(
                "half of it, for the target's own estimate: {:.0}",
                limit / 2.0
            ));
            let half = bench.carry(what, limit / 2.0, true);
            match half.capacity.as_ref().and_then(|value| estimate(what, limit, value)) {
                Some(capacity) => report.capacity.push(capacity),
                None => report.notes.push("The target gave no estimate of its capacity.".into()),
            }
        }
        report.searches.push(found);
        best.push((what, figures));
        fleet.stop();
    }
    report.seconds = began.elapsed().as_secs_f64();
    if signals.stops() > 0 {
        report
            .notes
            .push("The search was stopped by the operator before its end.".into());
    }
    write(arguments, &report, &best)?;
    let all = report.searches.iter().all(|search| search.found.is_some());
    Ok(u8::from(!all))
}

fn one(bench: &mut Bench<'_>, what: What) -> (Search, Figures) {
    let (name, unit, start, most) = match what {
        What::Rate => ("calls a second", "calls/s", 100.0, 100_000.0),
        What::Calls => ("calls at once", "calls", 100.0, 100_000.0),
        What::Register => ("registrations a second", "registrations/s", 200.0, 100_000.0),
    };
    let (start, most) = (
        bench.arguments.start.unwrap_or(start).max(1.0),
        bench.arguments.most.unwrap_or(most),
    );
    let mut search = Search {
        name: name.into(),
        unit: unit.into(),
        ..Search::default()
    };
    let mut best = Figures::default();
    let (mut good, mut bad): (Option<f64>, Option<f64>) = (None, None);
    let mut load = start.min(most);
    loop {
        let passed = settle(bench, what, load, &mut search.trials, &mut best);
        if bench.signals.stops() > 0 {
            search.ended = "stopped by the operator".into();
            break;
        }
        if passed {
            good = Some(load);
        } else {
            bad = Some(load);
        }
        load = match (good, bad) {
            (Some(good), None) if good >= most => {
                search.ended = format!("the highest load allowed ({most:.0}) was carried: the limit is beyond");
                break;
            }
            (Some(good), None) => (good * 2.0).min(most),
            (None, Some(bad)) if bad <= 4.0 => {
                search.ended = "not even the smallest load was carried".into();
                break;
            }
            (None, Some(bad)) => bad / 2.0,
            (Some(good), Some(bad)) if bad - good <= good * bench.arguments.precision => {
                search.ended = format!(
                    "{bad:.0} was not carried, which is within {} %",
                    bench.arguments.precision * 100.0
                );
                break;
            }
            (Some(good), Some(bad)) => f64::midpoint(good, bad).round(),
            (None, None) => break,
        };
    }
    search.found = good;
    (search, best)
}

/// Tries a load; one that misses a line is tried again. Whether most tries passed.
fn settle(bench: &mut Bench<'_>, what: What, load: f64, trials: &mut Vec<Trial>, best: &mut Figures) -> bool {
    let repeats = bench.arguments.repeats.max(1);
    let (mut passed, mut missed) = (0, 0);
    loop {
        let Carried { trial, figures, .. } = bench.carry(what, load, false);
        tell(&trial);
        let good = trial.passed;
        trials.push(trial);
        if bench.signals.stops() > 0 {
            return false;
        }
        if good {
            passed += 1;
            *best = figures;
        } else {
            missed += 1;
        }
        if passed == 1 && missed == 0 || passed * 2 > repeats {
            return true;
        }
        if missed * 2 > repeats || passed + missed >= repeats {
            return false;
        }
    }
}

fn say(text: &str) {
    let _ = writeln!(io::stderr(), "ringload search: {text}");
}

fn tell(trial: &Trial) {
    let audio = trial.loss.map_or(String::new(), |loss| {
        let delay = trial.delay_us.map_or(0, |delay| delay[2]);
        format!(
            ", audio lost {:.3} %, delay p99 {:.1} ms",
            loss * 100.0,
            delay as f64 / 1000.0
        )
    });
    say(&format!(
        "{:>8.0}: {} of {} failed, set-up p99 {:.1} ms{audio}, target {:.2} and generator {:.2} cores: {}",
        trial.load,
        trial.failed,
        trial.attempts,
        trial.setup_us[2] as f64 / 1000.0,
        trial.server_cpu.unwrap_or(f64::NAN),
        trial.load_cpu,
        if trial.passed {
            "carried".to_owned()
        } else {
            trial.why.join("; ")
        },
    ));
}

/// Options of one role, from the search's arguments.
fn prepared(arguments: &Arguments, what: What) -> Result<(Prepared, Options), Refusal> {
    let target = resolve(&arguments.target, 5060)?;
    let answer = resolve(&arguments.answer, 5080)?;
    let ports =
        cli::ports(&arguments.rtp_ports).map_err(|sentence| Refusal::error(format!("--rtp-ports {sentence}")))?;
    let name = |plain: &str, audio: &str| {
        if arguments.audio {
            audio.to_owned()
        } else {
            plain.to_owned()
        }
    };
    let mut caller = Options {
        remote: Some(target.to_string()),
        service: arguments.callee.clone(),
        transport: arguments.transport(),
        pause: if what == What::Calls {
            STANDING
        } else {
            Duration::from_secs_f64(arguments.hold.max(0.0))
        },
        receive_timeout: Some(RECEIVE_TIMEOUT),
        shards: Some(arguments.shards.max(1)),
        rtp_ports: Some(ports),
        ports: arguments.ports.clamp(1, 100),
        owned: arguments.i_own_the_target,
        scenario_file: arguments.caller_scenario.clone(),
        scenario_name: Some(name("uac", "uac_audio")),
        quiet: true,
        ..Options::default()
    };
    if what == What::Register {
        caller.scenario_name = Some("register".into());
        caller.register = Some(arguments.user_count);
        caller.password.clone_from(&arguments.password);
        caller.files = arguments.users.iter().cloned().collect();
        let mut prepared = prepare(&caller)?;
        if let Some(domain) = &arguments.domain {
            prepared.roles[0].settings.remote_host.clone_from(domain);
        }
        prepared.most_calls = None;
        return Ok((prepared, caller));
    }
    caller.files = arguments.users.iter().cloned().collect();
    let callee = Options {
        address: Some(answer.ip().to_string()),
        port: Some(answer.port()),
        scenario_file: arguments.callee_scenario.clone(),
        scenario_name: Some(name("uas", "uas_audio")),
        remote: None,
        receive_timeout: None,
        ..caller.clone()
    };
    let (mut prepared, called) = (prepare(&caller)?, prepare(&callee)?);
    if called.roles[0].scenario.role != Role::Server {
        return Err(Refusal::error("--callee-scenario: it has to begin with <recv>"));
    }
    prepared.roles.extend(called.roles);
    let scenarios: Vec<_> = prepared.roles.iter().map(|role| role.scenario.clone()).collect();
    prepared.clips = Arc::new(Clips::load(scenarios.iter().map(|scenario| &**scenario)).map_err(Refusal::error)?);
    Ok((prepared, caller))
}

/// The target's estimate, as all that it could carry.
fn estimate(what: What, found: f64, value: &Value) -> Option<Capacity> {
    let number = |path: &str| value.pointer(path).and_then(Value::as_f64);
    let sum = |base: &str| Some(number(&format!("{base}/now"))? + number(&format!("{base}/more"))?);
    let (base, bound, name) = match what {
        What::Rate => ("/calls_per_second", "/calls_per_second/bound_by", "calls a second"),
        What::Calls => ("/calls", "/calls/bound_by", "calls at once"),
        What::Register => (
            "/registers_per_second",
            "/registers_per_second/bound_by",
            "REGISTER requests a second",
        ),
    };
    // A registration with digest is two requests.
    let found = if what == What::Register { found * 2.0 } else { found };
    Some(Capacity {
        found,
        estimate_at_half: sum(base)?,
        bound_by: value
            .pointer(bound)
            .and_then(Value::as_str)
            .unwrap_or("unknown")
            .to_owned(),
        what: name.into(),
    })
}

fn write(arguments: &Arguments, report: &Report, best: &[(What, Figures)]) -> Result<(), Refusal> {
    let folder = &arguments.report;
    std::fs::create_dir_all(folder)
        .map_err(|error| Refusal::error(format!("--report {}: {error}", folder.display())))?;
    let plots = plots(report);
    for plot in &plots {
        output::save(&folder.join(&plot.file), plot.svg.as_bytes())?;
    }
    let names: Vec<_> = plots
        .iter()
        .map(|plot| (plot.file.clone(), plot.caption.clone()))
        .collect();
    output::save(&folder.join("report.md"), markdown(report, &names).as_bytes())?;
    for (what, figures) in best {
        let Some(role) = figures.roles.first() else { continue };
        let own = role.times.named();
        let all = own.iter().map(|(name, histogram)| (name.as_str(), *histogram));
        let audio = figures.audio.named();
        let name = format!("{what:?}").to_lowercase();
        output::hgrm_files(&folder.join(name), all.chain(audio))?;
    }
    say(&format!("{}", folder.join("report.md").display()));
    for search in &report.searches {
        match search.found {
            Some(found) => say(&format!("{found:.0} {} are carried; {}", search.name, search.ended)),
            None => say(&format!("{}: {}", search.name, search.ended)),
        }
    }
    Ok(())
}

fn mode(arguments: &Arguments) -> String {
    if arguments.what == [What::Register] {
        "registration".into()
    } else if arguments.audio {
        "calls with audio both ways".into()
    } else {
        "calls without audio".into()
    }
}

fn now() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let (date, time) = calendar::utc(seconds);
    format!("{date} {time} UTC")
}

fn machine() -> Vec<(String, String)> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory = read("/proc/meminfo");
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    vec![
        (
            "Cores".into(),
            info.lines()
                .filter(|line| line.starts_with("processor"))
                .count()
                .to_string(),
        ),
        (
            "Processor".into(),
            model.map_or("unknown", |(_, name)| name).trim().to_owned(),
        ),
        ("Memory".into(), memory.unwrap_or("unknown").trim().to_owned()),
        ("Kernel".into(), read("/proc/sys/kernel/osrelease").trim().to_owned()),
    ]
}

fn parameters(arguments: &Arguments) -> Vec<(String, String)> {
    let row = |name: &str, value: String| (name.to_owned(), value);
    vec![
        row("Transport", arguments.transport().name().to_owned()),
        row("Measured time of each load", format!("{} s", arguments.seconds)),
        row(
            "Length of calls when rates are searched for",
            format!("{} s", arguments.hold),
        ),
        row(
            "Calls a second while calls pile up",
            format!("{:.0}, or a thirtieth of the load", arguments.ramp),
        ),
        row("Tries of a load that misses a line", arguments.repeats.to_string()),
        row("Cores of the generator", arguments.shards.to_string()),
        row("Ports of the caller", format!("{} on each core", arguments.ports)),
        row(
            "Audio",
            if arguments.audio {
                "PCMU, 20 ms, both ways".into()
            } else {
                "none".into()
            },
        ),
    ]
}
