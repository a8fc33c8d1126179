//! The appliance in the simulated world: shards, store in memory, phones.

use super::phone::{Habits, Phone};
use ringfort::appliance::{Appliance, Durable, Stored};
use ringfort::config::Plan;
use ringfort::config::plan::{Learn, Listener, User};
use ringfort::media::{Media, MediaLimits, OwnSockets};
use ringfort::ops::model::ShardFigures;
use ringfort::protocol::Transport;
use ringfort::protocol::sip::digest::Nonces;
use ringfort::protocol::sip::frame;
use ringfort::protocol::sip::transaction::Transactions;
use ringfort::store::journal;
use ringfort::switch::core::{Core, Scratch};
use ringfort::switch::mesh::{Ask, Mesh};
use ringfort::switch::registrar::Registrar;
use ringfort::switch::site::Site;
use shards::sim::{EndpointCx, EndpointId, Link, World, WorldPlan};
use shards::supervise::{ListenerKind, ListenerPlan, Seat};
use shards::{LogFile, MediaSlice, ShardId, Wall};
use std::collections::BTreeMap;
use std::hash::RandomState;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const SERVER: SocketAddr = SocketAddr::new(SERVER_IP, 5060);
const SERVER_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
pub(crate) const DOMAIN: &str = "ringfort.example";

/// The store: call records, log numbers, bindings to start with.
#[derive(Default)]
pub(crate) struct Memory {
    serial: Mutex<u64>,
    pub(crate) cdr: Mutex<Vec<serde_json::Value>>,
    bindings: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Durable for Memory {
    fn first_log(&self, shard: ShardId) -> Option<LogFile> {
        self.take_next_log(shard)
    }

    fn take_next_log(&self, _: ShardId) -> Option<LogFile> {
        let mut serial = self.serial.lock().expect("not poisoned");
        *serial += 1;
        Some(LogFile {
            serial: *serial,
            file: None,
        })
    }

    fn log_closed(&self, _: ShardId, _: u64) {}

    fn cdr(&self, _: Wall, lines: Vec<u8>) {
        let mut cdr = self.cdr.lock().expect("not poisoned");
        for line in lines.split(|&octet| octet == b'\n').filter(|line| !line.is_empty()) {
            cdr.push(serde_json::from_slice(line).expect("a record is JSON"));
        }
    }
}

/// Makes texts whose home is a given shard. The hash that decides homes is keyed anew in every
/// process; by choosing names, a seed means the same run everywhere.
pub(crate) type Minter = Rc<dyn Fn(&str, u64) -> String>;

/// A world with its store.
pub(crate) struct Stage {
    pub(crate) world: World<Appliance>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) plan: Plan,
    pub(crate) mint: Minter,
    hasher: RandomState,
    shards: u16,
    phones: u8,
}

/// What differs between stages.
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) shards: u16,
    pub(crate) link: Link,
    /// Messages that may wait between shards.
    pub(crate) mesh: usize,
    pub(crate) users: &'static [&'static str],
    pub(crate) change: fn(&mut Plan),
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 1,
            shards: 2,
            link: Link::default(),
            mesh: 4096,
            users: &["alice", "bob", "carol", "dave"],
            change: |_| {},
        }
    }
}

/// A path as bad as Wi-Fi gets.
pub(crate) fn lossy(percent: u32) -> Link {
    Link {
        delay: Duration::from_millis(1),
        jitter: Duration::from_millis(8),
        loss: percent * 10_000,
        duplicate: percent * 5_000,
        reorder: percent * 10_000,
    }
}

fn octets(seed: u64, shard: u16, purpose: u8) -> [u8; 32] {
    let mut out = [purpose; 32];
    out[..8].copy_from_slice(&seed.to_le_bytes());
    out[8..10].copy_from_slice(&shard.to_le_bytes());
    out
}

fn plan(setup: &Setup) -> Plan {
    let mut plan = ringfort::config::demonstration("nowhere".into(), Vec::new());
    plan.shards = usize::from(setup.shards);
    plan.sip.listeners = vec![Listener {
        transport: Transport::Udp,
        address: SERVER,
        advertised: SERVER.to_string(),
        media: Vec::new(),
    }];
    plan.sip.domains = vec![DOMAIN.into()];
    plan.media.addresses = vec![SERVER_IP];
    plan.media.advertised = vec![SERVER_IP];
    plan.media.ports = (20_000, 20_799);
    plan.media.learn = Learn::Nat;
    plan.limits.calls = 1000;
    plan.limits.transactions = 10_000;
    plan.limits.registrations = 1000;
    (setup.change)(&mut plan);
    plan
}

fn program(seat: &Seat, site: &Arc<Site>, memory: &Arc<Memory>, seed: u64) -> Appliance {
    let plan = &site.plan;
    let shards = u32::from(seat.shards);
    let calls_limit = plan.limits.calls.div_ceil(shards);
    let own = Arc::new(OwnSockets::new(&[(SERVER_IP, SERVER_IP)], plan.media.ports));
    // Another life may not draw the same numbers.
    let salt = seed ^ u64::from(seat.restart) << 32 ^ *memory.serial.lock().expect("not poisoned") << 40;
    let media = Media::new(
        seat.media.clone().expect("media ports"),
        &plan.media,
        MediaLimits {
            calls: calls_limit,
            seed: octets(salt, seat.shard, 1),
            own,
        },
    );
    let core = Core {
        site: site.clone(),
        shard: seat.shard,
        tx: Transactions::new(
            seat.shard,
            plan.sip.timers,
            plan.limits.transactions.div_ceil(shards),
            octets(salt, seat.shard, 2),
        ),
        media,
        nonces: Nonces::new(octets(seed, 0, 3), seat.shard, 1024),
        stats: Default::default(),
        rng: rand_chacha::rand_core::SeedableRng::from_seed(octets(salt, seat.shard, 4)),
        scratch: Scratch::default(),
        cdr: Vec::new(),
        draining: false,
        calls: 0,
        calls_limit,
    };
    let bindings = memory.bindings.lock().expect("not poisoned");
    let mine: Stored = bindings
        .iter()
        .filter(|(aor, record)| site.home(aor) == seat.shard && !record.is_empty())
        .map(|(aor, record)| (aor[..].into(), record[..].into()))
        .collect();
    Appliance::new(core, Registrar::new(site.hasher()), mine, memory.clone())
}

impl Stage {
    pub(crate) fn new(setup: Setup) -> Self {
        let mut plan = plan(&setup);
        let bare = Site::new(plan.clone(), &[SERVER], RandomState::new());
        let hasher = bare.hasher();
        let shards = u64::from(setup.shards);
        let mint: Minter = Rc::new(move |stem, home| {
            (0..1000)
                .map(|number| format!("{stem}{number:03}"))
                .find(|text| u64::from(bare.call_home(text.as_bytes())) == home % shards)
                .expect("one of a thousand is at home there")
        });
        plan.users = setup
            .users
            .iter()
            .enumerate()
            .map(|(place, name)| User {
                name: mint(name, place as u64 + setup.seed),
                password: format!("secret of {name}"),
                digest: None,
                display: None,
            })
            .collect();
        let site = Arc::new(Site::new(plan.clone(), &[SERVER], hasher.clone()));
        let memory = Arc::new(Memory::default());
        let (kept, seed) = (memory.clone(), setup.seed);
        let world = World::new(
            WorldPlan {
                seed,
                shards: setup.shards,
                listeners: vec![ListenerPlan {
                    transport: ListenerKind::Datagram,
                    address: SERVER,
                }],
                media: MediaSlice::split(&[SERVER_IP], plan.media.ports.0, plan.media.ports.1, plan.shards),
                framer: frame,
                link: setup.link,
                mesh_capacity: setup.mesh,
                ..WorldPlan::default()
            },
            move |seat| program(seat, &site, &kept, seed),
        );
        Self {
            world,
            memory,
            plan,
            mint,
            hasher,
            shards: setup.shards,
            phones: 0,
        }
    }

    /// The full name of the user whose name begins so.
    pub(crate) fn name(&self, stem: &str) -> String {
        let user = self.plan.users.iter().find(|user| user.name.starts_with(stem));
        user.expect("a user").name.clone()
    }

    /// A phone of a user, on an address of its own.
    pub(crate) fn phone(&mut self, stem: &str, habits: Habits) -> EndpointId {
        self.phones += 1;
        let user = self.plan.users.iter().find(|user| user.name.starts_with(stem));
        let (name, password) = user.map_or((stem.into(), String::new()), |user| {
            (user.name.clone(), user.password.clone())
        });
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 1, self.phones));
        let (me, rtp) = (SocketAddr::new(ip, 5060), SocketAddr::new(ip, 4000));
        let rtcp = SocketAddr::new(ip, 4001);
        let phone = Phone::new(name, password, me, rtp, habits, self.mint.clone());
        self.world.add_endpoint(&[me, rtp, rtcp], phone)
    }

    pub(crate) fn act<R>(&mut self, id: EndpointId, act: impl FnOnce(&mut Phone, &mut EndpointCx<'_>) -> R) -> R {
        let mut result = None;
        self.world.with_endpoint(id, |endpoint, cx| {
            let phone = endpoint.as_any().downcast_mut().expect("a phone");
            result = Some(act(phone, cx));
        });
        result.expect("the endpoint is there")
    }

    pub(crate) fn look(&mut self, id: EndpointId) -> &mut Phone {
        self.world.endpoint(id).expect("a phone")
    }

    /// A registered phone.
    pub(crate) fn registered(&mut self, stem: &str, habits: Habits) -> EndpointId {
        let id = self.phone(stem, habits);
        self.act(id, |phone, cx| phone.register(cx, 3600));
        self.run(40_000);
        assert_eq!(self.look(id).register_status(), 200, "{stem} is registered");
        id
    }

    pub(crate) fn run(&mut self, millis: u64) {
        let until = self.world.now() + Duration::from_millis(millis);
        self.world.run_until(until);
    }

    pub(crate) fn figures(&mut self, shard: u16) -> Box<ShardFigures> {
        let (reply, answer) = crossbeam::channel::bounded(1);
        let sent = self.world.send_mesh(shard, Mesh::Ask(Ask::Figures(reply)));
        assert!(sent.is_ok(), "the mesh has room");
        self.run(5);
        answer.try_recv().expect("the shard answers")
    }

    pub(crate) fn calls(&mut self) -> u64 {
        (0..self.shards).map(|shard| self.figures(shard).calls_total()).sum()
    }

    pub(crate) fn cdr(&self) -> Vec<serde_json::Value> {
        self.memory.cdr.lock().expect("not poisoned").clone()
    }

    /// After 200 s nothing may be left, and every INVITE that opened a call has one record.
    pub(crate) fn rest(&mut self, calls: usize) {
        self.rest_at_most(calls);
        assert_eq!(self.cdr().len(), calls, "one record a call");
    }

    /// The same where some calls may never have reached the server.
    pub(crate) fn rest_at_most(&mut self, most: usize) {
        self.run(200_000);
        for shard in 0..self.shards {
            let left = self.world.program(shard).leftovers();
            assert_eq!(left, Default::default(), "shard {shard}");
        }
        let cdr = self.cdr();
        let mut ids: Vec<_> = cdr.iter().map(|cdr| cdr["id"].to_string()).collect();
        ids.sort();
        ids.dedup();
        assert!(
            cdr.len() <= most && ids.len() == cdr.len(),
            "one record a call: {cdr:#?}"
        );
        for id in 0..self.phones {
            let phone = self.look(EndpointId(u32::from(id)));
            assert_eq!(phone.strange, Vec::<String>::new(), "{} heard another call", phone.name);
            assert!(
                phone.legs.iter().all(|leg| leg.is_over()),
                "{}: {:#?}",
                phone.name,
                phone.legs
            );
        }
    }

    /// The configuration changes.
    pub(crate) fn reload(&mut self, change: fn(&mut Plan)) {
        change(&mut self.plan);
        let site = Arc::new(Site::new(self.plan.clone(), &[SERVER], self.hasher.clone()));
        for shard in 0..self.shards {
            let sent = self.world.send_mesh(shard, Mesh::Reload(site.clone()));
            assert!(sent.is_ok(), "the mesh has room");
        }
        self.run(5);
    }

    /// The same message to every shard.
    pub(crate) fn tell(&mut self, message: fn() -> Mesh) {
        for shard in 0..self.shards {
            assert!(self.world.send_mesh(shard, message()).is_ok(), "the mesh has room");
        }
    }

    /// What the logs of all shards hold becomes what a new life starts with.
    pub(crate) fn keep_logs(&mut self) {
        let mut files = BTreeMap::new();
        for shard in 0..self.shards {
            for serial in self.world.logs(shard) {
                files.insert(serial, self.world.log(shard, serial).to_vec());
            }
        }
        let mut bindings = self.memory.bindings.lock().expect("not poisoned");
        for octets in files.values() {
            for (aor, record) in journal::replay(octets) {
                bindings.insert(aor.to_vec(), record.to_vec());
            }
        }
    }
}
