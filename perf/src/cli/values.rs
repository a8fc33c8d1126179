//! Values of flags, with errors for people.

use super::Ports;
use crate::engine::Transport;
use std::str::FromStr;
use std::time::Duration;

pub(crate) fn number<T: FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?}: {what} is expected"))
}

/// A time: a number in `unit`, or with ms, s, m or h behind it, or as `h:m:s`.
pub(crate) fn time(text: &str, unit: Duration) -> Result<Duration, String> {
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

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    time(text, Duration::from_secs(1))
}

pub(crate) fn millis(text: &str) -> Result<Duration, String> {
    time(text, Duration::from_millis(1))
}

pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = number(text, "a number of calls")?;
    if rate.is_finite() && rate >= 0.0 {
        Ok(rate)
    } else {
        Err(format!("{text:?}: a number of calls is expected"))
    }
}

pub(crate) fn transport(text: &str) -> Result<Transport, String> {
    match text {
        "u1" => Ok(Transport::Udp),
        "t1" => Ok(Transport::Tcp),
        "un" | "ui" | "tn" | "l1" | "ln" | "s1" | "sn" | "c1" | "cn" => Err(format!(
            "-t {text} is not supported by ringload: u1 (UDP) and t1 (TCP, one connection a shard) are"
        )),
        _ => Err(format!("-t {text}: u1 or t1 is expected")),
    }
}

/// First and last port.
/// # Errors
/// One sentence about what is expected.
pub(crate) fn ports(text: &str) -> Result<Ports, String> {
    text.split_once('-')
        .and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)))
        .filter(|(first, last): &Ports| *first > 0 && first < last)
        .ok_or_else(|| format!("{text:?}: FIRST-LAST is expected, such as 30000-39999"))
}
