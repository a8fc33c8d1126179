//! Flags, their values, and what they are for.

use super::Options;
use crate::engine::Transport;
use crate::scenario::builtin;
use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

/// Sets one flag from its values.
type Set = fn(&mut Options, &[String]) -> Result<(), String>;

struct Flag {
    name: &'static str,
    /// Names of its values.
    values: &'static [&'static str],
    what: &'static str,
    set: Set,
}

const fn flag(name: &'static str, values: &'static [&'static str], what: &'static str, set: Set) -> Flag {
    Flag {
        name,
        values,
        what,
        set,
    }
}

fn number<T: FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?}: {what} is expected"))
}

/// A time: a number in `unit`, or with ms, s, m or h behind it, or as `h:m:s`.
fn time(text: &str, unit: Duration) -> Result<Duration, String> {
    let wrong = || format!("{text:?}: a time such as 500, 500ms, 20s or 1:30 is expected");
    if text.contains(':') {
        let mut seconds = 0u64;
        for part in text.split(':') {
            seconds = seconds * 60 + part.parse::<u64>().map_err(|_| wrong())?;
        }
        return Ok(Duration::from_secs(seconds));
    }
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (value, suffix) = text.split_at(digits);
    let unit = match suffix {
        "" => unit,
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return Err(wrong()),
    };
    let value: f64 = value.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(unit.as_secs_f64() * value).map_err(|_| wrong())
}

fn seconds(text: &str) -> Result<Duration, String> {
    time(text, Duration::from_secs(1))
}

fn millis(text: &str) -> Result<Duration, String> {
    time(text, Duration::from_millis(1))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = number(text, "a number of calls")?;
    if rate.is_finite() && rate >= 0.0 {
        Ok(rate)
    } else {
        Err(format!("{text:?}: a number of calls is expected"))
    }
}

fn transport(text: &str) -> Result<Transport, String> {
    match text {
        "u1" => Ok(Transport::Udp),
        "t1" => Ok(Transport::Tcp),
        "un" | "ui" | "tn" | "l1" | "ln" | "s1" | "sn" | "c1" | "cn" => Err(format!(
            "-t {text} is not supported by ringload: u1 (UDP) and t1 (TCP, one connection a shard) are"
        )),
        _ => Err(format!("-t {text}: u1 or t1 is expected")),
    }
}

fn ports(text: &str) -> Result<(u16, u16), String> {
    text.split_once('-')
        .and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)))
        .filter(|(first, last): &(u16, u16)| *first > 0 && first < last)
        .ok_or_else(|| format!("{text:?}: FIRST-LAST is expected, such as 30000-39999"))
}

/// SIPp's flags that are understood.
const SIPP: &[Flag] = &[
    flag("-sf", &["FILE"], "scenario in SIPp's XML", |o, v| {
        o.scenario_file = Some((&v[0]).into());
        Ok(())
    }),
    flag("-sn", &["NAME"], "built-in scenario (see below)", |o, v| {
        o.scenario_name = Some(v[0].clone());
        Ok(())
    }),
    flag("-sd", &["NAME"], "shows a built-in scenario", |o, v| {
        o.dump = Some(v[0].clone());
        Ok(())
    }),
    flag("-m", &["CALLS"], "ends after so many calls", |o, v| {
        o.most_calls = Some(number(&v[0], "a number")?);
        Ok(())
    }),
    flag("-r", &["CALLS"], "calls in a period (10)", |o, v| {
        o.rate = rate(&v[0])?;
        Ok(())
    }),
    flag("-rp", &["TIME"], "the period (1000 ms)", |o, v| {
        o.period = millis(&v[0])?;
        if o.period.is_zero() {
            Err("a period longer than 0 is expected".into())
        } else {
            Ok(())
        }
    }),
    flag("-l", &["CALLS"], "most calls at once (3 x rate x -d)", |o, v| {
        o.limit = Some(number(&v[0], "a number")?);
        Ok(())
    }),
    flag("-d", &["TIME"], "length of <pause/> (0 ms)", |o, v| {
        o.pause = millis(&v[0])?;
        Ok(())
    }),
    flag(
        "-users",
        &["CALLS"],
        "keeps so many calls going instead of a rate",
        |o, v| {
            o.users = Some(number(&v[0], "a number")?);
            Ok(())
        },
    ),
    flag(
        "-rate_increase",
        &["CALLS"],
        "raises the rate by so much every -rate_interval",
        |o, v| {
            o.rate_increase = Some(rate(&v[0])?);
            Ok(())
        },
    ),
    flag("-rate_max", &["CALLS"], "ends (or stays) at this rate", |o, v| {
        o.rate_max = Some(rate(&v[0])?);
        Ok(())
    }),
    flag("-rate_interval", &["TIME"], "see -rate_increase (as -fd)", |o, v| {
        o.rate_interval = Some(seconds(&v[0])?);
        Ok(())
    }),
    flag("-no_rate_quit", &[], "stays at -rate_max", |o, _| {
        o.no_rate_quit = true;
        Ok(())
    }),
    flag("-i", &["ADDRESS"], "our address in messages, and to bind", |o, v| {
        o.address = Some(v[0].clone());
        Ok(())
    }),
    flag(
        "-p",
        &["PORT"],
        "our port (5060 for servers, a free one for clients)",
        |o, v| {
            o.port = Some(number(&v[0], "a port")?);
            Ok(())
        },
    ),
    flag("-t", &["u1|t1"], "UDP, or TCP with one connection a shard", |o, v| {
        o.transport = transport(&v[0])?;
        Ok(())
    }),
    flag("-s", &["USER"], "user part of the request URI (service)", |o, v| {
        o.service = v[0].clone();
        Ok(())
    }),
    flag("-au", &["USER"], "user for challenges (as -s)", |o, v| {
        o.auth_user = Some(v[0].clone());
        Ok(())
    }),
    flag("-ap", &["PASSWORD"], "password for challenges (password)", |o, v| {
        o.auth_password = v[0].clone();
        Ok(())
    }),
    flag("-key", &["NAME", "VALUE"], "makes [NAME] stand for VALUE", |o, v| {
        o.keys.push((v[0].clone(), v[1].clone()));
        Ok(())
    }),
    flag(
        "-set",
        &["NAME", "VALUE"],
        "first value of a <Global> variable",
        |o, v| {
            o.sets.push((v[0].clone(), v[1].clone()));
            Ok(())
        },
    ),
    flag("-inf", &["FILE"], "injection file, may be given again", |o, v| {
        o.files.push(v[0].clone());
        Ok(())
    }),
    flag(
        "-infindex",
        &["FILE", "FIELD"],
        "makes a file's lines findable by <lookup>",
        |o, v| {
            o.indexes.push((v[0].clone(), number(&v[1], "a field's number")?));
            Ok(())
        },
    ),
    flag("-mi", &["ADDRESS"], "our media address (as -i)", |o, v| {
        o.media_address = Some(v[0].clone());
        Ok(())
    }),
    flag(
        "-mp",
        &["PORT"],
        "[media_port] of scenarios without audio (6000)",
        |o, v| {
            o.media_port = number(&v[0], "a port")?;
            Ok(())
        },
    ),
    flag("-rtp_echo", &[], "sends audio back to where it came from", |o, _| {
        o.echo = true;
        Ok(())
    }),
    flag("-timeout", &["TIME"], "ends after so many seconds", |o, v| {
        o.timeout = Some(seconds(&v[0])?).filter(|time| !time.is_zero());
        Ok(())
    }),
    flag("-timeout_error", &[], "-timeout is an error", |o, _| {
        o.timeout_error = true;
        Ok(())
    }),
    flag(
        "-recv_timeout",
        &["TIME"],
        "longest wait of each <recv> (ms)",
        |o, v| {
            o.receive_timeout = Some(millis(&v[0])?).filter(|time| !time.is_zero());
            Ok(())
        },
    ),
    flag(
        "-aa",
        &[],
        "answers INFO, NOTIFY, OPTIONS and UPDATE with 200",
        |o, _| {
            o.auto_answer = true;
            Ok(())
        },
    ),
    flag(
        "-nd",
        &[],
        "no default answers, failed calls are not hung up",
        |o, _| {
            o.defaults = false;
            Ok(())
        },
    ),
    flag("-nr", &[], "nothing is sent again", |o, _| {
        o.retransmit = false;
        Ok(())
    }),
    flag(
        "-max_retrans",
        &["N"],
        "how often anything is sent again (INVITE 5, others 7)",
        |o, v| {
            o.most_invite = number(&v[0], "a number")?;
            o.most_other = o.most_invite;
            Ok(())
        },
    ),
    flag("-max_invite_retrans", &["N"], "how often INVITE is", |o, v| {
        o.most_invite = number(&v[0], "a number")?;
        Ok(())
    }),
    flag("-max_non_invite_retrans", &["N"], "how often others are", |o, v| {
        o.most_other = number(&v[0], "a number")?;
        Ok(())
    }),
    flag("-T2", &["TIME"], "longest interval of repeats (4000 ms)", |o, v| {
        o.t2 = millis(&v[0])?;
        Ok(())
    }),
    flag("-base_cseq", &["N"], "first [cseq] (1)", |o, v| {
        o.base_cseq = number(&v[0], "a number")?;
        Ok(())
    }),
    flag(
        "-cid_str",
        &["TEXT"],
        "Call-ID: %u call, %p process, %s address (%u-%p@%s)",
        |o, v| {
            o.call_id = v[0].clone();
            Ok(())
        },
    ),
    flag("-bg", &[], "goes to the background", |o, _| {
        o.background = true;
        Ok(())
    }),
    flag("-trace_stat", &[], "statistics file, a line every -fd", |o, _| {
        o.trace_stat = true;
        Ok(())
    }),
    flag("-stf", &["FILE"], "its name", |o, v| {
        o.stat_file = Some((&v[0]).into());
        Ok(())
    }),
    flag("-fd", &["TIME"], "its interval (60 s)", |o, v| {
        o.stat_every = seconds(&v[0])?.max(Duration::from_millis(100));
        Ok(())
    }),
    flag("-stat_delimiter", &["TEXT"], "between its fields (;)", |o, v| {
        o.delimiter = v[0].clone();
        Ok(())
    }),
    flag("-trace_err", &[], "unexpected messages into a file", |o, _| {
        o.trace_err = true;
        Ok(())
    }),
    flag("-error_file", &["FILE"], "its name", |o, v| {
        o.error_file = Some((&v[0]).into());
        Ok(())
    }),
    flag("-trace_msg", &[], "all messages into a file", |o, _| {
        o.trace_msg = true;
        Ok(())
    }),
    flag("-message_file", &["FILE"], "its name", |o, v| {
        o.message_file = Some((&v[0]).into());
        Ok(())
    }),
    flag("-trace_logs", &[], "texts of <log> into a file", |o, _| {
        o.trace_logs = true;
        Ok(())
    }),
    flag("-log_file", &["FILE"], "its name", |o, v| {
        o.log_file = Some((&v[0]).into());
        Ok(())
    }),
    flag("-trace_screen", &[], "the last screen into a file", |o, _| {
        o.trace_screen = true;
        Ok(())
    }),
    flag("-screen_file", &["FILE"], "its name", |o, v| {
        o.screen_file = Some((&v[0]).into());
        Ok(())
    }),
    flag("-f", &["TIME"], "interval of the progress line (1 s)", |o, v| {
        o.show_every = seconds(&v[0])?.max(Duration::from_millis(100));
        Ok(())
    }),
    flag("-nostdin", &[], "accepted: the keyboard is not read", |_, _| Ok(())),
    flag(
        "-skip_rlimit",
        &[],
        "accepted: limits are raised as far as allowed",
        |_, _| Ok(()),
    ),
    flag(
        "-timer_resol",
        &["TIME"],
        "accepted: timers are exact to a millisecond",
        |_, v| millis(&v[0]).map(drop),
    ),
    flag("-bind_local", &[], "accepted: -i is always bound", |_, _| Ok(())),
];

/// Flags of our own.
const OWN: &[Flag] = &[
    flag(
        "--shards",
        &["N"],
        "cores to use (all; 1 when <Global> variables are written)",
        |o, v| {
            o.shards = Some(number(&v[0], "a number of shards")?).filter(|&shards| shards > 0);
            Ok(())
        },
    ),
    flag(
        "--ports",
        &["N"],
        "UDP ports of each core that calls take in turn (1): many phones, not one",
        |o, v| {
            o.ports = Some(number(&v[0], "a number up to 100")?)
                .filter(|ports| (1..=100).contains(ports))
                .ok_or("1 to 100 is expected")?;
            Ok(())
        },
    ),
    flag("--cores", &["LIST"], "which cores, such as 2,3", |o, v| {
        let cores: Result<Vec<usize>, _> = v[0].split(',').map(|core| number(core, "a core's number")).collect();
        o.cores = Some(cores?);
        Ok(())
    }),
    flag(
        "--register",
        &["N"],
        "registers N users at -r; with -inf, user and password are its first fields",
        |o, v| {
            o.register = Some(number(&v[0], "a number of users")?);
            Ok(())
        },
    ),
    flag("--user-prefix", &["TEXT"], "users are TEXT and a number (u)", |o, v| {
        o.user_prefix = v[0].clone();
        Ok(())
    }),
    flag("--user-first", &["N"], "number of the first (1)", |o, v| {
        o.user_first = number(&v[0], "a number")?;
        Ok(())
    }),
    flag("--password", &["TEXT"], "password of all of them (secret)", |o, v| {
        o.password = v[0].clone();
        Ok(())
    }),
    flag("--expires", &["SECONDS"], "of registrations (3600)", |o, v| {
        o.expires = number(&v[0], "a number of seconds")?;
        Ok(())
    }),
    flag(
        "--rtp-ports",
        &["FIRST-LAST"],
        "ports of calls with audio (30000-49999)",
        |o, v| {
            o.rtp_ports = Some(ports(&v[0])?);
            Ok(())
        },
    ),
    flag("--json", &["FILE"], "all figures as JSON", |o, v| {
        o.json = Some((&v[0]).into());
        Ok(())
    }),
    flag("--hgrm", &["FOLDER"], "all histograms as .hgrm files", |o, v| {
        o.hgrm = Some((&v[0]).into());
        Ok(())
    }),
    flag("--seed", &["N"], "of pauses and chances (1)", |o, v| {
        o.seed = number(&v[0], "a number")?;
        Ok(())
    }),
    flag(
        "--i-own-the-target",
        &[],
        "the target is not on loopback, and it is yours",
        |o, _| {
            o.owned = true;
            Ok(())
        },
    ),
    flag("--quiet", &[], "no progress line", |o, _| {
        o.quiet = true;
        Ok(())
    }),
];

/// Reads a command line, without the program's name.
/// # Errors
/// One sentence about what is wrong.
pub fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if !argument.starts_with('-') {
            if let Some(known) = &options.remote {
                return Err(format!("two targets: {known} and {argument}"));
            }
            options.remote = Some(argument.clone());
            continue;
        }
        let Some(flag) = SIPP.iter().chain(OWN).find(|flag| flag.name == argument) else {
            return Err(format!(
                "flag {argument} is not supported by ringload; `ringload --help` lists those that are"
            ));
        };
        let values: Vec<String> = rest.by_ref().take(flag.values.len()).cloned().collect();
        if values.len() < flag.values.len() {
            return Err(format!("{argument} needs {}", flag.values.join(" ")));
        }
        (flag.set)(&mut options, &values).map_err(|sentence| format!("{argument}: {sentence}"))?;
    }
    Ok(options)
}

/// The help text.
#[must_use]
pub fn help() -> String {
    let mut text = String::from(
        "ringload: SIP and RTP load in SIPp's language, on all cores\n\n\
         Usage: ringload TARGET[:PORT] [FLAGS]        calls the target\n       \
                ringload -sn uas [FLAGS]              answers calls\n       \
                ringload search --help                finds the target's limits\n\n\
         Examples:\n  \
           ringload -sn uas -p 5080 &\n  \
           ringload 127.0.0.1:5060 -s 2001 -r 500 -m 10000\n  \
           ringload 127.0.0.1:5060 --register 75000 -r 2000 -inf users.csv\n  \
           ringload 127.0.0.1:5060 -sn uac_audio -s 9196 -d 30s -r 20 -m 600 --json figures.json\n\n\
         SIPp's flags:\n",
    );
    let list = |text: &mut String, flags: &[Flag]| {
        for flag in flags {
            let left = format!("{} {}", flag.name, flag.values.join(" "));
            let _ = writeln!(text, "  {left:<28} {}", flag.what);
        }
    };
    list(&mut text, SIPP);
    text.push_str("\nOur own:\n");
    list(&mut text, OWN);
    text.push_str("\nBuilt-in scenarios (-sn):\n");
    for (name, what) in builtin::list() {
        let _ = writeln!(text, "  {name:<28} {what}");
    }
    text.push_str(
        "\nExit codes: 0 all calls good, 1 a call failed, 97 ended by a scenario's command, 99 no call was made,\n\
         255 an error, 254 a port could not be bound. Ctrl-C hangs up the calls and shows the figures.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Options, String> {
        parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn sipps_flags() {
        let options =
            of("127.0.0.1:5060 -sn uac -m 10 -r 7 -rp 2000 -d 1s -key a b -set c 4 -t t1 -timeout 1:30 -nostdin")
                .expect("good");
        assert_eq!(options.remote.as_deref(), Some("127.0.0.1:5060"));
        assert_eq!((options.most_calls, options.calls_per_second()), (Some(10), 3.5));
        assert_eq!(
            (options.pause, options.timeout),
            (Duration::from_secs(1), Some(Duration::from_secs(90)))
        );
        assert_eq!((options.transport, options.keys.len()), (Transport::Tcp, 1));
    }

    #[test]
    fn errors_say_what_is_expected() {
        for (line, expected) in [
            ("-sctp", "flag -sctp is not supported"),
            ("-m", "-m needs CALLS"),
            ("-m x", "-m: \"x\": a number is expected"),
            ("-t un", "u1 (UDP) and t1"),
            ("-r -1", "calls is expected"),
            ("a b", "two targets: a and b"),
            ("--rtp-ports 9", "FIRST-LAST"),
            ("-rp 0", "longer than 0"),
            ("-d soon", "a time such as"),
        ] {
            let error = of(line).expect_err(line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn every_flag_is_in_the_help() {
        let text = help();
        for flag in SIPP.iter().chain(OWN) {
            assert!(text.contains(&format!("  {} ", flag.name)), "{}", flag.name);
        }
    }
}
