//! Machines driven by messages and time, with a wire that writes down what is sent.

mod cancel;
mod invite_client;
mod invite_server;
mod limits;
mod loss;
mod matching;
mod non_invite;
mod property;

use super::*;
use crate::protocol::sip::{Carrier, Message, Method, parse};
use crate::protocol::{Path, Transport};
use shards::{ConnId, ListenerId};
use std::time::Duration;

const TIMERS: Timers = Timers {
    t1: Duration::from_millis(500),
    t2: Duration::from_secs(4),
    t4: Duration::from_secs(5),
    c: Duration::from_secs(181),
};
const USER: User = User {
    role: 3,
    index: 14,
    generation: 15,
};

/// One message that was sent.
struct Sent {
    at: u64,
    path: Path,
    tag: u64,
    text: String,
}

/// A wire that delivers nothing.
struct Script {
    now: Time,
    sent: Vec<Sent>,
}

impl Wire for Script {
    fn now(&self) -> Time {
        self.now
    }
    fn shard(&self) -> ShardId {
        SHARD
    }
    fn send(&mut self, path: &Path, tag: u64, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.sent.push(Sent {
            at: self.now.millis(),
            path: *path,
            tag,
            text,
        });
    }
}

const SHARD: ShardId = 2;

/// A layer, its wire and what it told.
struct World {
    layer: Transactions,
    wire: Script,
    events: Vec<Event>,
}

impl World {
    fn new() -> Self {
        Self::with_limit(100_000)
    }

    fn with_limit(limit: u32) -> Self {
        Self {
            layer: Transactions::new(SHARD, TIMERS, limit, [7; 32]),
            wire: Script {
                now: Time::ZERO,
                sent: Vec::new(),
            },
            events: Vec::new(),
        }
    }

    /// Lets time pass up to `millis`, waking the layer exactly when it asks for it.
    fn run_to(&mut self, millis: u64) {
        let end = Time::from_millis(millis);
        while let Some(deadline) = self.layer.deadline().filter(|&deadline| deadline <= end) {
            self.wire.now = self.wire.now.max(deadline);
            self.layer.expire(&mut self.wire, &mut self.events);
        }
        self.wire.now = end;
    }

    /// When messages that start so were sent, in milliseconds.
    fn times(&self, start: &str) -> Vec<u64> {
        self.wire
            .sent
            .iter()
            .filter(|sent| sent.text.starts_with(start))
            .map(|sent| sent.at)
            .collect()
    }

    /// The last message sent.
    fn last(&self) -> &Sent {
        self.wire.sent.last().expect("something was sent")
    }

    /// Starts a client transaction.
    fn call(&mut self, method: &str, transport: Transport) -> Call {
        let (id, branch) = self.layer.mint().expect("room");
        let call = Call {
            id,
            branch: String::from_utf8_lossy(&branch).into_owned(),
            method: method.to_owned(),
        };
        let text = request(method, &call.branch, "10.0.0.1:5062");
        let known = Method::of(method.as_bytes());
        self.layer
            .client(&mut self.wire, id, text.as_bytes(), known, &path(transport), USER);
        call
    }

    /// A response to a call comes.
    fn answer(&mut self, call: &Call, status: u16) -> Answered {
        self.response(&call.branch, &call.method, status)
    }

    fn response(&mut self, branch: &str, method: &str, status: u16) -> Answered {
        let text = response(branch, method, status);
        let mut spans = Spans::default();
        let message = parse(text.as_bytes(), &mut spans, Carrier::Datagram).expect("a response");
        self.layer.receive_response(&mut self.wire, &message)
    }

    /// A request comes.
    fn receive(&mut self, text: &str) -> Incoming {
        self.read(text, |world, message| {
            world
                .layer
                .receive_request(&mut world.wire, message, &path(Transport::Udp))
        })
    }

    /// A new request comes and gets its transaction.
    fn accept(&mut self, text: &str, transport: Transport) -> ServerId {
        let incoming = self.receive(text);
        assert!(
            matches!(incoming, Incoming::New | Incoming::Cancel { .. }),
            "{incoming:?}"
        );
        let now = self.wire.now;
        self.read(text, |world, message| {
            world.layer.server(now, message, &path(transport), USER)
        })
        .expect("room")
    }

    fn respond(&mut self, id: ServerId, status: u16) -> bool {
        let text = format!("SIP/2.0 {status} X\r\nTo: <sip:b@h>;tag=t\r\n\r\n");
        self.layer.respond(&mut self.wire, id, status, text.as_bytes())
    }

    fn read<R>(&mut self, text: &str, then: impl FnOnce(&mut Self, &Message<'_>) -> R) -> R {
        let mut spans = Spans::default();
        let message = parse(text.as_bytes(), &mut spans, Carrier::Datagram).expect("a request");
        then(self, &message)
    }

    fn fail(&mut self, tag: u64) {
        self.layer.stream_failed(&mut self.wire, tag, &mut self.events);
    }
}

/// A running client transaction.
struct Call {
    id: ClientId,
    branch: String,
    method: String,
}

impl Call {
    fn pass(&self) -> Answered {
        Answered::Pass {
            client: self.id,
            user: USER,
        }
    }

    fn timeout(&self) -> Event {
        Event::ClientTimeout {
            client: self.id,
            user: USER,
        }
    }

    fn failed(&self) -> Event {
        Event::ClientFailed {
            client: self.id,
            user: USER,
        }
    }
}

fn path(transport: Transport) -> Path {
    Path {
        transport,
        listener: ListenerId(0),
        peer: "192.0.2.9:40000".parse().expect("an address"),
        conn: ConnId::NONE,
    }
}

fn request(method: &str, branch: &str, sent_by: &str) -> String {
    format!(
        "{method} sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch={branch}\r\nMax-Forwards: 70\r\n\
         Route: <sip:p1;lr>\r\nRoute: <sip:p2;lr>, <sip:p3;lr>\r\nFrom: A <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n\
         Call-ID: c\r\nCSeq: 5 {method}\r\nContent-Length: 4\r\n\r\nbody"
    )
}

fn response(branch: &str, method: &str, status: u16) -> String {
    format!(
        "SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP 10.0.0.1:5062;branch={branch}\r\nFrom: A <sip:a@h>;tag=1\r\n\
         To: <sip:b@h>;tag=peer\r\nCall-ID: c\r\nCSeq: 5 {method}\r\nContent-Length: 0\r\n\r\n"
    )
}
