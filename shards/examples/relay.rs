//! A bare relay on one shard, with its own load: what a relayed packet costs.
//!
//! `cargo run --release -p ringfort-shards --example relay -- [streams] [seconds] [no-gather]`
//!
//! Each stream sends 172 octets every 20 ms to a media slot; the program sends the same buffer
//! on to a sink, which takes the time. CPU is that of the packet thread alone.
#![allow(clippy::print_stdout)]

use shards::{
    Allow, Cx, ListenerId, MediaSlice, Plan, Program, Seat, Sender, Slot, StreamEvent, Time, Verdict, Written,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const FIRST: u16 = 2_000;

struct Relay {
    sink: SocketAddr,
    streams: u32,
}

impl Program for Relay {
    type Mesh = ();

    fn start(&mut self, cx: &mut Cx<'_, ()>) {
        for slot in 0..self.streams * 2 {
            cx.host.open_media(Slot(slot)).expect("a media port");
        }
    }

    fn media(&mut self, _: Time, slot: Slot, _: SocketAddr, packet: &mut [u8]) -> Verdict {
        packet[1] ^= 1;
        Verdict::Relay {
            slot: Slot(slot.0 ^ 1),
            to: self.sink,
        }
    }

    fn datagram(&mut self, _: &mut Cx<'_, ()>, _: ListenerId, _: SocketAddr, _: &[u8]) {}
    fn media_odd(&mut self, _: &mut Cx<'_, ()>, _: Slot, _: SocketAddr, _: &mut [u8]) {}
    fn stream(&mut self, _: &mut Cx<'_, ()>, _: StreamEvent) {}
    fn mesh(&mut self, _: &mut Cx<'_, ()>, _: Sender, (): ()) {}
    fn written(&mut self, _: &mut Cx<'_, ()>, _: Written) {}
    fn deadline(&self) -> Option<Time> {
        None
    }
    fn expire(&mut self, _: &mut Cx<'_, ()>) {}
}

fn sink(socket: &UdpSocket, epoch: Instant, stop: &AtomicBool) -> hdrhistogram::Histogram<u64> {
    let mut latency = hdrhistogram::Histogram::new(3).expect("three digits");
    let mut packet = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        let Ok(len) = socket.recv(&mut packet) else { continue };
        let sent = packet
            .get(12..20)
            .filter(|_| len == 172)
            .and_then(|time| time.try_into().ok());
        let sent = sent.map_or(0, u64::from_le_bytes);
        let _ = latency.record(epoch.elapsed().as_nanos() as u64 - sent);
    }
    latency
}

fn load(streams: u32, epoch: Instant, until: Instant) -> u64 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let (mut sent, mut next) = (0, Instant::now());
    let mut packet = [0x80; 172];
    let mut stream = 0;
    // A hundredth of the streams each 200 us.
    while Instant::now() < until {
        for _ in 0..streams / 100 {
            packet[12..20].copy_from_slice(&(epoch.elapsed().as_nanos() as u64).to_le_bytes());
            let to = SocketAddr::from(([127, 0, 0, 1], FIRST + (stream % streams) as u16 * 2));
            sent += u64::from(socket.send_to(&packet, to).is_ok());
            stream += 1;
        }
        next += Duration::from_micros(200);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    sent
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().and_then(|word| word.parse().ok()).unwrap_or(default);
    let (streams, seconds) = (number(1000).min(15_000), number(5));
    let gather = std::env::args().all(|word| word != "no-gather");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("a timeout");
    let to = socket.local_addr().expect("bound");
    let plan = Plan {
        media: vec![MediaSlice {
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            first: FIRST,
            ports: streams * 2,
        }],
        allow: Allow {
            min_wait: gather,
            ..Allow::default()
        },
        ..Plan::default()
    };
    let cluster = shards::launch(plan, move |_: &Seat| Relay { sink: to, streams }).expect("starts");
    let handle = cluster.handle();
    handle.describe().iter().for_each(|line| println!("{line}"));
    let (epoch, stop) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let stopping = stop.clone();
    let sinking = std::thread::spawn(move || sink(&socket, epoch, &stopping));
    std::thread::sleep(Duration::from_millis(300));
    let stats = handle.stats(0);
    let before = (stats.media_out.get(), stats.busy_nanos.get(), stats.wakeups.get());
    let sent = load(streams, epoch, Instant::now() + Duration::from_secs(seconds.into()));
    std::thread::sleep(Duration::from_millis(300));
    let (out, busy, wakeups) = (
        stats.media_out.get() - before.0,
        stats.busy_nanos.get() - before.1,
        stats.wakeups.get() - before.2,
    );
    stop.store(true, Ordering::Relaxed);
    let latency = sinking.join().expect("the sink");
    let forward = handle.rtp_forward(0);
    println!(
        "streams {streams}: sent {sent}, relayed {out}, received {}, {:.0} ns CPU a packet, {:.1} packets a wake-up, enobufs {}",
        latency.len(),
        busy as f64 / out.max(1) as f64,
        out as f64 / wakeups.max(1) as f64,
        stats.enobufs.get(),
    );
    println!(
        "sender to sink us: p50 {} p99 {} max {}; kernel arrival to send us: p50 {} p99 {} ({} samples)",
        latency.value_at_quantile(0.5) / 1000,
        latency.value_at_quantile(0.99) / 1000,
        latency.max() / 1000,
        forward.value_at_quantile(0.5) / 1000,
        forward.value_at_quantile(0.99) / 1000,
        forward.len(),
    );
    cluster.stop();
}
