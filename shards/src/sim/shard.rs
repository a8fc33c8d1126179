//! One simulated shard: a program, its outbox, and a host that notes what it asks for.

use super::journal::Journal;
use crate::media::Slot;
use crate::outbox::Outbox;
use crate::program::{Cx, Host, LogFile, OpenError, Program, ShardId, StreamCommand};
use crate::time::{Time, Wall};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

/// What a program asked its host for in one batch.
pub(super) enum Wish<M> {
    Mesh(ShardId, M),
    Stream(ShardId, StreamCommand),
}

/// How many messages and commands wait for each shard, and how many may.
pub(super) struct Bounds {
    pub(super) mesh: Vec<usize>,
    pub(super) mesh_capacity: usize,
    pub(super) stream: Vec<usize>,
    pub(super) stream_capacity: usize,
}

pub(super) struct Shard<P: Program> {
    pub(super) program: P,
    pub(super) outbox: Outbox,
    pub(super) journal: Journal,
    pub(super) open: Vec<bool>,
    /// The only peer of each media socket that has one.
    pub(super) peers: Vec<Option<SocketAddr>>,
    pub(super) wishes: Vec<Wish<P::Mesh>>,
    pub(super) restart: u32,
    /// When the next look at the program's deadline is planned.
    pub(super) planned: Option<Time>,
}

struct SimHost<'a, M> {
    open: &'a mut [bool],
    peers: &'a mut [Option<SocketAddr>],
    wishes: &'a mut Vec<Wish<M>>,
    bounds: &'a mut Bounds,
    journal: &'a mut Journal,
    mark: u64,
    live_mark: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl<M> Host<M> for SimHost<'_, M> {
    fn open_media(&mut self, slot: Slot) -> Result<(), OpenError> {
        let open = self.open.get_mut(slot.0 as usize).ok_or(OpenError::Exhausted)?;
        *open = true;
        self.point_media(slot, None);
        Ok(())
    }

    fn point_media(&mut self, slot: Slot, peer: Option<SocketAddr>) {
        if let Some(known) = self.peers.get_mut(slot.0 as usize) {
            *known = peer;
        }
    }

    fn mesh(&mut self, to: ShardId, message: M) -> Result<(), M> {
        match self.bounds.mesh.get_mut(usize::from(to)) {
            Some(waiting) if *waiting < self.bounds.mesh_capacity => {
                *waiting += 1;
                self.wishes.push(Wish::Mesh(to, message));
                Ok(())
            }
            _ => Err(message),
        }
    }

    fn stream(&mut self, via: ShardId, command: StreamCommand) -> Result<(), StreamCommand> {
        match self.bounds.stream.get_mut(usize::from(via)) {
            Some(waiting) if *waiting < self.bounds.stream_capacity => {
                *waiting += 1;
                self.wishes.push(Wish::Stream(via, command));
                Ok(())
            }
            _ => Err(command),
        }
    }

    fn log_switch(&mut self, file: LogFile) {
        let mark = self.live_mark.load(Ordering::Relaxed).max(self.mark);
        self.journal.switches.push((mark, file.serial));
    }
}

impl<P: Program> Shard<P> {
    pub(super) fn new(program: P, slots: u32) -> Self {
        Self {
            program,
            outbox: Outbox::default(),
            journal: Journal::default(),
            open: vec![false; slots as usize],
            peers: vec![None; slots as usize],
            wishes: Vec::new(),
            restart: 0,
            planned: None,
        }
    }

    /// Calls the program with a context.
    pub(super) fn call(
        &mut self,
        now: Time,
        wall: Wall,
        shard: ShardId,
        shards: u16,
        bounds: &mut Bounds,
        call: impl FnOnce(&mut P, &mut Cx<'_, P::Mesh>),
    ) {
        let mut host = SimHost {
            open: &mut self.open,
            peers: &mut self.peers,
            wishes: &mut self.wishes,
            bounds,
            journal: &mut self.journal,
            mark: self.outbox.log_end(),
            live_mark: self.outbox.log_mark(),
        };
        let mut cx = Cx {
            now,
            wall,
            shard,
            shards,
            out: &mut self.outbox,
            host: &mut host,
        };
        call(&mut self.program, &mut cx);
    }
}
