//! The kernel back-end over loopback with a small program.
//!
//! Datagrams and stream messages are commands: `echo …`, `relay A B PORT`, `fetch S`, `hop N`,
//! `timer MS`, `log …`, `panic`.

mod express;
mod faults;
mod packets;
mod streams;

use shards::{
    Allow, Buf, Cluster, ConnId, Cx, Frame, Handle, ListenerId, ListenerKind, ListenerPlan, LogFile, MediaSlice, Plan,
    Program, Seat, Sender, Slot, StreamCommand, StreamEvent, Target, Time, Verdict, Written,
};
use std::collections::HashMap;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// A message and whom to answer.
enum Mesh {
    Hop { left: u32, to: SocketAddr },
    Panic,
}

struct Small {
    seat: Seat,
    relays: HashMap<Slot, (Slot, SocketAddr)>,
    timers: Vec<(Time, SocketAddr)>,
    logged: Vec<(u64, SocketAddr)>,
    log: Option<PathBuf>,
}

impl Small {
    fn answer(cx: &mut Cx<'_, Mesh>, to: SocketAddr, text: &str) {
        cx.out.datagram(Target::Listener(ListenerId(0), to), text.as_bytes());
    }
}

impl Program for Small {
    type Mesh = Mesh;

    fn start(&mut self, cx: &mut Cx<'_, Mesh>) {
        if let Some(path) = &self.log {
            let path = path.join(format!("{}-{}.log", cx.shard, self.seat.restart));
            let file = std::fs::OpenOptions::new()
                .create(true)
                .append(false)
                .write(true)
                .truncate(false)
                .open(path);
            cx.host.log_switch(LogFile {
                serial: 1,
                file: Some(file.expect("log file")),
            });
        }
    }

    fn datagram(&mut self, cx: &mut Cx<'_, Mesh>, listener: ListenerId, from: SocketAddr, bytes: &[u8]) {
        let text = std::str::from_utf8(bytes).expect("tests send text");
        let (command, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut numbers = rest.split(' ').map(|word| word.parse::<u32>().unwrap_or(0));
        let mut number = || numbers.next().unwrap_or(0);
        match command {
            "echo" => cx.out.datagram(Target::Listener(listener, from), bytes),
            "relay" => {
                let (a, b, port) = (Slot(number()), Slot(number()), number() as u16);
                let opened = cx.host.open_media(a).and_then(|()| cx.host.open_media(b));
                self.relays.insert(a, (b, SocketAddr::from(([127, 0, 0, 1], port))));
                let port = self
                    .seat
                    .media
                    .as_ref()
                    .and_then(|slice| slice.address(a))
                    .map_or(0, |a| a.port());
                Self::answer(cx, from, &format!("{opened:?} {port}"));
            }
            "point" => {
                let (slot, port) = (Slot(number()), number() as u16);
                let peer = SocketAddr::from(([127, 0, 0, 1], port));
                cx.host.point_media(slot, (port != 0).then_some(peer));
                Self::answer(cx, from, "pointed");
            }
            "fetch" => cx.out.fetch(Slot(number())),
            "hop" => {
                let left = number();
                let to = (cx.shard + 1) % cx.shards;
                assert!(
                    cx.host.mesh(to, Mesh::Hop { left, to: from }).is_ok(),
                    "the mesh has room"
                );
            }
            "timer" => {
                self.timers
                    .push((cx.now + Duration::from_millis(number().into()), from));
                self.timers.sort();
            }
            "log" => {
                let upto = cx.out.log_with(|log| log.extend_from_slice(rest.as_bytes()));
                self.logged.push((upto, from));
            }
            "switch" => {
                let path = self.log.clone().expect("a log folder").join(rest);
                cx.out.log_with(|log| log.extend_from_slice(b"before;"));
                let file = std::fs::File::create(path).expect("log file");
                cx.host.log_switch(LogFile {
                    serial: 2,
                    file: Some(file),
                });
                let upto = cx.out.log_with(|log| log.extend_from_slice(b"after;"));
                self.logged.push((upto, from));
            }
            "full" => {
                let file = std::fs::OpenOptions::new()
                    .write(true)
                    .open("/dev/full")
                    .expect("a full disk");
                cx.host.log_switch(LogFile {
                    serial: 3,
                    file: Some(file),
                });
                Self::answer(cx, from, "full");
            }
            "who" => Self::answer(cx, from, &format!("{} {}", cx.shard, self.seat.restart)),
            "stream" => {
                let peer: SocketAddr = rest.parse().expect("an address");
                let command = StreamCommand {
                    conn: ConnId::NONE,
                    listener: ListenerId(1),
                    peer,
                    may_open: true,
                    bytes: Buf::copy_of(b"hello\n"),
                    tag: u64::from(from.port()),
                    reply_to: cx.shard,
                };
                assert!(cx.host.stream(cx.shard, command).is_ok(), "the companion has room");
            }
            "panic" => panic!("asked to"),
            _ => {}
        }
    }

    fn media(&mut self, _now: Time, slot: Slot, _from: SocketAddr, packet: &mut [u8]) -> Verdict {
        match (packet.first(), self.relays.get(&slot)) {
            (Some(b'?'), _) => Verdict::Odd,
            (_, Some(&(slot, to))) => {
                packet[0] = b'R';
                Verdict::Relay { slot, to }
            }
            _ => Verdict::Drop,
        }
    }

    fn media_odd(&mut self, cx: &mut Cx<'_, Mesh>, slot: Slot, from: SocketAddr, packet: &mut [u8]) {
        packet[0] = b'!';
        cx.out.datagram(Target::Media(slot, from), packet);
    }

    fn stream(&mut self, cx: &mut Cx<'_, Mesh>, event: StreamEvent) {
        match event {
            StreamEvent::Message {
                conn,
                listener,
                peer,
                bytes,
            } => {
                let bytes = if bytes.starts_with(b"bad") {
                    Buf::copy_of(b"400\n")
                } else {
                    bytes
                };
                let command = StreamCommand {
                    conn,
                    listener,
                    peer,
                    may_open: false,
                    bytes,
                    tag: 0,
                    reply_to: cx.shard,
                };
                let _ = cx.host.stream(conn.shard(), command);
            }
            StreamEvent::Failed { tag, .. } => {
                let to = SocketAddr::from(([127, 0, 0, 1], tag as u16));
                Self::answer(cx, to, "failed");
            }
            StreamEvent::Opened { .. } | StreamEvent::Closed { .. } => {}
        }
    }

    fn mesh(&mut self, cx: &mut Cx<'_, Mesh>, from: Sender, message: Mesh) {
        match message {
            Mesh::Panic => panic!("asked to by the mesh"),
            Mesh::Hop { left: 0, to } => Self::answer(cx, to, &format!("hopped {from:?}")),
            Mesh::Hop { left, to } => {
                let next = (cx.shard + 1) % cx.shards;
                let _ = cx.host.mesh(next, Mesh::Hop { left: left - 1, to });
            }
        }
    }

    fn written(&mut self, cx: &mut Cx<'_, Mesh>, written: Written) {
        for (_, to) in self.logged.extract_if(.., |(upto, _)| *upto <= written.upto) {
            Self::answer(cx, to, if written.ok { "written" } else { "lost" });
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn expire(&mut self, cx: &mut Cx<'_, Mesh>) {
        let now = cx.now;
        for (at, to) in self.timers.extract_if(.., |(at, _)| *at <= now) {
            let late = now.since(at).as_micros();
            Self::answer(cx, to, &format!("expired {late}"));
        }
    }
}

fn framer(octets: &[u8]) -> Frame {
    if octets.starts_with(b"\r\n\r\n") {
        return Frame::KeepAlive { len: 4, reply: b"\r\n" };
    }
    if b"\r\n\r\n".starts_with(octets) {
        return Frame::Partial;
    }
    if octets.starts_with(b"bad") && octets.contains(&b'\n') {
        return Frame::Bad { len: 3 };
    }
    match octets.iter().position(|&octet| octet == b'\n') {
        Some(end) => Frame::Message { len: end + 1 },
        None => Frame::Partial,
    }
}

struct Bench {
    cluster: Option<Cluster<Mesh>>,
    handle: Handle<Mesh>,
    udp: SocketAddr,
    tcp: Option<SocketAddr>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let began = Instant::now();
        if let Some(cluster) = self.cluster.take() {
            cluster.stop();
        }
        assert!(began.elapsed() < Duration::from_secs(8), "ends in bounded time");
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Media ports that no other test of this file uses.
fn media_ports(shards: usize, each: u32) -> Vec<MediaSlice> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 40_000 + u16::from(std::process::id() as u8 & 0x1f) * 512;
    let count = shards as u16 * each as u16;
    let first = base + NEXT.fetch_add(count, Ordering::Relaxed);
    MediaSlice::split(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], first, first + count - 1, shards)
}

/// A backtrace takes longer to print than a shard to start again; shards panic on purpose here.
fn quiet_shards() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !std::thread::current()
                .name()
                .is_some_and(|name| name.starts_with("shard-"))
            {
                usual(panic);
            }
        }));
    });
}

fn start(shards: u16, streams: bool, log: Option<PathBuf>, change: impl FnOnce(&mut Plan)) -> Bench {
    quiet_shards();
    let mut listeners = vec![ListenerPlan {
        transport: ListenerKind::Datagram,
        address: any_port(),
    }];
    if streams {
        listeners.push(ListenerPlan {
            transport: ListenerKind::Stream,
            address: any_port(),
        });
    }
    let mut plan = Plan {
        shards,
        listeners,
        media: media_ports(shards.into(), 32),
        framer,
        media_buffers: 256,
        signal_buffers: 64,
        ..Plan::default()
    };
    change(&mut plan);
    let cluster = shards::launch(plan, move |seat| Small {
        seat: seat.clone(),
        relays: HashMap::new(),
        timers: Vec::new(),
        logged: Vec::new(),
        log: log.clone(),
    })
    .expect("starts");
    let handle = cluster.handle();
    let udp = handle.listeners()[0].address;
    let tcp = handle.listeners().get(1).map(|listener| listener.address);
    Bench {
        cluster: Some(cluster),
        handle,
        udp,
        tcp,
    }
}

struct Phone(UdpSocket);

impl Phone {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
        Self(socket)
    }

    fn send(&self, to: SocketAddr, text: &[u8]) {
        self.0.send_to(text, to).expect("sent");
    }

    fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut octets = vec![0; 65_536];
        let (len, from) = self.0.recv_from(&mut octets).expect("an answer");
        octets.truncate(len);
        (octets, from)
    }

    fn ask(&self, to: SocketAddr, text: &str) -> String {
        self.send(to, text.as_bytes());
        String::from_utf8(self.receive().0).expect("text")
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("bound").port()
    }
}

/// A phone for each shard, by trying source ports.
fn phones_by_shard(bench: &Bench) -> Vec<Phone> {
    let mut found: HashMap<u16, Phone> = HashMap::new();
    for _ in 0..200 {
        let phone = Phone::new();
        let shard = phone
            .ask(bench.udp, "who")
            .split(' ')
            .next()
            .and_then(|s| s.parse().ok())
            .expect("shard");
        found.entry(shard).or_insert(phone);
        if found.len() == usize::from(bench.handle.shards()) {
            break;
        }
    }
    (0..bench.handle.shards())
        .map(|shard| found.remove(&shard).expect("each shard is reached"))
        .collect()
}
