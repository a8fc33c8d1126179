//! Requests out, with retransmissions (RFC 3261 section 17.1).

use super::{EndpointCx, Leg, Phone, SERVER, Sent, State, Text, Timer, text};
use std::net::SocketAddr;
use std::time::Duration;

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

impl Phone {
    /// Sends a request and keeps it until its final response. `extra` are whole header lines.
    pub(super) fn send(
        &mut self,
        cx: &mut EndpointCx<'_>,
        method: &str,
        to: SocketAddr,
        leg: Option<usize>,
        head: &str,
        body: &str,
    ) -> String {
        let branch = format!("z9hG4bK{:016x}", cx.random());
        let via = format!("SIP/2.0/{} {};branch={branch};rport", self.transport(), self.me);
        let octets = write(method, &via, head, body);
        self.emit(cx, to, octets.as_bytes());
        if method != "ACK" {
            self.keep(cx, method, &branch, to, leg, octets.into_bytes());
        }
        branch
    }

    pub(super) fn keep(
        &mut self,
        cx: &mut EndpointCx<'_>,
        method: &str,
        branch: &str,
        to: SocketAddr,
        leg: Option<usize>,
        octets: Vec<u8>,
    ) {
        let place = self.sent.len();
        self.sent.push(Sent {
            branch: branch.into(),
            method: method.into(),
            to,
            octets,
            interval: T1,
            until: cx.now + T1 * 64,
            leg,
            provisional: false,
            done: false,
        });
        self.timer(cx, T1, Timer::Again(place));
    }

    /// Timers A, B, E and F.
    pub(super) fn again(&mut self, cx: &mut EndpointCx<'_>, place: usize) {
        let sent = &mut self.sent[place];
        let invite = sent.method == "INVITE";
        if sent.done || (invite && sent.provisional) {
            return;
        }
        if sent.until <= cx.now {
            sent.done = true;
            let (method, leg) = (sent.method.clone(), sent.leg);
            return self.unanswered(cx, &method, leg);
        }
        // Section 17.1.1.2: on a reliable transport nothing is sent again.
        let again = (!self.habits.tcp).then(|| (sent.to, sent.octets.clone()));
        sent.interval = if invite {
            sent.interval * 2
        } else {
            (sent.interval * 2).min(T2)
        };
        if sent.provisional {
            sent.interval = T2;
        }
        let interval = sent.interval;
        if let Some((to, octets)) = again {
            self.emit(cx, to, &octets);
        }
        self.timer(cx, interval, Timer::Again(place));
    }

    fn unanswered(&mut self, cx: &mut EndpointCx<'_>, method: &str, leg: Option<usize>) {
        match (method, leg) {
            ("INVITE", Some(place)) if self.legs[place].state == State::Up => {
                self.legs[place].asking = None;
                self.legs[place].changes.push(408);
                self.hang_up(cx, place);
            }
            ("INVITE", Some(place)) => {
                self.legs[place].state = State::Over;
                self.legs[place].status = 408;
            }
            ("CANCEL", Some(place)) if self.legs[place].state == State::Early => {
                self.legs[place].state = State::Over;
                self.legs[place].status = 487;
            }
            _ => {}
        }
    }

    /// A request within a leg's dialog.
    pub(super) fn within(
        &mut self,
        cx: &mut EndpointCx<'_>,
        place: usize,
        method: &str,
        cseq: u32,
        extra: &str,
        body: &str,
    ) -> String {
        let leg = &self.legs[place];
        let (head, to) = dialog_head(leg, method, cseq, extra, &self.contact());
        self.send(cx, method, to, Some(place), &head, body)
    }

    pub(super) fn next_cseq(&mut self, place: usize) -> u32 {
        self.legs[place].cseq += 1;
        self.legs[place].cseq
    }

    /// The ACK of a failure: in the INVITE's own branch (section 17.1.1.3).
    pub(super) fn ack_failure(&mut self, cx: &mut EndpointCx<'_>, place: usize, response: &Text) {
        let sent = &self.sent[place];
        let Some(invite) = Text::parse(&sent.octets) else {
            return;
        };
        let uri = invite.start.split(' ').nth(1).unwrap_or("").to_owned();
        let mut head = format!("{uri}\n");
        for route in invite.all("route") {
            head.push_str(&format!("Route: {route}\n"));
        }
        head.push_str(&format!(
            "From: {}\nTo: {}\nCall-ID: {}\nCSeq: {} ACK\n",
            invite.one("from"),
            response.one("to"),
            invite.one("call-id"),
            invite.cseq()
        ));
        let octets = write("ACK", invite.one("via"), &head, "");
        let to = sent.to;
        self.emit(cx, to, octets.as_bytes());
    }

    /// CANCEL of an INVITE: everything but the method is the INVITE's (section 9.1).
    pub(super) fn send_cancel(&mut self, cx: &mut EndpointCx<'_>, place: usize) {
        let (branch, to, leg) = (
            self.sent[place].branch.clone(),
            self.sent[place].to,
            self.sent[place].leg,
        );
        let Some(invite) = Text::parse(&self.sent[place].octets) else {
            return;
        };
        let uri = invite.start.split(' ').nth(1).unwrap_or("").to_owned();
        let head = format!(
            "{uri}\nFrom: {}\nTo: {}\nCall-ID: {}\nCSeq: {} CANCEL\n",
            invite.one("from"),
            invite.one("to"),
            invite.one("call-id"),
            invite.cseq()
        );
        let octets = write("CANCEL", invite.one("via"), &head, "").into_bytes();
        self.emit(cx, to, &octets);
        self.keep(cx, "CANCEL", &branch, to, leg, octets);
    }
}

/// `head` starts with the Request-URI and goes on with header lines.
fn write(method: &str, via: &str, head: &str, body: &str) -> String {
    let (uri, lines) = head.split_once('\n').unwrap_or((head, ""));
    let mut text = format!("{method} {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n");
    for line in lines.lines().filter(|line| !line.is_empty()) {
        text.push_str(line);
        text.push_str("\r\n");
    }
    if !body.is_empty() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text
}

fn dialog_head(leg: &Leg, method: &str, cseq: u32, extra: &str, contact: &str) -> (String, SocketAddr) {
    let mut head = format!("{}\n", leg.target);
    for route in &leg.routes {
        head.push_str(&format!("Route: {route}\n"));
    }
    let remote = if leg.remote_tag.is_empty() {
        format!("To: <{}>", leg.remote)
    } else {
        format!("To: <{}>;tag={}", leg.remote, leg.remote_tag)
    };
    head.push_str(&format!(
        "From: <{}>;tag={}\n{remote}\nCall-ID: {}\nCSeq: {cseq} {method}\nContact: {contact}\n{extra}",
        leg.local, leg.local_tag, leg.call_id
    ));
    let next = leg.routes.first().map_or(leg.target.as_str(), |route| text::uri(route));
    (head, text::address(next).unwrap_or(SERVER))
}
