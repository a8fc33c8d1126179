//! Session timers, RFC 4028: agreeing on an interval and a refresher, and when to refresh or to
//! give the session up. Pure; the user writes the headers and sends the requests.

use crate::protocol::sip::{Message, Name, params, write_number};
use shards::Time;
use std::time::Duration;

/// What we ask for and accept, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The interval that we offer and the longest that we accept.
    pub interval: u32,
    /// The shortest that we accept, at least 90 (section 5).
    pub min_se: u32,
}

/// Who refreshes, seen from the transaction that agreed on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// The end that sent the request.
    Uac,
    /// The end that answered it.
    Uas,
}

/// A Session-Expires value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// Seconds.
    pub interval: u32,
    /// Absent in a request that leaves the choice.
    pub refresher: Option<Refresher>,
}

/// What a UAS says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 422 with Min-SE: our [`Policy::min_se`].
    TooSmall,
    /// Session-Expires for the 2xx.
    Agreed {
        /// The header's value.
        expires: SessionExpires,
        /// The 2xx also needs `Require: timer` (section 9: when the UAC refreshes).
        require: bool,
    },
}

/// A running session timer of one leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimer {
    since: Time,
    interval: u32,
    ours: bool,
    /// A refresh came to nothing: not before this.
    later: Time,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send a refresh: a re-INVITE, or an UPDATE where the peer allows it.
    Refresh,
    /// No refresh came through in time: BYE.
    Expired,
}

impl SessionExpires {
    /// Reads a header value; `None` when there is no number.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let end = value
            .iter()
            .position(|octet| !octet.is_ascii_digit())
            .unwrap_or(value.len());
        let (digits, rest) = value.split_at(end);
        let refresher = params(rest.trim_ascii_start())
            .find(|(name, _)| name.eq_ignore_ascii_case(b"refresher"))
            .and_then(|(_, value)| match value {
                Some(value) if value.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
                Some(value) if value.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
                _ => None,
            });
        Some(Self {
            interval: seconds(digits)?,
            refresher,
        })
    }

    /// The one of a message.
    #[must_use]
    pub fn of(message: &Message<'_>) -> Option<Self> {
        Self::parse(message.header(Name::SessionExpires)?)
    }

    /// Appends the header's value.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_number(out, u64::from(self.interval));
        match self.refresher {
            Some(Refresher::Uac) => out.extend_from_slice(b";refresher=uac"),
            Some(Refresher::Uas) => out.extend_from_slice(b";refresher=uas"),
            None => {}
        }
    }
}

/// What to answer to an INVITE or UPDATE, sections 9 and 4 (table 2).
#[must_use]
pub fn answer(request: &Message<'_>, policy: Policy) -> Verdict {
    let supported = supports_timer(request);
    let asked = SessionExpires::of(request);
    // Only a UAC that knows the extension can do something with a 422 (section 9).
    if supported && asked.is_some_and(|asked| asked.interval < policy.min_se) {
        return Verdict::TooSmall;
    }
    // "The UAS can reduce its value but MUST NOT set it lower than the value in the Min-SE ...
    // [and] MUST NOT increase": the floor is the larger of both minima, under the asked value.
    let floor = min_se(request).unwrap_or(LEAST).max(policy.min_se);
    let interval = match asked {
        Some(asked) => asked
            .interval
            .min(policy.interval.max(floor))
            .max(if supported { 0 } else { policy.min_se }),
        None => policy.interval.max(floor),
    };
    let refresher = match asked.and_then(|asked| asked.refresher) {
        // Table 2: a UAC without the extension cannot refresh.
        _ if !supported => Refresher::Uas,
        Some(named) => named,
        None => Refresher::Uac,
    };
    let expires = SessionExpires {
        interval,
        refresher: Some(refresher),
    };
    Verdict::Agreed {
        expires,
        require: refresher == Refresher::Uac,
    }
}

/// The interval and Min-SE for another try after a 422 (section 7.4); `None` when the 422 asks
/// for nothing more than we asked.
#[must_use]
pub fn after_422(response: &Message<'_>, asked: u32) -> Option<u32> {
    min_se(response).filter(|&min| min > asked)
}

/// Whether the peer knows RFC 4028.
#[must_use]
pub fn supports_timer(message: &Message<'_>) -> bool {
    let named = |name| message.values(name).any(|tag| tag.eq_ignore_ascii_case(b"timer"));
    named(Name::Supported) || named(Name::Require)
}

impl SessionTimer {
    /// The timer of the end that answered with `expires`.
    #[must_use]
    pub fn of_uas(now: Time, expires: SessionExpires) -> Self {
        Self::new(now, expires.interval, expires.refresher == Some(Refresher::Uas))
    }

    /// The timer of the end that asked, from the 2xx (section 7.2). A 2xx without
    /// Session-Expires comes from a peer that knows no timers: we refresh with our own interval.
    #[must_use]
    pub fn of_uac(now: Time, response: &Message<'_>, policy: Policy) -> Self {
        match SessionExpires::of(response) {
            Some(expires) => Self::new(
                now,
                expires.interval.max(LEAST),
                expires.refresher != Some(Refresher::Uas),
            ),
            None => Self::new(now, policy.interval.max(LEAST), true),
        }
    }

    /// The timer of an end whose peer knows no timers: it asks by itself whether the peer is still there.
    #[must_use]
    pub fn of_own(now: Time, interval: u32) -> Self {
        Self::new(now, interval.max(LEAST), true)
    }

    /// A 2xx to a refresh was sent or received with the same agreement.
    pub fn refreshed(&mut self, now: Time) {
        self.since = now;
        self.later = Time::ZERO;
    }

    /// A refresh could not be sent, or was refused for a while: the next one is due after a pause. The
    /// session's end stays where it is.
    pub fn postpone(&mut self, now: Time) {
        self.later = now + PAUSE;
    }

    /// When something is due, and what. `refreshing` is true while our refresh is under way.
    #[must_use]
    pub fn next(&self, refreshing: bool) -> (Time, Due) {
        // Section 10: the minimum of 32 seconds and one third of the interval before the end.
        let early = (self.interval / 3).min(32);
        let end = self.since + Duration::from_secs(u64::from(self.interval - early));
        // Section 7.2: "once half the session interval has elapsed".
        let refresh = self.since + Duration::from_secs(u64::from(self.interval)) / 2;
        let refresh = refresh.max(self.later);
        if self.ours && !refreshing && refresh < end {
            (refresh, Due::Refresh)
        } else {
            (end, Due::Expired)
        }
    }

    /// Whether this end refreshes.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.ours
    }

    /// Seconds.
    #[must_use]
    pub fn interval(&self) -> u32 {
        self.interval
    }

    /// The header's value for our next refresh request: who refreshes stays as it is.
    #[must_use]
    pub fn for_refresh(&self) -> SessionExpires {
        let refresher = if self.ours { Refresher::Uac } else { Refresher::Uas };
        SessionExpires {
            interval: self.interval,
            refresher: Some(refresher),
        }
    }

    fn new(since: Time, interval: u32, ours: bool) -> Self {
        Self {
            since,
            interval,
            ours,
            later: Time::ZERO,
        }
    }
}

fn min_se(message: &Message<'_>) -> Option<u32> {
    let value = message.header(Name::MinSe)?;
    seconds(value.split(|octet| !octet.is_ascii_digit()).next()?)
}

fn seconds(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or(u32::MAX))
}

/// Longer than any 491's wait (RFC 3261 section 14.1), short against the least interval.
const PAUSE: Duration = Duration::from_secs(10);
/// Section 4: "the minimum ... MUST NOT be less than 90 seconds".
const LEAST: u32 = 90;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::sip::{Carrier, Spans, parse};

    const POLICY: Policy = Policy {
        interval: 1800,
        min_se: 120,
    };

    fn with<R>(start: &str, headers: &str, then: impl Fn(&Message<'_>) -> R) -> R {
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\n\
             CSeq: 1 INVITE\r\nMax-Forwards: 70\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        let mut spans = Spans::default();
        then(&parse(text.as_bytes(), &mut spans, Carrier::Datagram).expect("a message"))
    }

    fn asked(headers: &str) -> Verdict {
        with("INVITE sip:b@h SIP/2.0", headers, |request| answer(request, POLICY))
    }

    fn agreed(interval: u32, refresher: Refresher) -> Verdict {
        Verdict::Agreed {
            expires: SessionExpires {
                interval,
                refresher: Some(refresher),
            },
            require: refresher == Refresher::Uac,
        }
    }

    #[test]
    fn table_2() {
        assert_eq!(asked(""), agreed(1800, Refresher::Uas));
        assert_eq!(asked("Supported: timer\r\n"), agreed(1800, Refresher::Uac));
        assert_eq!(
            asked("Supported: 100rel, timer\r\nx: 600\r\n"),
            agreed(600, Refresher::Uac)
        );
        assert_eq!(
            asked("k: timer\r\nx: 600 ;refresher=uas\r\n"),
            agreed(600, Refresher::Uas)
        );
        assert_eq!(
            asked("k: timer\r\nx: 600;refresher=uac\r\n"),
            agreed(600, Refresher::Uac)
        );
        assert_eq!(
            asked("Session-Expires: 600;refresher=uac\r\n"),
            agreed(600, Refresher::Uas)
        );
    }

    #[test]
    fn intervals() {
        assert_eq!(
            asked("k: timer\r\nx: 7200\r\n"),
            agreed(1800, Refresher::Uac),
            "reduced"
        );
        assert_eq!(
            asked("k: timer\r\nx: 7200\r\nMin-SE: 3600\r\n"),
            agreed(3600, Refresher::Uac),
            "not below Min-SE"
        );
        assert_eq!(asked("k: timer\r\nx: 119\r\n"), Verdict::TooSmall);
        assert_eq!(
            asked("x: 60\r\n"),
            agreed(120, Refresher::Uas),
            "no 422 without the extension"
        );
        assert_eq!(asked("k: timer\r\nx: 99999999999\r\n"), agreed(1800, Refresher::Uac));
        assert_eq!(
            asked("k: timer\r\nx: soon\r\n"),
            agreed(1800, Refresher::Uac),
            "unreadable is absent"
        );
    }

    #[test]
    fn more_after_422() {
        let retry = |headers: &str| with("SIP/2.0 422 Small", headers, |response| after_422(response, 100));
        assert_eq!(retry("Min-SE: 3600\r\n"), Some(3600));
        assert_eq!(retry("Min-SE: 100\r\n"), None);
        assert_eq!(retry(""), None);
    }

    #[test]
    fn refresh_and_expiry() {
        let start = Time::from_millis(1000);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let uac = |headers: &str| {
            with("SIP/2.0 200 OK", headers, |response| {
                SessionTimer::of_uac(start, response, POLICY)
            })
        };
        let ours = uac("Session-Expires: 90;refresher=uac\r\n");
        assert_eq!(ours.next(false), (at(45), Due::Refresh));
        assert_eq!(ours.next(true), (at(60), Due::Expired), "a third before the end");
        let theirs = uac("Session-Expires: 1800;refresher=uas\r\n");
        assert_eq!(
            theirs.next(false),
            (at(1768), Due::Expired),
            "32 seconds before the end"
        );
        assert_eq!(theirs.for_refresh().refresher, Some(Refresher::Uas));
        assert_eq!(uac("").next(false), (at(900), Due::Refresh), "the peer knows no timers");
        let mut refused = ours;
        refused.postpone(at(45));
        assert_eq!(refused.next(false), (at(55), Due::Refresh));
        refused.postpone(at(55));
        assert_eq!(refused.next(false), (at(60), Due::Expired), "no refresh after the end");
        let mut again = ours;
        again.refreshed(at(45));
        assert_eq!(again.next(false), (at(90), Due::Refresh));
        let uas = SessionTimer::of_uas(
            start,
            SessionExpires {
                interval: 600,
                refresher: Some(Refresher::Uas),
            },
        );
        assert_eq!((uas.next(false), uas.is_ours()), ((at(300), Due::Refresh), true));
    }

    #[test]
    fn text() {
        let mut out = Vec::new();
        SessionExpires {
            interval: 1800,
            refresher: Some(Refresher::Uas),
        }
        .write(&mut out);
        assert_eq!(out, b"1800;refresher=uas");
        assert_eq!(SessionExpires::parse(b";refresher=uac"), None);
    }
}
