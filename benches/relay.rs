//! The relay's own cost: one packet of 1,000 flows in steady state (the table is larger than the
//! first-level cache), and the rewriting of an offer.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ringfort::config::plan::{self, Learn};
use ringfort::media::{CallMedia, Media, MediaLimits, OwnSockets, Seen, Side};
use ringfort::protocol::rtp;
use ringfort::protocol::sdp::Sdp;
use shards::{MediaSlice, Outbox, Slot, Time, Verdict};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const PHONE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const OFFER: &str = "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";

fn plane() -> Media {
    let plan = plan::Media {
        addresses: vec![HOME],
        advertised: vec![HOME],
        ports: (20_000, 39_999),
        timeout: Duration::from_secs(60),
        quarantine: Duration::from_secs(5),
        xdp: Vec::new(),
        learn: Learn::Nat,
    };
    let slice = MediaSlice {
        addresses: vec![HOME],
        first: 20_000,
        ports: 20_000,
    };
    let own = Arc::new(OwnSockets::new(&[(HOME, HOME)], plan.ports));
    Media::new(
        slice,
        &plan,
        MediaLimits {
            calls: 10_000,
            seed: [1; 32],
            own,
        },
    )
}

fn description(port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {PHONE}\r\ns=-\r\nc=IN IP4 {PHONE}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 8 101\r\n{OFFER}"
    )
}

fn seen() -> Seen<'static> {
    Seen {
        signalling: PHONE,
        addresses: &[],
        other: &[],
        urgent: false,
    }
}

fn shown(sdp: &[u8]) -> Slot {
    Slot(u32::from(Sdp::parse(sdp).expect("ours").sections()[0].port) - 20_000)
}

/// 500 calls, both directions latched: (slot, source) of each flow.
fn calls(media: &mut Media, out: &mut Outbox) -> Vec<(Slot, SocketAddr)> {
    let mut flows = Vec::new();
    for call in 0..500u16 {
        let (port, now, mut handle) = (2_000 + call * 8, Time::ZERO, CallMedia::default());
        let (mut to_a, mut to_b) = (Vec::new(), Vec::new());
        let offer = description(port);
        media
            .offer(
                now,
                &mut |_| Ok(()),
                &mut handle,
                Side::A,
                offer.as_bytes(),
                seen(),
                &mut to_b,
            )
            .expect("ports");
        let answer = description(port + 4);
        media
            .answer(now, &mut handle, Side::B, answer.as_bytes(), seen(), &mut to_a)
            .expect("answer");
        flows.push((shown(&to_a), SocketAddr::new(PHONE, port)));
        flows.push((shown(&to_b), SocketAddr::new(PHONE, port + 4)));
    }
    for &(slot, from) in &flows {
        let mut packet = voice(0);
        assert_eq!(media.packet(Time::ZERO, slot, from, &mut packet), Verdict::Odd);
        media.odd(Time::ZERO, out, slot, from, &mut packet);
    }
    flows
}

fn voice(sequence: u16) -> [u8; 172] {
    let mut packet = [0xff; 172];
    packet[..12].copy_from_slice(&rtp::header(0, false, sequence, u32::from(sequence) * 160, 7));
    packet
}

fn relay(criterion: &mut Criterion) {
    let mut media = plane();
    let flows = calls(&mut media, &mut Outbox::default());
    let (mut at, mut sequence, mut packet) = (0, 0u16, voice(0));
    criterion.bench_function("relay/packet, 1000 flows", |bench| {
        bench.iter(|| {
            if at == flows.len() {
                at = 0;
                sequence = sequence.wrapping_add(1);
                packet = voice(sequence);
            }
            let (slot, from) = flows[at];
            at += 1;
            let now = Time::from_millis(u64::from(sequence) * 20);
            let verdict = media.packet(now, black_box(slot), black_box(from), black_box(&mut packet));
            debug_assert!(matches!(verdict, Verdict::Relay { .. }));
            black_box(verdict)
        });
    });
    assert_eq!(media.counters().dropped, [0; 8], "the bench measures relayed packets");
    let stranger = SocketAddr::new(PHONE, 9);
    criterion.bench_function("relay/packet from a stranger", |bench| {
        bench.iter(|| {
            at = (at + 1) % flows.len();
            black_box(media.packet(Time::ZERO, black_box(flows[at].0), stranger, black_box(&mut packet)))
        });
    });
}

fn negotiation(criterion: &mut Criterion) {
    let mut media = plane();
    let (offer, answer) = (description(4_000), description(5_000));
    let (mut to_a, mut to_b) = (Vec::new(), Vec::new());
    let mut now = Time::ZERO;
    criterion.bench_function("sdp/parse", |bench| {
        bench.iter(|| Sdp::parse(black_box(offer.as_bytes())).is_ok())
    });
    criterion.bench_function("media/offer, answer and release", |bench| {
        bench.iter_batched(
            CallMedia::default,
            |mut call| {
                to_a.clear();
                to_b.clear();
                now += Duration::from_millis(10);
                media
                    .offer(
                        now,
                        &mut |_| Ok(()),
                        &mut call,
                        Side::A,
                        offer.as_bytes(),
                        seen(),
                        &mut to_b,
                    )
                    .expect("ports");
                media
                    .answer(now, &mut call, Side::B, answer.as_bytes(), seen(), &mut to_a)
                    .expect("answer");
                black_box(media.release(now, &mut call))
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, relay, negotiation);
criterion_main!(benches);
