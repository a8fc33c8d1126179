//! The four machines of RFC 3261 section 17 (as updated by RFC 6026) as pure tables.
//!
//! A machine is a `const fn step(state, input, reliable)` that gives the next state and what to
//! do; `None` means that the figure has no such arrow, and the input is ignored. The machines
//! share the vocabulary of [`Action`] but no state, so that a client cannot be `Confirmed`.
//! `print` lays every table out as a matrix and as a DOT graph for the snapshot tests.

pub mod invite_client;
pub mod invite_server;
pub mod non_invite_client;
pub mod non_invite_server;
#[cfg(test)]
mod print;

/// A timer by its letter, RFC 3261 table 4 and RFC 6026 section 8.11 (table 4's L and M).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// INVITE request retransmit interval, unreliable transports only.
    A,
    /// INVITE transaction timeout.
    B,
    /// Wait for response retransmits, INVITE client.
    D,
    /// Non-INVITE request retransmit interval, unreliable transports only.
    E,
    /// Non-INVITE transaction timeout.
    F,
    /// INVITE response retransmit interval, unreliable transports only.
    G,
    /// Wait for ACK.
    H,
    /// Wait for ACK retransmits.
    I,
    /// Wait for non-INVITE request retransmits.
    J,
    /// Wait for response retransmits, non-INVITE client.
    K,
    /// Wait for accepted INVITE request retransmits (RFC 6026).
    L,
    /// Wait for retransmits of the 2xx to an INVITE, or more 2xx from forks (RFC 6026).
    M,
}

impl Timer {
    /// True for the timers that send again; the others end a wait.
    #[must_use]
    pub const fn resends(self) -> bool {
        matches!(self, Timer::A | Timer::E | Timer::G)
    }
}

/// What a step asks for, done in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the stored request again.
    SendRequest,
    /// Build and send the ACK for a response of 300 to 699 (RFC 3261 section 17.1.1.3).
    SendAck,
    /// Send the response that the TU gave, and keep it for retransmission.
    SendKept,
    /// Send the response that the TU gave; the TU repeats it itself.
    SendOnce,
    /// Send the last kept response again, if there is one.
    Resend,
    /// Hand the message to the TU.
    Pass,
    /// Start a timer (again).
    Start(Timer),
    /// Stop a timer.
    Stop(Timer),
    /// Tell the TU that the transaction timed out.
    InformTimeout,
    /// Tell the TU that the transport failed.
    InformFailure,
}

/// Where an arrow leads and what is done on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<S> {
    /// The next state.
    pub next: S,
    /// In order.
    pub actions: &'static [Action],
}

/// An arrow.
const fn to<S: Copy>(next: S, actions: &'static [Action]) -> Option<Step<S>> {
    Some(Step { next, actions })
}

#[cfg(test)]
mod tests;
