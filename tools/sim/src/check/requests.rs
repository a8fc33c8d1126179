//! The server as UAC: what it sent, and what it was answered.

use super::{Checker, dialog_key, key};
use crate::text::Glance;
use shards::Time;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// An INVITE that the server sent.
#[derive(Debug)]
pub(super) struct Invite {
    uri: String,
    call_id: String,
    from: String,
    to: String,
    number: u32,
    /// When it was sent, or given up (section 9.1): its transaction may be gone 64 T1 later.
    waits_since: Time,
    /// When something was heard, and when a final response was.
    heard: Option<Time>,
    last: Option<Time>,
    /// To of a failure, which its ACK repeats.
    failure: Option<String>,
    acknowledged: bool,
    cancelled: bool,
    pub(super) excused: bool,
}

/// 64 times T1.
const GIVEN_UP: Duration = Duration::from_secs(32);

impl Invite {
    /// Call-ID and CSeq, as a key.
    pub(super) fn asked(&self) -> u64 {
        key((self.call_id.as_str(), self.number))
    }
}

/// A dialog that a 2xx opened.
#[derive(Debug)]
pub(super) struct Dialog {
    at: Time,
    call_id: String,
    callee: IpAddr,
    /// The INVITE that it comes from, the same for all branches of a fork.
    origin: u64,
    /// The server sent a BYE in it.
    ended_by_us: bool,
    /// 2xx that have to be acknowledged.
    answers: Vec<Answer>,
    pub(super) excused: bool,
}

/// A 2xx to an INVITE.
#[derive(Debug)]
struct Answer {
    /// Hash of the From tag: who asked.
    by: u64,
    number: u32,
    /// It opened the dialog.
    opening: bool,
    /// Who asked what with which answer, as it is passed on by a proxy.
    passed: u64,
    acknowledged: bool,
}

impl Checker {
    pub(super) fn server_asks(&mut self, at: Time, to: SocketAddr, message: &Glance<'_>, octets: &[u8]) {
        let method = message.start.split(' ').next().unwrap_or("");
        self.ended_by(at, message, method);
        if method == "BYE"
            && let Some(dialog) = self.dialogs.get_mut(&dialog_key(message))
        {
            dialog.ended_by_us = true;
        }
        let before = self.sent.insert(key((message.branch(), method)), key(octets));
        if before.is_some_and(|before| before != key(octets)) && method != "ACK" {
            self.broken(at, message.call_id, || {
                format!("{method} to {to} is sent again, but changed (section 17.1)")
            });
        }
        match method {
            "ACK" => return self.server_acknowledges(at, to, message),
            _ if before.is_some() => return,
            "CANCEL" => return self.server_cancels(at, to, message),
            "INVITE" => {
                self.invites.insert(
                    key(message.branch()),
                    Invite {
                        uri: message.uri().to_owned(),
                        call_id: message.call_id.to_owned(),
                        from: message.from.to_owned(),
                        to: message.to.to_owned(),
                        number: message.number(),
                        waits_since: at,
                        heard: None,
                        last: None,
                        failure: None,
                        acknowledged: false,
                        cancelled: false,
                        excused: false,
                    },
                );
            }
            _ => {}
        }
        self.number_rises(at, to, message, method);
    }

    /// Section 12.2.1.1. Through a proxy the numbers are the phones' own, and the network may let one
    /// request overtake another.
    fn number_rises(&mut self, at: Time, to: SocketAddr, message: &Glance<'_>, method: &str) {
        if self.role.proxy {
            return;
        }
        let (number, own) = (message.number(), key((message.call_id, message.from_tag(), "")));
        let dialog = key((message.call_id, message.from_tag(), message.to_tag()));
        let before = self.numbers.get(&dialog).or_else(|| self.numbers.get(&own)).copied();
        self.numbers.insert(dialog, number);
        // Branches of a fork may share what names them before the dialogs.
        let forks = method == "INVITE" && message.to_tag().is_empty();
        if let Some(before) = before.filter(|&before| before >= number && !forks) {
            self.broken(at, message.call_id, || {
                format!("{method} to {to} has CSeq {number} after {before} (section 12.2.1.1)")
            });
        }
    }

    /// Sections 13.2.2.4 and 17.1.1.3.
    fn server_acknowledges(&mut self, at: Time, to: SocketAddr, message: &Glance<'_>) {
        let (number, call_id) = (message.number(), message.call_id);
        if let Some(invite) = self.invites.get_mut(&key(message.branch())) {
            invite.acknowledged = true;
            let fits = invite.failure.as_deref() == Some(message.to);
            if !(fits && invite.number == number && invite.call_id == call_id && invite.from == message.from) {
                let failure = format!("{:?}", invite.failure);
                self.broken(at, call_id, || {
                    format!("ACK to {to} does not fit the failure of its INVITE, {failure} (section 17.1.1.3)")
                });
            }
            return;
        }
        let from = key(message.from_tag());
        let dialog = self.dialogs.get_mut(&dialog_key(message));
        let answer = dialog.and_then(|dialog| {
            dialog
                .answers
                .iter_mut()
                .find(|answer| (answer.by, answer.number) == (from, number))
        });
        match answer {
            Some(answer) => answer.acknowledged = true,
            // Sections 8.2.7 and 16.11: a proxy that is overloaded refuses without state, and cannot tell
            // the ACK to that within a dialog from one to a 2xx.
            None if self.role.proxy && self.shed.contains(&key((call_id, number))) => {}
            None => self.broken(at, call_id, || {
                format!("ACK {number} to {to}, where nobody answered that with 2xx (section 13.2.2.4)")
            }),
        }
    }

    /// Section 9.1.
    fn server_cancels(&mut self, at: Time, to: SocketAddr, message: &Glance<'_>) {
        let grace = self.role.grace;
        if let Some(invite) = self.invites.get_mut(&key(message.branch())) {
            (invite.cancelled, invite.waits_since) = (true, at);
        }
        let wrong = match self.invites.get(&key(message.branch())) {
            None => Some("no INVITE was sent with its branch"),
            Some(invite) if invite.uri != message.uri() => Some("another Request-URI than its INVITE"),
            Some(invite) if invite.number != message.number() || invite.call_id != message.call_id => {
                Some("another CSeq or Call-ID than its INVITE")
            }
            Some(invite) if invite.from != message.from || invite.to != message.to => {
                Some("another From or To than its INVITE")
            }
            Some(invite) if invite.heard.is_none() => Some("before anything was heard"),
            Some(invite) if !self.role.sheds && invite.last.is_some_and(|last| last + grace < at) => {
                Some("after the final response")
            }
            Some(_) => None,
        };
        if let Some(wrong) = wrong {
            self.broken(at, message.call_id, || format!("CANCEL to {to}: {wrong} (section 9.1)"));
        }
    }

    pub(super) fn server_is_answered(&mut self, at: Time, from: SocketAddr, message: &Glance<'_>) {
        let status = message.status();
        if message.method() != "INVITE" {
            return;
        }
        let Some(invite) = self.invites.get_mut(&key(message.branch())) else {
            return;
        };
        if invite.call_id != message.call_id {
            return; // the network changed the INVITE on its way
        }
        let forgotten = invite.cancelled || invite.heard.is_none();
        if forgotten && invite.waits_since + GIVEN_UP < at {
            return;
        }
        invite.heard.get_or_insert(at);
        if status < 200 {
            return;
        }
        if status >= 300 {
            if invite.last.is_none() {
                invite.failure = Some(message.to.to_owned());
            }
            invite.last.get_or_insert(at);
            return;
        }
        invite.last.get_or_insert(at);
        let excused = invite.excused;
        let opening = !invite.to.contains(";tag=");
        let dialog = self.dialogs.entry(dialog_key(message)).or_insert_with(|| Dialog {
            at,
            call_id: message.call_id.to_owned(),
            callee: from.ip(),
            origin: key((message.call_id, message.from_tag(), message.number())),
            ended_by_us: false,
            answers: Vec::new(),
            excused,
        });
        let (by, number) = (key(message.from_tag()), message.number());
        if !dialog
            .answers
            .iter()
            .any(|known| (known.by, known.number) == (by, number))
        {
            dialog.answers.push(Answer {
                by,
                number,
                opening,
                passed: key((message.call_id, message.to_tag(), number)),
                acknowledged: false,
            });
        }
    }

    /// A BYE ends the dialog, whoever sent it.
    pub(super) fn ended_by(&mut self, at: Time, message: &Glance<'_>, method: &str) {
        if method == "BYE" {
            self.first_bye.entry(key(message.call_id)).or_insert(at);
            self.byes.insert(dialog_key(message));
        }
    }

    /// Call-IDs of calls that a phone took part in that is gone now.
    pub(super) fn calls_of_gone(&self) -> HashSet<u64> {
        let callers = self.callers.iter().filter(|(_, caller)| self.gone.contains(caller));
        let dialogs = self
            .dialogs
            .values()
            .filter(|dialog| self.gone.contains(&dialog.callee));
        let callees = dialogs.map(|dialog| key(dialog.call_id.as_str()));
        callers.map(|(call, _)| *call).chain(callees).collect()
    }

    /// Of the dialogs that one INVITE has opened, the B2BUA keeps one and ends the others itself (section
    /// 13.2.2.4); a proxy passes all of them on (section 16.7 step 5).
    fn surplus(&self, wrong: &mut Vec<(String, String)>) {
        let mut kept: HashMap<u64, u32> = HashMap::new();
        let mut dialogs: Vec<_> = self.dialogs.values().filter(|dialog| !dialog.excused).collect();
        dialogs.sort_by_key(|dialog| (dialog.at, dialog.origin));
        for dialog in dialogs {
            let opening = dialog.answers.iter().find(|answer| answer.opening);
            let Some(answer) = opening else { continue };
            if self.role.proxy {
                if !self.passed.contains(&answer.passed) {
                    let (callee, at) = (dialog.callee, dialog.at.millis());
                    let text = format!("the 2xx of {callee} at {at} was never passed on (section 16.7 step 5)");
                    wrong.push((dialog.call_id.clone(), text));
                }
                continue;
            }
            if !dialog.ended_by_us {
                let kept = kept.entry(dialog.origin).or_default();
                *kept += 1;
                if *kept > 1 {
                    let text = format!(
                        "the surplus dialog with {} was not ended (section 13.2.2.4)",
                        dialog.callee
                    );
                    wrong.push((dialog.call_id.clone(), text));
                }
            }
        }
    }

    /// Sections 13.2.2.4 and 15: every 2xx is acknowledged in the end, every dialog ended. Not where
    /// the phone that has to do it (through a proxy the caller acknowledges) is gone.
    pub(super) fn unended(&mut self, at: Time) {
        let mut wrong = Vec::new();
        if self.role.sheds {
            return;
        }
        for invite in self.invites.values().filter(|invite| !invite.excused) {
            if invite.failure.is_some() && !invite.acknowledged {
                let text = format!(
                    "the failure of INVITE {} was never acknowledged (section 17.1.1.3)",
                    invite.number
                );
                wrong.push((invite.call_id.clone(), text));
            }
        }
        self.surplus(&mut wrong);
        for (known, dialog) in self.dialogs.iter().filter(|(_, dialog)| !dialog.excused) {
            let caller = self.callers.get(&key(dialog.call_id.as_str()));
            if self.gone.contains(&dialog.callee) || caller.is_some_and(|caller| self.gone.contains(caller)) {
                continue;
            }
            let ended = self.byes.contains(known);
            let (callee, since) = (dialog.callee, dialog.at.millis());
            // Section 15.1.1: with the BYE the dialog is over, and what was open in it. Through a proxy that
            // holds for the opening INVITE too: a callee that does not wait for the ACK (section 15) is
            // not the proxy's fault.
            let strict = |answer: &Answer| (answer.opening && !self.role.proxy) || !ended;
            for answer in dialog
                .answers
                .iter()
                .filter(|answer| !answer.acknowledged && strict(answer))
            {
                let number = answer.number;
                let text = format!(
                    "the 2xx of {callee} to INVITE {number} at {since} was never acknowledged (section 13.2.2.4)"
                );
                wrong.push((dialog.call_id.clone(), text));
            }
            if !ended {
                let text = format!("the dialog with {callee} since {since} was never ended (section 15)");
                wrong.push((dialog.call_id.clone(), text));
            }
        }
        for (call_id, text) in wrong {
            self.broken(at, &call_id, || text);
        }
    }
}
