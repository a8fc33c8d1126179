//! A stage under hostile input: a stranger sends, and a valid call must still go through.

use crate::phone::{HOME, Habits};
use crate::stage::{DOMAIN, SERVER, Setup, Stage};
use crate::stranger::{After, Manner, Stranger, sdp};
use crate::text::{self, Text};
use ringfort::config::Plan;
use ringfort::config::plan::{Cidr, Host, Listener, Mode, Route, RouteAuth, Target, Trunk};
use ringfort::protocol::Transport;
use shards::sim::EndpointId;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Who calls, without digest: an address of a trunk.
pub const CALLER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1)), 5060);
/// Who is called: the first phone of the stage.
pub const CALLEE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1)), HOME);
/// Who sends what it likes; trusted where [`Siege::new`] is told so.
pub const STRANGER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, 0, 66)), 5060);
/// The first address of streams from the stranger: each has its own port.
const STREAMS: IpAddr = STRANGER.ip();
/// How the Call-IDs of valid calls begin.
const VALID: &str = "valid-";

/// The stage, the ends of the valid calls and the stranger.
pub struct Siege {
    /// The appliance and its world.
    pub stage: Stage,
    /// Who sends.
    pub stranger: EndpointId,
    /// The registered user that is called.
    pub number: String,
    caller: EndpointId,
    callee: EndpointId,
    serial: u32,
    port: u16,
    /// Virtual time for an exchange.
    pub pause: u64,
}

/// What every siege has: a stream listener, a trusted caller, room for what the stranger leaves behind
/// until its timers end it, and a binding that outlives the siege.
/// # Panics
/// Never: the pattern is one.
pub fn equip(plan: &mut Plan, trusted: bool) {
    let mut stream: Listener = plan.sip.listeners[0].clone();
    stream.transport = Transport::Tcp;
    plan.sip.listeners.push(stream);
    let prefix = if trusted { 24 } else { 32 };
    let network = CALLER.ip();
    plan.trunks.push(Trunk {
        name: "caller".into(),
        targets: Vec::new(),
        trusted: vec![Cidr { network, prefix }],
    });
    // Whatever is dialled reaches the called end, so that the messages meet the roles and not a 404.
    plan.trunks.push(Trunk {
        name: "callee".into(),
        targets: vec![Target {
            transport: Transport::Udp,
            host: Host::Ip(CALLEE.ip()),
            port: Some(CALLEE.port()),
        }],
        trusted: Vec::new(),
    });
    plan.routes.push(Route {
        pattern: regex::bytes::Regex::new("").expect("a pattern"),
        trunks: vec![plan.trunks.len() - 1],
        policy: plan.local,
        auth: RouteAuth::Digest,
        line: 0,
    });
    plan.media.ports = (20_000, 59_999);
    plan.media.quarantine = Duration::from_secs(1);
    plan.limits.calls = 10_000;
    plan.limits.transactions = 200_000;
    plan.registrar.max_expires = 0x7fff_ffff;
    plan.registrar.keep_alive = Duration::ZERO;
}

impl Siege {
    /// A siege in which the stranger is trusted or not.
    #[must_use]
    pub fn new(setup: &Setup, trusted: bool) -> Self {
        let change = setup.change;
        let mut stage = Stage::with(setup, &["bob"], |plan| {
            change(plan);
            equip(plan, trusted);
        });
        let phone = stage.phone("bob", Habits::default());
        stage.act(phone, |phone, cx| phone.register(cx, 0x7000_0000));
        stage.run(40_000);
        assert_eq!(stage.look(phone).register_status(), 200, "bob is registered");
        // Another end takes the phone's place: it keeps nothing of the calls that it has answered.
        let relays = stage.plan.local.mode == Mode::B2bua;
        let manner = Manner::Answers(if relays { "" } else { VALID });
        let callee = stage.world.add_endpoint(&[CALLEE], Stranger::new(CALLEE, manner));
        let caller = stage
            .world
            .add_endpoint(&[CALLER], Stranger::new(CALLER, Manner::Answers("")));
        let stranger = stage
            .world
            .add_endpoint(&[STRANGER], Stranger::new(STRANGER, Manner::Silent));
        Self {
            number: stage.name("bob"),
            stage,
            stranger,
            caller,
            callee,
            serial: 0,
            port: 10_000,
            pause: 20,
        }
    }

    /// A datagram from the stranger; what comes back to it.
    pub fn datagram(&mut self, octets: &[u8]) -> Vec<Vec<u8>> {
        self.stage
            .world
            .with_endpoint(self.stranger, |_, cx| cx.send(STRANGER, SERVER, octets));
        self.stage.run(self.pause);
        self.heard(self.callee);
        self.heard(self.stranger)
    }

    /// A connection from the stranger with these pieces; what comes back over it.
    pub fn stream(&mut self, pieces: &[&[u8]], after: After) -> Vec<u8> {
        self.port = if self.port == u16::MAX { 10_000 } else { self.port + 1 };
        let from = SocketAddr::new(STREAMS, self.port);
        self.stage.world.with_endpoint(self.stranger, |end, cx| {
            if let Some(end) = end.as_any().downcast_mut::<Stranger>() {
                end.stream_to(cx, from, SERVER, pieces, after);
            }
        });
        self.stage.run(self.pause);
        self.heard(self.callee);
        self.heard(self.stranger).concat()
    }

    /// The statuses among what came back, in order.
    #[must_use]
    pub fn statuses(heard: &[u8]) -> Vec<u16> {
        let text = String::from_utf8_lossy(heard);
        let starts = text
            .match_indices("SIP/2.0 ")
            .filter(|&(at, _)| at == 0 || text[..at].ends_with('\n'));
        starts
            .filter_map(|(at, _)| text.get(at + 8..at + 11)?.parse().ok())
            .collect()
    }

    fn heard(&mut self, id: EndpointId) -> Vec<Vec<u8>> {
        let end = self.stage.world.endpoint::<Stranger>(id);
        end.map(|end| std::mem::take(&mut end.heard)).unwrap_or_default()
    }

    /// How many of the stranger's streams are open.
    pub fn open(&mut self) -> usize {
        self.stage
            .world
            .endpoint::<Stranger>(self.stranger)
            .map_or(0, |end| end.open())
    }

    /// What the stranger has heard.
    pub fn taken(&mut self) -> Vec<Vec<u8>> {
        self.heard(self.stranger)
    }

    /// The called end says nothing by itself any more.
    pub fn silence(&mut self) {
        if let Some(end) = self.stage.world.endpoint::<Stranger>(self.callee) {
            end.manner = Manner::Silent;
        }
    }

    /// The called end is busy.
    pub fn refuse(&mut self) {
        if let Some(end) = self.stage.world.endpoint::<Stranger>(self.callee) {
            end.manner = Manner::Answers("\0");
        }
    }

    /// The called end answers again.
    pub fn answer(&mut self) {
        if let Some(end) = self.stage.world.endpoint::<Stranger>(self.callee) {
            end.manner = Manner::Answers("");
        }
    }

    /// What the called end has heard.
    pub fn called(&mut self) -> Vec<Vec<u8>> {
        self.heard(self.callee)
    }

    /// Forgets what all ends have heard.
    pub fn forget(&mut self) {
        for id in [self.stranger, self.caller, self.callee] {
            self.heard(id);
        }
    }

    /// Lets the transactions and calls of what was sent so far end, so that what is heard from now
    /// on is of what comes next.
    pub fn settle(&mut self) {
        self.stage.run(100_000);
        self.heard(self.stranger);
    }

    /// Ends all streams of the stranger.
    pub fn hang_up(&mut self) {
        self.stage.world.with_endpoint(self.stranger, |end, cx| {
            if let Some(end) = end.as_any().downcast_mut::<Stranger>() {
                end.close_all(cx);
            }
        });
    }

    /// A whole valid call: INVITE, 200, ACK, BYE, 200.
    /// # Errors
    /// What was missing.
    pub fn call(&mut self) -> Result<(), String> {
        self.serial += 1;
        let uri = format!("sip:{}@{DOMAIN}", self.number);
        let invite = self.request("INVITE", &uri, &format!("<{uri}>"), "", &sdp(CALLER));
        let answer = self
            .ask(&invite, 200)
            .ok_or("a valid INVITE is not answered with 200")?;
        let target = text::uri(answer.one("contact")).to_owned();
        let mut routes = answer.list("record-route");
        routes.retain(|route| !route.is_empty());
        routes.reverse();
        let routes: String = routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        let ack = self.request("ACK", &target, answer.one("to"), &routes, "");
        let bye = self.request("BYE", &target, answer.one("to"), &routes, "");
        self.say(&ack);
        self.ask(&bye, 200)
            .map(drop)
            .ok_or("a valid BYE is not answered with 200".into())
    }

    fn request(&self, method: &str, uri: &str, to: &str, extra: &str, body: &str) -> String {
        let (serial, number) = (self.serial, if method == "BYE" { 2 } else { 1 });
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {CALLER};branch=z9hG4bK{serial:08}{method};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:caller@{DOMAIN}>;tag=c{serial}\r\nTo: {to}\r\nCall-ID: {VALID}{serial}\r\n\
             CSeq: {number} {method}\r\nContact: <sip:caller@{CALLER}>\r\n{extra}{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn say(&mut self, text: &str) {
        self.stage
            .world
            .with_endpoint(self.caller, |_, cx| cx.send(CALLER, SERVER, text.as_bytes()));
    }

    /// Sends a request of the caller; its final answer when that has this status.
    fn ask(&mut self, text: &str, status: u16) -> Option<Text> {
        self.say(text);
        self.stage.run(8);
        let heard = self.heard(self.caller);
        let mut texts = heard.iter().filter_map(|octets| Text::parse(octets));
        let wanted = text.split(' ').next().unwrap_or_default();
        texts.rfind(|text| text.status() == status && text.method() == wanted)
    }

    /// Lets every timer end, forgets the call records, and tells what is left.
    /// # Panics
    /// When the store is poisoned.
    pub fn rest(&mut self) -> Vec<String> {
        self.stage.run(400_000);
        self.forget();
        let left = self.stage.left(false);
        *self.stage.memory.cdr.lock().expect("not poisoned") = Vec::new();
        left
    }
}
