//! Steady state allocates nothing in the packet thread: calls, registrations, relayed audio. What
//! `Buf`s hold comes from the shard's pool. Call records are handed to the store in a vector of
//! their own; those are the known exception.
//!
//! `RINGFORT_ALLOCATIONS=1` prints where the first allocations come from.
#![allow(unsafe_code)]

use md5::Digest as _;
use ringfort::appliance::{Appliance, Durable};
use ringfort::config::Plan;
use ringfort::config::plan::{CallPolicy, Host, Listener, MediaPath, Mode, Route, RouteAuth, Target, Trunk, User};
use ringfort::media::{Media, MediaLimits, OwnSockets};
use ringfort::protocol::Transport;
use ringfort::protocol::sip::digest::Nonces;
use ringfort::protocol::sip::transaction::Transactions;
use ringfort::switch::core::{Core, Scratch};
use ringfort::switch::keyed::Keyed;
use ringfort::switch::mesh::Mesh;
use ringfort::switch::registrar::Registrar;
use ringfort::switch::site::Site;
use shards::{Cx, ListenerId, LogFile, MediaSlice, OpenError, Program, ShardId, Slot, StreamCommand};
use shards::{Outbox, Time, Verdict, Wall, Written};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static SHOWN: Cell<u64> = const { Cell::new(0) };
}

struct Counter;

fn note(octets: usize) {
    if COUNTING.get() {
        COUNT.set(COUNT.get() + 1);
        if SHOWN.get() > 0 {
            SHOWN.set(SHOWN.get() - 1);
            COUNTING.set(false);
            eprintln!("{octets} octets at {}", std::backtrace::Backtrace::force_capture());
            COUNTING.set(true);
        }
    }
}

// SAFETY: everything is passed on to the system's allocator; counting touches constant
// thread-local cells, and is off while it prints.
unsafe impl GlobalAlloc for Counter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counter = Counter;

const SERVER: SocketAddr = SocketAddr::new(SERVER_IP, 5060);
const SERVER_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const CALLER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1)), 5060);
const CALLEE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 1, 2)), 5060);

struct Bench;

impl shards::Host<Mesh> for Bench {
    fn open_media(&mut self, _: Slot) -> Result<(), OpenError> {
        Ok(())
    }
    fn mesh(&mut self, _: ShardId, message: Mesh) -> Result<(), Mesh> {
        Err(message)
    }
    fn stream(&mut self, _: ShardId, command: StreamCommand) -> Result<(), StreamCommand> {
        Err(command)
    }
    fn log_switch(&mut self, _: LogFile) {}
}

struct Nowhere;

impl Durable for Nowhere {
    fn first_log(&self, shard: ShardId) -> Option<LogFile> {
        self.take_next_log(shard)
    }
    fn take_next_log(&self, _: ShardId) -> Option<LogFile> {
        Some(LogFile { serial: 1, file: None })
    }
    fn log_closed(&self, _: ShardId, _: u64) {}
    fn cdr(&self, _: Wall, _: Vec<u8>) {}
}

/// One shard without any back-end.
struct Desk {
    app: Appliance,
    out: Outbox,
    log: Vec<u8>,
    now: Time,
    slice: MediaSlice,
}

/// A message that left: where to, and its text.
type Sent = Vec<(SocketAddr, String)>;

fn plan(policy: CallPolicy) -> Plan {
    let mut plan = ringfort::config::demonstration("nowhere".into(), Vec::new());
    plan.shards = 1;
    plan.sip.listeners = vec![Listener {
        transport: Transport::Udp,
        address: SERVER,
        advertised: SERVER.to_string(),
        media: Vec::new(),
    }];
    plan.sip.domains = vec!["ringfort.example".into()];
    plan.media.addresses = vec![SERVER_IP];
    plan.media.advertised = vec![SERVER_IP];
    plan.media.ports = (20_000, 20_799);
    plan.users = vec![User {
        name: "alice".into(),
        password: "secret".into(),
        digest: None,
        display: None,
    }];
    plan.trunks = vec![Trunk {
        name: "exchange".into(),
        targets: vec![Target {
            transport: Transport::Udp,
            host: Host::Ip(CALLEE.ip()),
            port: Some(5060),
        }],
        trusted: Vec::new(),
    }];
    plan.routes = vec![Route {
        pattern: regex::bytes::Regex::new("^0[0-9]+$").expect("a pattern"),
        trunks: vec![0],
        policy,
        auth: RouteAuth::Open,
        line: 1,
    }];
    plan
}

impl Desk {
    fn new(mode: Mode, media: MediaPath) -> Self {
        let plan = plan(CallPolicy { mode, media });
        let site = Arc::new(Site::new(plan.clone(), &[SERVER], Keyed::new([7; 32])));
        let slice = MediaSlice::split(&[SERVER_IP], 20_000, 20_799, 1).remove(0);
        let own = Arc::new(OwnSockets::new(&[(SERVER_IP, SERVER_IP)], plan.media.ports));
        let limits = MediaLimits {
            calls: 1000,
            seed: [1; 32],
            own,
        };
        let core = Core {
            site: site.clone(),
            shard: 0,
            tx: Transactions::new(0, plan.sip.timers, 100_000, [2; 32]),
            media: Media::new(slice.clone(), &plan.media, limits),
            nonces: Nonces::new([3; 32], 0, 1024),
            stats: Default::default(),
            rng: rand_chacha::rand_core::SeedableRng::from_seed([4; 32]),
            scratch: Scratch::default(),
            cdr: Vec::new(),
            draining: false,
            calls: 0,
            calls_limit: 1000,
        };
        let app = Appliance::new(core, Registrar::new(site.hasher()), Vec::new(), Arc::new(Nowhere));
        let mut desk = Self {
            app,
            out: Outbox::default(),
            log: Vec::new(),
            now: Time::ZERO,
            slice,
        };
        desk.with(|app, cx| app.start(cx));
        desk
    }

    /// One counted step of the appliance.
    #[inline(never)]
    fn with<R>(&mut self, step: impl FnOnce(&mut Appliance, &mut Cx<'_, Mesh>) -> R) -> R {
        let mut cx = Cx {
            now: self.now,
            wall: Wall(1_767_225_600_000 + self.now.millis()),
            shard: 0,
            shards: 1,
            out: &mut self.out,
            host: &mut Bench,
        };
        COUNTING.set(true);
        let result = step(&mut self.app, &mut cx);
        COUNTING.set(false);
        result
    }

    /// A batch with one datagram; what it sent.
    fn datagram(&mut self, from: SocketAddr, text: &str) -> Sent {
        self.with(|app, cx| {
            app.datagram(cx, ListenerId(0), from, text.as_bytes());
            app.batch_end(cx);
        });
        self.flush()
    }

    fn flush(&mut self) -> Sent {
        let upto = self.out.take_log(&mut self.log);
        if !self.log.is_empty() {
            self.with(|app, cx| {
                app.written(cx, Written { upto, ok: true });
                app.batch_end(cx);
            });
        }
        let mut sent = Sent::new();
        for datagram in self.out.datagrams() {
            if let shards::Target::Listener(_, to) = datagram.target {
                sent.push((to, String::from_utf8_lossy(self.out.octets(datagram)).into_owned()));
            }
        }
        self.out.clear_datagrams();
        sent
    }

    /// Time goes on; what falls due is done and its messages are dropped.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.app.deadline().filter(|&due| due <= end) {
            self.now = due.max(self.now + Duration::from_micros(100));
            self.with(|app, cx| {
                app.expire(cx);
                app.batch_end(cx);
            });
            self.flush();
        }
        self.now = end;
    }

    fn slot(&self, at: SocketAddr) -> Slot {
        let found = (0..self.slice.slots())
            .map(Slot)
            .find(|&slot| self.slice.address(slot) == Some(at));
        found.expect("a port of ours")
    }
}

fn request(uri: &str, method: &str, call: u64, cseq: u32, to: &str, extra: &str, body: &str) -> String {
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {CALLER};branch=z9hG4bK{call:08}{cseq:04}{method};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:caller@ringfort.example>;tag=t{call:08}\r\nTo: {to}\r\n\
         Call-ID: call-{call:08}@host\r\nCSeq: {cseq} {method}\r\nContact: <sip:caller@{CALLER}>\r\n{extra}{kind}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn lines<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter_map(move |line| line.strip_prefix(name))
        .map(str::trim)
}

fn line<'a>(text: &'a str, name: &'a str) -> &'a str {
    lines(text, name).next().unwrap_or("")
}

fn response(request: &str, status: &str, tag: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for name in ["Via:", "Record-Route:", "From:", "Call-ID:", "CSeq:"] {
        lines(request, name).for_each(|value| text.push_str(&format!("{name} {value}\r\n")));
    }
    let to = line(request, "To:");
    let tag = if to.contains(";tag=") {
        String::new()
    } else {
        format!(";tag={tag}")
    };
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    let length = body.len();
    text.push_str(&format!(
        "To: {to}{tag}\r\nContact: <sip:callee@{CALLEE}>\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
    ));
    text
}

fn sdp(ip: IpAddr) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n")
}

fn audio(text: &str) -> SocketAddr {
    let ip = line(text, "c=IN IP4 ").parse().expect("an address");
    let port = line(text, "m=audio ")
        .split(' ')
        .next()
        .and_then(|port| port.parse().ok());
    SocketAddr::new(ip, port.expect("a port"))
}

fn to<'a>(sent: &'a Sent, peer: SocketAddr, start: &str) -> &'a str {
    let found = sent.iter().find(|(to, text)| *to == peer && text.starts_with(start));
    found.map_or_else(|| panic!("no {start} to {peer}: {sent:#?}"), |(_, text)| text.as_str())
}

/// A whole call; `packets` RTP packets each way.
fn call(desk: &mut Desk, number: u64, packets: u16) {
    let uri = "sip:0123@ringfort.example";
    let to_uri = format!("<{uri}>");
    let offer = sdp(CALLER.ip());
    let sent = desk.datagram(CALLER, &request(uri, "INVITE", number, 1, &to_uri, "", &offer));
    let invite = to(&sent, CALLEE, "INVITE").to_owned();
    desk.datagram(CALLEE, &response(&invite, "180 Ringing", "k", ""));
    desk.pass(Duration::from_millis(300));
    let sent = desk.datagram(CALLEE, &response(&invite, "200 OK", "k", &sdp(CALLEE.ip())));
    let answer = to(&sent, CALLER, "SIP/2.0 200").to_owned();
    let mut routes = String::new();
    for route in lines(&answer, "Record-Route:") {
        routes.insert_str(0, &format!("Route: {route}\r\n"));
    }
    let target = line(&answer, "Contact:").trim_matches(['<', '>']).to_owned();
    let remote = line(&answer, "To:").to_owned();
    desk.datagram(CALLER, &request(&target, "ACK", number, 1, &remote, &routes, ""));
    if packets > 0 {
        speak(desk, packets, audio(&answer), audio(&invite));
    }
    let sent = desk.datagram(CALLER, &request(&target, "BYE", number, 2, &remote, &routes, ""));
    let bye = to(&sent, CALLEE, "BYE").to_owned();
    desk.datagram(CALLEE, &response(&bye, "200 OK", "k", ""));
    desk.pass(Duration::from_millis(700));
}

fn speak(desk: &mut Desk, packets: u16, caller_side: SocketAddr, callee_side: SocketAddr) {
    let (a, b) = (desk.slot(caller_side), desk.slot(callee_side));
    for sequence in 0..packets {
        for (slot, peer) in [(a, CALLER), (b, CALLEE)] {
            let from = SocketAddr::new(peer.ip(), 4000);
            let mut packet = [0x55u8; 172];
            packet[..2].copy_from_slice(&[0x80, 0]);
            packet[2..4].copy_from_slice(&sequence.to_be_bytes());
            packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
            let now = desk.now;
            let verdict = desk.with(|app, _| app.media(now, slot, from, &mut packet));
            if verdict == Verdict::Odd {
                desk.with(|app, cx| app.media_odd(cx, slot, from, &mut packet));
                desk.flush();
            } else {
                assert!(
                    matches!(verdict, Verdict::Relay { .. }),
                    "packet {sequence}: {verdict:?}"
                );
            }
        }
        desk.pass(Duration::from_millis(20));
    }
}

/// Runs `work` for a warm-up and then counted; how many allocations that took.
fn steady(warm: u64, count: u64, mut work: impl FnMut(u64)) -> u64 {
    (0..warm).for_each(&mut work);
    COUNT.set(0);
    let show = std::env::var_os("RINGFORT_ALLOCATIONS").is_some();
    SHOWN.set(if show { 12 } else { 0 });
    (warm..warm + count).for_each(&mut work);
    SHOWN.set(0);
    COUNT.get()
}

#[test]
fn proxied_calls() {
    let mut desk = Desk::new(Mode::Proxy, MediaPath::Direct);
    let count = steady(300, 200, |number| call(&mut desk, number, 0));
    assert!(
        count <= 200,
        "{count} allocations for 200 calls: one record each is allowed"
    );
}

#[test]
fn relayed_calls() {
    let mut desk = Desk::new(Mode::B2bua, MediaPath::Relay);
    let count = steady(300, 100, |number| call(&mut desk, number, 0));
    assert!(
        count <= 100,
        "{count} allocations for 100 calls: one record each is allowed"
    );
}

#[test]
fn relayed_packets() {
    let mut desk = Desk::new(Mode::B2bua, MediaPath::Relay);
    let few = steady(20, 10, |number| call(&mut desk, number, 10));
    let many = steady(0, 10, |number| call(&mut desk, 1000 + number, 200));
    assert!(many <= few, "{many} allocations in 4000 packets, {few} in 200");
}

#[test]
fn registrations() {
    let mut desk = Desk::new(Mode::Proxy, MediaPath::Direct);
    let uri = "sip:ringfort.example";
    let hash = |text: String| -> String {
        let digest = md5::Md5::digest(text);
        digest.iter().map(|octet| format!("{octet:02x}")).collect()
    };
    let mut nonce = String::new();
    // Ten a second, and a transaction lives for 32 s.
    let count = steady(400, 200, |number| {
        let register = |credentials: &str| {
            request(
                uri,
                "REGISTER",
                number,
                1,
                "<sip:alice@ringfort.example>",
                credentials,
                "",
            )
            .replace("From: <sip:caller@", "From: <sip:alice@")
        };
        if number % 100 == 0 {
            let sent = desk.datagram(CALLER, &register("Expires: 600\r\n"));
            let challenge = to(&sent, CALLER, "SIP/2.0 401");
            let md5 = lines(challenge, "WWW-Authenticate:").find(|value| value.contains("algorithm=MD5"));
            let start = md5.and_then(|value| value.split("nonce=\"").nth(1));
            nonce = start
                .and_then(|rest| rest.split('"').next())
                .expect("a nonce")
                .to_owned();
        }
        let nc = format!("{:08x}", number % 100 + 1);
        let ha1 = hash("alice:ringfort.example:secret".into());
        let ha2 = hash(format!("REGISTER:{uri}"));
        let proof = hash(format!("{ha1}:{nonce}:{nc}:c:auth:{ha2}"));
        let credentials = format!(
            "Expires: 600\r\nAuthorization: Digest username=\"alice\", realm=\"ringfort.example\", nonce=\"{nonce}\", \
             uri=\"{uri}\", algorithm=MD5, qop=auth, nc={nc}, cnonce=\"c\", response=\"{proof}\"\r\n"
        );
        let text = register(&credentials).replace("z9hG4bK", "z9hG4bKr");
        let sent = desk.datagram(CALLER, &text);
        to(&sent, CALLER, "SIP/2.0 200");
        desk.pass(Duration::from_millis(100));
    });
    assert_eq!(count, 0, "allocations for 200 registrations");
}
