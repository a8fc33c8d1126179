//! Starting: sockets, threads, and the life of one packet thread with its restarts.

use super::cluster::{Cluster, Shared};
use super::{LaunchError, ListenerKind, ListenerPlan, Plan, Seat};
use crate::companion::{Commands, Companion, Post, glommio::Glommio};
use crate::media::MediaSlice;
use crate::mesh::{Doorbell, Inbox, Mailbox};
use crate::program::{ListenerId, Program, ShardId};
use crate::stats::LoopStats;
use crate::steer::Steering;
use crate::sys;
use crate::uring::{Links, PacketThread, Stop};
use crate::xdp::Gate;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// A program that lived less than this is restarted with a pause, which grows each time.
const SHORT_LIFE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);
/// After so many short lives the ring itself is suspected and made anew.
const SUSPECT: u32 = 6;

/// What a packet thread says when its program has started.
type Ready = Result<(ShardId, Vec<String>), LaunchError>;

/// Starts the shards. Returns when every listener is bound and every program has started.
/// `factory` is called in the packet thread, at the start and again after a panic.
/// # Errors
/// [`LaunchError`] when the machine does not give what the plan needs.
pub fn launch<P: Program>(
    plan: Plan,
    factory: impl Fn(&Seat) -> P + Send + Sync + 'static,
) -> Result<Cluster<P::Mesh>, LaunchError> {
    if plan.shards == 0 || (!plan.media.is_empty() && plan.media.len() != usize::from(plan.shards)) {
        return Err(LaunchError::new(
            "a plan needs at least one shard, and one media slice for each shard or none",
        ));
    }
    if plan.listeners.len() > usize::from(u8::MAX) {
        return Err(LaunchError::new("there are more than 255 listeners; take some away"));
    }
    sys::raise_file_limit();
    check_media(&plan.media)?;
    let gates = plan
        .xdp
        .iter()
        .map(|device| Gate::open(device, &plan.media).map(Arc::new));
    let gates = gates.collect::<Result<Vec<_>, _>>()?;
    let cores = cores(&plan);
    let (listeners, mut sockets) = bind_all(&plan)?;

    let mut inboxes = Vec::new();
    let mut commands = Vec::new();
    let mut bells = Vec::new();
    let has_streams = plan
        .listeners
        .iter()
        .any(|listener| listener.transport == ListenerKind::Stream);
    for _ in 0..plan.shards {
        let bell = Doorbell::new(sys::event_descriptor().map_err(|error| descriptors(&error))?);
        let mailbox = Arc::new(Mailbox::new(plan.stream_capacity, bell));
        inboxes.push(Arc::new(Inbox::<P::Mesh>::new(plan.mesh_capacity, mailbox)));
        if has_streams {
            let (queue, bell) = Commands::new(plan.stream_capacity).map_err(|error| descriptors(&error))?;
            commands.push(Arc::new(queue));
            bells.push(bell);
        }
    }
    let stats: Vec<_> = (0..plan.shards).map(|_| Arc::new(LoopStats::default())).collect();
    let stop: Stop = Arc::new(AtomicBool::new(false));
    let (epoch, factory, plan) = (Instant::now(), Arc::new(factory), Arc::new(plan));
    let (ready, started) = mpsc::channel();
    let mut cluster = Cluster::new(
        Shared {
            inboxes: inboxes.clone(),
            stats: stats.clone(),
            commands: commands.clone(),
            listeners: listeners[0].clone(),
            describe: Vec::new(),
            stop: stop.clone(),
        },
        Vec::new(),
        Vec::new(),
    );
    for shard in 0..plan.shards {
        let index = usize::from(shard);
        let place = Place {
            plan: plan.clone(),
            shard,
            core: cores.get(index).copied(),
            slice: plan.media.get(index).cloned(),
            listeners: listeners[index].clone(),
            sockets: std::mem::take(&mut sockets.datagram[index]),
            inboxes: inboxes.clone(),
            commands: commands.clone(),
            stats: stats[index].clone(),
            epoch,
            stop: stop.clone(),
            gates: gates.clone(),
        };
        let (factory, ready) = (factory.clone(), ready.clone());
        let thread = std::thread::Builder::new()
            .name(format!("shard-{shard}"))
            .spawn(move || place.run(&*factory, ready))
            .map_err(|error| {
                LaunchError::new(format!(
                    "no thread can be started ({error}): raise the limit of processes"
                ))
            })?;
        cluster.packet_threads.push(thread);
    }
    drop(ready);
    let mut lines = Vec::new();
    for _ in 0..plan.shards {
        let (shard, describe) = started.recv().unwrap_or_else(|_| {
            Err(LaunchError::new(
                "a shard ended before it had started; its panic is in the log",
            ))
        })?;
        lines.push((shard, describe));
    }
    let mut describe = merge(lines);
    describe.push(if cores.is_empty() {
        format!("placement: {} shards, not pinned (more shards than cores)", plan.shards)
    } else {
        format!("placement: {} shards pinned to cores {cores:?}", plan.shards)
    });
    let companion = Glommio;
    for (index, bell) in bells.into_iter().enumerate() {
        let post = Post {
            shard: index as ShardId,
            core: cores.get(index).copied(),
            listeners: std::mem::take(&mut sockets.stream[index]),
            framer: plan.framer,
            limits: plan.streams,
            commands: commands[index].clone(),
            bell,
            mailboxes: inboxes.iter().map(|inbox| inbox.mailbox().clone()).collect(),
            stats: stats[index].clone(),
        };
        cluster.companions.push(companion.start(post)?);
    }
    if has_streams {
        describe.push(companion.describe());
    }
    describe.extend(sockets.describe);
    Ok(cluster.described(describe))
}

/// The lines of all shards, those that are the same in each one once.
fn merge(mut lines: Vec<(ShardId, Vec<String>)>) -> Vec<String> {
    lines.sort_by_key(|(shard, _)| *shard);
    let mut merged: Vec<String> = Vec::new();
    for line in lines.into_iter().flat_map(|(_, lines)| lines) {
        if !merged.contains(&line) {
            merged.push(line);
        }
    }
    merged
}

fn descriptors(error: &std::io::Error) -> LaunchError {
    LaunchError::new(format!(
        "descriptors cannot be had ({error}): raise `ulimit -n` or LimitNOFILE="
    ))
}

/// Which core each shard is pinned to; none when there are fewer cores than shards.
fn cores(plan: &Plan) -> Vec<usize> {
    let cores = plan.cores.clone().unwrap_or_else(sys::allowed_cores);
    if cores.len() < usize::from(plan.shards) {
        Vec::new()
    } else {
        cores[..usize::from(plan.shards)].to_vec()
    }
}

fn check_media(slices: &[MediaSlice]) -> Result<(), LaunchError> {
    let Some(slice) = slices.first() else { return Ok(()) };
    for &address in &slice.addresses {
        UdpSocket::bind((address, 0)).map_err(|error| {
            LaunchError::new(format!(
                "media address {address} cannot be used ({error}): give an address of this machine in [media] address"
            ))
        })?;
    }
    Ok(())
}

/// Each shard's sockets, in the order of the listeners.
struct Sockets {
    datagram: Vec<Vec<Option<Arc<OwnedFd>>>>,
    stream: Vec<Vec<(ListenerId, std::net::TcpListener)>>,
    /// How datagrams are spread, where there is a choice.
    describe: Option<String>,
}

/// The listeners of each shard with their actual addresses, and their sockets.
fn bind_all(plan: &Plan) -> Result<(Vec<Vec<ListenerPlan>>, Sockets), LaunchError> {
    let shards = usize::from(plan.shards);
    let mut listeners = vec![Vec::new(); shards];
    let mut sockets = Sockets {
        datagram: vec![vec![None; plan.listeners.len()]; shards],
        stream: (0..shards).map(|_| Vec::new()).collect(),
        describe: None,
    };
    for (index, listener) in plan.listeners.iter().enumerate() {
        let refuse = |error: std::io::Error| cannot_listen(listener.transport, listener.address, &error);
        let stream = listener.transport == ListenerKind::Stream;
        let own = plan.own_ports.contains(&ListenerId(index as u8));
        let take = |address| {
            let claim = sys::patiently(libc::EADDRINUSE, || sys::claim_address(address, stream))?;
            sys::local_address(&claim)
        };
        let mut address = take(listener.address).map_err(refuse)?;
        for (shard, taken) in listeners.iter_mut().enumerate() {
            if own && shard > 0 {
                let port = if listener.address.port() == 0 {
                    0
                } else {
                    address.port().wrapping_add(1)
                };
                let wanted = SocketAddr::new(address.ip(), port);
                address = take(wanted).map_err(|error| cannot_listen(listener.transport, wanted, &error))?;
            }
            if stream {
                let socket = sys::stream_listener(address).map_err(refuse)?;
                sockets.stream[shard].push((ListenerId(index as u8), socket.into()));
            } else {
                let socket = sys::datagram_listener(address, plan.arrival_times).map_err(refuse)?;
                sockets.datagram[shard][index] = Some(Arc::new(socket));
            }
            taken.push(ListenerPlan { address, ..*listener });
        }
        if !stream && !own && shards > 1 {
            let member = sockets.datagram.first().and_then(|of_first| of_first[index].as_deref());
            sockets.describe = plan.steering.as_ref().zip(member).map(steer);
        }
    }
    Ok((listeners, sockets))
}

/// Steers a group, and says how it went: without, datagrams take more hops and still arrive.
fn steer((steering, member): (&Steering, &OwnedFd)) -> String {
    match sys::steer(member, steering) {
        Ok(()) => String::from("datagrams: the kernel gives them to the shard of their call or user"),
        Err(error) => format!(
            "datagrams: spread by address, since the kernel takes no steering program ({error}): \
             raise `sysctl net.core.optmem_max` to 131072, or leave it at some more CPU time for each message"
        ),
    }
}

fn cannot_listen(kind: ListenerKind, address: SocketAddr, error: &std::io::Error) -> LaunchError {
    let name = match kind {
        ListenerKind::Datagram => "udp",
        ListenerKind::Stream => "tcp",
    };
    LaunchError::new(match error.raw_os_error() {
        Some(libc::EADDRINUSE) => format!(
            "{name}:{address} is in use by another process: end it (`ss -lnp 'sport = {}'` shows it) or listen on another port",
            address.port()
        ),
        Some(libc::EADDRNOTAVAIL) => {
            format!("{name}:{address} is no address of this machine: listen on one that `ip address` shows")
        }
        Some(libc::EACCES) => {
            format!("{name}:{address} needs a privilege: take a port from 1024 on, or grant CAP_NET_BIND_SERVICE")
        }
        Some(libc::EMFILE | libc::ENFILE) => {
            format!(
                "{name}:{address} cannot be opened, the limit of open files is reached: raise `ulimit -n` or LimitNOFILE="
            )
        }
        _ => format!("{name}:{address} cannot be listened on: {error}"),
    })
}

/// One packet thread's place.
struct Place<M> {
    plan: Arc<Plan>,
    shard: ShardId,
    core: Option<usize>,
    slice: Option<MediaSlice>,
    listeners: Vec<ListenerPlan>,
    sockets: Vec<Option<Arc<OwnedFd>>>,
    inboxes: Vec<Arc<Inbox<M>>>,
    commands: Vec<Arc<Commands>>,
    stats: Arc<LoopStats>,
    epoch: Instant,
    stop: Stop,
    gates: Vec<Arc<Gate>>,
}

impl<M: Send + 'static> Place<M> {
    fn ring(&self) -> Result<PacketThread<M>, LaunchError> {
        let links = Links::new(
            self.shard,
            self.inboxes.clone(),
            self.commands.clone(),
            self.stats.clone(),
        );
        PacketThread::new(
            &self.plan,
            self.slice.clone(),
            &self.sockets,
            links,
            self.epoch,
            self.stop.clone(),
            &self.gates,
        )
    }

    /// The life of a packet thread: a ring, and one program after the other on it.
    fn run<P: Program<Mesh = M>>(&self, factory: &impl Fn(&Seat) -> P, ready: mpsc::Sender<Ready>) {
        if let Some(core) = self.core
            && let Err(error) = sys::pin(core)
        {
            tracing::warn!(shard = self.shard, core, %error, "cannot be pinned");
        }
        let mut thread = match self.ring() {
            Ok(thread) => thread,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        let mut ready = Some(ready);
        let (mut restart, mut short) = (0, 0);
        loop {
            let born = Instant::now();
            let seat = Seat {
                shard: self.shard,
                shards: self.plan.shards,
                restart,
                listeners: self.listeners.clone(),
                media: thread.slice().cloned(),
            };
            let life = catch_unwind(AssertUnwindSafe(|| {
                let mut program = factory(&seat);
                thread.start(&mut program);
                if let Some(ready) = ready.take() {
                    let _ = ready.send(Ok((self.shard, thread.describe().to_vec())));
                }
                thread.run(&mut program)
            }));
            if matches!(life, Ok(Ok(()))) {
                return;
            }
            if let Some(ready) = ready.take() {
                let sentence = format!("shard {} could not start: its panic is in the log", self.shard);
                let _ = ready.send(Err(LaunchError::new(sentence)));
                return;
            }
            restart += 1;
            self.stats.restarts.add(1);
            short = if born.elapsed() < SHORT_LIFE { short + 1 } else { 0 };
            match &life {
                Ok(Err(error)) => {
                    tracing::error!(shard = self.shard, restart, %error, "the packet ring failed; the shard starts again with a new one");
                    short = SUSPECT;
                }
                _ => tracing::error!(
                    shard = self.shard,
                    restart,
                    "a shard panicked; its calls are lost, it starts again"
                ),
            }
            if short > 1 {
                std::thread::sleep(PAUSE * short.min(SUSPECT));
            }
            if short < SUSPECT {
                thread.restart();
                continue;
            }
            short = 0;
            drop(thread);
            thread = loop {
                match self.ring() {
                    Ok(thread) => break thread,
                    Err(error) => tracing::error!(shard = self.shard, %error, "no new packet ring"),
                }
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(Duration::from_secs(1));
            };
        }
    }
}
