//! A scripted telephone: a user agent of its own making (RFC 3261 as far as a desk phone goes),
//! so that it checks the appliance and not itself.

mod audio;
mod callee;
mod caller;
mod register;
mod send;
mod transfer;
mod wire;

pub use audio::{AUDIO, LINES};
pub use register::Register;

use crate::stage::{DOMAIN, Minter, SERVER};
use crate::text::{self, Text};
use shards::Time;
use shards::sim::{Endpoint, EndpointCx, StreamInput};
use std::any::Any;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Where a phone speaks SIP, and where after it has moved; its audio is below both.
pub const HOME: u16 = 5060;
/// See [`HOME`].
pub const AWAY: u16 = 5070;

/// What a phone does with an incoming call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Rings, then answers.
    After(Duration),
    /// 486.
    Busy,
    /// Rings for 100 s.
    Rings,
    /// Switched off: no answer to anything.
    Dead,
}

/// How a phone behaves by itself.
#[derive(Clone, Debug)]
pub struct Habits {
    /// What it does when it is called.
    pub answer: Answer,
    /// Instead of answering, sends the caller there: the Contact values of a 302.
    pub moved: String,
    /// Hangs up so long after the answer.
    pub talk: Option<Duration>,
    /// Holds so long after the answer, and resumes after as long again.
    pub hold: Option<Duration>,
    /// Cancels an unanswered call after this.
    pub patience: Option<Duration>,
    /// Acknowledges 2xx.
    pub acks: bool,
    /// Does not hear so many ACKs.
    pub deaf: u32,
    /// Rings with 183 and a description.
    pub early: bool,
    /// Puts an offer into its INVITE.
    pub offers: bool,
    /// Between RTP packets.
    pub pace: Duration,
    /// The preference in its Contact.
    pub q: Option<&'static str>,
    /// Answers challenges with SHA-256, not MD5.
    pub sha256: bool,
    /// Speaks over a connection.
    pub tcp: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            answer: Answer::After(Duration::from_secs(2)),
            moved: String::new(),
            talk: None,
            hold: None,
            patience: None,
            acks: true,
            deaf: 0,
            early: false,
            offers: true,
            pace: Duration::from_millis(100),
            q: None,
            sha256: false,
            tcp: false,
        }
    }
}

/// Where a leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Before a final answer.
    Early,
    /// Answered.
    Up,
    /// Ended, or never answered.
    Over,
}

/// One end of a dialog.
#[derive(Clone, Debug)]
pub struct Leg {
    /// This phone called.
    pub calling: bool,
    /// Not a second branch of a forked call.
    pub first: bool,
    /// Where it is.
    pub state: State,
    /// Of all its messages.
    pub call_id: String,
    local_tag: String,
    remote_tag: String,
    local: String,
    remote: String,
    target: String,
    routes: Vec<String>,
    cseq: u32,
    remote_cseq: u32,
    /// The INVITE that opened it, as sent or as received.
    pub invite: Text,
    from: SocketAddr,
    /// What the callee answers in.
    rings: bool,
    cancelled: bool,
    /// A 2xx of ours that waits for its ACK.
    unacked: Option<(u32, Vec<u8>, Duration, Time)>,
    /// The answered INVITE carried no offer: the ACK must bring the answer.
    owes_answer: bool,
    /// The INVITE of ours (its CSeq) whose ACK has to bring the answer.
    answers_in_ack: u32,
    /// Answers that an ACK brought.
    answers: u32,
    /// How often its BYE was refused for overload.
    refused: u32,
    early_tag: String,
    early_target: String,
    /// Our re-INVITE is under way.
    asking: Option<String>,
    /// The final status of the INVITE that opened it, 0 before.
    pub status: u16,
    /// Final statuses of re-INVITEs and UPDATEs.
    pub changes: Vec<u16>,
    /// The other phone, or the number that was dialled.
    pub peer: String,
    /// What both sides call it in their audio: the caller's name of it.
    key: String,
    /// Its audio's.
    port: u16,
    /// Sends no audio any more.
    pub mute: bool,
    rtp_to: Option<SocketAddr>,
    sends: bool,
    /// What the other side last said of its direction.
    pub direction: String,
    sequence: u16,
    paced: bool,
    /// RTP packets of this call received.
    pub heard: u32,
    /// RTP packets sent.
    pub sent: u32,
    /// RTCP packets of this call received.
    pub reports: u32,
}

impl Leg {
    /// Ended, or never answered.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }
}

/// A request that waits for its final response.
struct Sent {
    branch: String,
    method: String,
    to: SocketAddr,
    octets: Vec<u8>,
    interval: Duration,
    until: Time,
    leg: Option<usize>,
    provisional: bool,
    done: bool,
}

#[derive(Clone, Copy, Debug)]
enum Timer {
    Again(usize),
    Pick(usize),
    Weary(usize),
    Hangup(usize),
    Hold(usize),
    Resume(usize),
    Retry(usize, &'static str),
    GiveUp(usize),
    ByeAgain(usize),
    Cancelled(usize),
    Resend(usize),
    Audio(usize),
    Register,
}

/// The phone.
pub struct Phone {
    /// The user.
    pub name: String,
    password: String,
    /// Where it speaks SIP.
    pub me: SocketAddr,
    /// How it behaves.
    pub habits: Habits,
    /// Its calls, ended ones too.
    pub legs: Vec<Leg>,
    sent: Vec<Sent>,
    answered: HashMap<(String, String), (Vec<u8>, SocketAddr)>,
    timers: Vec<Timer>,
    mint: Minter,
    connection: wire::Connection,
    /// Every request received once: its method.
    pub requests: Vec<String>,
    /// Audio that belongs to none of its calls.
    pub strange: Vec<String>,
    /// What it knows of its registration.
    pub register: Register,
}

impl Phone {
    /// A phone of a user at an address; nothing is sent yet.
    #[must_use]
    pub fn new(name: String, password: String, me: SocketAddr, habits: Habits, mint: Minter) -> Self {
        Self {
            name,
            password,
            me,
            habits,
            legs: Vec::new(),
            sent: Vec::new(),
            answered: HashMap::new(),
            timers: Vec::new(),
            mint,
            connection: Default::default(),
            requests: Vec::new(),
            strange: Vec::new(),
            register: Default::default(),
        }
    }

    fn timer(&mut self, cx: &mut EndpointCx<'_>, after: Duration, timer: Timer) {
        cx.timer_at(cx.now + after, self.timers.len() as u64);
        self.timers.push(timer);
    }

    /// Tells it from the user's other phones: its Call-IDs are its own (RFC 3261 section 8.1.1.4).
    fn number(&self) -> String {
        self.me.ip().to_string().replace('.', "")
    }

    fn contact(&self) -> String {
        format!("<{}>", self.uri())
    }

    /// What it registers.
    #[must_use]
    pub fn uri(&self) -> String {
        let transport = if self.habits.tcp { ";transport=tcp" } else { "" };
        format!("sip:{}@{}{transport}", self.name, self.me)
    }

    /// The leg that a message within a dialog is of: its own tag, and the other's.
    fn leg_of(&self, call_id: &str, own: &str, other: &str) -> Option<usize> {
        self.legs.iter().rposition(|leg| {
            leg.call_id == call_id && leg.local_tag == own && (leg.remote_tag == other || leg.remote_tag.is_empty())
        })
    }

    /// Goes to its other address, as behind a NAT that forgot it, and registers from there. What is
    /// sent to the old one is lost.
    pub fn move_away(&mut self, cx: &mut EndpointCx<'_>) {
        let port = if self.me.port() == AWAY { HOME } else { AWAY };
        self.me.set_port(port);
        self.register(cx, 3600);
    }

    fn message(&mut self, cx: &mut EndpointCx<'_>, from: SocketAddr, octets: &[u8]) {
        let Some(message) = Text::parse(octets) else { return };
        if self.habits.answer == Answer::Dead {
            return;
        }
        match message.status() {
            0 => self.request(cx, from, &message),
            _ => self.response(cx, &message),
        }
    }

    /// Says and sends nothing any more.
    pub fn switch_off(&mut self) {
        for leg in &mut self.legs {
            leg.state = State::Over;
            leg.unacked = None;
        }
        self.sent.iter_mut().for_each(|sent| sent.done = true);
    }

    /// How often an ACK brought the answer of the last call's offer.
    #[must_use]
    pub fn answers_heard(&self) -> u32 {
        self.leg().answers
    }

    /// The last call.
    /// # Panics
    /// When there was none.
    #[must_use]
    pub fn leg(&self) -> &Leg {
        self.legs.last().expect("a call")
    }
}

impl Endpoint for Phone {
    fn datagram(&mut self, cx: &mut EndpointCx<'_>, to: SocketAddr, from: SocketAddr, bytes: &[u8]) {
        if to.port() < HOME {
            return self.hear(to, from, bytes);
        }
        if to != self.me {
            return; // it was there once
        }
        self.message(cx, from, bytes);
    }

    fn stream(&mut self, cx: &mut EndpointCx<'_>, number: u64, input: StreamInput<'_>) {
        self.on_stream(cx, number, input);
    }

    fn timer(&mut self, cx: &mut EndpointCx<'_>, tag: u64) {
        match self.timers[tag as usize] {
            Timer::Again(place) => self.again(cx, place),
            Timer::Pick(leg) => self.pick_up(cx, leg),
            Timer::Weary(leg) => self.refuse(cx, leg, 480),
            Timer::Hangup(leg) => self.hang_up(cx, leg),
            Timer::Hold(leg) => {
                self.change(cx, leg, "INVITE", "sendonly");
                let hold = self.habits.hold.unwrap_or_default();
                self.timer(cx, hold, Timer::Resume(leg));
            }
            Timer::Resume(leg) => self.change(cx, leg, "INVITE", "sendrecv"),
            Timer::Retry(leg, direction) => self.change(cx, leg, "INVITE", direction),
            Timer::GiveUp(leg) => self.cancel(cx, leg),
            Timer::ByeAgain(leg) => self.bye_again(cx, leg),
            Timer::Cancelled(leg) => self.cancelled_at_last(leg),
            Timer::Resend(leg) => self.resend(cx, leg),
            Timer::Audio(leg) => self.speak(cx, leg),
            Timer::Register if self.habits.answer != Answer::Dead => self.register(cx, 3600),
            Timer::Register => {}
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
