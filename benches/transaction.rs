//! Lives of transactions at a steady rate: every iteration is one call (or registration) 400 µs
//! after the last one, so that 2,500 a second come, linger for their RFC time and go while the
//! next ones come. Parsing is part of a life; `*_parse_only` tells how much.

use criterion::{Criterion, criterion_group, criterion_main};
use ringfort::config::plan::Timers;
use ringfort::protocol::sip::transaction::{Answered, Event, Incoming, Transactions, User};
use ringfort::protocol::sip::{Carrier, Message, Method, Spans, parse};
use ringfort::protocol::{Path, Transport, Wire};
use shards::{ConnId, ListenerId, ShardId, Time};
use std::hint::black_box;
use std::time::Duration;

const TIMERS: Timers = Timers {
    t1: Duration::from_millis(500),
    t2: Duration::from_secs(4),
    t4: Duration::from_secs(5),
    c: Duration::from_secs(181),
};

/// Copies what is sent, as an outbox does.
struct Sink {
    now: Time,
    arena: Vec<u8>,
}

impl Wire for Sink {
    fn now(&self) -> Time {
        self.now
    }
    fn shard(&self) -> ShardId {
        0
    }
    fn send(&mut self, _path: &Path, _tag: u64, bytes: &[u8]) {
        self.arena.extend_from_slice(bytes);
    }
}

/// A text with a branch of fixed width to overwrite.
struct Template {
    octets: Vec<u8>,
    branch: std::ops::Range<usize>,
}

impl Template {
    fn new(start: &str, method: &str, body: &str) -> Self {
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP 127.0.0.1:5061;branch={MARK}\r\nFrom: sipp <sip:sipp@127.0.0.1:5061>;tag=12345SIPpTag001\r\n\
             To: service <sip:service@127.0.0.1:5060>\r\nCall-ID: 1-12345@127.0.0.1\r\nCSeq: 1 {method}\r\n\
             Contact: sip:sipp@127.0.0.1:5061\r\nMax-Forwards: 70\r\nSubject: Performance Test\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let at = text.find(MARK).expect("the mark is in it");
        Self {
            octets: text.into_bytes(),
            branch: at..at + MARK.len(),
        }
    }

    fn with(&mut self, branch: &[u8]) -> &[u8] {
        self.octets[self.branch.clone()].copy_from_slice(branch);
        &self.octets
    }
}

/// As long as our own branches.
const MARK: &str = "z9hG4bK-r0000000000000000000000000000";
const SDP: &str = "v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                   m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

struct Bench {
    layer: Transactions,
    wire: Sink,
    events: Vec<Event>,
    count: u64,
    spans: Spans,
    path: Path,
}

impl Bench {
    fn new() -> Self {
        Self {
            layer: Transactions::new(0, TIMERS, 1_000_000, [1; 32]),
            wire: Sink {
                now: Time::ZERO,
                arena: Vec::new(),
            },
            events: Vec::new(),
            count: 0,
            spans: Spans::default(),
            path: Path {
                transport: Transport::Udp,
                listener: ListenerId(0),
                peer: "127.0.0.1:5061".parse().expect("an address"),
                conn: ConnId::NONE,
            },
        }
    }

    /// The next moment, and a branch of the peer's for it.
    fn tick(&mut self) -> [u8; MARK.len()] {
        self.count += 1;
        self.wire.now += Duration::from_micros(400);
        self.wire.arena.clear();
        self.events.clear();
        self.layer.expire(&mut self.wire, &mut self.events);
        let mut branch = *b"z9hG4bK-p0000000000000000000000000000";
        let mut rest = self.count;
        for digit in branch.iter_mut().rev().take(20) {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        branch
    }
}

fn read<'a>(octets: &'a [u8], spans: &'a mut Spans) -> Message<'a> {
    parse(octets, spans, Carrier::Datagram).expect("well formed")
}

/// INVITE 100 180 200 through a proxy: one server and one client transaction.
fn invite_life(c: &mut Criterion) {
    let mut bench = Bench::new();
    let mut invite = Template::new("INVITE sip:service@127.0.0.1:5060 SIP/2.0", "INVITE", SDP);
    let mut onward = Template::new("INVITE sip:service@127.0.0.1:5070 SIP/2.0", "INVITE", SDP);
    let mut ringing = Template::new("SIP/2.0 180 Ringing", "INVITE", "");
    let mut answer = Template::new("SIP/2.0 200 OK", "INVITE", SDP);
    let user = User::default();
    let mut life = |bench: &mut Bench| {
        let branch = bench.tick();
        let Bench {
            layer,
            wire,
            spans,
            path,
            ..
        } = bench;
        let request = read(invite.with(&branch), spans);
        assert_eq!(layer.receive_request(wire, &request, path), Incoming::New);
        let server = layer.server(wire.now, &request, path, user).expect("room");
        layer.respond(wire, server, 100, &ringing.octets);
        let (client, minted) = layer.mint().expect("room");
        layer.client(wire, client, onward.with(&minted), Method::Invite, path, user);
        for (status, text) in [(180, &mut ringing), (200, &mut answer)] {
            let response = read(text.with(&minted), spans);
            assert_eq!(layer.receive_response(wire, &response), Answered::Pass { client, user });
            layer.respond(wire, server, status, response.bytes());
        }
    };
    // A minute of calls first: everything has its size then.
    (0..150_000).for_each(|_| life(&mut bench));
    eprintln!("invite_life: {:?} transactions linger", bench.layer.counts());
    c.bench_function("transaction/invite_life", |b| b.iter(|| life(&mut bench)));
    let mut spans = Spans::default();
    c.bench_function("transaction/invite_parse_only", |b| {
        b.iter(|| {
            for text in [&invite, &ringing, &answer] {
                black_box(read(black_box(&text.octets), &mut spans).status());
            }
        });
    });
}

/// REGISTER 200: one server transaction.
fn register_life(c: &mut Criterion) {
    let mut bench = Bench::new();
    let mut register = Template::new("REGISTER sip:127.0.0.1 SIP/2.0", "REGISTER", "");
    let answer = Template::new("SIP/2.0 200 OK", "REGISTER", "");
    let mut life = |bench: &mut Bench| {
        let branch = bench.tick();
        let Bench {
            layer,
            wire,
            spans,
            path,
            ..
        } = bench;
        let request = read(register.with(&branch), spans);
        assert_eq!(layer.receive_request(wire, &request, path), Incoming::New);
        let server = layer.server(wire.now, &request, path, User::default()).expect("room");
        layer.respond(wire, server, 200, &answer.octets);
    };
    (0..150_000).for_each(|_| life(&mut bench));
    eprintln!("register_life: {:?} transactions linger", bench.layer.counts());
    c.bench_function("transaction/register_life", |b| b.iter(|| life(&mut bench)));
    let mut spans = Spans::default();
    c.bench_function("transaction/register_parse_only", |b| {
        b.iter(|| black_box(read(black_box(&register.octets), &mut spans).status()));
    });
}

criterion_group!(benches, invite_life, register_life);
criterion_main!(benches);
