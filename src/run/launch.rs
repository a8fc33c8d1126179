//! From a plan and a store to running shards.

use super::Stop;
use super::store::DurableStore;
use crate::appliance::{Appliance, Durable, Stored, calls_limit};
use crate::config::Plan;
use crate::media::{Media, MediaLimits, OwnSockets};
use crate::protocol::Transport;
use crate::protocol::sip::digest::Nonces;
use crate::protocol::sip::frame;
use crate::protocol::sip::transaction::Transactions;
use crate::store::Store;
use crate::switch::core::{Core, Scratch};
use crate::switch::keyed::Keyed;
use crate::switch::mesh::Mesh;
use crate::switch::registrar::Registrar;
use crate::switch::site::Site;
use crate::switch::steering::{self, Spread};
use rand::TryRng;
use rand::rngs::SysRng;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use shards::MediaSlice;
use shards::supervise::{Cluster, ListenerKind, ListenerPlan, Plan as ShardPlan, Seat};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A running appliance.
pub(super) struct Running {
    pub cluster: Cluster<Mesh>,
    pub site: Arc<Site>,
}

/// Starts the shards with their stored bindings.
pub(super) fn launch(plan: Plan, store: &Arc<Store>) -> Result<Running, Stop> {
    let hasher = Keyed::new(seed());
    let bound: Vec<_> = plan.sip.listeners.iter().map(|listener| listener.address).collect();
    let preliminary = Site::new(plan.clone(), &bound, hasher.clone());
    let first = Arc::new(Mutex::new(load(&preliminary, store)?));
    let shard_plan = ShardPlan {
        steering: steering::compile(Spread::new(&hasher), plan.shards),
        ..shard_plan(&plan)
    };
    let site: Arc<OnceLock<Arc<Site>>> = Arc::new(OnceLock::new());
    let durable: Arc<dyn Durable> = Arc::new(DurableStore((**store).clone()));
    let media: Vec<_> = plan
        .media
        .addresses
        .iter()
        .copied()
        .zip(plan.media.advertised.iter().copied())
        .collect();
    let own = Arc::new(OwnSockets::new(&media, plan.media.ports));
    let made_site = site.clone();
    let store_again = store.clone();
    // One key for all: a nonce of another shard then reads as stale, not as forged.
    let nonce_key = seed();
    let factory = move |seat: &Seat| {
        let site = made_site
            .get_or_init(|| {
                let bound: Vec<_> = seat.listeners.iter().map(|listener| listener.address).collect();
                Arc::new(Site::new(plan.clone(), &bound, hasher.clone()))
            })
            .clone();
        let stored = if seat.restart == 0 {
            let mut all = first.lock().unwrap_or_else(PoisonError::into_inner);
            all.get_mut(usize::from(seat.shard))
                .map(std::mem::take)
                .unwrap_or_default()
        } else {
            reload(&site, &store_again, seat)
        };
        program(seat, &site, stored, durable.clone(), own.clone(), nonce_key)
    };
    let cluster = shards::supervise::launch(shard_plan, factory).map_err(|error| Stop::new(error.to_string()))?;
    let site = site
        .get()
        .cloned()
        .ok_or_else(|| Stop::new("no shard has started; [shards] count must be at least 1"))?;
    Ok(Running { cluster, site })
}

/// All stored bindings, by home shard.
fn load(site: &Site, store: &Store) -> Result<Vec<Stored>, Stop> {
    let mut homes: Vec<Stored> = (0..site.plan.shards).map(|_| Vec::new()).collect();
    let loaded = store
        .load(&mut |aor, record| {
            if let Some(home) = homes.get_mut(usize::from(site.home(aor))) {
                home.push((aor.into(), record.into()));
            }
        })
        .map_err(|error| Stop::new(error.to_string()))?;
    tracing::info!(
        "{} bindings loaded in {} ms ({} log files)",
        loaded.bindings,
        loaded.took.as_millis(),
        loaded.files
    );
    Ok(homes)
}

/// After a panic: what this shard had answered is in the store.
fn reload(site: &Site, store: &Store, seat: &Seat) -> Stored {
    let mut mine = Stored::new();
    let result = store.load(&mut |aor, record| {
        if site.home(aor) == seat.shard {
            mine.push((aor.into(), record.into()));
        }
    });
    match result {
        Ok(loaded) => tracing::warn!(
            "shard {} has its {} bindings again after {} ms",
            seat.shard,
            mine.len(),
            loaded.took.as_millis()
        ),
        Err(error) => tracing::error!("shard {} starts without its bindings: {error}", seat.shard),
    }
    mine
}

fn program(
    seat: &Seat,
    site: &Arc<Site>,
    stored: Stored,
    durable: Arc<dyn Durable>,
    own: Arc<OwnSockets>,
    nonce_key: [u8; 32],
) -> Appliance {
    let plan = &site.plan;
    let shards = u32::try_from(plan.shards.max(1)).unwrap_or(1);
    let calls_limit = calls_limit(site);
    let slice = seat.media.clone().unwrap_or(MediaSlice {
        addresses: Vec::new(),
        first: 0,
        ports: 0,
    });
    let media = Media::new(
        slice,
        &plan.media,
        MediaLimits {
            calls: calls_limit,
            seed: seed(),
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
            seed(),
        ),
        media,
        nonces: Nonces::new(
            nonce_key,
            seat.shard,
            (plan.limits.registrations.div_ceil(shards) as usize)
                .clamp(1024, 1 << 18)
                .next_power_of_two(),
        ),
        stats: Default::default(),
        rng: ChaCha12Rng::from_seed(seed()),
        scratch: Scratch::default(),
        cdr: Vec::new(),
        draining: false,
        calls: 0,
        calls_limit,
    };
    Appliance::new(core, Registrar::new(site.hasher()), stored, durable)
}

fn shard_plan(plan: &Plan) -> ShardPlan {
    let listeners = plan.sip.listeners.iter().map(|listener| ListenerPlan {
        transport: if listener.transport == Transport::Udp {
            ListenerKind::Datagram
        } else {
            ListenerKind::Stream
        },
        address: listener.address,
    });
    let (first, last) = plan.media.ports;
    let mut shard_plan = ShardPlan {
        shards: u16::try_from(plan.shards).unwrap_or(u16::MAX),
        listeners: listeners.collect(),
        media: MediaSlice::split(&plan.media.addresses, first, last, plan.shards),
        framer: frame,
        mesh_capacity: 16_384,
        xdp: plan.media.xdp.clone(),
        ..ShardPlan::default()
    };
    shard_plan.streams.connections = (plan.limits.connections as usize).div_ceil(plan.shards.max(1));
    shard_plan
}

/// Randomness of the operating system, once for each purpose.
///
/// # Panics
/// When the operating system has none: then nothing here could be kept secret.
fn seed() -> [u8; 32] {
    let mut seed = [0u8; 32];
    assert!(
        SysRng.try_fill_bytes(&mut seed).is_ok(),
        "the operating system gives no random numbers"
    );
    seed
}
