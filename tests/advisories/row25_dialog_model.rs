//! CVE-2021-31878, CVE-2021-21375: both ends of a call say anything at any moment. Whatever they say,
//! the appliance ends its books, and a valid call goes through.

use super::support::{SDP, proxied, relayed, siege};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use ringfort_sim::siege::{CALLEE, STRANGER, Siege};
use ringfort_sim::stage::{DOMAIN, SERVER};
use ringfort_sim::text::{self, Text};
use std::net::SocketAddr;
use std::time::Duration;

/// What a message carries: nothing, a description, one that cannot be read, one that fits no offer.
#[derive(Clone, Copy, Debug)]
enum Body {
    None,
    Good,
    Broken,
    Video,
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Caller,
    Callee,
}

#[derive(Clone, Debug)]
enum Act {
    Invite(Body),
    /// A response to the last request that came to this side.
    Respond(Side, u16, Body),
    /// A request within the dialog as this side knows it.
    Within(Side, &'static str, Body),
    Cancel,
    /// The last message of this side once more.
    Again(Side),
    Pass(u16),
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![2 => Just(Body::None), 4 => Just(Body::Good), 1 => Just(Body::Broken), 1 => Just(Body::Video)]
}

fn act() -> impl Strategy<Value = Act> {
    let side = || prop_oneof![Just(Side::Caller), Just(Side::Callee)];
    let status = prop::sample::select(vec![
        100, 180, 183, 183, 200, 200, 200, 202, 302, 401, 404, 481, 486, 491, 500, 503, 603,
    ]);
    let method = prop::sample::select(vec![
        "INVITE", "ACK", "ACK", "BYE", "UPDATE", "PRACK", "INFO", "OPTIONS", "REFER", "NOTIFY",
    ]);
    prop_oneof![
        2 => body().prop_map(Act::Invite),
        5 => (side(), status, body()).prop_map(|(side, status, body)| Act::Respond(side, status, body)),
        5 => (side(), method, body()).prop_map(|(side, method, body)| Act::Within(side, method, body)),
        1 => Just(Act::Cancel),
        1 => side().prop_map(Act::Again),
        3 => (1u16..3000).prop_map(Act::Pass),
    ]
}

/// One end as the script sees it.
#[derive(Default)]
struct End {
    request: Option<Text>,
    answer: Option<Text>,
    last: Vec<u8>,
    cseq: u32,
}

struct Play<'a> {
    siege: &'a mut Siege,
    ends: [End; 2],
    invite: String,
    serial: u64,
}

fn place(side: Side) -> SocketAddr {
    match side {
        Side::Caller => STRANGER,
        Side::Callee => CALLEE,
    }
}

fn text_of(body: Body) -> String {
    match body {
        Body::None => String::new(),
        Body::Good => SDP.into(),
        Body::Broken => "v=0\r\nm=audio\r\n".into(),
        Body::Video => SDP.replace("m=audio", "m=video"),
    }
}

fn finish(mut head: String, body: Body) -> Vec<u8> {
    let body = text_of(body);
    if !body.is_empty() {
        head.push_str("Content-Type: application/sdp\r\n");
    }
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

impl Play<'_> {
    fn say(&mut self, side: Side, octets: Vec<u8>) {
        let from = place(side);
        self.siege
            .stage
            .world
            .with_endpoint(self.siege.stranger, |_, cx| cx.send(from, SERVER, &octets));
        self.ends[side as usize].last = octets;
        self.listen(3);
    }

    fn listen(&mut self, millis: u64) {
        self.siege.stage.run(millis);
        for (side, heard) in [(0, self.siege.taken()), (1, self.siege.called())] {
            for message in heard.iter().filter_map(|octets| Text::parse(octets)) {
                match message.status() {
                    0 if message.start.starts_with("ACK ") => {}
                    0 => self.ends[side].request = Some(message),
                    _ => self.ends[side].answer = Some(message),
                }
            }
        }
    }

    fn head(&mut self, method: &str, uri: &str, dialog: [&str; 3], cseq: u32, me: SocketAddr) -> String {
        self.serial += 1;
        let [from, to, call] = dialog;
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bKp{};rport\r\nMax-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\n\
             Call-ID: {call}\r\nCSeq: {cseq} {method}\r\nContact: <sip:x@{me}>\r\nSupported: 100rel\r\n",
            self.serial
        )
    }

    fn perform(&mut self, act: &Act) {
        match act {
            Act::Invite(body) => {
                let uri = format!("sip:{}@{DOMAIN}", self.siege.number);
                let (call, from) = (
                    format!("p{}", self.serial),
                    format!("<sip:m@{DOMAIN}>;tag=p{}", self.serial),
                );
                let head = self.head("INVITE", &uri, [&from, &format!("<{uri}>"), &call], 1, STRANGER);
                self.invite.clone_from(&head);
                self.ends = Default::default();
                self.ends[0].cseq = 1;
                self.say(Side::Caller, finish(head, *body));
            }
            Act::Respond(side, status, body) => {
                let Some(request) = self.ends[*side as usize].request.clone() else {
                    return;
                };
                let mut head = format!("SIP/2.0 {status} Said\r\n");
                for (name, value) in &request.headers {
                    match name.as_str() {
                        "via" | "from" | "call-id" | "cseq" | "record-route" => {
                            head.push_str(&format!("{name}: {value}\r\n"))
                        }
                        "to" if value.contains(";tag=") => head.push_str(&format!("To: {value}\r\n")),
                        "to" => head.push_str(&format!("To: {value};tag=callee\r\n")),
                        _ => {}
                    }
                }
                head.push_str(&format!(
                    "Contact: <sip:x@{}>\r\nRequire: 100rel\r\nRSeq: {}\r\n",
                    place(*side),
                    self.serial + 1
                ));
                self.say(*side, finish(head, *body));
            }
            Act::Within(side, method, body) => self.within(*side, method, *body),
            Act::Cancel if !self.invite.is_empty() => {
                let head = self
                    .invite
                    .replace("INVITE sip", "CANCEL sip")
                    .replace("1 INVITE", "1 CANCEL");
                self.say(Side::Caller, finish(head, Body::None));
            }
            Act::Again(side) => {
                let last = self.ends[*side as usize].last.clone();
                if !last.is_empty() {
                    self.say(*side, last);
                }
            }
            Act::Pass(millis) => self.listen((*millis).into()),
            Act::Cancel => {}
        }
    }

    fn within(&mut self, side: Side, method: &str, body: Body) {
        let end = &mut self.ends[side as usize];
        // A caller knows its dialog by the answer, a callee by the request.
        let (known, own, other) = match (side, &end.answer, &end.request) {
            (Side::Caller, Some(answer), _) => (answer, "from", "to"),
            (Side::Callee, _, Some(request)) => (request, "to", "from"),
            _ => return,
        };
        let (mut from, to, call) = (
            known.one(own).to_owned(),
            known.one(other).to_owned(),
            known.one("call-id").to_owned(),
        );
        if !from.contains(";tag=") {
            from.push_str(";tag=callee");
        }
        let target = text::uri(known.one("contact")).to_owned();
        let mut routes = known.list("record-route");
        if matches!(side, Side::Caller) {
            routes.reverse();
        }
        if method != "ACK" {
            end.cseq += 1;
        }
        let cseq = end.cseq;
        let mut head = self.head(method, &target, [&from, &to, &call], cseq, place(side));
        for route in routes.iter().filter(|route| !route.is_empty()) {
            head.push_str(&format!("Route: {route}\r\n"));
        }
        if method == "PRACK" {
            head.push_str("RAck: 1 1 INVITE\r\n");
        }
        self.say(side, finish(head, body));
    }
}

fn model(change: fn(&mut ringfort::config::Plan), seed: u64) {
    let cases = if std::env::var_os("RINGFORT_LONG").is_some() {
        20_000
    } else {
        96
    };
    let mut siege = siege(seed, change, true);
    siege.silence();
    // A proxied call without an end stays in the books for as long as a call may last: not hours here.
    siege
        .stage
        .reload(|plan| plan.limits.call_time = Duration::from_secs(120));
    let patience = 520_000;
    let siege = std::cell::RefCell::new(siege);
    let serial = std::cell::Cell::new(0);
    let mut runner = TestRunner::new_with_rng(
        Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let acts = prop::collection::vec(act(), 1..24).prop_map(|mut acts| {
        acts.insert(0, Act::Invite(Body::Good));
        acts
    });
    let done = runner.run(&acts, |acts| {
        let mut siege = siege.borrow_mut();
        let mut play = Play {
            siege: &mut siege,
            ends: Default::default(),
            invite: String::new(),
            serial: serial.get(),
        };
        acts.iter().for_each(|act| play.perform(act));
        serial.set(play.serial + 1);
        siege.stage.run(patience);
        let left = siege.rest();
        prop_assert!(left.is_empty(), "{left:#?}");
        Ok(())
    });
    done.expect("nothing stays");
    let mut siege = siege.into_inner();
    siege.answer();
    siege.call().expect("a valid call goes through");
}

#[test]
fn row25_any_order_of_messages_relayed() {
    model(relayed, 25);
}

#[test]
fn row25_any_order_of_messages_proxied() {
    model(proxied, 26);
}
