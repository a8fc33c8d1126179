//! A whole world from one seed: first with faults, in which nothing wrong may happen, then healed, in
//! which everything has to end and a new call has to succeed.

mod deeds;
mod draw;

pub use draw::{Draw, Faults};

use crate::check::{Checker, Role, Violation};
use crate::ladder::Recording;
use crate::phone::{Answer, Habits};
use crate::stage::{SERVER, Setup, Stage};
use shards::sim::{EndpointId, Link, Random};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

/// How much happens in a world.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Calls that the phones try in the phase with faults.
    pub calls: u32,
}

impl Default for Size {
    fn default() -> Self {
        Self { calls: 200 }
    }
}

/// Events in a second; the busiest phones in the worst network make some thousands.
const BUSY: u64 = 100_000;

/// Messages that may wait for a shard, so that none is ever shed here.
const PLENTY: usize = 1000;

/// What came of a seed.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Hash over every event of the world: the same in each run of the seed.
    pub trace: u64,
    /// Events of the world.
    pub events: u64,
    /// Calls that phones made.
    pub calls: u64,
    /// Those that were answered.
    pub answered: u64,
    /// What was wrong.
    pub violations: Vec<Violation>,
}

/// A phone or a gateway.
struct Member {
    id: EndpointId,
    /// The number of its user; a gateway has none.
    user: Option<u32>,
    dead: bool,
    /// Its callers are led elsewhere.
    leads: bool,
}

/// A world under way.
struct Swarm {
    stage: Stage,
    random: Random,
    draw: Draw,
    members: Vec<Member>,
    /// Some phone died, or moved out of its calls.
    gone: bool,
    checker: Rc<RefCell<Checker>>,
    recording: Option<Rc<RefCell<Recording>>>,
    /// What was wrong on the way.
    wrong: Vec<Violation>,
}

/// Plays a seed. With a recording, which costs time, everything is kept for people to read.
#[must_use]
pub fn run(seed: u64, size: &Size, recording: Option<Rc<RefCell<Recording>>>) -> Outcome {
    let mut outcome = Outcome {
        seed,
        ..Outcome::default()
    };
    // A panic in the appliance, or in a phone, is a finding too.
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut swarm = Swarm::new(seed, recording);
        swarm.play(size);
        swarm.finish(&mut outcome);
    }));
    if let Err(panic) = played {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        outcome.violations.push(Violation {
            at: shards::Time::FAR,
            call_id: String::new(),
            text: format!("panic: {}", text.unwrap_or("without words")),
        });
    }
    outcome
}

fn stem(user: u32) -> String {
    format!("u{user:02}x")
}

impl Swarm {
    fn new(seed: u64, recording: Option<Rc<RefCell<Recording>>>) -> Self {
        let mut random = Random::new(seed ^ 0x5eed_0f5e_ed0f);
        let draw = Draw::new(&mut random);
        let users: Vec<_> = (0..draw.users).map(stem).collect();
        let setup = Setup {
            seed,
            shards: draw.shards,
            mesh: draw.mesh,
            ..Setup::default()
        };
        let mut stage = Stage::with(&setup, &users, |plan| draw.apply(plan));
        stage.world.set_mesh_delay(Duration::from_micros(5), draw.mesh_delay);
        let checker = Rc::new(RefCell::new(Checker::new(Role {
            server: SERVER,
            proxy: draw.proxy,
            sheds: draw.mesh < PLENTY,
            grace: draw.mesh_delay * 3 + Duration::from_millis(1),
        })));
        let (sees, keeps) = (checker.clone(), recording.clone());
        stage.world.observe(Box::new(move |seen| {
            sees.borrow_mut().observe(seen);
            if let Some(recording) = &keeps {
                recording.borrow_mut().observe(seen);
            }
        }));
        let mut swarm = Self {
            stage,
            random,
            draw,
            members: Vec::new(),
            gone: false,
            checker,
            recording,
            wrong: Vec::new(),
        };
        swarm.furnish();
        swarm
    }

    /// Gateways, then phones for all users, some for the second time; the phones register.
    fn furnish(&mut self) {
        let draw = self.draw.clone();
        self.deed_log(&format!("{draw:?}"));
        for place in 0..draw.gateways {
            let habits = Habits {
                moved: String::new(),
                tcp: false,
                ..draw.habits(&mut self.random, None)
            };
            let id = self.stage.phone(&format!("9{place}"), habits);
            self.join(id, None, false);
        }
        for place in 0..draw.phones {
            let user = place % draw.users;
            // Nobody leads to a phone that leads elsewhere: the first third never does.
            let leads = user > draw.users / 3 && self.random.below(8) == 0;
            let moved = leads.then(|| {
                let to = stem(self.random.below(u64::from(draw.users / 3 + 1)) as u32);
                format!("<sip:{}@{}>", self.stage.name(&to), crate::stage::DOMAIN)
            });
            let habits = draw.habits(&mut self.random, moved);
            let id = self.stage.phone(&stem(user), habits);
            self.join(id, Some(user), leads);
        }
        if let Some(recording) = &self.recording {
            recording.borrow_mut().names.insert(SERVER.ip(), "server".into());
        }
        for place in 0..self.members.len() {
            if self.members[place].user.is_some() {
                self.stage
                    .act(self.members[place].id, |phone, cx| phone.register(cx, 3600));
                self.stage.run(5);
            }
        }
        self.stage.run(2000);
    }

    fn join(&mut self, id: EndpointId, user: Option<u32>, leads: bool) {
        let phone = self.stage.look(id);
        if let Some(recording) = &self.recording {
            let name = format!("{}/{}", phone.name, self.members.len());
            recording.borrow_mut().names.insert(phone.me.ip(), name);
        }
        self.members.push(Member {
            id,
            user,
            dead: false,
            leads,
        });
    }

    fn play(&mut self, size: &Size) {
        let mut left = size.calls;
        while left > 0 {
            let gap = self.random.below(self.draw.gap + 1);
            self.stage.run(gap);
            left -= self.deed();
        }
        self.deed_log("healed");
        self.stage.world.set_link(Link::default());
        self.stage
            .world
            .set_mesh_delay(Duration::from_micros(5), Duration::from_micros(200));
        for shard in 0..self.draw.shards {
            self.stage.world.fail_log(shard, false);
        }
        // Timer C of a contact that does not answer, then the next contact's call, then what lingers.
        self.come_to_rest(460);
    }

    /// Lets seconds pass; a program that is busy with nothing is a finding, and would never end.
    fn come_to_rest(&mut self, seconds: u32) {
        for _ in 0..seconds {
            let before = self.stage.world.events();
            self.stage.run(1000);
            let events = self.stage.world.events() - before;
            if events > BUSY {
                self.wrong.push(Violation {
                    at: self.stage.world.now(),
                    call_id: String::new(),
                    text: format!("{events} events in a second in which nobody does anything"),
                });
                return;
            }
        }
    }

    /// Nothing may be left; then one more call has to succeed, and end.
    fn finish(&mut self, outcome: &mut Outcome) {
        // A changed Record-Route or Contact leads a BYE past the proxy, too.
        let corrupts = self.draw.links.iter().any(|link| link.corrupt > 0);
        let gone = self.draw.proxy && (self.gone || corrupts);
        if corrupts {
            // A changed port in a description leads audio into another call, whoever relays it.
            for member in &self.members {
                self.stage.look(member.id).strange.clear();
            }
        }
        let mut wrong = self.stage.left(gone);
        let full = gone && self.draw.tiny.0.is_some();
        if wrong.is_empty() && !full && !self.another_call() {
            wrong.push("healed and at rest, but a new call does not succeed, or is not heard".into());
        }
        if self.wrong.is_empty() {
            self.come_to_rest(200);
        }
        if wrong.is_empty() {
            wrong = self.stage.left(gone);
        }
        for member in &self.members {
            let phone = self.stage.look(member.id);
            let calls = phone.legs.iter().filter(|leg| leg.calling && leg.first);
            outcome.calls += calls.clone().count() as u64;
            outcome.answered += calls.filter(|leg| leg.status == 200).count() as u64;
        }
        let now = self.stage.world.now();
        let records = self.stage.cdr();
        let records = records.iter().filter_map(|record| record["call_id"].as_str());
        let empty = Checker::new(Role {
            server: SERVER,
            proxy: false,
            sheds: false,
            grace: Duration::ZERO,
        });
        outcome.violations = self.checker.replace(empty).finish(now, records);
        outcome.violations.append(&mut self.wrong);
        outcome.violations.extend(wrong.into_iter().map(|text| Violation {
            at: now,
            call_id: String::new(),
            text,
        }));
        (outcome.trace, outcome.events) = (self.stage.world.trace(), self.stage.world.events());
    }

    fn another_call(&mut self) -> bool {
        let alive = |member: &&Member| !member.dead && member.user.is_some();
        // Another phone of the same user could ring for long before this one does.
        let alone = |member: &&Member| {
            let same = self.members.iter().filter(|other| other.user == member.user);
            !member.leads && same.count() == 1
        };
        let callee = self.members.iter().filter(alive).find(alone);
        let caller = callee.and_then(|callee| {
            let mut others = self.members.iter().filter(alive);
            others.find(|other| other.user != callee.user)
        });
        let (Some(caller), Some(callee)) = (caller, callee) else {
            return true;
        };
        let (caller, callee) = (caller.id, callee.id);
        let number = self.stage.look(callee).name.clone();
        for id in [caller, callee] {
            let before = self.stage.look(id).habits.clone();
            self.stage.look(id).habits = Habits {
                answer: Answer::After(Duration::from_millis(500)),
                patience: None,
                talk: Some(Duration::from_secs(5)),
                hold: None,
                deaf: 0,
                ..before
            };
            // Where it was before may still be in the registrar's table.
            let all = "Contact: *\nExpires: 0\n";
            self.stage.act(id, |phone, cx| phone.send_register(cx, all.into(), ""));
            self.stage.run(2000);
            self.stage.act(id, |phone, cx| phone.register(cx, 3600));
            self.stage.run(2000);
        }
        let place = self.stage.act(caller, |phone, cx| phone.call(cx, &number));
        self.stage.run(8000);
        let said = self.stage.look(caller).legs[place].clone();
        let heard = self.stage.look(callee).legs.last().map_or(0, |leg| leg.heard);
        said.status == 200 && said.heard > 0 && heard > 0
    }

    fn deed_log(&mut self, deed: &str) {
        if let Some(recording) = &self.recording {
            recording.borrow_mut().deed(self.stage.world.now(), deed.to_owned());
        }
    }
}
