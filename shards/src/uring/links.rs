//! A shard's ways to other shards, companions and the kernel, as its program sees them.

use super::core::Core;
use crate::companion::Commands;
use crate::media::Slot;
use crate::mesh::Inbox;
use crate::program::{Host, LogFile, OpenError, Sender, ShardId, StreamCommand};
use crate::stats::LoopStats;
use std::net::SocketAddr;
use std::sync::Arc;

/// A shard's ways to the others.
pub(crate) struct Links<M> {
    pub(crate) shard: ShardId,
    pub(crate) inboxes: Vec<Arc<Inbox<M>>>,
    pub(crate) companions: Vec<Arc<Commands>>,
    pub(crate) stats: Arc<LoopStats>,
    /// Who has to be told at the end of the batch.
    pub(crate) inboxes_touched: Vec<bool>,
    pub(crate) companions_touched: Vec<bool>,
}

impl<M> Links<M> {
    pub(crate) fn new(
        shard: ShardId,
        inboxes: Vec<Arc<Inbox<M>>>,
        companions: Vec<Arc<Commands>>,
        stats: Arc<LoopStats>,
    ) -> Self {
        let (inboxes_touched, companions_touched) = (vec![false; inboxes.len()], vec![false; companions.len()]);
        Self {
            shard,
            inboxes,
            companions,
            stats,
            inboxes_touched,
            companions_touched,
        }
    }

    /// Rings each doorbell at most once for the batch.
    pub(super) fn ring(&mut self) {
        for (inbox, touched) in self.inboxes.iter().zip(&mut self.inboxes_touched) {
            if std::mem::take(touched) {
                inbox.ring();
            }
        }
        for (companion, touched) in self.companions.iter().zip(&mut self.companions_touched) {
            if std::mem::take(touched) {
                companion.ring();
            }
        }
    }
}

/// What a program calls: the kernel side and the ways to the others.
pub(super) struct Back<'a, M> {
    pub(super) core: &'a mut Core,
    pub(super) links: &'a mut Links<M>,
}

impl<M> Host<M> for Back<'_, M> {
    fn open_media(&mut self, slot: Slot) -> Result<(), OpenError> {
        self.core.open_media(slot)
    }

    fn point_media(&mut self, slot: Slot, peer: Option<SocketAddr>) {
        self.core.point_media(slot, peer);
    }

    fn mesh(&mut self, to: ShardId, message: M) -> Result<(), M> {
        let from = Sender::Shard(self.links.shard);
        let Some(inbox) = self.links.inboxes.get(usize::from(to)) else {
            return Err(message);
        };
        inbox
            .push(from, message)
            .inspect_err(|_| self.links.stats.mesh_full.add(1))?;
        if let Some(touched) = self.links.inboxes_touched.get_mut(usize::from(to)) {
            // To oneself: the loop looks into its inbox before it sleeps.
            *touched = to != self.links.shard;
        }
        Ok(())
    }

    fn stream(&mut self, via: ShardId, command: StreamCommand) -> Result<(), StreamCommand> {
        let Some(companion) = self.links.companions.get(usize::from(via)) else {
            return Err(command);
        };
        companion
            .push(command)
            .inspect_err(|_| self.links.stats.stream_full.add(1))?;
        if let Some(touched) = self.links.companions_touched.get_mut(usize::from(via)) {
            *touched = true;
        }
        Ok(())
    }

    fn log_switch(&mut self, file: LogFile) {
        self.core.log.switch(file);
    }
}
