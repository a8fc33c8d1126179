//! What the ops threads want of the rest of the appliance; `main` implements it.

use super::model::{About, CallRow, RegistrationRow, ShardSnapshot, UserRow};
use std::fmt;

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such call or shard.
    NotFound,
    /// The shard did not take the command or did not answer in time.
    Silent,
    /// The configuration does not allow it.
    Forbidden,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::NotFound => "no such thing",
            Refused::Silent => "the shard did not answer in time",
            Refused::Forbidden => "not allowed by the configuration",
        })
    }
}

/// The appliance, seen from the ops threads. All methods may block, for 200 ms at most (they ask
/// the shards by message and do not wait longer for an answer); they are called on threads that
/// may block, from several at once.
pub trait Backend: Send + Sync + 'static {
    /// What does not change.
    fn about(&self) -> &About;

    /// Every shard in the order of their numbers, also those that do not answer. Counters include
    /// those of instances before a restart.
    fn snapshot(&self) -> Vec<ShardSnapshot>;

    /// True once shutdown has begun or [`Backend::drain`] was called: new calls are refused.
    fn draining(&self) -> bool;

    /// At most `limit` calls, newest first where that costs nothing.
    fn calls(&self, limit: usize) -> Vec<CallRow>;

    /// At most `limit` bindings of AORs that begin with `prefix`.
    fn registrations(&self, limit: usize, prefix: &str) -> Vec<RegistrationRow>;

    /// Ends a call with BYE (or CANCEL, 487) in both directions.
    /// # Errors
    /// [`Refused::NotFound`] when there is no such call, [`Refused::Silent`].
    fn hang_up(&self, id: &str) -> Result<(), Refused>;

    /// Call records that wait in memory because the disk refuses them.
    fn records_waiting(&self) -> u64 {
        0
    }

    /// Refuses new calls from now on, lets the others end, then the process ends as on SIGTERM.
    /// Returns at once; a second call changes nothing.
    fn drain(&self);

    /// Checks a configuration text. This may take longer than the other methods.
    /// # Errors
    /// What is wrong, one line a finding: `line N: key: what is expected`.
    fn validate(&self, text: &str) -> Result<(), Vec<String>>;

    /// All users; with passwords only when `secrets` is set and they are known in clear.
    fn users(&self, secrets: bool) -> Vec<UserRow>;

    /// Makes a shard panic, for tests. Called only when [`About::fault_injection`] is set.
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Silent`] or [`Refused::Forbidden`].
    fn inject_panic(&self, shard: u16) -> Result<(), Refused>;
}
