//! Who gets a place in the table: the one owner of its limits.
//!
//! An ended transaction over UDP stays for 64*T1 (timer J of RFC 3261, L and M of RFC 6026), so that a
//! storm of REGISTERs, each of them cheap, fills any table: 32 seconds' worth of them. Calls would then
//! be refused for what registrations left behind. So what is no call gets a share only. Most of it can
//! do without: section 8.2.7 has such requests answered without a transaction.

use super::Transactions;
use crate::protocol::sip::{Message, Method};

/// Transactions kept for emergency calls and calls in progress, where the limit is large enough.
const KEPT: usize = 256;
/// Beyond the limit at least, for what ends calls.
const SPARE: usize = 16;
/// One in so many places may be taken for requests outside calls. Half: a call cannot do without its
/// transactions, a REGISTER can, so the share only saves the latter the work of being computed again.
pub const OUTSIDE: usize = 2;

impl Transactions {
    /// Whether a request that opens something may have a transaction. The last places are kept for
    /// emergency calls, and for what calls in progress still need.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let kept = (self.limit / 32).min(KEPT);
        self.servers.len() + self.clients.len() + kept < self.limit
    }

    /// The same for one request: outside calls only while their share lasts.
    #[must_use]
    pub fn has_room_for(&self, request: &Message<'_>) -> bool {
        self.has_room() && (self.outside < self.share() || !is_outside(request))
    }

    /// How many places requests outside calls may take, the client transactions of those that are
    /// passed on included. Those are counted and never refused for the share: what was let in goes on.
    #[must_use]
    pub fn share(&self) -> usize {
        self.limit / OUTSIDE
    }

    /// Whether the limit is reached; for what ends calls there is an eighth more, since it frees more
    /// than it takes: at the limit, calls could otherwise never end.
    pub(super) fn is_full(&self, ends: bool) -> bool {
        let spare = if ends { self.limit / 8 + SPARE } else { 0 };
        self.servers.len() + self.clients.len() >= self.limit + spare
    }
}

/// Whether a request neither opens a call nor belongs to a dialog.
pub(super) fn is_outside(request: &Message<'_>) -> bool {
    counts_outside(request.method()) && request.to_tag().is_none()
}

/// Whether a client transaction of this method counts for the share. Its request is octets here, so that
/// an INFO within a call counts too; that only has REGISTERs go without a transaction a little earlier.
pub(super) fn counts_outside(method: Method) -> bool {
    !matches!(
        method,
        Method::Invite | Method::Ack | Method::Bye | Method::Cancel | Method::Prack
    )
}
