//! An appliance that only looks alive: numbers that move, hostile names among the callers.

use ringfort::ops::backend::{Backend, Refused};
use ringfort::ops::model::{
    About, CallRow, CallState, RegistrationRow, ShardFigures, ShardSnapshot, StreamRow, UserRow,
};
use ringfort::ops::stats::{CallResult, Direction, MethodLabel};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// What a hostile phone registers as.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>";

pub(crate) struct Fake {
    about: About,
    begun: Instant,
    shards: Mutex<Vec<ShardFigures>>,
    last: Mutex<Instant>,
    /// Number of the shard that does not answer; `u64::MAX` for none.
    pub(crate) silent: AtomicU64,
    pub(crate) draining: AtomicBool,
    /// Nothing happens: no calls, no phones.
    pub(crate) idle: AtomicBool,
    pub(crate) ended: Mutex<Vec<String>>,
    pub(crate) panicked: AtomicU64,
}

fn unix_millis() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// Moves between 0 and 1, differently for each `phase`.
fn wave(seconds: f64, phase: f64) -> f64 {
    0.5 + 0.3 * (seconds / 17.0 + phase).sin() + 0.2 * (seconds / 3.1 + 2.0 * phase).sin()
}

impl Fake {
    pub(crate) fn new(fault_injection: bool) -> Self {
        Self {
            about: About {
                name: "ringfort",
                version: "0.1.0".into(),
                revision: "0123abc".into(),
                started: unix_millis() - 4_000_000,
                listeners: vec!["udp:127.0.0.1:5060".into(), "tcp:127.0.0.1:5060".into()],
                domains: vec!["127.0.0.1".into()],
                demonstration: true,
                fault_injection,
                echo: Some("9196".into()),
                music: Some("9664".into()),
                limit_calls: 20_000,
                limit_registrations: 200_000,
                limit_transactions: 200_000,
                limit_connections: 20_000,
            },
            begun: Instant::now(),
            shards: Mutex::new(vec![ShardFigures::default(), ShardFigures::default()]),
            last: Mutex::new(Instant::now()),
            silent: AtomicU64::new(u64::MAX),
            draining: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            ended: Mutex::default(),
            panicked: AtomicU64::new(0),
        }
    }

    fn shown(&self, rows: u64) -> u64 {
        if self.idle.load(Ordering::Relaxed) { 0 } else { rows }
    }

    fn live(figures: &mut ShardFigures, seconds: f64, passed: f64, phase: f64) {
        let load = wave(seconds, phase);
        let calls = (load * 220.0) as u64 + 1;
        figures.calls = [calls / 40, calls / 12, calls, calls / 25];
        figures.registrations = 37_000 + (seconds * 3.0) as u64;
        figures.transactions = calls / 3;
        figures.media.ports_used = calls * 4;
        figures.media.ports_free = 10_000 - calls * 4 - 40;
        figures.media.ports_quarantined = 40;
        figures.ring.busy_ratio = load * 0.6;
        figures.ring.busy_nanos += (passed * load * 0.6e9) as u64;
        figures.ring.mesh_depth = (load * 5.0) as u64;
        let packets = (passed * calls as f64 * 100.0) as u64;
        figures.media.rtp_in += packets;
        figures.media.rtp_out += packets;
        figures.media.lost += packets / 5000;
        figures.ring.datagrams_in += packets;
        figures.ring.wakeups += (passed * 3000.0) as u64;
        for n in 0..(passed * 60.0 * load) as u64 + 1 {
            let stats = &mut figures.stats;
            for method in [
                MethodLabel::Invite,
                MethodLabel::Ack,
                MethodLabel::Bye,
                MethodLabel::Register,
            ] {
                stats.request(method, Direction::In);
                stats.processing(method, Duration::from_micros(8 + n % 13));
            }
            stats.response(MethodLabel::Invite, 200, Direction::Out);
            stats.call_started();
            stats.call_ended(CallResult::Completed);
            stats.pdd(Duration::from_micros(700 + n * 31));
            stats.setup(Duration::from_micros(2_000 + (load * 9_000.0) as u64 + n * 211));
            figures.media.forward.record(Duration::from_micros(180 + n));
        }
    }
}

impl Backend for Fake {
    fn about(&self) -> &About {
        &self.about
    }

    fn snapshot(&self) -> Vec<ShardSnapshot> {
        let now = Instant::now();
        let passed = now
            .duration_since(std::mem::replace(&mut *self.last.lock().unwrap(), now))
            .as_secs_f64();
        let seconds = now.duration_since(self.begun).as_secs_f64();
        let silent = self.silent.load(Ordering::Relaxed);
        let mut shards = self.shards.lock().unwrap();
        let snapshot = |(n, figures): (usize, &mut ShardFigures)| {
            figures.media.ports_free = 10_000;
            if !self.idle.load(Ordering::Relaxed) {
                Self::live(figures, seconds, passed, n as f64 * 1.3);
            }
            let figures = (n as u64 != silent).then(|| Box::new(figures.clone()));
            ShardSnapshot {
                shard: n as u16,
                restarts: self.panicked.load(Ordering::Relaxed),
                figures,
            }
        };
        shards.iter_mut().enumerate().map(snapshot).collect()
    }

    fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn calls(&self, limit: usize) -> Vec<CallRow> {
        let ended = self.ended.lock().unwrap();
        let seconds = self.begun.elapsed().as_secs();
        let row = |n: u64| {
            let state = CallState::ALL[[2, 2, 1, 2, 3, 0][(n % 6) as usize]];
            let answered = matches!(state, CallState::Answered | CallState::Held);
            let seconds = if answered { seconds + n * 7 } else { n % 5 };
            let packets = if answered { seconds * 50 } else { 0 };
            CallRow {
                id: format!("{}-{n:x}", n % 2),
                shard: (n % 2) as u16,
                state,
                from: if n == 3 {
                    HOSTILE.into()
                } else {
                    format!("sip:{}@127.0.0.1", 1001 + n)
                },
                to: if n.is_multiple_of(4) {
                    "sip:9196@127.0.0.1".into()
                } else {
                    format!("sip:{}@127.0.0.1", 1101 + n)
                },
                mode: if n.is_multiple_of(4) { "service" } else { "b2bua" },
                media: "relay",
                started: unix_millis() - seconds * 1000 - 2000,
                answered: answered.then(|| unix_millis() - seconds * 1000),
                seconds,
                from_caller: StreamRow {
                    packets,
                    lost: packets / 900,
                    jitter_ms: 0.4 + n as f64 / 7.0,
                },
                from_callee: StreamRow {
                    packets,
                    lost: 0,
                    jitter_ms: 0.3,
                },
            }
        };
        (0..self.shown(12))
            .map(row)
            .filter(|row| !ended.contains(&row.id))
            .take(limit)
            .collect()
    }

    fn registrations(&self, limit: usize, prefix: &str) -> Vec<RegistrationRow> {
        let left = 3600 - self.begun.elapsed().as_secs() % 3000;
        let row = |n: u64| RegistrationRow {
            aor: if n == 2 {
                format!("{HOSTILE}@127.0.0.1")
            } else {
                format!("{}@127.0.0.1", 1001 + n)
            },
            contact: format!("sip:{}@127.0.0.1:{};ob", 1001 + n, 40_000 + n),
            expires_in: left - n * 11,
            source: format!("127.0.0.1:{}", 40_000 + n),
            transport: if n.is_multiple_of(3) { "tcp" } else { "udp" },
            user_agent: if n == 2 {
                "<img src=x onerror=alert(2)>".into()
            } else {
                "baresip v1.0.0 (x86_64/Linux)".into()
            },
        };
        (0..self.shown(60))
            .map(row)
            .filter(|row| row.aor.starts_with(prefix))
            .take(limit)
            .collect()
    }

    fn hang_up(&self, id: &str) -> Result<(), Refused> {
        if !self.calls(usize::MAX).iter().any(|call| call.id == id) {
            return Err(Refused::NotFound);
        }
        self.ended.lock().unwrap().push(id.into());
        Ok(())
    }

    fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn validate(&self, text: &str) -> Result<(), Vec<String>> {
        match text.contains("listne") {
            true => Err(vec!["line 2: listne: unknown key, `listen` is expected".into()]),
            false => Ok(()),
        }
    }

    fn users(&self, secrets: bool) -> Vec<UserRow> {
        let row = |n: u32| UserRow {
            name: (1000 + n).to_string(),
            display: None,
            password: secrets.then(|| format!("kq{n}vr8w2mzt")),
        };
        (1..=9).map(row).collect()
    }

    fn inject_panic(&self, shard: u16) -> Result<(), Refused> {
        if shard > 1 {
            return Err(Refused::NotFound);
        }
        self.panicked.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
