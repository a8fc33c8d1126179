//! What the ops threads see of the shards: questions by message, never waited for longer than
//! 200 ms.

use super::launch::Running;
use crate::cli::RunArgs;
use crate::ops::backend::{Backend, Refused};
use crate::ops::model::{About, CallRow, RegistrationRow, RingFigures, ShardFigures, ShardSnapshot, UserRow};
use crate::store::Store;
use crate::switch::mesh::{Ask, Mesh};
use crate::switch::site::Site;
use crossbeam::channel::{Receiver, Sender, bounded};
use shards::supervise::Handle;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PATIENCE: Duration = Duration::from_millis(200);

/// Counters of a shard's earlier instances (before restarts) and of its last answer.
#[derive(Clone, Default)]
struct History {
    restarts: u64,
    earlier: ShardFigures,
    last: ShardFigures,
    busy: Option<(Instant, u64, u64)>,
}

/// The running shards behind the [`Backend`] trait.
pub(super) struct ShardBackend {
    handle: Handle<Mesh>,
    site: Mutex<Arc<Site>>,
    about: About,
    args: RunArgs,
    store: Store,
    draining: AtomicBool,
    drain_asked: AtomicBool,
    history: Mutex<Vec<History>>,
}

impl ShardBackend {
    pub(super) fn new(running: &Running, store: Store, args: RunArgs) -> Self {
        let plan = &running.site.plan;
        let about = About {
            name: "ringfort",
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: env!("RINGFORT_REVISION").to_owned(),
            started: u64::try_from(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default()
                    .as_millis(),
            )
            .unwrap_or(0),
            listeners: running
                .site
                .listeners
                .iter()
                .map(|listener| format!("{}:{}", listener.transport.param(), listener.address))
                .collect(),
            domains: plan.sip.domains.clone(),
            demonstration: plan.demonstration,
            fault_injection: plan.fault_injection,
            echo: plan.services.echo.clone(),
            music: plan.services.music.clone(),
            limit_calls: u64::from(plan.limits.calls),
            limit_registrations: u64::from(plan.limits.registrations),
            limit_transactions: u64::from(plan.limits.transactions),
            limit_connections: u64::from(plan.limits.connections),
        };
        let handle = running.cluster.handle();
        let shards = usize::from(handle.shards());
        Self {
            handle,
            site: Mutex::new(running.site.clone()),
            about,
            args,
            store,
            draining: AtomicBool::new(false),
            drain_asked: AtomicBool::new(false),
            history: Mutex::new(vec![History::default(); shards]),
        }
    }

    fn site(&self) -> Arc<Site> {
        self.site.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn tell_all(&self, message: impl Fn() -> Mesh) {
        for shard in 0..self.handle.shards() {
            // A shard whose queue is full hears the next one.
            let _ = self.handle.send(shard, message());
        }
    }

    /// Asks every shard at once and collects what comes within the patience.
    fn ask_all<T>(&self, question: impl Fn(Sender<T>) -> Ask) -> Vec<Option<T>> {
        let waiting: Vec<Option<Receiver<T>>> = (0..self.handle.shards())
            .map(|shard| {
                let (reply, answer) = bounded(1);
                self.handle
                    .send(shard, Mesh::Ask(question(reply)))
                    .ok()
                    .map(|()| answer)
            })
            .collect();
        let until = Instant::now() + PATIENCE;
        waiting
            .into_iter()
            .map(|answer| answer.and_then(|answer| answer.recv_deadline(until).ok()))
            .collect()
    }

    pub(super) fn start_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.tell_all(|| Mesh::Drain);
    }

    pub(super) fn is_drain_asked(&self) -> bool {
        self.drain_asked.load(Ordering::Relaxed)
    }

    /// Calls that are alive now. Shards that do not answer count as none.
    pub(super) fn calls_now(&self) -> u64 {
        self.ask_all(Ask::Figures)
            .into_iter()
            .flatten()
            .map(|figures| figures.calls_total())
            .sum()
    }

    /// SIGHUP: all of the new configuration, or nothing of it.
    pub(super) fn reload(&self) {
        let old = self.site();
        let Some(file) = &self.args.config else {
            tracing::warn!("reload: started without --config, there is nothing to read again");
            return;
        };
        let resolved = match crate::config::load(file, self.args.data.clone()) {
            Ok(resolved) => resolved,
            Err(errors) => {
                tracing::error!("reload refused, the running configuration stays:\n{errors}");
                return;
            }
        };
        let new = resolved.plan;
        let fixed = [
            ("sip.listen", old.plan.sip.listeners != new.sip.listeners),
            ("shards.count", old.plan.shards != new.shards),
            ("media.ports", old.plan.media.ports != new.media.ports),
            ("media.address", old.plan.media.addresses != new.media.addresses),
            ("http.listen", old.plan.http.listen != new.http.listen),
        ];
        let restart: Vec<&str> = fixed
            .iter()
            .filter(|(_, changed)| *changed)
            .map(|(key, _)| *key)
            .collect();
        if !restart.is_empty() {
            tracing::error!(
                "reload refused, the running configuration stays: {} can only change with a restart",
                restart.join(", ")
            );
            return;
        }
        let bound: Vec<_> = old.listeners.iter().map(|listener| listener.address).collect();
        let (users, trunks, routes) = (new.users.len(), new.trunks.len(), new.routes.len());
        let site = Arc::new(Site::new(new, &bound, old.hasher()));
        *self.site.lock().unwrap_or_else(PoisonError::into_inner) = site.clone();
        self.tell_all(|| Mesh::Reload(site.clone()));
        tracing::info!("reloaded: {users} users, {trunks} trunks, {routes} routes");
    }

    /// Loop figures of a shard: counters of the supervisor, which outlive restarts.
    fn ring(&self, shard: u16, history: &mut History) -> (RingFigures, u64) {
        let stats = self.handle.stats(shard);
        let (busy, idle) = (stats.busy_nanos.get(), stats.idle_nanos.get());
        let ratio = match history.busy {
            Some((_, old_busy, old_idle)) => {
                let (busy, idle) = (busy.saturating_sub(old_busy), idle.saturating_sub(old_idle));
                if busy + idle == 0 {
                    0.0
                } else {
                    busy as f64 / (busy + idle) as f64
                }
            }
            None => 0.0,
        };
        if history
            .busy
            .is_none_or(|(since, ..)| since.elapsed() > Duration::from_secs(1))
        {
            history.busy = Some((Instant::now(), busy, idle));
        }
        let ring = RingFigures {
            datagrams_in: stats.datagrams_in.get() + stats.media_in.get(),
            datagrams_out: stats.datagrams_out.get() + stats.media_out.get(),
            wakeups: stats.wakeups.get(),
            receive_buffer_exhausted: stats.enobufs.get(),
            xdp: stats.xdp(),
            send_errors: stats.send_errors.get(),
            mesh_full: stats.mesh_full.get(),
            mesh_depth: self.handle.mesh_depth(shard) as u64,
            connections: stats.connections.get(),
            busy_nanos: busy,
            idle_nanos: idle,
            busy_ratio: ratio,
        };
        (ring, stats.restarts.get())
    }
}

impl Backend for ShardBackend {
    fn records_waiting(&self) -> u64 {
        self.store.counters().cdr_waiting.load(Ordering::Relaxed)
    }

    fn about(&self) -> &About {
        &self.about
    }

    fn snapshot(&self) -> Vec<ShardSnapshot> {
        let answers = self.ask_all(Ask::Figures);
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let merged = answers
            .into_iter()
            .zip(history.iter_mut())
            .enumerate()
            .map(|(shard, (answer, history))| {
                let shard = u16::try_from(shard).unwrap_or(u16::MAX);
                let (ring, restarts) = self.ring(shard, history);
                if restarts != history.restarts {
                    // A new instance counts from zero; what the old one counted is kept.
                    let mut last = std::mem::take(&mut history.last);
                    last.ring = RingFigures::default();
                    history.earlier.add_counters(&last);
                    history.restarts = restarts;
                }
                let figures = answer.map(|mut figures| {
                    history.last = (*figures).clone();
                    figures.add_counters(&history.earlier);
                    figures.ring = ring;
                    figures.media.forward = crate::ops::latency::Latency::of_nanos(&self.handle.rtp_forward(shard));
                    figures
                });
                ShardSnapshot {
                    shard,
                    restarts,
                    figures,
                }
            });
        merged.collect()
    }

    fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn calls(&self, limit: usize) -> Vec<CallRow> {
        let mut rows: Vec<CallRow> = self
            .ask_all(|reply| Ask::Calls(limit, reply))
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.started));
        rows.truncate(limit);
        rows
    }

    fn registrations(&self, limit: usize, prefix: &str) -> Vec<RegistrationRow> {
        let mut rows: Vec<RegistrationRow> = self
            .ask_all(|reply| Ask::Registrations(limit, prefix.to_owned(), reply))
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        rows.sort_by(|one, other| one.aor.cmp(&other.aor));
        rows.truncate(limit);
        rows
    }

    fn hang_up(&self, id: &str) -> Result<(), Refused> {
        let shard = id
            .get(..4)
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            .ok_or(Refused::NotFound)?;
        if shard >= self.handle.shards() {
            return Err(Refused::NotFound);
        }
        let (reply, answer) = bounded(1);
        self.handle
            .send(shard, Mesh::Ask(Ask::HangUp(id.to_owned(), reply)))
            .map_err(|_| Refused::Silent)?;
        match answer.recv_timeout(PATIENCE) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refused::NotFound),
            Err(_) => Err(Refused::Silent),
        }
    }

    fn drain(&self) {
        self.drain_asked.store(true, Ordering::Relaxed);
        self.start_drain();
    }

    fn validate(&self, text: &str) -> Result<(), Vec<String>> {
        let file = self.args.config.clone().unwrap_or_else(|| "ringfort.toml".into());
        match crate::config::parse(text, &file, self.args.data.clone()) {
            Ok(_) => Ok(()),
            Err(errors) => Err(errors.to_string().lines().map(str::to_owned).collect()),
        }
    }

    fn users(&self, secrets: bool) -> Vec<UserRow> {
        let site = self.site();
        let rows = site.plan.users.iter().map(|user| UserRow {
            name: user.name.clone(),
            display: user.display.clone(),
            password: secrets.then(|| user.password.clone()),
        });
        rows.collect()
    }

    fn inject_panic(&self, shard: u16) -> Result<(), Refused> {
        if !self.site().plan.fault_injection {
            return Err(Refused::Forbidden);
        }
        if shard >= self.handle.shards() {
            return Err(Refused::NotFound);
        }
        self.handle.send(shard, Mesh::Panic).map_err(|_| Refused::Silent)
    }
}
