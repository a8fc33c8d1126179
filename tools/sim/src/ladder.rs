//! What happened, for people: the last events, and a ladder of one call.

use crate::check::Violation;
use crate::text::{Glance, uri, user};
use shards::Time;
use shards::sim::{Fate, Happening, Observed};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Every signalling datagram of a run, and what was done to the programs. Audio is not kept.
#[derive(Debug, Default)]
pub struct Recording {
    steps: Vec<Step>,
    /// What the columns are called.
    pub names: HashMap<IpAddr, String>,
}

#[derive(Debug)]
struct Step {
    at: Time,
    what: What,
}

#[derive(Debug)]
enum What {
    Message {
        from: SocketAddr,
        to: SocketAddr,
        text: String,
        fate: Fate,
    },
    Deed(String),
}

/// Width of a column.
const WIDTH: usize = 30;
/// Calls whose INVITEs lie this far apart are not two sides of one call.
const ASIDE: u64 = 60_000;

impl Recording {
    /// Keeps an event when it is signalling.
    pub fn observe(&mut self, seen: &Observed<'_>) {
        let what = match seen.what {
            Happening::Sent { from, to, octets, fate } if octets.len() > 12 && octets[0].is_ascii_uppercase() => {
                let text = String::from_utf8_lossy(octets).into_owned();
                What::Message { from, to, text, fate }
            }
            Happening::Crashed(shard) => What::Deed(format!("shard {shard} panics")),
            Happening::Killed => What::Deed("the process is killed".into()),
            Happening::Sent { .. } | Happening::Delivered { .. } => return,
        };
        self.steps.push(Step { at: seen.at, what });
    }

    /// Keeps something that the run itself did: a fault begins, a phone dies.
    pub fn deed(&mut self, at: Time, deed: String) {
        let what = What::Deed(deed);
        self.steps.push(Step { at, what });
    }

    fn name(&self, address: SocketAddr) -> String {
        let name = self.names.get(&address.ip()).cloned();
        name.unwrap_or_else(|| address.to_string())
    }

    /// The last events before `until`, one a line.
    #[must_use]
    pub fn last(&self, until: Time, most: usize) -> String {
        let end = self.steps.partition_point(|step| step.at <= until);
        let mut out = String::new();
        for step in &self.steps[end.saturating_sub(most)..end] {
            let _ = match &step.what {
                What::Deed(deed) => writeln!(out, "{} == {deed}", clock(step.at)),
                What::Message { from, to, text, fate } => {
                    let (from, to) = (self.name(*from), self.name(*to));
                    let call_id = Glance::read(text).map_or("", |message| message.call_id);
                    writeln!(
                        out,
                        "{} {from} -> {to}: {}  {call_id}",
                        clock(step.at),
                        label(text, *fate)
                    )
                }
            };
        }
        out
    }

    /// A ladder of the violation's call, both sides of it; of everything when it is of no call.
    #[must_use]
    pub fn ladder(&self, violation: &Violation) -> String {
        let calls = self.sides(&violation.call_id);
        let mine = |text: &str| {
            violation.call_id.is_empty()
                || Glance::read(text).is_some_and(|message| calls.iter().any(|known| known == message.call_id))
        };
        let mut columns: Vec<IpAddr> = Vec::new();
        let (mut begin, mut end) = (Time::FAR, Time::ZERO);
        for step in &self.steps {
            if let What::Message { from, to, text, .. } = &step.what
                && mine(text)
            {
                for ip in [from.ip(), to.ip()] {
                    if !columns.contains(&ip) {
                        columns.push(ip);
                    }
                }
                (begin, end) = (begin.min(step.at), end.max(step.at));
            }
        }
        let mut out = format!("{}\nat {}", violation.text, clock(violation.at));
        let _ = writeln!(out, ", Call-ID {}\n", calls.join(" and "));
        let _ = write!(out, "{:12}", "");
        for ip in &columns {
            let name = self.names.get(ip).cloned().unwrap_or_else(|| ip.to_string());
            let _ = write!(out, "{name:^WIDTH$}");
        }
        out.push('\n');
        for step in self.steps.iter().filter(|step| (begin..=end).contains(&step.at)) {
            match &step.what {
                What::Deed(deed) => {
                    let _ = writeln!(out, "{:12}== {deed}", clock(step.at));
                }
                What::Message { from, to, text, fate } if mine(text) => {
                    let place = |ip: IpAddr| columns.iter().position(|known| *known == ip).unwrap_or(0);
                    let (left, right) = (place(from.ip()), place(to.ip()));
                    let _ = writeln!(
                        out,
                        "{:12}{}",
                        clock(step.at),
                        arrow(columns.len(), left, right, &label(text, *fate))
                    );
                }
                What::Message { .. } => {}
            }
        }
        out
    }

    /// Call-IDs of both sides of a call through the B2BUA: the INVITE that the server sent for the
    /// same caller soonest after the one it got, and the other way round.
    fn sides(&self, call_id: &str) -> Vec<String> {
        let mut sides = vec![call_id.to_owned()];
        let opening = |step: &Step| match &step.what {
            What::Message { from, text, .. } if text.starts_with("INVITE ") => {
                let message = Glance::read(text).filter(|message| message.to_tag().is_empty())?;
                Some((
                    step.at,
                    *from,
                    user(uri(message.from)).to_owned(),
                    message.call_id.to_owned(),
                ))
            }
            _ => None,
        };
        let invites: Vec<_> = self.steps.iter().filter_map(opening).collect();
        // Who sent an INVITE with a Call-ID first, made it.
        let maker = |call_id: &str| invites.iter().find(|invite| invite.3 == call_id).map(|invite| invite.1);
        let Some((at, from, caller, _)) = invites.iter().find(|invite| invite.3 == call_id) else {
            return sides;
        };
        for (when, _, who, other) in &invites {
            let near = when.millis().abs_diff(at.millis()) < ASIDE;
            let new = !sides.contains(other);
            if near && new && sides.len() < 4 && who == caller && maker(other) != Some(*from) && other != call_id {
                let made = maker(other);
                let named = |maker: Option<SocketAddr>| maker.and_then(|maker| self.names.get(&maker.ip()));
                // One of the two is the server's.
                let servers = [Some(*from), made].map(|maker| named(maker).is_some_and(|name| name == "server"));
                if servers[0] != servers[1] {
                    sides.push(other.clone());
                }
            }
        }
        sides
    }
}

/// Seconds with milliseconds.
fn clock(at: Time) -> String {
    let millis = at.millis();
    format!("{:>6}.{:03}", millis / 1000, millis % 1000)
}

/// `INVITE 2 ..3f9a` or `200 INVITE 2 ..3f9a`, and what the network did with it.
fn label(text: &str, fate: Fate) -> String {
    let fate = match fate {
        Fate::Whole => "",
        Fate::Lost => " LOST",
        Fate::Doubled => " x2",
        Fate::Corrupted => " BROKEN",
    };
    let Some(message) = Glance::read(text) else {
        return format!("{}{fate}", text.lines().next().unwrap_or(""));
    };
    let branch = message.branch();
    let tail: String = branch.chars().skip(branch.chars().count().saturating_sub(4)).collect();
    match message.status() {
        0 => format!("{} {} ..{tail}{fate}", message.method(), message.number()),
        status => format!("{status} {} {} ..{tail}{fate}", message.method(), message.number()),
    }
}

/// An arrow between two columns, with its label in the middle.
fn arrow(columns: usize, from: usize, to: usize, label: &str) -> String {
    let middle = |column: usize| column * WIDTH + WIDTH / 2;
    let mut line: Vec<char> = vec![' '; columns * WIDTH];
    for column in 0..columns {
        line[middle(column)] = '|';
    }
    let (left, right) = (middle(from.min(to)), middle(from.max(to)));
    line[left..=right].fill('-');
    (line[left], line[right]) = ('|', '|');
    match from.cmp(&to) {
        std::cmp::Ordering::Less => line[right - 1] = '>',
        std::cmp::Ordering::Greater => line[left + 1] = '<',
        std::cmp::Ordering::Equal => {}
    }
    let length = label.chars().count() + 2;
    let start = left + (right - left).saturating_sub(length) / 2;
    for (place, letter) in format!(" {label} ").chars().enumerate() {
        match line.get_mut(start + place) {
            Some(spot) => *spot = letter,
            None => line.push(letter),
        }
    }
    line.into_iter().collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_from_the_sender() {
        let edge = " ".repeat(WIDTH / 2);
        let there = arrow(3, 0, 1, "INVITE 1 ..abcd LOST");
        assert_eq!(
            there,
            format!("{edge}|--- INVITE 1 ..abcd LOST --->|{}|", " ".repeat(WIDTH - 1))
        );
        assert_eq!(
            arrow(2, 1, 0, "200 BYE 2"),
            format!("{edge}|<------- 200 BYE 2 ----------|")
        );
    }

    #[test]
    fn a_ladder_shows_the_call_and_what_was_done() {
        let mut recording = Recording::default();
        let message = |call: &str| {
            format!(
                "INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK12\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\n\r\n"
            )
        };
        for (millis, call) in [(1, "mine"), (2, "other"), (3, "mine")] {
            let text = message(call).replace("sip:a@x", &format!("sip:{call}@x"));
            let what = Happening::Sent {
                from: "10.0.1.1:5060".parse().expect("an address"),
                to: "10.0.0.1:5060".parse().expect("an address"),
                octets: text.as_bytes(),
                fate: Fate::Lost,
            };
            let at = Time::from_millis(millis * 1000);
            recording.observe(&Observed { at, what });
        }
        recording.observe(&Observed {
            at: Time::from_millis(2500),
            what: Happening::Crashed(1),
        });
        // The deed was noted last, but happened before.
        recording.steps.sort_by_key(|step| step.at);
        let ladder = recording.ladder(&Violation {
            at: Time::from_millis(3000),
            call_id: "mine".into(),
            text: "wrong".into(),
        });
        assert_eq!(ladder.matches("INVITE 1 ..bK12 LOST").count(), 2, "{ladder}");
        assert!(ladder.contains("2.500  == shard 1 panics"), "{ladder}");
        assert_eq!(recording.last(Time::from_millis(3000), 2).lines().count(), 2);
    }
}
