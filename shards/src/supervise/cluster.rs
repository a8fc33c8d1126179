//! Running shards, as other threads see them.

use super::ListenerPlan;
use crate::companion::Commands;
use crate::mesh::Inbox;
use crate::program::{Sender, ShardId};
use crate::stats::LoopStats;
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the threads may take to end.
const END: Duration = Duration::from_secs(10);

pub(super) struct Shared<M> {
    pub(super) inboxes: Vec<Arc<Inbox<M>>>,
    pub(super) stats: Vec<Arc<LoopStats>>,
    pub(super) commands: Vec<Arc<Commands>>,
    pub(super) listeners: Vec<ListenerPlan>,
    pub(super) describe: Vec<String>,
    pub(super) stop: Arc<AtomicBool>,
}

/// Reaches the shards from any thread. Cheap to clone.
pub struct Handle<M> {
    shared: Arc<Shared<M>>,
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<M: Send + 'static> Handle<M> {
    /// Sends a message to a shard's program, as [`Sender::Ops`].
    /// # Errors
    /// Gives the message back when the shard's queue is full or there is no such shard.
    pub fn send(&self, shard: ShardId, message: M) -> Result<(), M> {
        let Some(inbox) = self.shared.inboxes.get(usize::from(shard)) else {
            return Err(message);
        };
        inbox
            .push(Sender::Ops, message)
            .inspect_err(|_| self.stats(shard).ops_full.add_shared(1))?;
        inbox.ring();
        Ok(())
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> u16 {
        u16::try_from(self.shared.stats.len()).unwrap_or(u16::MAX)
    }

    /// A shard's counters; those of shard 0 for a shard that does not exist.
    #[must_use]
    pub fn stats(&self, shard: ShardId) -> &LoopStats {
        self.shared
            .stats
            .get(usize::from(shard))
            .unwrap_or(&self.shared.stats[0])
    }

    /// How many mesh messages wait for a shard now.
    #[must_use]
    pub fn mesh_depth(&self, shard: ShardId) -> usize {
        self.shared
            .inboxes
            .get(usize::from(shard))
            .map_or(0, |inbox| inbox.depth())
    }

    /// Kernel arrival to send of sampled RTP packets of one shard, in nanoseconds.
    #[must_use]
    pub fn rtp_forward(&self, shard: ShardId) -> Histogram<u64> {
        self.stats(shard).forward.snapshot()
    }

    /// The listeners with their actual addresses, in the plan's order.
    #[must_use]
    pub fn listeners(&self) -> &[ListenerPlan] {
        &self.shared.listeners
    }

    /// Which path of the kernel is active and why, for the start-up log.
    #[must_use]
    pub fn describe(&self) -> &[String] {
        &self.shared.describe
    }
}

/// Running shards. Dropping it stops them as [`stop`](Self::stop) does.
pub struct Cluster<M: Send + 'static> {
    pub(super) handle: Handle<M>,
    pub(super) packet_threads: Vec<JoinHandle<()>>,
    pub(super) companions: Vec<JoinHandle<()>>,
}

impl<M: Send + 'static> Cluster<M> {
    pub(super) fn new(shared: Shared<M>, packet_threads: Vec<JoinHandle<()>>, companions: Vec<JoinHandle<()>>) -> Self {
        Self {
            handle: Handle {
                shared: Arc::new(shared),
            },
            packet_threads,
            companions,
        }
    }

    /// Adds the lines for the start-up log, before anybody has a handle.
    pub(super) fn described(mut self, describe: Vec<String>) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.handle.shared) {
            shared.describe = describe;
        }
        self
    }

    /// A handle for other threads.
    #[must_use]
    pub fn handle(&self) -> Handle<M> {
        self.handle.clone()
    }

    /// Ends all threads: each packet thread after its present batch, its log written and
    /// synchronised; the companions after them. A thread that does not end within ten seconds
    /// (a program that never comes back) is left behind.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let shared = &self.handle.shared;
        shared.stop.store(true, Ordering::SeqCst);
        for inbox in &shared.inboxes {
            inbox.mailbox().bell().strike();
        }
        let limit = Instant::now() + END;
        join_until(limit, self.packet_threads.drain(..));
        for commands in &shared.commands {
            commands.stop();
        }
        join_until(limit, self.companions.drain(..));
    }
}

impl<M: Send + 'static> Drop for Cluster<M> {
    fn drop(&mut self) {
        self.end();
    }
}

fn join_until(limit: Instant, threads: impl Iterator<Item = JoinHandle<()>>) {
    for thread in threads {
        while !thread.is_finished() && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(1));
        }
        if thread.is_finished() {
            // A panic was told by the thread itself.
            let _ = thread.join();
        } else {
            tracing::error!(thread = thread.thread().name(), "does not end, is left behind");
        }
    }
}
