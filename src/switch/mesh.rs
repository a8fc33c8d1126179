//! What shards say to each other, and ops threads to shards.

use super::site::Site;
use super::slab::Handle;
use super::target::TargetSet;
use crate::ops::model::{CallRow, RegistrationRow, ShardFigures};
use crate::protocol::Path;
use crossbeam::channel::Sender;
use shards::{Buf, ShardId};
use std::sync::Arc;

/// A message between shards.
pub enum Mesh {
    /// A SIP message whose home is the receiver.
    Sip {
        /// Where it came from.
        path: Path,
        /// The message.
        octets: Buf,
    },
    /// Which targets does this AOR have? The receiver is its home.
    Locate {
        /// Who wants to know.
        asker: Asker,
        /// The AOR.
        aor: Buf,
    },
    /// The answer.
    Located {
        /// Who wanted to know.
        asker: Asker,
        /// Targets by falling preference; none when nobody is registered.
        targets: TargetSet,
    },
    /// A stream could not be used for the transaction with this tag.
    StreamFailed {
        /// As given to `Wire::send`.
        tag: u64,
    },
    /// A question from an ops thread.
    Ask(Ask),
    /// The configuration changed.
    Reload(Arc<Site>),
    /// Refuse new work; existing calls go on.
    Drain,
    /// End all calls with BYE now.
    HangUpAll,
    /// Crash, for tests of the supervisor (only sent when the plan allows it).
    Panic,
}

/// Who waits for a [`Mesh::Located`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Home of the call.
    pub shard: ShardId,
    /// Which role's slab.
    pub role: u8,
    /// The entry in it.
    pub handle: Handle,
    /// Which of its redirections, from 1; 0 for its own targets.
    pub redirection: u8,
}

/// A question from an ops thread. The answer goes into a channel of capacity one; an asker that
/// has given up meanwhile costs nothing.
pub enum Ask {
    /// Figures.
    Figures(Sender<Box<ShardFigures>>),
    /// Up to so many calls.
    Calls(usize, Sender<Vec<CallRow>>),
    /// Up to so many bindings whose AOR starts so.
    Registrations(usize, String, Sender<Vec<RegistrationRow>>),
    /// End one call; answers whether it was there.
    HangUp(String, Sender<bool>),
}
