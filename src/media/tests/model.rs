//! Random signalling and packets: no panic, and in the end every port is free again.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Offer(Side, usize),
    Answer(Side, usize),
    Local(bool, usize),
    Reject,
    Release,
    Packet(u32, usize, Vec<u8>),
    Pass(u64),
    Fail(u8),
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::A), Just(Side::B)]
}

fn step() -> impl Strategy<Value = Step> {
    let packet = prop_oneof![
        Just(voice(1)),
        Just(voice(9_000)),
        Just(REPORT.to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40)
    ];
    prop_oneof![
        4 => (side(), 0..texts().len()).prop_map(|(side, text)| Step::Offer(side, text)),
        4 => (side(), 0..texts().len()).prop_map(|(side, text)| Step::Answer(side, text)),
        2 => (any::<bool>(), 0..texts().len()).prop_map(|(music, text)| Step::Local(music, text)),
        1 => Just(Step::Reject),
        1 => Just(Step::Release),
        8 => (0u32..48, 0..4usize, packet).prop_map(|(slot, from, packet)| Step::Packet(slot, from, packet)),
        2 => (0u64..20_000).prop_map(Step::Pass),
        1 => any::<u8>().prop_map(Step::Fail),
    ]
}

fn texts() -> Vec<String> {
    let private = "192.168.1.5:4000";
    vec![
        audio(A, ""),
        audio(B, ""),
        audio(A, "a=rtcp-mux\r\n"),
        audio(private, "a=sendonly\r\n"),
        audio(A, "").replace("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0"),
        described(
            ip("192.0.2.1"),
            "m=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/SAVP 99\r\n",
        ),
        described(
            ip("192.0.2.2"),
            "m=audio 0 RTP/AVP 0\r\nm=video 4002 UDP/TLS/RTP/SAVPF 99\r\na=rtcp-mux\r\n",
        ),
        described(ip("192.0.2.2"), "m=image 4002 udptl t38\r\n"),
        described(ip("10.0.0.1"), "m=audio 20000 RTP/AVP 0 8\r\n"),
        described(ip("192.0.2.2"), ""),
        String::new(),
        "nonsense".to_owned(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_order_of_events(steps in proptest::collection::vec(step(), 1..60)) {
        let mut world = World::with(Learn::Nat, 48);
        world.signalling[1] = ip("203.0.113.9");
        let sources = [A, B, "203.0.113.9:7", "192.168.1.5:4000"];
        let texts = texts();
        for step in steps {
            match step {
                Step::Offer(side, text) => drop(world.offer(side, &texts[text])),
                Step::Answer(side, text) => drop(world.answer(side, &texts[text])),
                Step::Local(music, text) => {
                    let service = if music { Service::Music } else { Service::Echo };
                    drop(world.local(service, &texts[text]));
                }
                Step::Reject => world.media.reject(&mut world.call),
                Step::Release => drop(world.media.release(world.now, &mut world.call)),
                Step::Packet(slot, from, packet) => {
                    for sent in world.packet(Slot(slot), sources[from], &packet) {
                        prop_assert_ne!(sent.to, latch::NOWHERE);
                        // A description may name a port of ours that is opened only later. What
                        // arrives there ends there, so there is no loop.
                        if sent.to.ip() == ip(HOME) {
                            let (own, back) = (Slot(u32::from(sent.to.port()) - 20_000), 20_000 + sent.slot.0);
                            for home in [HOME, "198.51.100.1"] {
                                prop_assert_eq!(world.packet(own, &format!("{home}:{back}"), &sent.octets), []);
                            }
                        }
                    }
                }
                Step::Pass(millis) => drop(world.pass(Duration::from_millis(millis))),
                Step::Fail(every) => {
                    let mut count = 0u8;
                    world.open = Box::new(move |_| {
                        count = count.wrapping_add(1);
                        if every > 0 && count.is_multiple_of(every) { Err(OpenError::Exhausted) } else { Ok(()) }
                    });
                }
            }
        }
        let mut call = std::mem::take(&mut world.call);
        world.media.release(world.now, &mut call);
        world.pass(Duration::from_secs(7));
        let counters = world.media.counters();
        prop_assert_eq!((counters.ports_free, counters.ports_used, counters.calls), (48, 0, 0));
        prop_assert_eq!(world.media.deadline(), None);
        for slot in 0..48 {
            prop_assert!(world.media.flows.get(Slot(slot)).is_none_or(|flow| flow.state == flow::State::Closed));
        }
    }
}
