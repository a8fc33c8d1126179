//! Calls begin: by schedule, by a request, or to keep their number.

use super::arrivals::GRAIN;
use super::call::{Call, CallId, Invite, Peer, Phase};
use super::message::fingerprint;
use super::render;
use super::{Engine, Host, Value, record};
use crate::inject::Order;
use rand_chacha::rand_core::Rng as _;
use shards::{Buf, Time, TimerId, Wall};

impl Engine {
    /// Starts the calls that are due.
    pub(super) fn arrive(&mut self, now: Time, host: &mut dyn Host) {
        if self.stopping {
            return;
        }
        if let Some(keep) = self.keep {
            while self.running < keep && self.arrivals.take(now).is_some() {
                self.begin(now, now, host);
            }
            return;
        }
        while let Some(due) = self.arrivals.take(now) {
            if self.running >= self.limit {
                // As SIPp: at the limit calls are left out, not caught up later.
                self.stats.counters.held_back += 1;
                self.arrivals.give_back();
                continue;
            }
            self.begin(now, due, host);
        }
    }

    fn begin(&mut self, now: Time, due: Time, host: &mut dyn Host) {
        let peer = self.target();
        let number = self.take_number();
        let mut id = Buf::with_capacity(64);
        self.write_call_id(number, &mut id);
        self.stats.counters.outgoing += 1;
        record(
            &mut self.stats.times.lateness,
            u64::try_from(now.since(due).as_micros()).unwrap_or(u64::MAX),
        );
        // Within the grain of starts we are late by choice: times count from the start. Beyond it something
        // held us up, and the caller would have waited.
        let since = if now.since(due) <= GRAIN { now } else { due };
        let call = self.new_call(number, id, peer, false, since, now);
        self.run(call, now, host);
    }

    pub(super) fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += self.shards;
        number
    }

    fn write_call_id(&self, number: u64, id: &mut Buf) {
        let mut text = Vec::with_capacity(48);
        let mut octets = self.settings.call_id.bytes();
        while let Some(octet) = octets.next() {
            match octet {
                b'%' => match octets.next() {
                    Some(b'u') => render::number(&mut text, number),
                    Some(b'p') => render::number(&mut text, self.settings.pid.into()),
                    Some(b's') => text.extend_from_slice(self.settings.local.ip().to_string().as_bytes()),
                    Some(other) => text.push(other),
                    None => {}
                },
                octet => text.push(octet),
            }
        }
        id.extend_from_slice(&text);
    }

    /// A call that the other end began.
    pub(super) fn begin_incoming(&mut self, call_id: &[u8], peer: Peer, now: Time) -> CallId {
        let number = self.take_number();
        // As SIPp: the calls of a controller are outgoing, whoever begins them.
        if self.scenario.controller.is_some() {
            self.stats.counters.outgoing += 1;
        } else {
            self.stats.counters.incoming += 1;
        }
        self.new_call(number, Buf::copy_of(call_id), peer, true, now, now)
    }

    pub(super) fn new_call(
        &mut self,
        number: u64,
        id: Buf,
        peer: Peer,
        incoming: bool,
        due: Time,
        now: Time,
    ) -> CallId {
        let unset = || (0, vec![Value::None; self.scenario.names.user_count()]);
        let (user, user_vars) = self.users.take().unwrap_or_else(unset);
        let lines = (0..self.settings.files.files.len())
            .map(|file| self.line(file, number, user))
            .collect();
        let hash = fingerprint(&id);
        let call = Call {
            number,
            user,
            port: (number / self.shards) as usize % self.bound.len().max(1),
            id,
            hash,
            phase: Phase::Running,
            incoming,
            step: 0,
            due,
            began: now,
            timer: TimerId::NONE,
            again: TimerId::NONE,
            interval_ms: 0,
            repeats: 0,
            sent_step: 0,
            sent: Buf::new(),
            invite_text: Buf::new(),
            invite: Invite::None,
            peer,
            received: 0,
            last: Buf::new(),
            finished: [None; 4],
            finished_at: 0,
            peer_tag: Buf::new(),
            routes: Buf::new(),
            next_url: Buf::new(),
            challenge: Buf::new(),
            nonce_count: 0,
            cseq: self.settings.base_cseq,
            sends: 0,
            rounds: 0,
            vars: vec![Value::None; self.scenario.names.call_count()],
            user_vars,
            watches: [now; super::RTDS],
            rung: false,
            set_up: false,
            bye_at: None,
            register_at: None,
            audio: None,
            lines,
        };
        self.running += 1;
        let counters = &mut self.stats.counters;
        counters.current = self.running;
        counters.peak = counters.peak.max(self.running);
        self.calls.insert(Box::new(call))
    }

    /// The line of a file that a call uses.
    fn line(&mut self, file: usize, number: u64, user: u64) -> u32 {
        let Some(file) = self.settings.files.files.get(file) else {
            return 0;
        };
        let lines = file.len() as u64;
        (match file.order {
            // As SIPp: each user has its own line. Without users, USER is as SEQUENTIAL.
            Order::User if user > 0 => (user - 1) % lines,
            Order::Sequential | Order::User => (number - 1) % lines,
            Order::Random => self.random.next_u64() % lines,
        }) as u32
    }

    /// Everything that is due at `now`.
    pub fn expire(&mut self, now: Time, wall: Wall, host: &mut dyn Host) {
        self.wall = wall;
        self.timers(now, host);
        self.arrive(now, host);
    }
}
