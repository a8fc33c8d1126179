//! Calls through a SIP server: this tool is the caller and, as the target of a route of the
//! server's, the called phone as well. No digest: the route has to be open.
//!
//! The called number carries the call's index, since a B2BUA changes the Call-ID.

use super::{Pacer, Pair, Relays};
use crate::siptext::{self, header, headers};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Where and what to call.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server under test.
    pub server: SocketAddr,
    /// Our called phone: the server's route leads here.
    pub callee: SocketAddr,
    /// Digits before the six digits of the call's index.
    pub prefix: String,
    /// Calls set up and ended a second.
    pub per_second: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Idle,
    Inviting,
    Up,
    Ending,
    Over,
    Failed,
}

struct Call {
    state: State,
    locals: [SocketAddr; 2],
    /// The relay's address for A (from the answer) and for B (from the offer).
    relays: [Option<SocketAddr>; 2],
    request: String,
    sent: Instant,
    tries: u32,
    /// To of the 200, Contact URI and route set of the dialog.
    to: String,
    target: String,
    routes: Vec<String>,
    /// The called side's 200 until its ACK has come.
    answer: Option<(String, SocketAddr, Instant)>,
}

/// All calls of a run.
pub struct Calls {
    plan: Plan,
    run: u32,
    caller: UdpSocket,
    callee: UdpSocket,
    calls: Vec<Call>,
    /// Calls that the server ended before we did.
    pub dropped: u32,
}

impl Calls {
    /// Opens the two signalling sockets.
    /// # Errors
    /// When the called phone's address is in use.
    pub fn new(plan: Plan, run: u32, pairs: &[Pair]) -> io::Result<Self> {
        let caller = UdpSocket::bind(SocketAddr::new(plan.callee.ip(), 0))?;
        let callee = UdpSocket::bind(plan.callee)?;
        caller.set_nonblocking(true)?;
        callee.set_nonblocking(true)?;
        let calls = pairs
            .iter()
            .map(|[a, b]| Ok(Call::new([a.local_addr()?, b.local_addr()?])));
        let calls = calls.collect::<io::Result<_>>()?;
        Ok(Self {
            plan,
            run,
            caller,
            callee,
            calls,
            dropped: 0,
        })
    }

    /// Sets all calls up, or gives the rest up after ten seconds of silence.
    /// # Errors
    /// When a socket fails.
    pub fn establish(&mut self) -> io::Result<Relays> {
        let mut pacer = Pacer::new(self.plan.per_second);
        for index in 0..self.calls.len() {
            while !pacer.due() {
                self.service(Duration::from_micros(200))?;
            }
            let request = self.invite(index)?;
            self.start(index, request, State::Inviting)?;
        }
        self.settle(State::Inviting)?;
        Ok(self.calls.iter().map(Call::relays).collect())
    }

    /// Ends all calls; returns how many BYEs were answered.
    /// # Errors
    /// When a socket fails.
    pub fn hang_up(&mut self) -> io::Result<usize> {
        let mut pacer = Pacer::new(self.plan.per_second);
        for index in 0..self.calls.len() {
            if self.calls[index].state != State::Up {
                continue;
            }
            while !pacer.due() {
                self.service(Duration::from_micros(200))?;
            }
            let request = self.in_dialog(index, "BYE", 2)?;
            self.start(index, request, State::Ending)?;
        }
        self.settle(State::Ending)?;
        Ok(self.calls.iter().filter(|call| call.state == State::Over).count())
    }

    /// Answers what has come, repeats what is due, and sleeps when there was nothing.
    /// # Errors
    /// When a socket fails.
    pub fn service(&mut self, idle: Duration) -> io::Result<()> {
        let mut buffer = [0; 65_536];
        let mut busy = false;
        while let Ok((length, from)) = self.callee.recv_from(&mut buffer) {
            busy = true;
            let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
            self.callee_message(&text, from)?;
        }
        while let Ok((length, from)) = self.caller.recv_from(&mut buffer) {
            busy = true;
            let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
            self.caller_message(&text, from)?;
        }
        if !busy {
            std::thread::sleep(idle);
        }
        Ok(())
    }

    fn settle(&mut self, pending: State) -> io::Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end && self.calls.iter().any(|call| call.state == pending) {
            self.service(Duration::from_millis(1))?;
            self.repeat(pending)?;
        }
        for call in self.calls.iter_mut().filter(|call| call.state == pending) {
            call.state = State::Failed;
        }
        Ok(())
    }

    /// Timers A, E and the called side's 200, all at 500 ms doubling (T1).
    fn repeat(&mut self, pending: State) -> io::Result<()> {
        let now = Instant::now();
        for call in &mut self.calls {
            if call.state == pending && now > call.sent + Duration::from_millis(500 << call.tries.min(3)) {
                call.tries += 1;
                send(&self.caller, &call.request, self.plan.server)?;
            }
            if let Some((answer, to, sent)) = &mut call.answer
                && now > *sent + Duration::from_millis(500)
            {
                *sent = now;
                send(&self.callee, answer, *to)?;
            }
        }
        Ok(())
    }

    fn start(&mut self, index: usize, request: String, state: State) -> io::Result<()> {
        send(&self.caller, &request, self.plan.server)?;
        let call = &mut self.calls[index];
        (call.state, call.request, call.sent, call.tries) = (state, request, Instant::now(), 0);
        Ok(())
    }

    fn callee_message(&mut self, text: &str, from: SocketAddr) -> io::Result<()> {
        let Some((method, uri)) = siptext::request_line(text) else {
            return Ok(());
        };
        let to = header(text, "To", "t").unwrap_or("");
        let index = index_in(uri, &self.plan.prefix)
            .or_else(|| index_in(to, &self.plan.prefix))
            .or_else(|| index_after(to, ";tag=callee-"));
        let contact = self.plan.callee;
        let Some((index, call)) = index.and_then(|index| Some((index, self.calls.get_mut(index)?))) else {
            return if method == "ACK" {
                Ok(())
            } else {
                send(
                    &self.callee,
                    &siptext::reply(text, "481 No such call", "x", contact, ""),
                    from,
                )
            };
        };
        let in_dialog = to.contains(";tag=");
        match method {
            "ACK" => call.answer = None,
            "INVITE" if !in_dialog => {
                call.relays[1] = siptext::sdp_audio(text);
                let tag = format!("callee-{index}");
                let answer = siptext::reply(text, "200 OK", &tag, contact, &siptext::sdp(call.locals[1]));
                send(
                    &self.callee,
                    &siptext::reply(text, "180 Ringing", &tag, contact, ""),
                    from,
                )?;
                send(&self.callee, &answer, from)?;
                call.answer = Some((answer, from, Instant::now()));
            }
            _ => return self.answer_in_dialog(index, text, method, from, false),
        }
        Ok(())
    }

    fn caller_message(&mut self, text: &str, from: SocketAddr) -> io::Result<()> {
        let Some(index) = header(text, "Call-ID", "i").and_then(|id| index_after(id, "-call-")) else {
            return Ok(());
        };
        if index >= self.calls.len() {
            return Ok(());
        }
        if let Some((method, _)) = siptext::request_line(text) {
            return self.answer_in_dialog(index, text, method, from, true);
        }
        let status = siptext::status(text).unwrap_or(0);
        let state = self.calls[index].state;
        match (siptext::cseq_method(text), status) {
            ("INVITE", 200..=299) => {
                let call = &mut self.calls[index];
                if state == State::Inviting {
                    call.state = State::Up;
                    call.relays[0] = siptext::sdp_audio(text);
                    call.to = header(text, "To", "t").unwrap_or("").to_owned();
                    call.target = uri_of(header(text, "Contact", "m").unwrap_or(""));
                    let routes = headers(text, "Record-Route", "").flat_map(|value| value.split(',').map(str::trim));
                    call.routes = routes.map(str::to_owned).collect();
                    call.routes.reverse();
                }
                let ack = self.in_dialog(index, "ACK", 1)?;
                send(&self.caller, &ack, self.plan.server)?;
            }
            ("INVITE", 300..) => {
                // RFC 3261 17.1.1.3: in the INVITE's transaction, so with its branch and its URI.
                let call = &mut self.calls[index];
                let to = header(text, "To", "t").unwrap_or("");
                let ack = ack_of_failure(&call.request, to);
                if state == State::Inviting {
                    call.state = State::Failed;
                }
                send(&self.caller, &ack, self.plan.server)?;
            }
            ("BYE", 200..) if state == State::Ending => self.calls[index].state = State::Over,
            _ => {}
        }
        Ok(())
    }

    fn answer_in_dialog(
        &mut self,
        index: usize,
        text: &str,
        method: &str,
        from: SocketAddr,
        caller: bool,
    ) -> io::Result<()> {
        let (socket, contact) = if caller {
            (&self.caller, self.caller.local_addr()?)
        } else {
            (&self.callee, self.plan.callee)
        };
        let call = &mut self.calls[index];
        if method == "BYE" && call.state == State::Up {
            call.state = State::Over;
            self.dropped += 1;
        }
        let status = match method {
            "ACK" => return Ok(()),
            "INVITE" => "488 Not here",
            _ => "200 OK",
        };
        send(socket, &siptext::reply(text, status, "x", contact, ""), from)
    }

    fn identity(&self, index: usize) -> io::Result<(String, SocketAddr)> {
        let local = self.caller.local_addr()?;
        Ok((
            format!(
                "From: <sip:rtpload@{local}>;tag=caller-{index}\r\nCall-ID: rtpload-{}-call-{index}\r\n",
                self.run
            ),
            local,
        ))
    }

    fn invite(&self, index: usize) -> io::Result<String> {
        let (identity, local) = self.identity(index)?;
        let (server, prefix) = (self.plan.server, &self.plan.prefix);
        let sdp = siptext::sdp(self.calls[index].locals[0]);
        Ok(format!(
            "INVITE sip:{prefix}{index:06}@{server} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};rport;branch=z9hG4bK-{}-{index}-i\r\n{identity}\
             To: <sip:{prefix}{index:06}@{server}>\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\
             Contact: <sip:rtpload@{local}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            self.run,
            sdp.len()
        ))
    }

    fn in_dialog(&self, index: usize, method: &str, cseq: u32) -> io::Result<String> {
        let (identity, local) = self.identity(index)?;
        let call = &self.calls[index];
        let routes: String = call.routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        Ok(format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK-{}-{index}-{method}\r\n{routes}{identity}\
             To: {}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            call.target, self.run, call.to
        ))
    }
}

impl Call {
    fn new(locals: [SocketAddr; 2]) -> Self {
        Self {
            state: State::Idle,
            locals,
            relays: [None; 2],
            request: String::new(),
            sent: Instant::now(),
            tries: 0,
            to: String::new(),
            target: String::new(),
            routes: Vec::new(),
            answer: None,
        }
    }

    fn relays(&self) -> Option<[SocketAddr; 2]> {
        (self.state == State::Up).then_some(())?;
        Some([self.relays[0]?, self.relays[1]?])
    }
}

fn send(socket: &UdpSocket, text: &str, to: SocketAddr) -> io::Result<()> {
    socket.send_to(text.as_bytes(), to).map(drop)
}

/// The INVITE's own lines, with another method, the answer's To and no body.
fn ack_of_failure(invite: &str, to: &str) -> String {
    let head = invite.split_once("\r\n\r\n").map_or(invite, |(head, _)| head);
    let mut out = String::new();
    for line in head.lines() {
        let name = line.split(':').next().unwrap_or("");
        match name {
            "Contact" | "Content-Type" | "Content-Length" => continue,
            "To" => out.push_str(&format!("To: {to}")),
            "CSeq" => out.push_str("CSeq: 1 ACK"),
            _ if line.starts_with("INVITE ") => out.push_str(&line.replacen("INVITE", "ACK", 1)),
            _ => out.push_str(line),
        }
        out.push_str("\r\n");
    }
    out.push_str("Content-Length: 0\r\n\r\n");
    out
}

/// The six digits after `prefix` in the user part of a URI.
fn index_in(uri: &str, prefix: &str) -> Option<usize> {
    let user = uri.split_once("sip:")?.1.split('@').next()?;
    user.strip_prefix(prefix)
        .filter(|digits| digits.len() == 6)?
        .parse()
        .ok()
}

fn index_after(text: &str, mark: &str) -> Option<usize> {
    let rest = text.split_once(mark)?.1;
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())]
        .parse()
        .ok()
}

fn uri_of(contact: &str) -> String {
    let inner = contact
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map(|(uri, _)| uri);
    inner
        .unwrap_or_else(|| contact.split(';').next().unwrap_or(contact))
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::open_pairs;

    #[test]
    fn calls_its_own_called_phone() {
        let callee = UdpSocket::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .unwrap();
        let pairs = open_pairs(callee.ip(), 20).unwrap();
        let plan = Plan {
            server: callee,
            callee,
            prefix: "7".into(),
            per_second: 1000,
        };
        let mut calls = Calls::new(plan, 1, &pairs).unwrap();
        let relays = calls.establish().unwrap();
        for (relay, [a, b]) in relays.iter().zip(&pairs) {
            // No relay in between: each leg is shown the other one.
            assert_eq!(*relay, Some([b.local_addr().unwrap(), a.local_addr().unwrap()]));
        }
        assert_eq!((calls.hang_up().unwrap(), calls.dropped), (20, 0));
    }

    #[test]
    fn a_failure_is_acknowledged_in_its_transaction() {
        let invite = "INVITE sip:7@h SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9\r\nTo: <sip:7@h>\r\nCSeq: 1 INVITE\r\n\
            Content-Length: 3\r\n\r\nv=0";
        let ack = "ACK sip:7@h SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9\r\nTo: <sip:7@h>;tag=1\r\nCSeq: 1 ACK\r\n\
            Content-Length: 0\r\n\r\n";
        assert_eq!(ack_of_failure(invite, "<sip:7@h>;tag=1"), ack);
    }

    #[test]
    fn numbers_carry_the_index() {
        assert_eq!(index_in("sip:7000123@127.0.0.1:5060", "7"), Some(123));
        assert_eq!(index_in("<sip:7000123@h>;tag=x", "7"), Some(123));
        assert_eq!(index_in("sip:700012@h", "7"), None);
        assert_eq!(index_after("rtpload-9-call-17", "-call-"), Some(17));
        assert_eq!(uri_of("\"x\" <sip:a@b;c=d>;e"), "sip:a@b;c=d");
    }
}
