//! The main thread's part: starts the shards, watches, shows, ends.

use super::output::Outcome;
use super::prepare::{Prepared, RoleSetup};
use super::stat_file::StatFile;
use super::traces::Traces;
use super::{Refusal, Signals, output, screen};
use crate::audio::mark::RUN_MASK;
use crate::cli::Options;
use crate::engine::{Arrivals, Engine, Load, Settings, Transport, share};
use crate::rig::{AudioPlan, Figures, Lights, Link, Order, Outlets, Rig, Role, RunningLink, TICK_MS};
use crate::scenario;
use ringfort::protocol::sip::frame;
use shards::{Cluster, Handle, ListenerId, ListenerKind, ListenerPlan, MediaSlice, Plan, Seat, StreamLimits, Time};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// How often the main thread looks.
const LOOK: Duration = Duration::from_millis(20);
/// How long calls may take to be hung up.
const HANG_UP: Duration = Duration::from_millis(2500);
/// How long a shard may take to give its figures.
const ANSWER: Duration = Duration::from_secs(2);

/// Running shards of the generator.
pub struct Fleet {
    cluster: Cluster<Order>,
    /// Reaches them.
    pub handle: Handle<Order>,
    /// One for each.
    pub lights: Vec<Arc<Lights>>,
}

impl Fleet {
    /// Starts the shards. `load` says what each role does on a shard.
    /// # Errors
    /// When a port cannot be bound, or the machine does not give what is needed.
    pub fn start(
        prepared: &Prepared,
        options: &Options,
        outlets: Outlets,
        load: impl Fn(usize, u16, Time) -> Load + Send + Sync + 'static,
    ) -> Result<Self, Refusal> {
        let shards = prepared.shards;
        let lights: Vec<_> = (0..shards)
            .map(|_| Arc::new(Lights::new(prepared.roles.len())))
            .collect();
        let has_audio = prepared
            .roles
            .iter()
            .any(|role| role.scenario.has_audio || role.settings.echo);
        let echo = prepared.roles.iter().any(|role| role.settings.echo);
        // An echo is sent back at once; what is only judged may wait in the kernel.
        let fetched = has_audio && !echo && !prepared.roles.iter().any(|role| role.scenario.echoes());
        let mut plan = Plan {
            shards,
            // Not pinned unless asked for: what is tested has its threads on the same cores, often pinned.
            cores: Some(options.cores.clone().unwrap_or_default()),
            framer: frame,
            arrival_times: true,
            fetched_media: fetched,
            // Audio is handled with the packets that leave; without it a short wait saves wake-ups. Times are the
            // kernel's, so that neither costs exactness. An echo is sent back soon.
            punctual: Some(Duration::from_millis(match (has_audio, echo) {
                (_, true) => 1,
                (true, false) => TICK_MS,
                (false, false) => 2,
            })),
            media_buffers: 1024,
            signal_buffers: 512,
            mesh_capacity: 16_384,
            stream_capacity: 16_384,
            streams: StreamLimits {
                write_queue: 8 << 20,
                ..StreamLimits::default()
            },
            ..Plan::default()
        };
        for role in &prepared.roles {
            let transport = match role.settings.transport {
                Transport::Udp => ListenerKind::Datagram,
                Transport::Tcp => ListenerKind::Stream,
            };
            let port = role.settings.local.port();
            for number in 0..role.ports {
                if role.own_port {
                    plan.own_ports.push(ListenerId(plan.listeners.len() as u8));
                }
                let step = if port == 0 { 0 } else { number as u16 * shards };
                plan.listeners.push(ListenerPlan {
                    transport,
                    address: SocketAddr::new(role.settings.local.ip(), port.saturating_add(step)),
                });
            }
        }
        if has_audio {
            let (first, last) = options.rtp_ports.unwrap_or((30_000, 49_999));
            let address = prepared.roles[0].settings.media_ip;
            plan.media = MediaSlice::split(&[address], first, last, shards.into());
            plan.xdp.extend(options.xdp.clone());
        }
        // The same in every generator of a test: a caller knows the marks of a callee in another process.
        let run = (options.seed as u32).wrapping_mul(0x9e37_79b9) & RUN_MASK;
        let parts: Vec<_> = prepared
            .roles
            .iter()
            .map(|role| (role.scenario.clone(), role.settings.clone(), role.own_port, role.ports))
            .collect();
        let (clips, program_lights) = (prepared.clips.clone(), lights.clone());
        let (allow_any, express) = (options.owned, options.xdp.is_some());
        let factory = move |seat: &Seat| {
            let mut next = 0;
            let roles = parts
                .iter()
                .enumerate()
                .map(|(index, (scenario, settings, own_port, ports))| {
                    let listeners = next..next + ports;
                    next += ports;
                    let udp = settings.transport == Transport::Udp;
                    let settings = Arc::new(Settings {
                        local: seat.listeners[listeners.start].address,
                        ports: seat.listeners[listeners.clone()]
                            .iter()
                            .map(|listener| listener.address.port())
                            .collect(),
                        ..settings.clone()
                    });
                    let load = load(index, seat.shard, Time::ZERO);
                    let ids = listeners.map(|listener| ListenerId(listener as u8));
                    let (datagrams, mut streams): (Vec<_>, Vec<_>) = ids.partition(|_| udp);
                    Role {
                        engine: Engine::new(scenario.clone(), settings, load, seat.shard, seat.shards, Time::ZERO),
                        datagrams,
                        stream: streams.pop(),
                        own_port: *own_port,
                    }
                });
            let audio = AudioPlan {
                slice: seat.media.clone(),
                run,
                fetched,
                express,
                echo,
                allow_any,
                clips: clips.clone(),
                shard: seat.shard.into(),
                shards: seat.shards.into(),
            };
            Rig::new(
                roles.collect(),
                audio,
                program_lights[usize::from(seat.shard)].clone(),
                outlets.clone(),
            )
        };
        let cluster = shards::launch(plan, factory).map_err(|error| Refusal::bind(error.to_string()))?;
        let handle = cluster.handle();
        Ok(Self {
            cluster,
            handle,
            lights,
        })
    }

    /// Gives every shard an order.
    pub fn order(&self, order: impl Fn() -> Order) {
        for shard in 0..self.handle.shards() {
            // The queue is full only if a shard stands still; it then stands still for the next look too.
            let _ = self.handle.send(shard, order());
        }
    }

    /// Figures of all shards; times and audio begin anew.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mut all = Figures::default();
        let (to, from) = sync_channel(usize::from(self.handle.shards()));
        self.order(|| Order::Figures(to.clone()));
        for _ in 0..self.handle.shards() {
            if let Ok(figures) = from.recv_timeout(ANSWER) {
                all.merge(&figures);
            }
        }
        all
    }

    /// Calls of a role that run now.
    #[must_use]
    pub fn running(&self, role: usize) -> u64 {
        self.lights
            .iter()
            .map(|lights| {
                lights
                    .running
                    .get(role)
                    .map_or(0, |light| light.load(Ordering::Relaxed))
            })
            .sum()
    }

    /// Calls of a role that are over.
    #[must_use]
    pub fn ended(&self, role: usize) -> u64 {
        self.lights
            .iter()
            .map(|lights| lights.ended.get(role).map_or(0, |light| light.load(Ordering::Relaxed)))
            .sum()
    }

    fn is_idle(&self) -> bool {
        self.lights.iter().all(|lights| lights.idle.load(Ordering::Relaxed))
    }

    fn wish(&self) -> u64 {
        self.lights
            .iter()
            .map(|lights| lights.wish.load(Ordering::Relaxed))
            .max()
            .unwrap_or(0)
    }

    /// Ends all threads.
    pub fn stop(self) {
        self.cluster.stop();
    }
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All calls were made, or the operator stopped it.
    Done,
    /// `-timeout` with `-timeout_error`.
    Timeout,
    /// A scenario's command.
    Command,
}

/// Runs one scenario to its end; gives the exit code.
/// # Errors
/// [`Refusal`] when it cannot begin.
pub fn conduct(options: &Options, prepared: &Prepared, signals: &Signals) -> Result<u8, Refusal> {
    let traces = Traces::start(options, &prepared.roles[0].scenario.name)?;
    let setup: &RoleSetup = &prepared.roles[0];
    let is_client = setup.scenario.role == scenario::Role::Client;
    let (rate, shards) = (options.calls_per_second(), prepared.shards);
    let (most, limit, keep) = (prepared.most_calls, prepared.limit, options.users);
    let load = move |_: usize, shard: u16, start: Time| {
        let rate = if keep.is_some() { 1e6 } else { rate };
        Load {
            arrivals: Arrivals::new(if is_client { rate } else { 0.0 }, most, shard, shards, start),
            limit: share(limit, shard.into(), shards.into()).max(1),
            keep: keep.map(|keep| share(keep, shard.into(), shards.into())),
        }
    };
    let link = prepared.twin.map(|twin| twin.open()).transpose()?;
    let outlets = Outlets {
        notes: traces.sender(),
        commands: link.as_ref().map(Link::sender),
    };
    let began = Instant::now();
    let fleet = Fleet::start(prepared, options, outlets, load)?;
    let link = link
        .map(|link| link.start(fleet.handle.clone()))
        .transpose()
        .map_err(|error| Refusal::error(format!("no thread can be started: {error}")))?;
    if !options.quiet {
        let names: Vec<String> = fleet
            .handle
            .listeners()
            .iter()
            .map(|listener| listener.address.to_string())
            .collect();
        let _ = writeln!(
            io::stderr(),
            "ringload: scenario {}, {} {} from {}, {shards} shards",
            setup.scenario.name,
            if is_client { "calling" } else { "answering" },
            if is_client {
                setup.settings.remote.to_string()
            } else {
                "all".into()
            },
            names.join(", "),
        );
    }
    let mut run = Run {
        options,
        prepared,
        fleet: &fleet,
        link: link.as_ref(),
        signals,
        began,
        total: Figures::default(),
        rate,
        stats: StatFile::create(options, setup)?,
        shown: 0,
    };
    let end = run.watch(is_client);
    run.look();
    let total = std::mem::take(&mut run.total);
    run.finish(&total)?;
    let outcome = Outcome {
        options,
        setup,
        figures: &total,
        seconds: began.elapsed().as_secs_f64(),
        rate: run.rate,
        loops: output::Loops::of(&fleet.handle),
    };
    fleet.stop();
    if let Some(link) = link {
        link.close();
    }
    traces.finish();
    outcome.write()?;
    let counters = &total.roles[0].counters;
    Ok(match end {
        End::Timeout => 255,
        End::Command => 97,
        End::Done if counters.failed > 0 => 1,
        End::Done if counters.successful > 0 => 0,
        End::Done => 99,
    })
}

struct Run<'a> {
    options: &'a Options,
    prepared: &'a Prepared,
    fleet: &'a Fleet,
    link: Option<&'a RunningLink>,
    signals: &'a Signals,
    began: Instant,
    total: Figures,
    rate: f64,
    stats: Option<StatFile>,
    shown: usize,
}

impl Run<'_> {
    fn watch(&mut self, is_client: bool) -> End {
        let (mut show_at, mut stat_at) = (self.options.show_every, self.options.stat_every);
        let raise_every = self.options.rate_interval.unwrap_or(self.options.stat_every);
        let mut raise_at = raise_every;
        let (mut soft, mut stops) = (false, 0);
        let mut hard_at: Option<Instant> = None;
        loop {
            std::thread::sleep(LOOK);
            let elapsed = self.began.elapsed();
            if elapsed >= show_at {
                show_at = elapsed + self.options.show_every;
                self.look();
                self.show();
            }
            if elapsed >= stat_at {
                stat_at += self.options.stat_every;
                self.write_stats();
            }
            if elapsed >= raise_at
                && let Some(raise) = self.options.rate_increase
            {
                raise_at += raise_every;
                let most = self.options.rate_max.unwrap_or(f64::INFINITY);
                if self.rate >= most && !self.options.no_rate_quit && !soft {
                    soft = true;
                    self.fleet.order(|| Order::Stop(false));
                }
                self.rate = (self.rate + raise).min(most);
                let rate = self.rate;
                self.fleet.order(|| Order::Rate(0, rate));
            }
            if self.fleet.wish() == 2 {
                self.hang_up();
                return End::Command;
            }
            if !soft && (self.signals.soft() || self.fleet.wish() == 1) {
                soft = true;
                self.fleet.order(|| Order::Stop(false));
            }
            if let Some(why) = self.link.and_then(RunningLink::over)
                && hard_at.is_none()
            {
                let _ = writeln!(io::stderr(), "\nringload: -3pcc: {why}");
                self.fleet.order(|| Order::Stop(true));
                hard_at = Some(Instant::now() + HANG_UP);
            }
            if self.signals.stops() > stops {
                stops = self.signals.stops();
                if stops > 1 || hard_at.is_some() {
                    return End::Done;
                }
                self.fleet.order(|| Order::Stop(true));
                hard_at = Some(Instant::now() + HANG_UP);
            }
            if self.options.timeout.is_some_and(|timeout| elapsed >= timeout) && hard_at.is_none() {
                if self.options.timeout_error {
                    let _ = writeln!(io::stderr(), "\nringload: the time of -timeout is over");
                    self.hang_up();
                    return End::Timeout;
                }
                self.fleet.order(|| Order::Stop(true));
                hard_at = Some(Instant::now() + HANG_UP);
            }
            let all_made = !is_client && self.prepared.most_calls.is_some_and(|most| self.fleet.ended(0) >= most);
            if all_made || self.fleet.is_idle() || hard_at.is_some_and(|at| Instant::now() >= at) {
                if hard_at.is_some() {
                    // The answers to BYE and CANCEL are on their way.
                    std::thread::sleep(Duration::from_millis(200));
                }
                return End::Done;
            }
        }
    }

    fn hang_up(&self) {
        self.fleet.order(|| Order::Stop(true));
        std::thread::sleep(Duration::from_millis(300));
    }

    /// Takes the figures since the last look.
    fn look(&mut self) {
        self.total.follow(self.fleet.figures());
    }

    fn write_stats(&mut self) {
        self.look();
        if let Some(stats) = &mut self.stats {
            // A full disk is told once, by the file's last line at the end.
            let _ = stats.line(&self.total.roles[0].counters, self.rate, self.options.users);
        }
    }

    fn finish(&mut self, total: &Figures) -> Result<(), Refusal> {
        if let Some(stats) = &mut self.stats {
            stats
                .line(&total.roles[0].counters, self.rate, self.options.users)
                .map_err(|error| Refusal::error(format!("the statistics file cannot be written: {error}")))?;
        }
        if !self.options.quiet {
            let _ = writeln!(io::stderr());
        }
        Ok(())
    }

    fn show(&mut self) {
        if self.options.quiet {
            return;
        }
        let line = screen::progress(&self.total, self.began.elapsed());
        let wide = self.shown.max(line.len());
        self.shown = line.len();
        let _ = write!(io::stderr(), "\r{line:<wide$}");
    }
}
