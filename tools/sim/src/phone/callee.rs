//! Requests that come in.

use super::{Answer, Duration, EndpointCx, Leg, Phone, SocketAddr, State, Text, Timer, audio, text};

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

impl Phone {
    pub(super) fn request(&mut self, cx: &mut EndpointCx<'_>, from: SocketAddr, request: &Text) {
        let method = request.start.split(' ').next().unwrap_or("").to_owned();
        if method == "ACK" {
            if self.habits.deaf > 0 {
                self.habits.deaf -= 1;
                return;
            }
            return self.acked(cx, request);
        }
        let key = (request.branch(), method.clone());
        if let Some((octets, to)) = self.answered.get(&key).cloned() {
            return self.emit(cx, to, &octets);
        }
        self.requests.push(method.clone());
        let place = self.leg_of(request.one("call-id"), &request.tag_of_to(), &request.tag_of_from());
        match (method.as_str(), place) {
            ("INVITE", None) if request.tag_of_to().is_empty() => self.called(cx, from, request),
            ("CANCEL", _) => self.cancelled(cx, from, request),
            ("OPTIONS", _) if request.tag_of_to().is_empty() => drop(self.reply(cx, from, request, 200, "", "", "")),
            (_, None) => drop(self.reply(cx, from, request, 481, "", "", "")),
            ("BYE", Some(place)) => {
                let leg = &mut self.legs[place];
                leg.state = State::Over;
                leg.unacked = None;
                self.reply(cx, from, request, 200, "", "", "");
            }
            (_, Some(place)) if self.legs[place].is_over() => drop(self.reply(cx, from, request, 481, "", "", "")),
            ("REFER", Some(place)) => self.referred(cx, from, request, place),
            ("INVITE" | "UPDATE", Some(place)) => self.changed(cx, from, request, place, &method),
            _ => drop(self.reply(cx, from, request, 200, "", "", "")),
        }
    }

    /// Answers, and keeps the answer for retransmissions.
    #[expect(clippy::too_many_arguments, reason = "parts of one message")]
    pub(super) fn reply(
        &mut self,
        cx: &mut EndpointCx<'_>,
        from: SocketAddr,
        request: &Text,
        status: u16,
        tag: &str,
        extra: &str,
        body: &str,
    ) -> Vec<u8> {
        let mut text = format!("SIP/2.0 {status} Whatever\r\n");
        for name in ["via", "record-route"] {
            request
                .all(name)
                .for_each(|value| text.push_str(&format!("{name}: {value}\r\n")));
        }
        let to = request.one("to");
        let to = match request.tag_of_to().is_empty() && !tag.is_empty() {
            true => format!("{to};tag={tag}"),
            false => to.to_owned(),
        };
        text.push_str(&format!(
            "From: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: {}\r\n{extra}",
            request.one("from"),
            request.one("call-id"),
            request.one("cseq"),
            if (300..400).contains(&status) {
                self.habits.moved.clone()
            } else {
                self.contact()
            }
        ));
        if !body.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        self.emit(cx, from, text.as_bytes());
        let key = (request.branch(), request.method().to_owned());
        self.answered.insert(key, (text.clone().into_bytes(), from));
        text.into_bytes()
    }

    fn called(&mut self, cx: &mut EndpointCx<'_>, from: SocketAddr, request: &Text) {
        let place = self.legs.len();
        let caller = text::uri(request.one("from")).to_owned();
        let called = text::uri(request.one("to")).to_owned();
        let leg = Leg {
            call_id: request.one("call-id").to_owned(),
            local_tag: format!("d{:08x}", cx.random() as u32),
            remote_tag: request.tag_of_from(),
            peer: text::user(&caller).to_owned(),
            local: called,
            remote: caller,
            target: text::uri(request.one("contact")).to_owned(),
            routes: request.list("record-route"),
            remote_cseq: request.cseq(),
            invite: request.clone(),
            key: audio::key_of(request.one("subject")).to_owned(),
            ..Leg::blank(false, from, place)
        };
        let tag = leg.local_tag.clone();
        self.legs.push(leg);
        let early = self.habits.early && !request.body.is_empty();
        let (ringing, body) = if early {
            (183, self.sdp(place, "sendrecv"))
        } else {
            (180, String::new())
        };
        match self.habits.answer {
            Answer::Busy => {
                self.refuse(cx, place, 486);
            }
            Answer::After(ring) => {
                self.reply(cx, from, request, ringing, &tag, "", &body);
                self.timer(cx, ring, Timer::Pick(place));
            }
            Answer::Rings | Answer::Dead => {
                self.reply(cx, from, request, ringing, &tag, "", &body);
                self.timer(cx, Duration::from_secs(100), Timer::Weary(place));
            }
        }
    }

    /// A final failure, sent again until its ACK (timer G).
    fn fail(&mut self, cx: &mut EndpointCx<'_>, place: usize, status: u16) {
        let leg = &self.legs[place];
        let (from, request, tag) = (leg.from, leg.invite.clone(), leg.local_tag.clone());
        let octets = self.reply(cx, from, &request, status, &tag, "", "");
        self.unacked(cx, place, request.cseq(), octets);
    }

    fn unacked(&mut self, cx: &mut EndpointCx<'_>, place: usize, cseq: u32, octets: Vec<u8>) {
        self.legs[place].unacked = Some((cseq, octets, T1, cx.now + T1 * 64));
        self.timer(cx, T1, Timer::Resend(place));
    }

    /// Answers a ringing call.
    pub fn pick_up(&mut self, cx: &mut EndpointCx<'_>, place: usize) {
        if self.legs[place].state != State::Early {
            return;
        }
        if !self.habits.moved.is_empty() {
            return self.refuse(cx, place, 302);
        }
        self.legs[place].state = State::Up;
        self.legs[place].status = 200;
        let leg = &self.legs[place];
        let (from, request, tag) = (leg.from, leg.invite.clone(), leg.local_tag.clone());
        let mut direction = "sendrecv";
        if request.body.is_empty() {
            self.legs[place].owes_answer = true;
        } else {
            direction = self.described(cx, place, &request.body);
        }
        let body = self.sdp(place, direction);
        let octets = self.reply(
            cx,
            from,
            &request,
            200,
            &tag,
            "Allow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n",
            &body,
        );
        self.unacked(cx, place, request.cseq(), octets);
        self.up(cx, place);
    }

    /// Answers a call that came in and rings; anything else is left as it is.
    pub fn pick_up_incoming(&mut self, cx: &mut EndpointCx<'_>, place: usize) {
        if !self.legs[place].calling {
            self.pick_up(cx, place);
        }
    }

    /// A final answer again, until its ACK comes; without any ACK the dialog is ended.
    pub(super) fn resend(&mut self, cx: &mut EndpointCx<'_>, place: usize) {
        let leg = &mut self.legs[place];
        let Some((_, octets, interval, until)) = &mut leg.unacked else {
            return;
        };
        if *until <= cx.now {
            leg.unacked = None;
            return self.hang_up(cx, place);
        }
        let (octets, from) = (octets.clone(), leg.from);
        *interval = (*interval * 2).min(T2);
        let interval = *interval;
        self.emit(cx, from, &octets);
        self.timer(cx, interval, Timer::Resend(place));
    }

    fn acked(&mut self, cx: &mut EndpointCx<'_>, request: &Text) {
        let Some(place) = self.leg_of(request.one("call-id"), &request.tag_of_to(), &request.tag_of_from()) else {
            return;
        };
        let leg = &mut self.legs[place];
        if leg.unacked.take_if(|(cseq, ..)| *cseq == request.cseq()).is_none() {
            return;
        }
        if std::mem::take(&mut leg.owes_answer) && leg.state == State::Up && !request.body.is_empty() {
            leg.answers += 1;
            self.described(cx, place, &request.body);
        }
    }

    fn cancelled(&mut self, cx: &mut EndpointCx<'_>, from: SocketAddr, request: &Text) {
        let branch = request.branch();
        let place = self
            .legs
            .iter()
            .rposition(|leg| !leg.calling && leg.invite.branch() == branch);
        let Some(place) = place else {
            self.reply(cx, from, request, 481, "", "", "");
            return;
        };
        let tag = self.legs[place].local_tag.clone();
        self.reply(cx, from, request, 200, &tag, "", "");
        self.refuse(cx, place, 487);
    }

    /// Ends an incoming call that was not answered.
    pub(super) fn refuse(&mut self, cx: &mut EndpointCx<'_>, place: usize, status: u16) {
        if self.legs[place].state == State::Early {
            self.legs[place].state = State::Over;
            self.legs[place].status = status;
            self.fail(cx, place, status);
        }
    }

    /// A re-INVITE or UPDATE from the other side.
    fn changed(&mut self, cx: &mut EndpointCx<'_>, from: SocketAddr, request: &Text, place: usize, method: &str) {
        if self.legs[place].asking.is_some() {
            let octets = self.reply(cx, from, request, 491, "", "", "");
            if method == "INVITE" {
                self.legs[place].from = from;
                self.unacked(cx, place, request.cseq(), octets);
            }
            return;
        }
        self.legs[place].remote_cseq = request.cseq();
        let mut body = String::new();
        if !request.body.is_empty() {
            let direction = self.described(cx, place, &request.body);
            body = self.sdp(place, direction);
        } else if method == "INVITE" {
            self.legs[place].owes_answer = true;
            body = self.sdp(place, "sendrecv");
        }
        let octets = self.reply(cx, from, request, 200, "", "", &body);
        if method == "INVITE" {
            self.legs[place].from = from;
            self.unacked(cx, place, request.cseq(), octets);
        }
    }
}
