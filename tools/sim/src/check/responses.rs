//! The server as UAS: what it was asked, and what it answered.

use super::{Checker, key};
use crate::text::Glance;
use shards::Time;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// A request that the server received.
#[derive(Debug)]
pub(super) struct Served {
    at: Time,
    /// Where it and its retransmissions came from.
    sources: Vec<SocketAddr>,
    pub(super) call_id: String,
    method: String,
    /// An INVITE outside of a dialog.
    pub(super) opening: bool,
    finals: Vec<Final>,
    /// When its failure was acknowledged.
    acknowledged: Option<Time>,
    /// What the ACK of its 2xx is found by.
    dialog: u64,
    /// Over UDP.
    lossy: bool,
    pub(super) excused: bool,
}

#[derive(Debug)]
struct Final {
    status: u16,
    tag: u64,
    octets: u64,
    at: Time,
    /// When it was sent for the second time.
    again: Option<Time>,
}

fn served_key(message: &Glance<'_>, method: &str) -> u64 {
    key((message.branch(), message.sent_by(), method))
}

/// Who asked what in which call.
fn asked(message: &Glance<'_>) -> u64 {
    key((message.call_id, message.from_tag(), message.number()))
}

/// More than T1, and what the loop needs.
const SOON: Duration = Duration::from_millis(800);

impl Checker {
    pub(super) fn server_is_asked(&mut self, at: Time, from: SocketAddr, message: &Glance<'_>) {
        let method = message.start.split(' ').next().unwrap_or("");
        self.ended_by(at, message, method);
        if method == "ACK" {
            return self.acknowledged(at, message);
        }
        let opening = method == "INVITE" && message.to_tag().is_empty();
        if opening {
            self.callers.insert(key(message.call_id), from.ip());
        }
        let served = self
            .served
            .entry(served_key(message, method))
            .or_insert_with(|| Served {
                at,
                sources: Vec::new(),
                call_id: message.call_id.to_owned(),
                method: method.to_owned(),
                opening,
                finals: Vec::new(),
                acknowledged: None,
                dialog: asked(message),
                lossy: !message.via.starts_with("SIP/2.0/TCP"),
                excused: false,
            });
        if !served.sources.contains(&from) {
            served.sources.push(from);
        }
    }

    /// The ACK of a failure has its INVITE's branch, that of a 2xx its number and dialog.
    fn acknowledged(&mut self, at: Time, message: &Glance<'_>) {
        self.acks.entry(asked(message)).or_insert(at);
        if let Some(served) = self.served.get_mut(&served_key(message, "INVITE")) {
            served.acknowledged.get_or_insert(at);
        }
    }

    /// Sections 17.2.1, 17.2.2, 18.2.2.
    pub(super) fn server_answers(&mut self, at: Time, to: SocketAddr, message: &Glance<'_>, octets: &[u8]) {
        let (status, method) = (message.status(), message.method());
        let proxy = self.role.proxy;
        if status == 503 && method == "INVITE" {
            self.shed.insert(key((message.call_id, message.number())));
        }
        if method == "INVITE" && (200..300).contains(&status) {
            self.passed
                .insert(key((message.call_id, message.to_tag(), message.number())));
        }
        let Some(served) = self.served.get_mut(&served_key(message, method)) else {
            if !self.odd.contains(&to.ip()) {
                self.broken(at, message.call_id, || {
                    format!("{status} to {to} answers no {method} (section 18.2.2)")
                });
            }
            return;
        };
        let named = message.sent_by().parse().ok();
        let meant = |source: &SocketAddr| {
            *source == to
                || (source.ip() == to.ip() && named.is_some_and(|named: SocketAddr| named.port() == to.port()))
        };
        let strange = named != Some(to) && !served.sources.iter().any(meant);
        let second = (status >= 200).then(|| served.another(proxy, at, message, key(octets)));
        if strange {
            self.broken(at, message.call_id, || {
                format!("{status} of {method} goes to {to}, where no such request came from (section 18.2.2)")
            });
        }
        if let Some(Some(text)) = second {
            self.broken(at, message.call_id, || text);
        }
    }

    pub(super) fn unanswered(&mut self, at: Time, records: &HashMap<u64, u32>) {
        let mut wrong = Vec::new();
        let excused = self.calls_of_gone();
        for served in self.served.values().filter(|served| !served.excused) {
            // RFC 4320 section 4.2: a proxy sends no 408 to a non-INVITE.
            let must = matches!(served.method.as_str(), "INVITE" | "REGISTER" | "CANCEL") || !self.role.proxy;
            if served.finals.is_empty() && must {
                let text = format!(
                    "{} at {} never got a final answer (section 17.2)",
                    served.method,
                    served.at.millis()
                );
                wrong.push((served.call_id.clone(), text));
            }
            if let Some(text) = served.not_again(self).filter(|_| !self.role.sheds) {
                wrong.push((served.call_id.clone(), text));
            }
            // Through a proxy, the call of a phone that is gone has no end that anybody hears of.
            if self.role.proxy && excused.contains(&key(served.call_id.as_str())) {
                continue;
            }
            let answered = served.opening && served.finals.iter().any(|last| (200..300).contains(&last.status));
            if answered && !records.contains_key(&key(served.call_id.as_str())) {
                wrong.push((served.call_id.clone(), "an answered call has no record".into()));
            }
        }
        for (call_id, text) in wrong {
            self.broken(at, &call_id, || text);
        }
    }
}

impl Served {
    /// Without an ACK a final response to an INVITE is sent again after T1: timer G for a failure (section
    /// 17.2.1), section 13.3.1.4 for a 2xx, which a BYE makes needless too.
    fn not_again(&self, checker: &Checker) -> Option<String> {
        let last = self.finals.first().filter(|_| self.finals.len() == 1 && self.lossy)?;
        let until = match last.status {
            // A proxy's 2xx is the callee's to repeat.
            200..300 if checker.role.proxy => return None,
            200..300 => {
                let bye = checker.first_bye.get(&key(self.call_id.as_str()));
                let ack = checker.acks.get(&self.dialog);
                [bye, ack].into_iter().flatten().min().copied()
            }
            // Others may be said without a transaction, and then once (section 8.2.7).
            302 | 408 | 480 | 486 | 487 => self.acknowledged,
            _ => return None,
        };
        let soon = last.at + SOON;
        let again = last.again.is_some_and(|again| again <= soon);
        let due = self.method == "INVITE" && !again && until.is_none_or(|until| until > soon);
        due.then(|| {
            let (status, at) = (last.status, last.at.millis());
            format!("{status} of INVITE at {at} was not sent again, though no ACK came (sections 13.3.1.4 and 17.2.1)")
        })
    }

    /// Takes a final response; what is wrong with it.
    fn another(&mut self, proxy: bool, at: Time, message: &Glance<'_>, octets: u64) -> Option<String> {
        let (status, tag) = (message.status(), key(message.to_tag()));
        let again = None;
        let new = Final {
            status,
            tag,
            octets,
            at,
            again,
        };
        let invite = self.method == "INVITE";
        let success = (200..300).contains(&status);
        let same = self.finals.iter().find(|last| last.status == status && last.tag == tag);
        let wrong = match (same, self.finals.first()) {
            _ if self.excused => None,
            // Section 8.2.7: challenges take no transaction; each has a nonce of its own.
            (Some(_), _) if matches!(status, 401 | 407) => None,
            (Some(same), _) if same.octets == octets => None,
            // Its Via says where the request came from (RFC 3581), and this one came from two places.
            _ if self.sources.len() > 1 && same.is_some() => None,
            (Some(_), _) => Some(format!(
                "{status} of {} is sent again, but changed (section 17.2)",
                self.method
            )),
            (None, None) => None,
            // Section 16.7 step 5: a proxy forwards each 2xx of an INVITE, whatever it sent before.
            (None, _) if proxy && invite && success => None,
            // Section 8.2.7 again: of a request that took no transaction, a copy is new.
            (None, Some(first)) if matches!(first.status, 401 | 407 | 503) => None,
            // An overloaded server refuses a copy without looking, when what it said before took none either.
            (None, Some(first)) if status == 503 && first.status >= 300 => None,
            // And a nonce that was used for the first copy is stale for the second.
            (None, Some(first)) if matches!(status, 401 | 407) && first.status >= 300 => None,
            (None, Some(first)) => Some(format!(
                "{status} of {} after {} (section 17.2: one final response)",
                self.method, first.status
            )),
        };
        match self
            .finals
            .iter_mut()
            .find(|last| last.status == status && last.tag == tag)
        {
            Some(same) => drop(same.again.get_or_insert(at)),
            None => self.finals.push(new),
        }
        wrong
    }
}
