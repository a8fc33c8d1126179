//! The store as the shards see it.

use crate::appliance::Durable;
use crate::store::Store;
use shards::{LogFile, ShardId, Wall};

pub(super) struct DurableStore(pub Store);

impl Durable for DurableStore {
    fn first_log(&self, shard: ShardId) -> Option<LogFile> {
        let made = self.0.next_log(shard);
        made.inspect_err(|error| tracing::error!("shard {shard} has no log, bindings are not durable: {error}"))
            .ok()
    }

    fn take_next_log(&self, shard: ShardId) -> Option<LogFile> {
        self.0.take_next_log(shard)
    }

    fn log_closed(&self, shard: ShardId, serial: u64) {
        self.0.log_closed(shard, serial);
    }

    fn cdr(&self, ended: Wall, mut lines: Vec<u8>) {
        if lines.last() == Some(&b'\n') {
            lines.pop();
        }
        // When the queue is full the store has counted it; nothing here may wait.
        let _ = self.0.cdr(ended, lines);
    }
}
