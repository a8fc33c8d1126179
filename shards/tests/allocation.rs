//! Steady state allocates nothing in the packet thread: relaying, timers, mesh hops, datagrams.
#![allow(unsafe_code)]

use shards::{
    Cx, ListenerId, ListenerKind, ListenerPlan, MediaSlice, Plan, Program, Seat, Sender, Slot, StreamEvent, Target,
    Time, TimerId, Verdict, Wheel, Written,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is passed on to the system's allocator; counting touches a constant
// thread-local cell and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Steady {
    wheel: Wheel<u32>,
    timer: TimerId,
    sink: SocketAddr,
}

impl Program for Steady {
    type Mesh = u64;

    fn start(&mut self, cx: &mut Cx<'_, u64>) {
        (0..2).for_each(|slot| cx.host.open_media(Slot(slot)).expect("a media port"));
        self.timer = self.wheel.insert(cx.now + Duration::from_millis(1), 0);
    }

    /// Answers with the thread's number of allocations.
    fn datagram(&mut self, cx: &mut Cx<'_, u64>, id: ListenerId, from: SocketAddr, _: &[u8]) {
        let count = COUNT.with(Cell::get).to_le_bytes();
        cx.out.datagram(Target::Listener(id, from), &count);
        cx.host.mesh(cx.shard, 3).expect("room");
    }

    fn media(&mut self, now: Time, slot: Slot, _: SocketAddr, _: &mut [u8]) -> Verdict {
        self.wheel.cancel(self.timer);
        self.timer = self.wheel.insert(now + Duration::from_millis(1), 1);
        Verdict::Relay {
            slot: Slot(slot.0 ^ 1),
            to: self.sink,
        }
    }

    fn mesh(&mut self, cx: &mut Cx<'_, u64>, _: Sender, left: u64) {
        if left > 0 {
            cx.host.mesh(cx.shard, left - 1).expect("room");
        }
    }

    fn expire(&mut self, cx: &mut Cx<'_, u64>) {
        while self.wheel.pop(cx.now).is_some() {
            self.timer = self.wheel.insert(cx.now + Duration::from_millis(1), 0);
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.wheel.next()
    }

    fn media_odd(&mut self, _: &mut Cx<'_, u64>, _: Slot, _: SocketAddr, _: &mut [u8]) {}
    fn stream(&mut self, _: &mut Cx<'_, u64>, _: StreamEvent) {}
    fn written(&mut self, _: &mut Cx<'_, u64>, _: Written) {}
}

#[test]
fn a_steady_shard_allocates_nothing() {
    let phone = UdpSocket::bind("127.0.0.1:0").expect("a port");
    phone.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let sink = phone.local_addr().expect("bound");
    let first = 24_000 + (std::process::id() % 2000) as u16 * 2;
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let plan = Plan {
        listeners: vec![ListenerPlan {
            transport: ListenerKind::Datagram,
            address,
        }],
        media: vec![MediaSlice {
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            first,
            ports: 2,
        }],
        ..Plan::default()
    };
    let cluster = shards::launch(plan, move |_: &Seat| Steady {
        wheel: Wheel::new(Time::ZERO),
        timer: TimerId::NONE,
        sink,
    })
    .expect("starts");
    let sip = cluster.handle().listeners()[0].address;
    let mut octets = [0; 512];
    let mut ask = || {
        for _ in 0..20 {
            phone.send_to(b"how many", sip).expect("sent");
            assert_eq!(phone.recv(&mut octets).expect("an answer"), 8);
        }
        u64::from_le_bytes(octets[..8].try_into().expect("eight"))
    };
    let relay = |packets: u32| {
        let mut octets = [0; 512];
        for _ in 0..packets / 20 {
            for _ in 0..20 {
                phone.send_to(&[0x80; 172], (Ipv4Addr::LOCALHOST, first)).expect("sent");
            }
            for _ in 0..20 {
                assert_eq!(phone.recv(&mut octets).expect("a packet"), 172);
            }
        }
    };
    relay(1000);
    let before = ask();
    relay(10_000);
    assert_eq!(ask(), before, "allocations while 10,000 packets were relayed");
}
