//! Two layers with a network between them that loses, delays and doubles messages.

use super::*;
use std::collections::BTreeMap;

/// Caller, callee and the datagrams under way, by arrival.
struct Net {
    ends: [World; 2],
    flying: BTreeMap<(u64, u64), (usize, String)>,
    serial: u64,
    dice: ChaCha12Rng,
    loss_percent: u64,
    /// What the callee answers.
    status: u16,
    /// Finals that the caller's users got, by place and generation.
    finals: BTreeMap<(u32, u32), u16>,
}

impl Net {
    fn new(seed: u8, loss_percent: u64, status: u16) -> Self {
        Self {
            ends: [World::new(), World::new()],
            flying: BTreeMap::new(),
            serial: 0,
            dice: ChaCha12Rng::from_seed([seed; 32]),
            loss_percent,
            status,
            finals: BTreeMap::new(),
        }
    }

    /// Takes what an end has sent; some of it arrives, some of it twice.
    fn collect(&mut self, from: usize) {
        for sent in std::mem::take(&mut self.ends[from].wire.sent) {
            let copies = 1 + u64::from(self.dice.next_u64() % 100 < 5);
            for _ in 0..copies {
                self.serial += 1;
                if self.dice.next_u64() % 100 >= self.loss_percent {
                    let at = sent.at + 1 + self.dice.next_u64() % 80;
                    self.flying.insert((at, self.serial), (1 - from, sent.text.clone()));
                }
            }
        }
    }

    /// Runs both ends and the network up to `millis`.
    fn run_to(&mut self, millis: u64) {
        loop {
            let timers = self
                .ends
                .iter()
                .filter_map(|end| end.layer.deadline())
                .map(Time::millis);
            let arrivals = self.flying.keys().next().map(|&(at, _)| at);
            let Some(next) = timers.chain(arrivals).min().filter(|&next| next <= millis) else {
                break;
            };
            for from in 0..2 {
                let now = self.ends[from].wire.now.millis().max(next);
                self.ends[from].run_to(now);
                self.collect(from);
            }
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= next) {
                let (to, text) = entry.remove();
                self.arrive(to, &text);
                self.collect(to);
            }
        }
        self.ends.iter_mut().for_each(|end| end.run_to(millis));
    }

    fn arrive(&mut self, to: usize, text: &str) {
        let status = self.status;
        let world = &mut self.ends[to];
        if text.starts_with("SIP/2.0") {
            let answered = world.read(text, |world, message| {
                (world.layer.receive_response(&mut world.wire, message), message.status())
            });
            if let (Answered::Pass { client, .. }, 200..) = answered {
                let former = self.finals.insert((client.index, client.generation), answered.1);
                assert!(former.is_none() || status == 200, "a failure is passed up once");
            }
            return;
        }
        if world.receive(text) != Incoming::New {
            return;
        }
        let now = world.wire.now;
        world.read(text, |world, message| {
            let id = world
                .layer
                .server(now, message, &path(Transport::Udp), USER)
                .expect("room");
            let branch = String::from_utf8_lossy(message.via().branch.unwrap_or_default()).into_owned();
            let method = String::from_utf8_lossy(message.method_text()).into_owned();
            let answer = response(&branch, &method, status);
            assert!(world.layer.respond(&mut world.wire, id, status, answer.as_bytes()));
        });
    }
}

/// At 10 % loss failures of INVITEs and all other requests come through.
#[test]
fn ten_percent_loss() {
    for (seed, method, status) in [(1, "INVITE", 486), (2, "BYE", 200), (3, "OPTIONS", 404)] {
        let mut net = Net::new(seed, 10, status);
        for number in 0..200 {
            net.run_to(number * 20);
            net.ends[0].call(method, Transport::Udp);
            net.collect(0);
        }
        net.run_to(200_000);
        assert_eq!(net.finals.len(), 200, "{method}");
        assert_eq!(
            (&net.ends[0].events[..], &net.ends[1].events[..]),
            (&[][..], &[][..]),
            "{method}"
        );
        assert_eq!(
            (net.ends[0].layer.counts(), net.ends[1].layer.counts()),
            ((0, 0), (0, 0)),
            "{method}"
        );
    }
}

/// When most is lost some time out, but every call ends in exactly one way, and nothing stays.
#[test]
fn eighty_percent_loss() {
    let mut timeouts = 0;
    for (seed, method, status) in [(4, "INVITE", 486), (5, "BYE", 200)] {
        let mut net = Net::new(seed, 80, status);
        for number in 0..200 {
            net.run_to(number * 20);
            net.ends[0].call(method, Transport::Udp);
            net.collect(0);
        }
        net.run_to(200_000);
        let failed = net.ends[0].events.len();
        assert_eq!(net.finals.len() + failed, 200, "{method}");
        assert_eq!(
            (net.ends[0].layer.counts(), net.ends[1].layer.counts()),
            ((0, 0), (0, 0)),
            "{method}"
        );
        timeouts += failed;
    }
    assert!(timeouts > 0, "the network was too good to test anything");
}
