//! From a command line to options, and the help.

use super::Options;
use super::table::{Flag, OWN, SIPP};
use crate::scenario::builtin;
use std::fmt::Write as _;

/// SIPp's flags of third-party call control among several.
const EXTENDED: [&str; 3] = ["-master", "-slave", "-slave_cfg"];

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
        if EXTENDED.contains(&&**argument) {
            return Err(format!(
                "{argument}: third-party call control among more than two (SIPp's extended mode) is not supported by ringload; -3pcc HOST:PORT is, with one twin"
            ));
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
    use crate::engine::Transport;
    use std::time::Duration;

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
            ("-3pcc", "-3pcc needs HOST:PORT"),
            ("-slave s1", "with one twin"),
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
