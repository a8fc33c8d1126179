//! The kernel back-end over loopback with a small program.
//!
//! Datagrams and stream messages are commands: `echo …`, `open S`, `relay A B PORT`, `hop N`,
//! `timer MS`, `log …`, `panic`.

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

#[test]
fn datagrams_small_and_large() {
    let bench = start(2, false, None, |_| ());
    let phone = Phone::new();
    assert_eq!(phone.ask(bench.udp, "echo one"), "echo one");
    for len in [1400, 9000, 60_000, 65_507] {
        let large = format!("echo {}", "x".repeat(len - 5));
        assert_eq!(phone.ask(bench.udp, &large), large, "{len} octets");
    }
    for round in 0..5 {
        for i in 0..100 {
            phone.send(bench.udp, format!("echo {round} {i}").as_bytes());
        }
        for i in 0..100 {
            assert_eq!(
                phone.receive().0,
                format!("echo {round} {i}").as_bytes(),
                "in order, none lost"
            );
        }
    }
    let total: u64 = (0..2).map(|shard| bench.handle.stats(shard).datagrams_in.get()).sum();
    assert_eq!(total, 505);
    assert_eq!(
        bench.handle.stats(0).truncated.get() + bench.handle.stats(1).truncated.get(),
        0
    );
}

fn relay_works(change: impl FnOnce(&mut Plan)) -> Vec<String> {
    let bench = start(1, false, None, change);
    let (phone, far) = (Phone::new(), Phone::new());
    let answer = phone.ask(bench.udp, &format!("relay 0 2 {}", far.port()));
    let media: u16 = answer
        .strip_prefix("Ok(()) ")
        .and_then(|port| port.parse().ok())
        .expect(&answer);
    let to = SocketAddr::from(([127, 0, 0, 1], media));
    // More than there are receive buffers, so each is used several times; every packet whole.
    for round in 0..20u8 {
        for i in 0..50u8 {
            let mut packet = [i ^ round; 172];
            packet[0] = b'r';
            phone.send(to, &packet);
        }
        for i in 0..50u8 {
            let (packet, from) = far.receive();
            assert_eq!(from.port(), media + 2, "leaves from the other slot");
            assert_eq!(packet[0], b'R');
            assert!(packet.len() == 172 && packet[1..].iter().all(|&octet| octet == i ^ round));
        }
    }
    phone.send(to, b"?odd");
    assert_eq!(phone.receive(), (b"!odd".to_vec(), to));
    phone.send(to, &[b'r'; 3000]);
    assert_eq!(phone.ask(bench.udp, "echo x"), "echo x");
    let stats = bench.handle.stats(0);
    assert_eq!(
        (stats.media_in.get(), stats.media_out.get(), stats.truncated.get()),
        (1001, 1001, 1)
    );
    assert_eq!((stats.send_errors.get(), stats.media_open.get()), (0, 2));
    assert_eq!(bench.handle.rtp_forward(0).len(), 1000, "slot 0 is sampled");
    bench.handle.describe().to_vec()
}

#[test]
fn media_is_relayed_in_the_same_buffer() {
    let lines = relay_works(|_| ());
    assert!(
        lines.iter().any(|line| line.contains("packet ring: io_uring")),
        "{lines:?}"
    );
}

#[test]
fn media_is_relayed_without_the_newer_features() {
    let lines = relay_works(|plan| {
        plan.allow = Allow {
            min_wait: false,
            defer_taskrun: false,
            send_address: false,
        };
    });
    assert!(
        lines
            .iter()
            .any(|line| line.contains("cooperative") && line.contains("SENDMSG")),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.contains("no min_wait_usec")), "{lines:?}");
}

#[test]
fn a_port_in_use_is_told() {
    let bench = start(1, false, None, |_| ());
    let phone = Phone::new();
    let media: u16 = phone
        .ask(bench.udp, "relay 4 6 9")
        .split(' ')
        .nth(1)
        .and_then(|p| p.parse().ok())
        .expect("port");
    let _taken = UdpSocket::bind(("127.0.0.1", media + 4)).expect("slot 8 is free");
    assert!(phone.ask(bench.udp, "relay 8 6 9").starts_with("Err(InUse)"));
    assert!(phone.ask(bench.udp, "relay 4000 6 9").starts_with("Err(Exhausted)"));
}

#[test]
fn the_mesh_goes_round() {
    let bench = start(2, false, None, |_| ());
    let phone = Phone::new();
    for hops in [0, 1, 7, 500] {
        assert!(
            phone.ask(bench.udp, &format!("hop {hops}")).starts_with("hopped Shard"),
            "{hops}"
        );
    }
}

#[test]
fn timers_are_not_early_and_hardly_late() {
    let bench = start(1, false, None, |_| ());
    let phone = Phone::new();
    for span in [1, 20, 150] {
        let began = Instant::now();
        let answer = phone.ask(bench.udp, &format!("timer {span}"));
        assert!(began.elapsed() >= Duration::from_millis(span), "{answer}");
        assert!(answer.starts_with("expired"), "{answer}");
    }
}

#[test]
fn the_log_is_written_and_survives_a_panic() {
    let folder = std::env::temp_dir().join(format!("shards-log-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    {
        let bench = start(1, false, Some(folder.clone()), |_| ());
        let phone = Phone::new();
        assert_eq!(phone.ask(bench.udp, "log one,"), "written");
        assert_eq!(std::fs::read(folder.join("0-0.log")).expect("log"), b"one,");
        for i in 0..100 {
            phone.send(bench.udp, format!("log {i},").as_bytes());
        }
        for _ in 0..100 {
            assert_eq!(phone.receive().0, b"written");
        }
        let expected: String = "one,".to_owned() + &(0..100).map(|i| format!("{i},")).collect::<String>();
        assert_eq!(std::fs::read_to_string(folder.join("0-0.log")).expect("log"), expected);
        let stats = bench.handle.stats(0);
        assert!(
            stats.log_groups.get() < 90,
            "written in groups: {}",
            stats.log_groups.get()
        );
        phone.send(bench.udp, b"panic");
        assert_eq!(phone.ask(bench.udp, "log after"), "written");
        assert_eq!(std::fs::read(folder.join("0-1.log")).expect("log"), b"after");
        let limit = Instant::now() + Duration::from_secs(4);
        while stats.log_syncs.get() < 2 && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(
            stats.log_syncs.get() >= 2,
            "the former file, and the present one within a second"
        );
    }
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_panic_costs_one_program_only() {
    let bench = start(2, false, None, |_| ());
    let phones = phones_by_shard(&bench);
    let far = Phone::new();
    let answer = phones[1].ask(bench.udp, &format!("relay 0 2 {}", far.port()));
    let media: u16 = answer
        .split(' ')
        .nth(1)
        .and_then(|port| port.parse().ok())
        .expect("port");
    for round in 1..4 {
        let began = Instant::now();
        phones[0].send(bench.udp, b"panic");
        // These wait in the socket while the shard starts again.
        assert_eq!(phones[0].ask(bench.udp, "who"), format!("0 {round}"));
        assert!(
            began.elapsed() < Duration::from_millis(if round == 1 { 100 } else { 300 }),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(phones[1].ask(bench.udp, "who"), "1 0", "the other shard goes on");
        far.send(SocketAddr::from(([127, 0, 0, 1], media)), b"rtp");
        assert_eq!(far.receive().0, b"Rtp");
    }
    assert!(bench.handle.send(0, Mesh::Panic).is_ok());
    let limit = Instant::now() + Duration::from_secs(3);
    while bench.handle.stats(0).restarts.get() < 4 && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(
        (
            bench.handle.stats(0).restarts.get(),
            bench.handle.stats(1).restarts.get()
        ),
        (4, 0)
    );
    assert!(bench.handle.send(9, Mesh::Panic).is_err());
}

#[test]
fn an_address_in_use_is_one_sentence() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("free port");
    let address = taken.local_addr().expect("bound");
    let plan = Plan {
        listeners: vec![ListenerPlan {
            transport: ListenerKind::Datagram,
            address,
        }],
        ..Plan::default()
    };
    let factory = |_: &Seat| -> Small { unreachable!("nothing starts") };
    let error = shards::launch(plan, factory).err().expect("refused").to_string();
    assert!(error.contains(&format!("udp:{address} is in use")), "{error}");
    let bench = start(1, false, None, |_| ());
    let plan = Plan {
        listeners: vec![ListenerPlan {
            transport: ListenerKind::Datagram,
            address: bench.udp,
        }],
        ..Plan::default()
    };
    assert!(
        shards::launch(plan, factory).is_err(),
        "a second cluster cannot join the group"
    );
    let plan = Plan {
        media: MediaSlice::split(&["192.0.2.1".parse().expect("ip")], 40_000, 40_009, 1),
        ..Plan::default()
    };
    let error = shards::launch(plan, factory).err().expect("refused").to_string();
    assert!(error.contains("192.0.2.1"), "{error}");
}

#[test]
fn more_media_than_the_file_limit_is_lowered() {
    let bench = start(1, false, None, |plan| {
        plan.media = vec![MediaSlice {
            addresses: (1..40).map(|i| IpAddr::from([127, 0, 0, i])).collect(),
            first: 1024,
            ports: 64_000,
        }];
    });
    assert!(
        bench
            .handle
            .describe()
            .iter()
            .any(|line| line.contains("media ports lowered")),
        "{:?}",
        bench.handle.describe()
    );
    assert_eq!(Phone::new().ask(bench.udp, "echo x"), "echo x");
}

#[test]
fn idle_sleeps() {
    let bench = start(2, true, None, |_| ());
    let phone = Phone::new();
    assert_eq!(phone.ask(bench.udp, "echo x"), "echo x");
    std::thread::sleep(Duration::from_millis(300));
    let before: u64 = (0..2).map(|shard| bench.handle.stats(shard).wakeups.get()).sum();
    std::thread::sleep(Duration::from_secs(1));
    let after: u64 = (0..2).map(|shard| bench.handle.stats(shard).wakeups.get()).sum();
    assert!(after - before <= 2, "{} wake-ups in a second", after - before);
}

fn connect(bench: &Bench) -> TcpStream {
    let stream = TcpStream::connect(bench.tcp.expect("a stream listener")).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    stream
}

fn read_some(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut octets = vec![0; len];
    stream.read_exact(&mut octets).expect("octets");
    octets
}

#[test]
fn streams_are_framed_anywhere() {
    let bench = start(2, true, None, |_| ());
    let mut stream = connect(&bench);
    for octet in b"one\ntwo\n\r\n\r\nthree" {
        stream.write_all(&[*octet]).expect("written");
    }
    // The keep-alive is answered by the companion, so it may come before the program's answers.
    let answers = String::from_utf8(read_some(&mut stream, 10)).expect("text");
    assert_eq!(answers.replacen("\r\n", "", 1), "one\ntwo\n");
    stream.write_all(b"!\nfour\nfive\n").expect("written");
    assert_eq!(read_some(&mut stream, 17), b"three!\nfour\nfive\n");
    let large = "x".repeat(100_000) + "\n";
    stream.write_all(large.as_bytes()).expect("written");
    assert_eq!(read_some(&mut stream, large.len()), large.as_bytes());
    let total: u64 = (0..2)
        .map(|shard| bench.handle.stats(shard).stream_messages_in.get())
        .sum();
    assert_eq!(total, 6);
}

#[test]
fn a_broken_stream_is_answered_and_closed() {
    let bench = start(1, true, None, |_| ());
    let mut stream = connect(&bench);
    stream.write_all(b"bad\n").expect("written");
    assert_eq!(read_some(&mut stream, 4), b"400\n");
    assert_eq!(stream.read(&mut [0; 9]).expect("the end"), 0);
    assert_eq!(bench.handle.stats(0).connections_bad.get(), 1);
    let mut next = connect(&bench);
    next.write_all(b"ok\n").expect("written");
    assert_eq!(read_some(&mut next, 3), b"ok\n");
}

#[test]
fn slow_and_idle_connections_are_closed() {
    let bench = start(1, true, None, |plan| {
        plan.streams.message = Duration::from_millis(300);
        plan.streams.idle = Duration::from_millis(900);
        plan.streams.connections = 2;
    });
    let (mut slow, mut idle) = (connect(&bench), connect(&bench));
    slow.write_all(b"half").expect("written");
    idle.write_all(b"whole\n").expect("written");
    assert_eq!(read_some(&mut idle, 6), b"whole\n");
    assert_eq!(
        connect(&bench).read(&mut [0; 9]).unwrap_or(0),
        0,
        "a third one is refused"
    );
    let began = Instant::now();
    assert_eq!(slow.read(&mut [0; 9]).expect("the end"), 0);
    assert!(began.elapsed() < Duration::from_millis(1000), "{:?}", began.elapsed());
    assert_eq!(idle.read(&mut [0; 9]).expect("the end"), 0);
    let stats = bench.handle.stats(0);
    assert_eq!(
        (
            stats.connections_slow.get(),
            stats.connections_idle.get(),
            stats.connections_refused.get()
        ),
        (1, 1, 1)
    );
    let limit = Instant::now() + Duration::from_secs(2);
    while stats.connections.get() > 0 && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(stats.connections.get(), 0);
}

#[test]
fn connections_are_opened_and_used_again() {
    let bench = start(1, true, None, |_| ());
    let far = TcpListener::bind("127.0.0.1:0").expect("free port");
    let peer = far.local_addr().expect("bound");
    let phone = Phone::new();
    phone.send(bench.udp, format!("stream {peer}").as_bytes());
    let (mut accepted, _) = far.accept().expect("opened");
    accepted
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("timeout");
    assert_eq!(read_some(&mut accepted, 6), b"hello\n");
    phone.send(bench.udp, format!("stream {peer}").as_bytes());
    assert_eq!(read_some(&mut accepted, 6), b"hello\n", "over the same connection");
    accepted.write_all(b"back\n").expect("written");
    assert_eq!(read_some(&mut accepted, 5), b"back\n");
    assert_eq!(bench.handle.stats(0).connections_opened.get(), 1);
    drop((accepted, far));
    // Nobody listens there any more: the sender hears of it.
    let limit = Instant::now() + Duration::from_secs(2);
    while bench.handle.stats(0).connections.get() > 0 && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(phone.ask(bench.udp, &format!("stream {peer}")), "failed");
}

#[test]
fn a_peer_that_does_not_read_is_closed() {
    let bench = start(1, true, None, |_| ());
    let mut stream = connect(&bench);
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("timeout");
    let line = [b"x".repeat(8000), b"\n".to_vec()].concat();
    // Far more than the socket buffers and the queue hold, and never read.
    let (began, stats) = (Instant::now(), bench.handle.stats(0));
    while stats.connections_choked.get() == 0 {
        let _ = stream.write(&line);
        let mut counters = Vec::new();
        stats.each(|name, value| counters.push((name, value)));
        assert!(began.elapsed() < Duration::from_secs(20), "{counters:?}");
    }
    let limit = Instant::now() + Duration::from_secs(2);
    while stats.connections.get() > 0 && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(stats.connections.get(), 0, "closed");
}

#[test]
fn connections_outlive_a_panic() {
    let bench = start(1, true, None, |_| ());
    let mut stream = connect(&bench);
    stream.write_all(b"one\n").expect("written");
    assert_eq!(read_some(&mut stream, 4), b"one\n");
    assert!(bench.handle.send(0, Mesh::Panic).is_ok());
    stream.write_all(b"two\n").expect("written");
    assert_eq!(read_some(&mut stream, 4), b"two\n");
    assert_eq!(bench.handle.stats(0).restarts.get(), 1);
}

#[test]
fn the_log_goes_on_in_another_file() {
    let folder = std::env::temp_dir().join(format!("shards-switch-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let bench = start(1, false, Some(folder.clone()), |_| ());
    let phone = Phone::new();
    for round in 0..5 {
        assert_eq!(phone.ask(bench.udp, &format!("switch {round}")), "written");
    }
    assert_eq!(phone.ask(bench.udp, "log end;"), "written");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("log");
    assert_eq!(
        (read("0-0.log").as_str(), read("3").as_str()),
        ("before;", "after;before;")
    );
    assert_eq!(read("4"), "after;end;");
    drop(bench);
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_full_disk_is_told_and_the_shard_goes_on() {
    let folder = std::env::temp_dir().join(format!("shards-full-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let bench = start(1, false, Some(folder.clone()), |_| ());
    let phone = Phone::new();
    assert_eq!(phone.ask(bench.udp, "full"), "full");
    for _ in 0..3 {
        assert_eq!(phone.ask(bench.udp, "log x"), "lost");
    }
    assert_eq!(bench.handle.stats(0).log_failures.get(), 3);
    assert_eq!(phone.ask(bench.udp, "switch good"), "written");
    assert_eq!(std::fs::read(folder.join("good")).expect("log"), b"after;");
    drop(bench);
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn version_6_addresses_serve_both_transports() {
    let bench = start(2, true, None, |plan| {
        for listener in &mut plan.listeners {
            listener.address = "[::1]:0".parse().expect("an address");
        }
    });
    let socket = UdpSocket::bind("[::1]:0").expect("a free port");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    let phone = Phone(socket);
    assert_eq!(phone.ask(bench.udp, "echo six"), "echo six");
    let mut stream = connect(&bench);
    stream.write_all(b"six\n").expect("written");
    assert_eq!(read_some(&mut stream, 4), b"six\n");
}

#[test]
fn a_stopped_cluster_can_start_again_at_once() {
    let bench = start(2, true, None, |_| ());
    let (udp, tcp) = (bench.udp, bench.tcp.expect("a stream listener"));
    let mut stream = connect(&bench);
    stream.write_all(b"one\n").expect("written");
    assert_eq!(read_some(&mut stream, 4), b"one\n");
    drop(bench);
    let bench = start(2, true, None, |plan| {
        plan.listeners[0].address = udp;
        plan.listeners[1].address = tcp;
    });
    assert_eq!(Phone::new().ask(bench.udp, "echo again"), "echo again");
}

#[test]
fn a_shard_short_of_buffers_recovers() {
    let bench = start(1, false, None, |plan| {
        plan.media_buffers = 8;
        plan.signal_buffers = 2;
    });
    let (phone, far) = (Phone::new(), Phone::new());
    let answer = phone.ask(bench.udp, &format!("relay 0 2 {}", far.port()));
    let media: u16 = answer
        .strip_prefix("Ok(()) ")
        .and_then(|port| port.parse().ok())
        .expect(&answer);
    let to = SocketAddr::from(([127, 0, 0, 1], media));
    for _ in 0..20 {
        for i in 0..60u8 {
            phone.send(to, &[i; 172]);
            phone.send(bench.udp, b"echo x");
        }
        // Nothing is lost: what finds no buffer waits in the socket.
        for i in 0..60u8 {
            assert_eq!(far.receive().0[1], i);
            assert_eq!(phone.receive().0, b"echo x");
        }
    }
    assert!(bench.handle.stats(0).enobufs.get() > 0, "the test is too gentle");
}

#[test]
fn a_full_mesh_gives_back() {
    let bench = start(1, false, None, |plan| plan.mesh_capacity = 4);
    let phone = Phone::new();
    // Faster than the shard answers.
    let mut refused = 0;
    for _ in 0..200_000 {
        let message = Mesh::Hop {
            left: 0,
            to: SocketAddr::from(([127, 0, 0, 1], phone.port())),
        };
        refused += u64::from(bench.handle.send(0, message).is_err());
    }
    assert!(refused > 0);
    assert_eq!(bench.handle.stats(0).ops_full.get(), refused);
}
