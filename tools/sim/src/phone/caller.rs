//! The calling side, and what both sides do within a dialog.

use super::{Answer, DOMAIN, Duration, EndpointCx, Leg, Phone, SERVER, SocketAddr, State, Text, Timer, audio, text};

impl Phone {
    /// Calls a user or number; the leg's index.
    pub fn call(&mut self, cx: &mut EndpointCx<'_>, number: &str) -> usize {
        let place = self.legs.len();
        let call_id = (self.mint)(&format!("{}-{}-{place}-", self.name, self.number()), cx.random());
        let remote = format!("sip:{number}@{DOMAIN}");
        self.legs.push(Leg {
            call_id,
            local_tag: format!("c{:08x}", cx.random() as u32),
            local: format!("sip:{}@{DOMAIN}", self.name),
            target: remote.clone(),
            remote,
            peer: number.to_owned(),
            key: format!("{}-{place}", self.number()),
            ..Leg::blank(true, SERVER, place)
        });
        self.invite(cx, place, "");
        if let Some(patience) = self.habits.patience {
            self.timer(cx, patience, Timer::GiveUp(place));
        }
        place
    }

    fn invite(&mut self, cx: &mut EndpointCx<'_>, place: usize, credentials: &str) {
        let body = if self.habits.offers {
            self.sdp(place, "sendrecv")
        } else {
            String::new()
        };
        let credentials = &format!("{}{credentials}", audio::subject(&self.legs[place].key));
        let cseq = self.next_cseq(place);
        self.legs[place].answers_in_ack = if self.habits.offers { 0 } else { cseq };
        let branch = self.within(cx, place, "INVITE", cseq, credentials, &body);
        self.legs[place].asking = Some(branch);
    }

    /// Cancels an unanswered call: at once when something was heard, else when it is.
    pub fn cancel(&mut self, cx: &mut EndpointCx<'_>, place: usize) {
        let leg = &mut self.legs[place];
        if leg.state != State::Early || leg.cancelled {
            return;
        }
        leg.cancelled = true;
        let open = self
            .sent
            .iter()
            .rposition(|sent| sent.leg == Some(place) && sent.method == "INVITE" && !sent.done);
        if let Some(open) = open.filter(|&open| self.sent[open].provisional) {
            self.send_cancel(cx, open);
        }
    }

    /// Ends an answered call.
    pub fn hang_up(&mut self, cx: &mut EndpointCx<'_>, place: usize) {
        if self.legs[place].state != State::Up {
            return;
        }
        self.legs[place].state = State::Over;
        self.legs[place].unacked = None;
        let cseq = self.next_cseq(place);
        self.within(cx, place, "BYE", cseq, "", "");
    }

    pub(super) fn cancelled_at_last(&mut self, place: usize) {
        let leg = &mut self.legs[place];
        if leg.state == State::Early {
            leg.state = State::Over;
            leg.status = 487;
        }
    }

    pub(super) fn bye_again(&mut self, cx: &mut EndpointCx<'_>, place: usize) {
        if self.habits.answer != Answer::Dead {
            let cseq = self.next_cseq(place);
            self.within(cx, place, "BYE", cseq, "", "");
        }
    }

    /// Changes the session by re-INVITE or UPDATE.
    pub fn change(&mut self, cx: &mut EndpointCx<'_>, place: usize, method: &str, direction: &'static str) {
        let leg = &self.legs[place];
        if leg.state != State::Up {
            return;
        }
        if leg.asking.is_some() || leg.unacked.is_some() {
            return self.timer(cx, Duration::from_millis(700), Timer::Retry(place, direction));
        }
        let body = self.sdp(place, direction);
        let cseq = self.next_cseq(place);
        let branch = self.within(cx, place, method, cseq, "", &body);
        self.legs[place].asking = Some(branch);
    }

    /// A re-INVITE that leaves the offer to the other side.
    pub fn change_without_offer(&mut self, cx: &mut EndpointCx<'_>, place: usize) {
        let cseq = self.next_cseq(place);
        let branch = self.within(cx, place, "INVITE", cseq, "", "");
        let leg = &mut self.legs[place];
        leg.asking = Some(branch);
        leg.answers_in_ack = cseq;
    }

    /// The same, when the call is up and nothing else is under way in it.
    pub fn change_when_quiet(&mut self, cx: &mut EndpointCx<'_>, place: usize) {
        let leg = &self.legs[place];
        if leg.state == State::Up && leg.asking.is_none() && leg.unacked.is_none() {
            self.change_without_offer(cx, place);
        }
    }

    /// An ACK of an INVITE that this phone never sent in the dialog, or that was refused.
    pub fn acknowledge_another(&mut self, cx: &mut EndpointCx<'_>, place: usize) {
        let cseq = self.next_cseq(place);
        self.within(cx, place, "ACK", cseq, "", "");
    }

    /// BYE of an unanswered call (section 15).
    pub fn hang_up_early(&mut self, cx: &mut EndpointCx<'_>, place: usize) {
        let leg = &mut self.legs[place];
        leg.remote_tag = leg.early_tag.clone();
        leg.target = leg.early_target.clone();
        let cseq = self.next_cseq(place);
        self.within(cx, place, "BYE", cseq, "", "");
    }

    pub(super) fn response(&mut self, cx: &mut EndpointCx<'_>, response: &Text) {
        let (branch, method, status) = (response.branch(), response.method().to_owned(), response.status());
        let Some(found) = self
            .sent
            .iter()
            .rposition(|sent| sent.branch == branch && sent.method == method)
        else {
            return;
        };
        let first = !self.sent[found].done;
        let leg = self.sent[found].leg;
        if status < 200 {
            let heard = std::mem::replace(&mut self.sent[found].provisional, true);
            if let Some(place) = leg.filter(|_| first) {
                let leg = &mut self.legs[place];
                leg.rings |= status >= 180;
                if leg.state == State::Early && status >= 180 {
                    leg.early_tag = response.tag_of_to();
                    leg.early_target = text::uri(response.one("contact")).to_owned();
                }
                if !heard && leg.cancelled && leg.state == State::Early && method == "INVITE" {
                    self.send_cancel(cx, found);
                }
            }
            return;
        }
        self.sent[found].done = true;
        match (method.as_str(), leg) {
            ("REGISTER", _) => self.registered(cx, response),
            ("INVITE", Some(place)) if status >= 300 => {
                self.ack_failure(cx, found, response);
                if first {
                    self.refused(cx, place, response);
                }
            }
            ("INVITE", Some(place)) => self.accepted(cx, place, found, response),
            ("UPDATE", Some(place)) if first => {
                self.legs[place].asking = None;
                self.legs[place].changes.push(status);
                if status < 300 && !response.body.is_empty() {
                    self.described(cx, place, &response.body);
                }
            }
            ("REFER", Some(place)) if first && status < 300 => self.transferred(cx, place),
            // Section 21.5.4: later (Retry-After says 5 s), or the call stays in everybody's books.
            ("BYE", Some(place)) if first && matches!(status, 500 | 503) && self.legs[place].refused < 60 => {
                self.legs[place].refused += 1;
                self.timer(cx, Duration::from_secs(5), Timer::ByeAgain(place));
            }
            // Section 9.1: without a final answer to the INVITE, 64 T1 later it counts as cancelled.
            ("CANCEL", Some(place)) if status < 300 && first => {
                self.timer(cx, Duration::from_secs(32), Timer::Cancelled(place));
            }
            // Section 9.1: the server knows nothing of it (any more).
            ("CANCEL", Some(place)) if status >= 300 && self.legs[place].state == State::Early => {
                self.legs[place].state = State::Over;
                self.legs[place].status = 487;
            }
            _ => {}
        }
    }

    fn refused(&mut self, cx: &mut EndpointCx<'_>, place: usize, response: &Text) {
        let status = response.status();
        let leg = &mut self.legs[place];
        leg.asking = None;
        if leg.status == 200 {
            leg.changes.push(status);
            if leg.is_over() {
                return;
            }
            if status == 491 {
                // Section 14.1: the owner of the Call-ID waits longer.
                let wait = if leg.calling {
                    2100 + cx.random() % 1900
                } else {
                    cx.random() % 2000
                };
                self.timer(cx, Duration::from_millis(wait), Timer::Retry(place, "sendrecv"));
            } else if matches!(status, 481 | 408) {
                self.hang_up(cx, place);
            }
            return;
        }
        if leg.state != State::Early {
            return;
        }
        if matches!(status, 401 | 407) && leg.cseq == 1 && !leg.cancelled {
            let uri = leg.target.clone();
            let credentials = self.credentials(cx, response, "INVITE", &uri);
            return self.invite(cx, place, &credentials);
        }
        leg.state = State::Over;
        leg.status = status;
    }

    fn accepted(&mut self, cx: &mut EndpointCx<'_>, place: usize, found: usize, response: &Text) {
        let acks = self.habits.acks;
        let cseq = response.cseq();
        let own = self.legs[place].remote_tag.is_empty() || self.legs[place].remote_tag == response.tag_of_to();
        if !own {
            // A second branch answered: not wanted (section 13.2.2.4).
            let mut other = self.legs[place].clone();
            other.remote_tag = response.tag_of_to();
            other.target = text::uri(response.one("contact")).to_owned();
            other.routes = response.list("record-route").into_iter().rev().collect();
            other.state = State::Up;
            other.first = false;
            let known = self.leg_of(&other.call_id, &other.local_tag, &other.remote_tag);
            let extra = known.unwrap_or_else(|| {
                self.legs.push(other);
                self.legs.len() - 1
            });
            self.within(cx, extra, "ACK", cseq, "", "");
            return self.hang_up(cx, extra);
        }
        // Given up before (section 9.1: the CANCEL came too late): taken, and ended.
        let late = self.legs[place].is_over() && self.legs[place].remote_tag.is_empty();
        let opening = self.legs[place].state == State::Early || late;
        let fresh = self.legs[place]
            .asking
            .take_if(|branch| *branch == self.sent[found].branch)
            .is_some();
        if opening {
            let leg = &mut self.legs[place];
            leg.state = State::Up;
            leg.status = response.status();
            leg.remote_tag = response.tag_of_to();
            leg.target = text::uri(response.one("contact")).to_owned();
            leg.routes = response.list("record-route").into_iter().rev().collect();
        } else if fresh {
            self.legs[place].changes.push(response.status());
        }
        let mut answer = "sendrecv";
        if fresh && !response.body.is_empty() {
            answer = self.described(cx, place, &response.body);
        }
        if acks {
            let owes = self.legs[place].answers_in_ack == cseq;
            let body = if owes { self.sdp(place, answer) } else { String::new() };
            self.within(cx, place, "ACK", cseq, "", &body);
        }
        if opening {
            if self.legs[place].cancelled || late {
                return self.hang_up(cx, place);
            }
            self.up(cx, place);
        }
    }

    /// Answered: what habit demands.
    pub(super) fn up(&mut self, cx: &mut EndpointCx<'_>, place: usize) {
        if let Some(talk) = self.habits.talk {
            self.timer(cx, talk, Timer::Hangup(place));
        }
        if let Some(hold) = self.habits.hold {
            self.timer(cx, hold, Timer::Hold(place));
        }
    }
}

impl Leg {
    pub(super) fn blank(calling: bool, from: SocketAddr, place: usize) -> Self {
        Self {
            calling,
            first: true,
            state: State::Early,
            call_id: String::new(),
            local_tag: String::new(),
            remote_tag: String::new(),
            local: String::new(),
            remote: String::new(),
            target: String::new(),
            routes: Vec::new(),
            cseq: 0,
            remote_cseq: 0,
            invite: Text::default(),
            from,
            rings: false,
            cancelled: false,
            unacked: None,
            owes_answer: false,
            answers_in_ack: 0,
            answers: 0,
            refused: 0,
            early_tag: String::new(),
            early_target: String::new(),
            asking: None,
            status: 0,
            changes: Vec::new(),
            peer: String::new(),
            key: String::new(),
            port: audio::AUDIO + 2 * (place as u16 % audio::LINES),
            mute: false,
            rtp_to: None,
            sends: false,
            direction: String::new(),
            sequence: 0,
            paced: false,
            heard: 0,
            sent: 0,
            reports: 0,
        }
    }

    /// Somebody's telephone rings.
    #[must_use]
    pub fn rings(&self) -> bool {
        self.rings
    }
}
