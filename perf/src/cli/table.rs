//! Every flag: its values, what it is for, and what it sets.

use super::Options;
use super::values::{millis, number, ports, rate, seconds, transport};
use std::time::Duration;

/// Sets one flag from its values.
pub(super) type Set = fn(&mut Options, &[String]) -> Result<(), String>;

pub(super) struct Flag {
    pub(super) name: &'static str,
    /// Names of its values.
    pub(super) values: &'static [&'static str],
    pub(super) what: &'static str,
    pub(super) set: Set,
}

const fn flag(name: &'static str, values: &'static [&'static str], what: &'static str, set: Set) -> Flag {
    Flag {
        name,
        values,
        what,
        set,
    }
}

/// SIPp's flags that are understood.
pub(super) const SIPP: &[Flag] = &[
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
        "keeps so many calls going instead of a rate: each is a user with its <User> variables",
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
    flag(
        "-3pcc",
        &["HOST:PORT"],
        "third-party call control: where the scenario's twin is (its first command: sendCmd connects, recvCmd listens)",
        |o, v| {
            o.third_party = Some(v[0].clone());
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
pub(super) const OWN: &[Flag] = &[
    flag(
        "--shards",
        &["N"],
        "cores to use (all; 1 with -3pcc, or when <Global> variables are written)",
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
    flag(
        "--xdp",
        &["DEVICE"],
        "audio past the kernel's IP stack (AF_XDP) at this network device; needs root",
        |o, v| {
            o.xdp = Some(v[0].clone());
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
