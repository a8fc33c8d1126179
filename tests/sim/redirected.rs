//! Phones that answer 302: RFC 3261 section 16.7 step 4. By the seed through the B2BUA or the proxy.

use super::phone::{Answer, Habits};
use super::proxied::by_proxy;
use super::stage::{DOMAIN, Setup, Stage, lossy};
use ringfort::config::Plan;
use ringfort::config::plan::{Host, Route, RouteAuth, Target, Trunk};
use ringfort::protocol::Transport;
use shards::sim::EndpointId;
use std::time::Duration;

fn both_roles(seed: u64) -> fn(&mut Plan) {
    if seed % 4 < 2 { by_proxy } else { |_| {} }
}

fn stage(seed: u64, change: fn(&mut Plan)) -> Stage {
    Stage::new(Setup {
        seed,
        shards: 2 + (seed % 2) as u16,
        change,
        ..Setup::default()
    })
}

trait Elsewhere {
    fn uri(&self, stem: &str) -> String;
    fn moved(&mut self, stem: &str, to: String) -> EndpointId;
    fn call(&mut self, caller: EndpointId, stem: &str, peer: &str);
    fn invites(&mut self, phone: EndpointId) -> usize;
}

impl Elsewhere for Stage {
    fn uri(&self, stem: &str) -> String {
        format!("<sip:{}@{DOMAIN}>", self.name(stem))
    }

    /// A registered phone that sends its callers elsewhere.
    fn moved(&mut self, stem: &str, to: String) -> EndpointId {
        let habits = Habits {
            answer: Answer::After(Duration::from_secs(1)),
            moved: to,
            ..Habits::default()
        };
        self.registered(stem, habits)
    }

    /// Calls a user; the one who is to answer is `peer`.
    fn call(&mut self, caller: EndpointId, stem: &str, peer: &str) {
        let (number, peer) = (self.name(stem), self.name(peer));
        self.act(caller, |phone, cx| phone.call(cx, &number));
        self.look(caller).legs[0].peer = peer;
    }

    fn invites(&mut self, phone: EndpointId) -> usize {
        let requests = &self.look(phone).requests;
        requests.iter().filter(|method| *method == "INVITE").count()
    }
}

#[test]
fn a_phone_that_forwards_makes_the_caller_reach_the_other() {
    for seed in 0..16 {
        let mut stage = stage(seed, both_roles(seed));
        let offers = seed % 3 != 0;
        let alice = stage.registered(
            "alice",
            Habits {
                offers,
                ..Habits::default()
            },
        );
        let to = stage.uri("carol");
        let bob = stage.moved("bob", to);
        let carol = stage.registered("carol", Habits::default());
        stage.call(alice, "bob", "carol");
        stage.run(8000);
        assert_eq!(stage.look(bob).leg().status, 302);
        for phone in [alice, carol] {
            let leg = stage.look(phone).leg();
            assert_eq!((leg.status, leg.heard > 20), (200, true), "seed {seed}: {leg:#?}");
        }
        assert_eq!(stage.calls(), 1);
        let by = if seed % 2 == 0 { alice } else { carol };
        stage.act(by, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
        let cdr = &stage.cdr()[0];
        assert_eq!((&cdr["result"], &cdr["status"]), (&"completed".into(), &200.into()));
    }
}

#[test]
fn the_next_contact_when_nobody_is_there() {
    for seed in 0..8 {
        let mut stage = stage(seed, both_roles(seed));
        let alice = stage.registered("alice", Habits::default());
        let to = format!("{};q=0.5, {}", stage.uri("carol"), stage.uri("dave"));
        let bob = stage.moved("bob", to);
        let carol = stage.registered("carol", Habits::default());
        stage.call(alice, "bob", "carol");
        stage.run(6000);
        assert_eq!(stage.look(bob).leg().status, 302);
        assert_eq!(
            stage.look(alice).leg().status,
            200,
            "dave is not registered; seed {seed}"
        );
        stage.act(carol, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
    }
}

#[test]
fn forwarding_to_somebody_who_is_not_there() {
    for seed in 0..4 {
        let mut stage = stage(seed, both_roles(seed));
        let alice = stage.registered("alice", Habits::default());
        let to = stage.uri("dave");
        stage.moved("bob", to);
        stage.call(alice, "bob", "dave");
        stage.run(3000);
        assert_eq!(stage.look(alice).leg().status, 480, "seed {seed}");
        stage.rest(1);
    }
}

#[test]
fn a_circle_ends() {
    for seed in 0..8 {
        let mut stage = stage(seed, both_roles(seed));
        let alice = stage.registered("alice", Habits::default());
        let (to_bob, to_carol) = (stage.uri("bob"), stage.uri("carol"));
        let bob = stage.moved("bob", to_carol);
        let carol = stage.moved("carol", to_bob);
        stage.call(alice, "bob", "carol");
        stage.run(10_000);
        assert_eq!(stage.look(alice).leg().status, 480, "seed {seed}");
        assert_eq!((stage.invites(bob), stage.invites(carol)), (1, 1));
        stage.rest(1);
    }
}

#[test]
fn the_other_phones_of_a_fork_go_on_ringing() {
    for seed in 0..12 {
        let mut stage = stage(seed, both_roles(seed));
        let alice = stage.registered("alice", Habits::default());
        let to = stage.uri("carol");
        let desk = stage.moved("bob", to);
        let rings = |millis| Habits {
            answer: Answer::After(Duration::from_millis(millis)),
            ..Habits::default()
        };
        // Who answers first wins, whichever it is.
        let (first, second) = if seed % 2 == 0 { (3000, 5000) } else { (9000, 3000) };
        let cell = stage.registered("bob", rings(first));
        let carol = stage.registered("carol", rings(second));
        let (winner, loser, name) = match seed % 2 {
            0 => (cell, carol, "bob"),
            _ => (carol, cell, "carol"),
        };
        stage.call(alice, "bob", name);
        stage.run(2000);
        for phone in [cell, carol] {
            assert!(!stage.look(phone).leg().is_over(), "seed {seed}: both ring");
        }
        if seed % 4 < 2 {
            // RFC 5393 section 5.3: together they have no more breadth than the call.
            let most = u32::from(stage.plan.limits.breadth);
            let shares = [cell, carol].map(|phone| stage.look(phone).leg().invite.one("max-breadth").parse::<u32>());
            let sum: u32 = shares.into_iter().map(|share| share.expect("a share")).sum();
            assert!((2..=most).contains(&sum), "{sum} of {most}");
        }
        stage.run(6000);
        assert_eq!(stage.look(desk).leg().status, 302);
        assert_eq!(stage.look(alice).leg().status, 200);
        assert_eq!(
            (stage.look(winner).leg().status, stage.look(loser).leg().status),
            (200, 487)
        );
        stage.act(alice, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
    }
}

#[test]
fn cancelled_while_the_other_rings() {
    for seed in 0..6 {
        let mut stage = stage(seed, both_roles(seed));
        let alice = stage.registered("alice", Habits::default());
        let to = stage.uri("carol");
        stage.moved("bob", to);
        let carol = stage.registered("carol", Habits::default());
        stage.look(carol).habits.answer = Answer::Rings;
        stage.call(alice, "bob", "carol");
        stage.run(4000);
        stage.act(alice, |phone, cx| phone.cancel(cx, 0));
        stage.run(1000);
        assert_eq!(
            (stage.look(alice).leg().status, stage.look(carol).leg().status),
            (487, 487)
        );
        stage.rest(1);
        assert_eq!(stage.cdr()[0]["result"], "cancelled");
    }
}

/// The messages between shards take two seconds, and the CANCEL comes one second after the 302.
#[test]
fn cancelled_while_the_look_up_is_on_its_way() {
    let mut caught = [0, 0];
    for seed in 0..32 {
        let mut stage = stage(seed, both_roles(seed));
        let alice = stage.registered("alice", Habits::default());
        let to = stage.uri("carol");
        let bob = stage.moved("bob", to);
        let carol = stage.registered("carol", Habits::default());
        stage.look(carol).habits.answer = Answer::Rings;
        stage.call(alice, "bob", "carol");
        stage.run(900);
        let slow = Duration::from_secs(2);
        stage.world.set_mesh_delay(slow, slow);
        stage.run(1100);
        assert_eq!(stage.look(bob).leg().status, 302);
        stage.act(alice, |phone, cx| phone.cancel(cx, 0));
        stage.run(10_000);
        let status = stage.look(alice).leg().status;
        // The 302 may have taken the long way too, and come after the CANCEL.
        assert!(matches!(status, 487 | 302), "seed {seed}: {status}");
        let asked = stage.invites(carol) > 0;
        assert!(!asked || stage.look(carol).leg().status == 487, "seed {seed}");
        caught[usize::from(seed % 4 < 2)] += usize::from(!asked && status == 487);
        stage.rest(1);
    }
    assert!(caught.iter().all(|&times| times > 3), "{caught:?}");
}

/// The other shard answers after 90 s; 64 T1 are as long as anybody waits for it.
#[test]
fn a_lost_look_up_ends_the_call() {
    let mut caught = [0, 0];
    for seed in 0..20 {
        let mut stage = stage(seed, both_roles(seed));
        let alice = stage.registered("alice", Habits::default());
        let to = stage.uri("carol");
        stage.moved("bob", to);
        let carol = stage.registered("carol", Habits::default());
        stage.call(alice, "bob", "carol");
        stage.run(900);
        let for_ever = Duration::from_secs(90);
        stage.world.set_mesh_delay(for_ever, for_ever);
        stage.run(31_500);
        let open = stage.look(alice).leg().status == 0;
        stage.run(3000);
        let given_up = open && stage.look(alice).leg().status == 480;
        caught[usize::from(seed % 4 < 2)] += usize::from(given_up);
        stage.act(alice, |phone, cx| phone.hang_up(cx, 0));
        stage.run(100_000);
        assert!(!given_up || stage.invites(carol) == 0, "seed {seed}");
        stage.rest(1);
    }
    assert!(caught.iter().all(|&times| times > 0), "{caught:?}");
}

#[test]
fn no_redirection_is_followed_when_that_is_off() {
    for (change, status) in [(off_by_proxy as fn(&mut Plan), 302), (off, 480)] {
        let mut stage = stage(1, change);
        let alice = stage.registered("alice", Habits::default());
        let to = stage.uri("carol");
        stage.moved("bob", to);
        let carol = stage.registered("carol", Habits::default());
        stage.call(alice, "bob", "carol");
        stage.run(3000);
        assert_eq!((stage.look(alice).leg().status, stage.invites(carol)), (status, 0));
        stage.rest(1);
    }
}

fn off(plan: &mut Plan) {
    plan.sip.follow_redirects = false;
}

fn off_by_proxy(plan: &mut Plan) {
    by_proxy(plan);
    off(plan);
}

/// Nothing is sent to a host that a callee names; what is not followed is the caller's to see.
#[test]
fn strange_hosts_are_left_to_the_caller() {
    for (seed, status) in [(0, 302), (2, 486)] {
        let mut stage = stage(seed, both_roles(seed));
        let alice = stage.registered("alice", Habits::default());
        let carol = stage.registered("carol", Habits::default());
        stage.look(carol).habits.answer = Answer::Busy;
        let elsewhere = stage.phone("elsewhere", Habits::default());
        let host = stage.look(elsewhere).me;
        let to = format!("<sip:x@{host}>;q=0.9, {}", stage.uri("carol"));
        stage.moved("bob", to);
        stage.call(alice, "bob", "carol");
        stage.run(3000);
        // Through the proxy the 302 without carol is better than her 486 (section 16.7 step 6).
        assert_eq!(stage.look(alice).leg().status, status);
        assert_eq!((stage.invites(elsewhere), stage.invites(carol)), (0, 1));
        stage.rest(1);
    }
}

/// 01.. is free for all, 09.. costs money: trunks at the first two phones' addresses.
fn routes(plan: &mut Plan) {
    for (place, (pattern, auth)) in [("^01[0-9]+$", RouteAuth::Open), ("^09[0-9]+$", RouteAuth::Digest)]
        .into_iter()
        .enumerate()
    {
        let target = |last: u8| Target {
            transport: Transport::Udp,
            host: Host::Ip([10, 0, 1, last].into()),
            port: Some(5060),
        };
        plan.trunks.push(Trunk {
            name: format!("trunk{place}"),
            // The second has a spare.
            targets: if place == 0 {
                vec![target(1)]
            } else {
                vec![target(2), target(3)]
            },
            trusted: Vec::new(),
        });
        plan.routes.push(Route {
            pattern: regex::bytes::Regex::new(pattern).expect("a pattern"),
            trunks: vec![place],
            policy: plan.local,
            auth,
            line: 1,
        });
    }
}

fn routes_by_proxy(plan: &mut Plan) {
    by_proxy(plan);
    routes(plan);
}

/// The free trunk, the dear one, its spare.
fn exchange(seed: u64) -> (Stage, [EndpointId; 3]) {
    let mut stage = stage(seed, if seed % 4 < 2 { routes_by_proxy } else { routes });
    let trunks = ["0123", "0900", "0900"].map(|name| stage.phone(name, Habits::default()));
    for trunk in trunks {
        stage.look(trunk).habits.answer = Answer::After(Duration::from_secs(1));
    }
    (stage, trunks)
}

#[test]
fn a_stranger_is_not_led_over_a_trunk_that_costs() {
    for seed in 0..8 {
        let (mut stage, [free, dear, spare]) = exchange(seed);
        let carol = stage.moved("carol", format!("<sip:0900@{DOMAIN}>"));
        let stranger = stage.phone("stranger", Habits::default());
        // The free trunk leads there at once, or to a user of ours who does.
        stage.look(free).habits.moved = if seed % 2 == 0 {
            format!("<sip:0900@{DOMAIN}>")
        } else {
            stage.uri("carol")
        };
        stage.act(stranger, |phone, cx| phone.call(cx, "0123"));
        stage.run(6000);
        let status = if seed % 4 < 2 { 302 } else { 480 };
        assert_eq!(stage.look(stranger).leg().status, status, "seed {seed}");
        assert_eq!(stage.invites(carol), (seed % 2) as usize);
        assert_eq!(
            (stage.invites(free), stage.invites(dear), stage.invites(spare)),
            (1, 0, 0)
        );
        stage.rest(1);
    }
}

#[test]
fn a_user_is_led_where_he_could_call_but_not_by_a_trunk() {
    for seed in 0..8 {
        let (mut stage, [_, dear, spare]) = exchange(seed);
        let alice = stage.registered("alice", Habits::default());
        let bob = stage.moved("bob", format!("<sip:0900@{DOMAIN}>"));
        let by_trunk = seed % 2 == 0;
        let number = if by_trunk { "0911".into() } else { stage.name("bob") };
        if by_trunk {
            // She dialled a number that costs; who answers there names another one.
            stage.look(dear).habits.moved = format!("<sip:0900@{DOMAIN}>");
        }
        stage.act(alice, |phone, cx| phone.call(cx, &number));
        stage.look(alice).legs[0].peer = "0900".into();
        stage.run(5000);
        let status = match (by_trunk, seed % 4 < 2) {
            (false, _) => 200,
            (true, true) => 302,
            (true, false) => 480,
        };
        assert_eq!(stage.look(alice).leg().status, status, "seed {seed}");
        assert_eq!(stage.invites(dear), 1);
        assert_eq!((stage.invites(bob), stage.invites(spare)), (usize::from(!by_trunk), 0));
        stage.act(alice, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
    }
}

#[test]
fn the_next_trunk_only_when_the_first_is_dead() {
    for seed in 0..8 {
        let (mut stage, [_, dear, spare]) = exchange(seed);
        let alice = stage.registered("alice", Habits::default());
        stage.moved("bob", format!("<sip:0900@{DOMAIN}>"));
        let dead = seed % 2 == 0;
        stage.look(dear).habits.answer = if dead { Answer::Dead } else { Answer::Busy };
        let number = stage.name("bob");
        stage.act(alice, |phone, cx| phone.call(cx, &number));
        stage.look(alice).legs[0].peer = "0900".into();
        stage.run(40_000);
        let status = if dead { 200 } else { 486 };
        assert_eq!(stage.look(alice).leg().status, status, "seed {seed}");
        assert_eq!(stage.invites(spare), usize::from(dead));
        stage.act(alice, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
    }
}

#[test]
fn over_a_bad_path_nothing_is_left_behind() {
    for seed in 0..24 {
        let mut stage = Stage::new(Setup {
            seed,
            shards: 2 + (seed % 2) as u16,
            link: lossy(5),
            change: both_roles(seed),
            ..Setup::default()
        });
        let alice = stage.registered("alice", Habits::default());
        let (to_carol, to_dave) = (stage.uri("carol"), stage.uri("dave"));
        stage.moved("bob", to_carol);
        stage.moved("carol", to_dave);
        let talk = Some(Duration::from_secs(3));
        stage.registered(
            "dave",
            Habits {
                talk,
                ..Habits::default()
            },
        );
        stage.call(alice, "bob", "dave");
        if seed % 3 == 0 {
            stage.run(1500 + seed * 100);
            stage.act(alice, |phone, cx| phone.cancel(cx, 0));
        }
        stage.run(60_000);
        stage.rest_at_most(1);
    }
}
