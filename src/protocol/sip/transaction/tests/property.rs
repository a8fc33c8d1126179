//! Random interleavings of inputs and time.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// One thing that happens. Numbers choose among what exists.
#[derive(Clone, Debug)]
enum Do {
    Request { method: usize, branch: u8, stream: bool },
    Respond { which: usize, status: usize },
    Call { method: usize, stream: bool },
    Answer { which: usize, status: usize, method: usize },
    Cancel { which: usize },
    Fail { which: usize },
    Wait { millis: u64 },
}

const METHODS: [&str; 6] = ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "STRANGE"];
const STATUS: [u16; 7] = [100, 180, 200, 302, 404, 487, 603];

fn action() -> impl Strategy<Value = Do> {
    prop_oneof![
        4 => (0..METHODS.len(), 0..4_u8, any::<bool>()).prop_map(|(method, branch, stream)| Do::Request { method, branch, stream }),
        4 => (any::<usize>(), 0..STATUS.len()).prop_map(|(which, status)| Do::Respond { which, status }),
        2 => (0..METHODS.len(), any::<bool>()).prop_map(|(method, stream)| Do::Call { method, stream }),
        4 => (any::<usize>(), 0..STATUS.len(), 0..METHODS.len()).prop_map(|(which, status, method)| Do::Answer { which, status, method }),
        1 => any::<usize>().prop_map(|which| Do::Cancel { which }),
        1 => any::<usize>().prop_map(|which| Do::Fail { which }),
        3 => prop_oneof![0..50_u64, 400..9000_u64, 30_000..40_000_u64].prop_map(|millis| Do::Wait { millis }),
    ]
}

fn transport(stream: bool) -> Transport {
    if stream { Transport::Tcp } else { Transport::Udp }
}

/// What a run has done so far.
struct Run {
    world: World,
    now: u64,
    servers: Vec<(ServerId, bool)>,
    calls: Vec<Call>,
    finals: HashMap<(u32, u32), u16>,
}

impl Run {
    fn step(&mut self, action: &Do) {
        let world = &mut self.world;
        match *action {
            Do::Request { method, branch, stream } => {
                let text = request(METHODS[method], &format!("z9hG4bK{branch}"), "h");
                match world.receive(&text) {
                    Incoming::New => self.accept(&text, METHODS[method], stream),
                    Incoming::Cancel { .. } => self.accept(&text, "CANCEL", stream),
                    Incoming::Ack | Incoming::AckAbsorbed => assert_eq!(METHODS[method], "ACK"),
                    Incoming::CancelUnmatched => assert_eq!(METHODS[method], "CANCEL"),
                    Incoming::Retransmission => assert_ne!(METHODS[method], "ACK"),
                }
            }
            Do::Respond { which, status } if !self.servers.is_empty() => {
                let (id, invite) = self.servers[which % self.servers.len()];
                self.respond(id, invite, STATUS[status]);
            }
            Do::Call { method, stream } if !matches!(METHODS[method], "ACK" | "CANCEL") => {
                let call = world.call(METHODS[method], transport(stream));
                self.calls.push(call);
            }
            Do::Answer { which, status, method } if !self.calls.is_empty() => {
                let call = &self.calls[which % self.calls.len()];
                // Mostly of the right method, sometimes a CANCEL's or a wrong one.
                let method = if method < 3 {
                    call.method.as_str()
                } else {
                    METHODS[method - 1]
                };
                if let Answered::Pass { client, user } = world.response(&call.branch, method, STATUS[status]) {
                    assert_eq!((client, user, method), (call.id, USER, call.method.as_str()));
                }
            }
            Do::Cancel { which } if !self.calls.is_empty() => {
                let id = self.calls[which % self.calls.len()].id;
                world.layer.cancel(&mut world.wire, id, None);
            }
            Do::Fail { which } if !world.wire.sent.is_empty() => {
                let tag = world.wire.sent[which % world.wire.sent.len()].tag;
                world.fail(tag);
            }
            Do::Wait { millis } => {
                self.now += millis;
                world.run_to(self.now);
            }
            _ => {}
        }
    }

    fn accept(&mut self, text: &str, method: &str, stream: bool) {
        let now = self.world.wire.now;
        let id = self
            .world
            .read(text, |world, message| {
                world.layer.server(now, message, &path(transport(stream)), USER)
            })
            .expect("room");
        self.servers.push((id, method == "INVITE"));
    }

    fn respond(&mut self, id: ServerId, invite: bool, status: u16) {
        if self.world.respond(id, status) && status >= 200 {
            let first = *self.finals.entry((id.index, id.generation)).or_insert(status);
            // One final response each; 2xx after 2xx of an INVITE is the TU's repetition.
            assert!(
                first == status && (invite && status < 300 || self.once(id)),
                "{first} then {status}"
            );
        }
    }

    /// True the first time.
    fn once(&mut self, id: ServerId) -> bool {
        self.finals.insert((id.index, id.generation), u16::MAX) != Some(u16::MAX)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_ends(actions in prop::collection::vec(action(), 1..120)) {
        let mut run = Run {
            world: World::new(),
            now: 0,
            servers: Vec::new(),
            calls: Vec::new(),
            finals: HashMap::new(),
        };
        actions.iter().for_each(|action| run.step(action));
        // Users do their duty: every request is answered, every ringing INVITE cancelled.
        for (id, invite) in run.servers.clone() {
            run.respond(id, invite, 500);
        }
        for call in std::mem::take(&mut run.calls) {
            run.world.layer.cancel(&mut run.world.wire, call.id, None);
        }
        run.world.run_to(run.now + 200_000);
        prop_assert_eq!(run.world.layer.counts(), (0, 0));
        prop_assert_eq!(run.world.layer.deadline(), None);
        prop_assert_eq!(run.world.layer.index.len(), 0);
        // No transaction ends twice.
        let mut seen = Vec::new();
        for event in run.world.events {
            if let Event::ClientTimeout { client, .. } | Event::ClientFailed { client, .. } = event {
                prop_assert!(!seen.contains(&client), "{:?} twice", client);
                seen.push(client);
            }
        }
    }
}
