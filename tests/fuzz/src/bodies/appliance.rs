//! Whole datagrams into the whole appliance in the simulated world: whatever comes, no shard
//! panics, what it sends on can be read, and a good OPTIONS is answered afterwards.

use super::message::show;
use regex::bytes::Regex;
use ringfort::config::Plan;
use ringfort::config::plan::{CallPolicy, Cidr, Host, MediaPath, Mode, Route, RouteAuth, Target, Trunk};
use ringfort::protocol::Transport;
use ringfort::protocol::sip::{Carrier, Message, Name, Spans, parse};
use ringfort_sim::stage::{SERVER, Setup, Stage};
use shards::sim::{Endpoint, EndpointCx, EndpointId};
use std::any::Any;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Three peers on trusted addresses, the second of them the trunk, and a stranger.
const PEERS: [SocketAddr; 4] = [
    peer([10, 0, 1, 1]),
    peer([10, 0, 1, 2]),
    peer([10, 0, 1, 3]),
    peer([192, 0, 2, 9]),
];
/// Who asks at the end.
const JUDGE: SocketAddr = peer([10, 0, 9, 9]);
/// What may pass after a datagram, in milliseconds.
const PAUSES: [u64; 8] = [0, 1, 20, 600, 4_000, 33_000, 100, 200_000];

const fn peer(ip: [u8; 4]) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3])), 5060)
}

/// A socket that remembers what it heard last.
#[derive(Default)]
struct Socket {
    request: Vec<u8>,
    response: Vec<u8>,
    /// Whether the last of the two was the request.
    asked: bool,
}

impl Endpoint for Socket {
    fn datagram(&mut self, _: &mut EndpointCx<'_>, _: SocketAddr, _: SocketAddr, octets: &[u8]) {
        let mut spans = Spans::default();
        match parse(octets, &mut spans, Carrier::Datagram) {
            Ok(message) if message.is_request() => (self.request, self.asked) = (octets.to_vec(), true),
            // A response to a request that came without a Via of its own to go on with.
            _ if octets.starts_with(b"SIP/2.0 ") => (self.response, self.asked) = (octets.to_vec(), false),
            Ok(_) => {}
            Err(fault) => assert!(
                !octets.contains(&b' '),
                "sent what cannot be read, {fault:?}: {}",
                show(octets)
            ),
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// A trunk that needs no digest, and a way to it through each role.
fn change(plan: &mut Plan) {
    plan.trunks = vec![Trunk {
        name: "exchange".into(),
        targets: vec![Target {
            transport: Transport::Udp,
            host: Host::Ip(PEERS[1].ip()),
            port: Some(5060),
        }],
        trusted: vec![Cidr {
            network: IpAddr::V4(Ipv4Addr::new(10, 0, 1, 0)),
            prefix: 24,
        }],
    }];
    let route = |(line, (pattern, mode, media))| Route {
        pattern: Regex::new(pattern).expect("a pattern"),
        trunks: vec![0],
        policy: CallPolicy { mode, media },
        auth: RouteAuth::Open,
        line,
    };
    let ways = [
        ("^2", Mode::Proxy, MediaPath::Direct),
        ("^3", Mode::B2bua, MediaPath::Relay),
        ("^4", Mode::Redirect, MediaPath::Direct),
        ("^5", Mode::B2bua, MediaPath::Direct),
    ];
    plan.routes = (1..).zip(ways).map(route).collect();
    // Small, so that the limits are reached too.
    (plan.limits.calls, plan.limits.transactions, plan.limits.registrations) = (4, 64, 8);
    plan.media.ports = (20_000, 20_031);
}

/// Datagrams parted by 0xFF, each behind an octet: two bits who sends it, two bits what it is,
/// three bits how long it is quiet afterwards.
pub(super) fn appliance(octets: &[u8]) {
    let mut stage = Stage::new(Setup {
        change,
        ..Setup::default()
    });
    let sockets = PEERS.map(|address| stage.world.add_endpoint(&[address], Socket::default()));
    for (number, part) in octets.split(|octet| *octet == 0xff).take(24).enumerate() {
        let Some((&control, part)) = part.split_first() else {
            continue;
        };
        let who = usize::from(control & 3);
        let id = sockets[who];
        let datagram = match control >> 2 & 3 {
            1 => response(socket(&mut stage, id), part),
            2 => within(socket(&mut stage, id), PEERS[who], number, part),
            _ => part.to_vec(),
        };
        let to = match (control >> 2 & 3, part.first()) {
            (3, Some(port)) => SocketAddr::new(SERVER.ip(), 20_000 + u16::from(port % 32)),
            _ => SERVER,
        };
        stage
            .world
            .with_endpoint(id, |_, cx| cx.send(PEERS[who], to, &datagram));
        stage.run(PAUSES[usize::from(control >> 4 & 7)]);
    }
    still_serves(&mut stage);
}

fn socket(stage: &mut Stage, id: EndpointId) -> &Socket {
    stage.world.endpoint::<Socket>(id).expect("a socket")
}

/// When every transaction has ended, a stranger's OPTIONS is answered.
fn still_serves(stage: &mut Stage) {
    stage.run(40_000);
    let judge = stage.world.add_endpoint(&[JUDGE], Socket::default());
    let ask = format!(
        "OPTIONS sip:{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {JUDGE};branch=z9hG4bKjudge;rport\r\nMax-Forwards: 70\r\n\
         From: <sip:judge@{JUDGE}>;tag=j\r\nTo: <sip:{SERVER}>\r\nCall-ID: judge\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    stage
        .world
        .with_endpoint(judge, |_, cx| cx.send(JUDGE, SERVER, ask.as_bytes()));
    stage.run(100);
    let answer = &socket(stage, judge).response;
    let mut spans = Spans::default();
    let answer = parse(answer, &mut spans, Carrier::Datagram).expect("a good OPTIONS is answered");
    assert_eq!((answer.status(), answer.call_id()), (200, &b"judge"[..]));
}

/// Lines of a message that the other party gives back.
fn copied(out: &mut Vec<u8>, message: &Message<'_>, names: &[Name]) {
    for line in message.lines().filter(|line| names.contains(&line.name)) {
        out.extend([line.name.text().as_bytes(), b": ", line.value, b"\r\n"].concat());
    }
}

/// First line and the rest.
fn first_line(part: &[u8]) -> (&[u8], &[u8]) {
    let end = part.iter().position(|octet| *octet == b'\n').unwrap_or(part.len());
    (part[..end].trim_ascii_end(), part.get(end + 1..).unwrap_or(b"\r\n"))
}

/// `200 OK`, more header lines, and a body, as the answer to the request that came last.
fn response(socket: &Socket, part: &[u8]) -> Vec<u8> {
    let mut spans = Spans::default();
    let Ok(request) = parse(&socket.request, &mut spans, Carrier::Datagram) else {
        return part.to_vec();
    };
    let (status, rest) = first_line(part);
    let mut out = [b"SIP/2.0 ", status, b"\r\n"].concat();
    copied(
        &mut out,
        &request,
        &[Name::Via, Name::RecordRoute, Name::From, Name::CallId, Name::CSeq],
    );
    out.extend([b"To: ", request.header(Name::To).unwrap_or_default()].concat());
    if request.to_tag().is_none() {
        out.extend(b";tag=fz");
    }
    out.extend([b"\r\n", rest].concat());
    out
}

/// `BYE 2`, more header lines and a body, as a request within the dialog of what came last.
fn within(socket: &Socket, me: SocketAddr, number: usize, part: &[u8]) -> Vec<u8> {
    let mut spans = Spans::default();
    let last = if socket.asked {
        &socket.request
    } else {
        &socket.response
    };
    let Ok(last) = parse(last, &mut spans, Carrier::Datagram) else {
        return part.to_vec();
    };
    let (line, rest) = first_line(part);
    let method = line.split(|octet| *octet == b' ').next().unwrap_or_default();
    let count = line
        .get(method.len() + 1..)
        .filter(|count| !count.is_empty())
        .unwrap_or(b"2");
    let contact = last.values(Name::Contact).next();
    let contact = contact.and_then(|value| ringfort::protocol::sip::NameAddr::parse(value).ok());
    let uri = contact.map_or(&b"sip:10.0.0.1"[..], |contact| contact.uri);
    let mut out = [method, b" ", uri, b" SIP/2.0\r\nVia: SIP/2.0/UDP "].concat();
    out.extend(format!("{me};branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n").as_bytes());
    let [from, to] = [Name::From, Name::To].map(|name| last.header(name).unwrap_or_default());
    if socket.asked {
        let tag: &[u8] = if last.to_tag().is_some() { b"" } else { b";tag=fz" };
        out.extend([b"From: ", to, tag, b"\r\nTo: ", from].concat());
    } else {
        out.extend([b"From: ", from, b"\r\nTo: ", to].concat());
    }
    out.extend(
        [
            b"\r\nCall-ID: ",
            last.call_id(),
            b"\r\nCSeq: ",
            count,
            b" ",
            method,
            b"\r\n",
            rest,
        ]
        .concat(),
    );
    out
}
