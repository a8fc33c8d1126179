//! The appliance in the simulated world: shards, store in memory, phones.

use crate::phone::{AUDIO, AWAY, HOME, Habits, LINES, Phone};
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
use ringfort::switch::keyed::Keyed;
use ringfort::switch::mesh::{Ask, Mesh};
use ringfort::switch::registrar::Registrar;
use ringfort::switch::registrar::record::contacts;
use ringfort::switch::site::Site;
use shards::sim::{EndpointCx, EndpointId, Link, World, WorldPlan};
use shards::supervise::{ListenerKind, ListenerPlan, Seat};
use shards::{LogFile, MediaSlice, ShardId, Wall};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where the appliance listens.
pub const SERVER: SocketAddr = SocketAddr::new(SERVER_IP, 5060);
const SERVER_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
/// What it is the registrar of.
pub const DOMAIN: &str = "ringfort.example";

/// The store: call records, log numbers, bindings to start with.
#[derive(Default)]
pub struct Memory {
    serial: Mutex<u64>,
    /// Call records, in the order in which they were written.
    pub cdr: Mutex<Vec<serde_json::Value>>,
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

/// Makes texts whose home is a given shard, so that a scenario chooses who is at home where.
pub type Minter = Rc<dyn Fn(&str, u64) -> String>;

/// A world with its store.
pub struct Stage {
    /// Shards, network and phones.
    pub world: World<Appliance>,
    /// What outlives a process.
    pub memory: Arc<Memory>,
    /// The configuration.
    pub plan: Plan,
    /// Chooses names by their home.
    pub mint: Minter,
    hasher: Keyed,
    shards: u16,
    phones: u16,
}

/// What differs between stages.
pub struct Setup {
    /// Everything random comes from it.
    pub seed: u64,
    /// How many shards.
    pub shards: u16,
    /// The path of datagrams.
    pub link: Link,
    /// Messages that may wait between shards.
    pub mesh: usize,
    /// How the names of the users begin.
    pub users: &'static [&'static str],
    /// What differs in the configuration.
    pub change: fn(&mut Plan),
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
pub fn lossy(percent: u32) -> Link {
    Link {
        delay: Duration::from_millis(1),
        jitter: Duration::from_millis(8),
        loss: percent * 10_000,
        duplicate: percent * 5_000,
        reorder: percent * 10_000,
        corrupt: 0,
    }
}

fn octets(seed: u64, shard: u16, purpose: u8) -> [u8; 32] {
    let mut out = [purpose; 32];
    out[..8].copy_from_slice(&seed.to_le_bytes());
    out[8..10].copy_from_slice(&shard.to_le_bytes());
    out
}

fn plan(setup: &Setup, change: impl FnOnce(&mut Plan)) -> Plan {
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
    change(&mut plan);
    plan
}

fn bound(plan: &Plan) -> Vec<SocketAddr> {
    plan.sip.listeners.iter().map(|listener| listener.address).collect()
}

/// What the world binds for the plan: a setup that wants streams adds a listener to it.
fn listeners(plan: &Plan) -> Vec<ListenerPlan> {
    let of = |listener: &Listener| ListenerPlan {
        transport: if listener.transport.is_reliable() {
            ListenerKind::Stream
        } else {
            ListenerKind::Datagram
        },
        address: listener.address,
    };
    plan.sip.listeners.iter().map(of).collect()
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
    /// A stage without phones.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let change = setup.change;
        Self::with(&setup, setup.users, change)
    }

    /// A stage whose users and configuration are made while the program runs; `setup`'s own are not used.
    /// # Panics
    /// When no name of a thousand is at home in a shard.
    #[must_use]
    pub fn with(setup: &Setup, users: &[impl AsRef<str>], change: impl FnOnce(&mut Plan)) -> Self {
        let mut plan = plan(setup, change);
        let hasher = Keyed::new(octets(setup.seed, 0, 5));
        let bound = bound(&plan);
        let bare = Site::new(plan.clone(), &bound, hasher.clone());
        let shards = u64::from(setup.shards);
        let mint: Minter = Rc::new(move |stem, home| {
            (0..1000)
                .map(|number| format!("{stem}{number:03}"))
                .find(|text| u64::from(bare.call_home(text.as_bytes())) == home % shards)
                .expect("one of a thousand is at home there")
        });
        plan.users = users
            .iter()
            .map(AsRef::as_ref)
            .enumerate()
            .map(|(place, name)| User {
                name: mint(name, place as u64 + setup.seed),
                password: format!("secret of {name}"),
                digest: None,
                display: None,
            })
            .collect();
        let site = Arc::new(Site::new(plan.clone(), &bound, hasher.clone()));
        let memory = Arc::new(Memory::default());
        let (kept, seed) = (memory.clone(), setup.seed);
        let world = World::new(
            WorldPlan {
                seed,
                shards: setup.shards,
                listeners: listeners(&plan),
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

    /// How many phones there are; their ids are the numbers below it.
    #[must_use]
    pub fn phones(&self) -> u32 {
        self.phones.into()
    }

    /// The full name of the user whose name begins so.
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn name(&self, stem: &str) -> String {
        let user = self.plan.users.iter().find(|user| user.name.starts_with(stem));
        user.expect("a user").name.clone()
    }

    /// The address of the phone that is made after so many others.
    #[must_use]
    pub fn address_of(place: u32) -> IpAddr {
        let [.., high, low] = place.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(10, 0, high + 1, low.wrapping_add(1)))
    }

    /// A phone of a user, on an address of its own.
    pub fn phone(&mut self, stem: &str, habits: Habits) -> EndpointId {
        self.phones += 1;
        let user = self
            .plan
            .users
            .iter()
            .find(|user| !stem.is_empty() && user.name.starts_with(stem));
        let (name, password) = user.map_or((stem.into(), String::new()), |user| {
            (user.name.clone(), user.password.clone())
        });
        let ip = Self::address_of(u32::from(self.phones - 1));
        let ports = [HOME, AWAY].into_iter().chain(AUDIO..AUDIO + 2 * LINES);
        let addresses: Vec<_> = ports.map(|port| SocketAddr::new(ip, port)).collect();
        let phone = Phone::new(name, password, addresses[0], habits, self.mint.clone());
        self.world.add_endpoint(&addresses, phone)
    }

    /// Lets a phone do something now.
    /// # Panics
    /// When there is no such phone.
    pub fn act<R>(&mut self, id: EndpointId, act: impl FnOnce(&mut Phone, &mut EndpointCx<'_>) -> R) -> R {
        let mut result = None;
        self.world.with_endpoint(id, |endpoint, cx| {
            let phone = endpoint.as_any().downcast_mut().expect("a phone");
            result = Some(act(phone, cx));
        });
        result.expect("the endpoint is there")
    }

    /// A phone.
    /// # Panics
    /// When there is no such phone.
    pub fn look(&mut self, id: EndpointId) -> &mut Phone {
        self.world.endpoint(id).expect("a phone")
    }

    /// A registered phone.
    /// # Panics
    /// When the registrar refuses it.
    pub fn registered(&mut self, stem: &str, habits: Habits) -> EndpointId {
        let id = self.phone(stem, habits);
        self.act(id, |phone, cx| phone.register(cx, 3600));
        self.run(40_000);
        assert_eq!(self.look(id).register_status(), 200, "{stem} is registered");
        id
    }

    /// Lets so many milliseconds pass.
    pub fn run(&mut self, millis: u64) {
        let until = self.world.now() + Duration::from_millis(millis);
        self.world.run_until(until);
    }

    /// A shard's counters.
    /// # Panics
    /// When the shard does not answer.
    pub fn figures(&mut self, shard: u16) -> Box<ShardFigures> {
        let (reply, answer) = crossbeam::channel::bounded(1);
        let sent = self.world.send_mesh(shard, Mesh::Ask(Ask::Figures(reply)));
        assert!(sent.is_ok(), "the mesh has room");
        self.run(5);
        answer.try_recv().expect("the shard answers")
    }

    /// Calls under way, in all shards.
    pub fn calls(&mut self) -> u64 {
        (0..self.shards).map(|shard| self.figures(shard).calls_total()).sum()
    }

    /// All call records so far.
    /// # Panics
    /// When another thread panicked while it held them.
    #[must_use]
    pub fn cdr(&self) -> Vec<serde_json::Value> {
        self.memory.cdr.lock().expect("not poisoned").clone()
    }

    /// After 200 s nothing may be left, and every INVITE that opened a call has one record.
    /// # Panics
    /// When something is left.
    pub fn rest(&mut self, calls: usize) {
        self.rest_at_most(calls);
        assert_eq!(self.cdr().len(), calls, "one record a call");
    }

    /// The same where some calls may never have reached the server.
    /// # Panics
    /// When something is left.
    pub fn rest_at_most(&mut self, most: usize) {
        self.run(200_000);
        let left = self.left(false);
        assert!(left.is_empty(), "{left:#?}");
        let cdr = self.cdr();
        assert!(cdr.len() <= most, "one record a call: {cdr:#?}");
    }

    /// What should not be there when all calls have ended: entries of a shard, calls of a phone,
    /// audio of other calls, call records that are there twice. With `gone`, phones died in calls
    /// through the proxy: it hears of no end, and its books keep them as long as a call may last.
    pub fn left(&mut self, gone: bool) -> Vec<String> {
        let mut found = Vec::new();
        for shard in 0..self.shards {
            let mut left = self.world.program(shard).leftovers();
            if gone {
                (left.records, left.counted) = (0, 0);
            }
            if left != Default::default() {
                found.push(format!("shard {shard} keeps {left:?}"));
            }
        }
        // A new life numbers its calls from the beginning: with the time they are distinct.
        let name = |cdr: &serde_json::Value| format!("{} of {}", cdr["id"], cdr["started"]);
        let mut ids: Vec<_> = self.cdr().iter().map(name).collect();
        ids.sort();
        for pair in ids.windows(2).filter(|pair| pair[0] == pair[1]) {
            found.push(format!("two records of call {}", pair[0]));
        }
        for id in 0..self.phones() {
            let phone = self.look(EndpointId(id));
            for strange in &phone.strange {
                found.push(format!("{} heard another call: {strange}", phone.name));
            }
            for leg in phone.legs.iter().filter(|leg| !leg.is_over()) {
                let (call_id, state, status) = (&leg.call_id, leg.state, leg.status);
                let way = if leg.calling { "to" } else { "from" };
                let call = format!("{call_id} {way} {}: {state:?}, {status}", leg.peer);
                found.push(format!("{} has a call that does not end: {call}", phone.name));
            }
        }
        found
    }

    /// The configuration changes.
    /// # Panics
    /// When the mesh is full.
    pub fn reload(&mut self, change: fn(&mut Plan)) {
        change(&mut self.plan);
        let site = Arc::new(Site::new(self.plan.clone(), &bound(&self.plan), self.hasher.clone()));
        for shard in 0..self.shards {
            let sent = self.world.send_mesh(shard, Mesh::Reload(site.clone()));
            assert!(sent.is_ok(), "the mesh has room");
        }
        self.run(5);
    }

    /// The same message to every shard.
    /// # Panics
    /// When the mesh is full.
    pub fn tell(&mut self, message: fn() -> Mesh) {
        for shard in 0..self.shards {
            assert!(self.world.send_mesh(shard, message()).is_ok(), "the mesh has room");
        }
    }

    /// Whether a new life would know where a user is.
    /// # Panics
    /// When another thread panicked while it held the store.
    #[must_use]
    pub fn is_kept(&self, name: &str) -> bool {
        let bindings = self.memory.bindings.lock().expect("not poisoned");
        bindings.get(name.as_bytes()).is_some_and(|record| !record.is_empty())
    }

    /// Whether a new life would know that a user is reached at this URI, by the REGISTER with this CSeq
    /// number or a later one.
    /// # Panics
    /// When another thread panicked while it held the store.
    #[must_use]
    pub fn is_kept_at(&self, name: &str, uri: &str, cseq: u32) -> bool {
        let bindings = self.memory.bindings.lock().expect("not poisoned");
        let kept = bindings.get(name.as_bytes()).map_or(&[][..], Vec::as_slice);
        contacts(kept).any(|contact| contact.uri == uri.as_bytes() && contact.cseq >= cseq)
    }

    /// What the logs of all shards hold becomes what a new life starts with.
    /// # Panics
    /// When another thread panicked while it held the store.
    pub fn keep_logs(&mut self) {
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
