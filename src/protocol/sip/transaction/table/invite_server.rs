//! INVITE server transaction: RFC 3261 section 17.2.1, figure 7, as redrawn by RFC 6026
//! section 8.7 with the state Accepted.

use super::Action::{InformFailure, InformTimeout, Pass, Resend, SendKept, SendOnce, Start, Stop};
use super::{Step, Timer, to};

/// States of figure 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The INVITE is with the TU.
    Proceeding,
    /// A response of 300 to 699 was sent and waits for its ACK.
    Completed,
    /// The ACK came; its repetitions are absorbed.
    Confirmed,
    /// A 2xx was sent; repetitions of the INVITE are absorbed, the TU repeats the 2xx (RFC 6026).
    Accepted,
    /// Over.
    Terminated,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The INVITE came again.
    Invite,
    /// An ACK that matches.
    Ack,
    /// The TU gives a 1xx.
    Provisional,
    /// The TU gives a 2xx.
    Success,
    /// The TU gives 300 to 699.
    Failure,
    /// Send the response again.
    TimerG,
    /// No ACK came.
    TimerH,
    /// Enough waiting for repetitions of the ACK.
    TimerI,
    /// Enough waiting for repetitions of the INVITE.
    TimerL,
    /// A response could not be sent.
    TransportError,
}

impl State {
    /// For printing.
    pub const ALL: [State; 5] = [
        State::Proceeding,
        State::Completed,
        State::Confirmed,
        State::Accepted,
        State::Terminated,
    ];
}

impl Input {
    /// For printing.
    pub const ALL: [Input; 10] = [
        Input::Invite,
        Input::Ack,
        Input::Provisional,
        Input::Success,
        Input::Failure,
        Input::TimerG,
        Input::TimerH,
        Input::TimerI,
        Input::TimerL,
        Input::TransportError,
    ];
}

/// The arrow into figure 7: "INVITE: pass INVITE to TU". The 100 that the figure sends after
/// 200 ms is the TU's to give, at once.
#[must_use]
pub const fn start() -> Step<State> {
    Step {
        next: State::Proceeding,
        actions: &[Pass],
    }
}

/// The arrows of figure 7; `None` where it has none.
#[must_use]
pub const fn step(state: State, input: Input, reliable: bool) -> Option<Step<State>> {
    match (state, input) {
        // Figure 7 and 17.2.1: "the most recent provisional response ... MUST be passed to the
        // transport layer for retransmission".
        (State::Proceeding, Input::Invite) => to(State::Proceeding, &[Resend]),
        // Figure 7: 1xx from TU / send response.
        (State::Proceeding, Input::Provisional) => to(State::Proceeding, &[SendKept]),
        // RFC 6026 8.7: 2xx from TU / send response, Timer L starts.
        (State::Proceeding, Input::Success) => to(State::Accepted, &[SendOnce, Start(Timer::L)]),
        // Figure 7 and 17.2.1: Timer G on unreliable transports only, Timer H on all.
        (State::Proceeding, Input::Failure) if reliable => to(State::Completed, &[SendKept, Start(Timer::H)]),
        (State::Proceeding, Input::Failure) => to(State::Completed, &[SendKept, Start(Timer::G), Start(Timer::H)]),
        // Figure 7: INVITE / send response.
        (State::Completed, Input::Invite) => to(State::Completed, &[Resend]),
        // Figure 7 and 17.2.1: Timer G doubles up to T2.
        (State::Completed, Input::TimerG) if !reliable => to(State::Completed, &[Resend, Start(Timer::G)]),
        // Figure 7 and 17.2.1: "the transaction user MUST be informed".
        (State::Completed, Input::TimerH) => to(State::Terminated, &[InformTimeout]),
        // Figure 7 and 17.2.1: retransmissions cease; Timer I is zero on reliable transports.
        (State::Completed, Input::Ack) if reliable => to(State::Terminated, &[Stop(Timer::G), Stop(Timer::H)]),
        (State::Completed, Input::Ack) => to(State::Confirmed, &[Stop(Timer::G), Stop(Timer::H), Start(Timer::I)]),
        // 17.2.1: Confirmed is there "to absorb any additional ACK messages".
        (State::Confirmed, Input::Ack) => to(State::Confirmed, &[]),
        // Figure 7: Timer I fires.
        (State::Confirmed, Input::TimerI) => to(State::Terminated, &[]),
        // RFC 6026 7.1 and 8.7: repetitions of the INVITE are absorbed in Accepted.
        (State::Accepted, Input::Invite) => to(State::Accepted, &[]),
        // RFC 6026 8.7: an ACK in Accepted is passed up, it belongs to the 2xx.
        (State::Accepted, Input::Ack) => to(State::Accepted, &[Pass]),
        // RFC 6026 8.7: each further 2xx from the TU (a repetition, or another fork's) is sent.
        (State::Accepted, Input::Success) => to(State::Accepted, &[SendOnce]),
        // RFC 6026 8.7: Timer L ends Accepted. Whether an ACK came is known to the TU alone.
        (State::Accepted, Input::TimerL) => to(State::Terminated, &[InformTimeout]),
        // RFC 6026 8.8 (17.2.4): inform the TU "and MUST remain in the current state".
        (State::Proceeding | State::Completed | State::Accepted, Input::TransportError) => to(state, &[InformFailure]),
        _ => None,
    }
}
