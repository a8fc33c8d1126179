//! What a shard wants of the store: hand over and go on. No call here does I/O.

use super::Appliance;
use crate::switch::mesh::Mesh;
use shards::{Cx, LogFile, ShardId, Wall};

/// The store as a shard sees it.
pub trait Durable: Send + Sync {
    /// The file that the shard's log begins in. May wait for the disk: the shard does not serve yet.
    fn first_log(&self, shard: ShardId) -> Option<LogFile>;
    /// A prepared file for the shard's log, when there is one.
    fn take_next_log(&self, shard: ShardId) -> Option<LogFile>;
    /// A log file has been written to its end and may be compacted.
    fn log_closed(&self, shard: ShardId, serial: u64);
    /// CDR lines of calls that ended now.
    fn cdr(&self, ended: Wall, lines: Vec<u8>);
}

impl Appliance {
    /// Goes on in the next log file when one is ready.
    pub(super) fn next_log(&mut self, cx: &mut Cx<'_, Mesh>) {
        if let Some(file) = self.durable.take_next_log(self.core.shard) {
            self.switch_log(cx, file);
        }
    }

    /// The log goes on in `file`.
    pub(super) fn switch_log(&mut self, cx: &mut Cx<'_, Mesh>, file: LogFile) {
        if self.log_serial != 0 {
            self.closing.push_back((self.log_serial, cx.out.log_end()));
        }
        self.log_serial = file.serial;
        cx.host.log_switch(file);
        self.registrar.log_switched();
    }
}
