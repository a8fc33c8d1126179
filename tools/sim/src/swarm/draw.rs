//! What a seed draws: the site, its limits, the phones' habits, the faults.

use crate::phone::{Answer, HOME, Habits};
use crate::stage::Stage;
use ringfort::config::Plan;
use ringfort::config::plan::{CallPolicy, Cidr, Host, MediaPath, Mode, Route, RouteAuth, Target, Trunk};
use ringfort::protocol::Transport;
use shards::sim::{Link, Random};
use std::time::Duration;

/// Everything that differs between worlds, but for what happens while they run.
#[derive(Clone, Debug)]
pub struct Draw {
    /// Shards, 1 to 4.
    pub shards: u16,
    /// Calls go through the proxy, otherwise the B2BUA.
    pub proxy: bool,
    /// The B2BUA carries the audio.
    pub relay: bool,
    /// Phones, 4 to 40.
    pub phones: u32,
    /// Users; more phones than users means that some have two.
    pub users: u32,
    /// Messages that may wait for a shard.
    pub mesh: usize,
    /// Longest delay between shards.
    pub mesh_delay: Duration,
    /// Calls, transactions and media ports; `None` is plenty.
    pub tiny: (Option<u32>, Option<u32>, Option<u16>),
    /// Session-Expires, seconds.
    pub session: u32,
    /// Timer C.
    pub ring: Duration,
    /// Gateways to which numbers that begin with 9, and 911, go; 0 to 2.
    pub gateways: u32,
    /// Of four phones so many speak over TCP.
    pub streams: u32,
    /// Who answers, answers after the same time: all phones of a user at once.
    pub hasty: bool,
    /// The paths of the faulty phase; the network changes between them.
    pub links: [Link; 2],
    /// What may go wrong besides the network.
    pub faults: Faults,
    /// Between two deeds at most, milliseconds.
    pub gap: u64,
}

/// Kinds of faults that a seed has switched on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A shard panics now and then.
    pub crashes: bool,
    /// The process is killed now and then.
    pub kills: bool,
    /// The disk refuses for a while.
    pub disk: bool,
    /// Phones die.
    pub deaths: bool,
    /// The wall clock jumps.
    pub clock: bool,
}

fn link(random: &mut Random) -> Link {
    let kind = random.below(4);
    if kind == 0 {
        return Link::default();
    }
    let mut some = |most: u64| {
        let on = random.below(2) == 1;
        if on { random.below(most) as u32 } else { 0 }
    };
    Link {
        loss: some(150_000),
        duplicate: some(100_000),
        reorder: some(200_000),
        corrupt: if kind == 3 { some(20_000) } else { 0 },
        delay: Duration::from_micros(200 + u64::from(some(30_000))),
        jitter: Duration::from_micros(300 + u64::from(some(60_000))),
    }
}

impl Draw {
    /// What the numbers of a seed make of a world.
    #[must_use]
    pub fn new(random: &mut Random) -> Self {
        let phones = 4 + random.below(37) as u32;
        let one_in = |random: &mut Random, of: u64| random.below(of) == 0;
        let shards = 1 + random.below(4) as u16;
        let proxy = one_in(random, 2);
        Self {
            shards,
            proxy,
            relay: !proxy && !one_in(random, 4),
            phones,
            users: (phones - random.below(u64::from(phones) / 3 + 1) as u32).max(3),
            mesh: if one_in(random, 8) {
                2 + random.below(14) as usize
            } else {
                4096
            },
            mesh_delay: Duration::from_micros(if one_in(random, 4) { 20_000 } else { 200 }),
            tiny: (
                one_in(random, 8).then(|| 4 + random.below(12) as u32),
                one_in(random, 8).then(|| (24 + random.below(100) as u32) * u32::from(shards)),
                one_in(random, 8).then(|| 16 + 4 * random.below(12) as u16),
            ),
            session: [90, 180, 600][random.below(3) as usize],
            ring: Duration::from_secs(if one_in(random, 3) { 12 } else { 200 }),
            hasty: random.below(4) == 0,
            gateways: random.below(3) as u32,
            streams: [0, 0, 1, 4][random.below(4) as usize],
            links: [link(random), link(random)],
            faults: Faults {
                crashes: one_in(random, 5),
                kills: one_in(random, 6),
                disk: one_in(random, 5),
                deaths: one_in(random, 4),
                clock: one_in(random, 8),
            },
            gap: 1 + random.below(8000) / u64::from(phones),
        }
    }

    /// Puts it into a plan.
    pub fn apply(&self, plan: &mut Plan) {
        plan.local = match (self.proxy, self.relay) {
            (true, _) => CallPolicy {
                mode: Mode::Proxy,
                media: MediaPath::Direct,
            },
            (false, true) => plan.local,
            (false, false) => CallPolicy {
                mode: Mode::B2bua,
                media: MediaPath::Direct,
            },
        };
        let mut stream = plan.sip.listeners[0].clone();
        stream.transport = Transport::Tcp;
        plan.sip.listeners.push(stream);
        if self.gateways > 0 {
            self.lead_out(plan);
        }
        plan.sip.timers.c = self.ring;
        plan.sip.session_expires = self.session;
        let (calls, transactions, ports) = self.tiny;
        plan.limits.calls = calls.unwrap_or(plan.limits.calls);
        plan.limits.transactions = transactions.unwrap_or(plan.limits.transactions);
        if let Some(ports) = ports {
            plan.media.ports.1 = plan.media.ports.0 + ports * self.shards - 1;
        }
    }

    fn lead_out(&self, plan: &mut Plan) {
        let target = |place| Target {
            transport: Transport::Udp,
            host: Host::Ip(Stage::address_of(place)),
            port: Some(HOME),
        };
        let trusted = |place| Cidr {
            network: Stage::address_of(place),
            prefix: 32,
        };
        plan.trunks.push(Trunk {
            name: "carrier".into(),
            targets: (0..self.gateways).map(target).collect(),
            trusted: (0..self.gateways).map(trusted).collect(),
        });
        plan.routes.push(Route {
            pattern: regex::bytes::Regex::new("^9[0-9]+$").expect("a pattern"),
            trunks: vec![0],
            policy: plan.local,
            auth: RouteAuth::Digest,
            line: 1,
        });
    }

    /// Habits of one phone; `others` are the users that it may lead its callers to.
    #[must_use]
    pub fn habits(&self, random: &mut Random, moved: Option<String>) -> Habits {
        let seconds = |random: &mut Random, least: u64, width: u64| Duration::from_millis(least + random.below(width));
        Habits {
            answer: match random.below(10) {
                0 => Answer::Busy,
                1 => Answer::Rings,
                _ if self.hasty => Answer::After(Duration::from_millis(1500)),
                _ => Answer::After(seconds(random, 50, 4000)),
            },
            moved: moved.unwrap_or_default(),
            talk: Some(seconds(random, 100, 9000)),
            hold: (random.below(5) == 0).then(|| seconds(random, 500, 3000)),
            patience: Some(match random.below(6) {
                0 => seconds(random, 1, 4000),
                _ => seconds(random, 15_000, 15_000),
            }),
            deaf: u32::from(random.below(10) == 0) * 2,
            early: random.below(4) == 0,
            offers: random.below(5) != 0,
            pace: Duration::from_secs(1),
            q: [None, None, None, Some("0.3"), Some("0.9")][random.below(5) as usize],
            sha256: random.below(2) == 0,
            tcp: random.below(4) < u64::from(self.streams),
            ..Habits::default()
        }
    }
}
