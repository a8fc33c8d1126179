//! INVITE client transaction: RFC 3261 section 17.1.1, figure 5, as redrawn by RFC 6026
//! section 8.4 with the state Accepted.

use super::Action::{InformFailure, InformTimeout, Pass, SendAck, SendRequest, Start, Stop};
use super::{Action, Step, Timer, to};

/// States of figure 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The INVITE is out, nothing came back.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// A response of 300 to 699 came and was acknowledged; its repetitions are too.
    Completed,
    /// A 2xx came; more of them go up to the TU (RFC 6026).
    Accepted,
    /// Over.
    Terminated,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// 1xx.
    Provisional,
    /// 2xx.
    Success,
    /// 300 to 699.
    Failure,
    /// Send again.
    TimerA,
    /// No response at all.
    TimerB,
    /// Enough waiting for repetitions of a failure.
    TimerD,
    /// Enough waiting for 2xx.
    TimerM,
    /// 64*T1 after our CANCEL there is still no final response (section 9.1).
    GiveUp,
    /// The request or the ACK could not be sent.
    TransportError,
}

impl State {
    /// For printing.
    pub const ALL: [State; 5] = [
        State::Calling,
        State::Proceeding,
        State::Completed,
        State::Accepted,
        State::Terminated,
    ];
}

impl Input {
    /// For printing.
    pub const ALL: [Input; 9] = [
        Input::Provisional,
        Input::Success,
        Input::Failure,
        Input::TimerA,
        Input::TimerB,
        Input::TimerD,
        Input::TimerM,
        Input::GiveUp,
        Input::TransportError,
    ];
}

/// The arrow into figure 5: "INVITE from TU: INVITE sent". Timer A runs on unreliable transports
/// only (section 17.1.1.2).
#[must_use]
pub const fn start(reliable: bool) -> Step<State> {
    let actions: &[Action] = if reliable {
        &[SendRequest, Start(Timer::B)]
    } else {
        &[SendRequest, Start(Timer::A), Start(Timer::B)]
    };
    Step {
        next: State::Calling,
        actions,
    }
}

/// The arrows of figure 5; `None` where it has none.
#[must_use]
pub const fn step(state: State, input: Input, reliable: bool) -> Option<Step<State>> {
    match (state, input) {
        // Figure 5 and 17.1.1.2: "the client transaction MUST retransmit the request", interval doubled.
        (State::Calling, Input::TimerA) if !reliable => to(State::Calling, &[SendRequest, Start(Timer::A)]),
        // Figure 5 and 17.1.1.2: "the client transaction SHOULD inform the TU that a timeout has occurred".
        (State::Calling, Input::TimerB) => to(State::Terminated, &[InformTimeout]),
        // Figure 5 and 17.1.4.
        (State::Calling, Input::TransportError) => to(State::Terminated, &[InformFailure]),
        // Figure 5 and 17.1.1.2: no retransmission in Proceeding; the 1xx MUST be passed up.
        (State::Calling, Input::Provisional) => to(State::Proceeding, &[Stop(Timer::A), Stop(Timer::B), Pass]),
        (State::Proceeding, Input::Provisional) => to(State::Proceeding, &[Pass]),
        // RFC 6026 8.4: a 2xx leads to Accepted, Timer M starts, and the 2xx is passed up.
        (State::Calling | State::Proceeding, Input::Success) => to(
            State::Accepted,
            &[Stop(Timer::A), Stop(Timer::B), Pass, Start(Timer::M)],
        ),
        // RFC 6026 8.4: every further 2xx (repeated or from another fork) is passed up.
        (State::Accepted, Input::Success) => to(State::Accepted, &[Pass]),
        // RFC 6026 8.4: Timer M ends Accepted.
        (State::Accepted, Input::TimerM) => to(State::Terminated, &[]),
        // Figure 5 and 17.1.1.2: passed up, ACK made by the transaction; Timer D is zero on
        // reliable transports, so Completed is over at once there.
        (State::Calling | State::Proceeding, Input::Failure) if reliable => {
            to(State::Terminated, &[Stop(Timer::A), Stop(Timer::B), SendAck, Pass])
        }
        (State::Calling | State::Proceeding, Input::Failure) => to(
            State::Completed,
            &[Stop(Timer::A), Stop(Timer::B), SendAck, Pass, Start(Timer::D)],
        ),
        // Figure 5: repetitions are acknowledged again and not passed up.
        (State::Completed, Input::Failure) => to(State::Completed, &[SendAck]),
        // Figure 5: Transport Err. / Inform TU.
        (State::Completed, Input::TransportError) => to(State::Terminated, &[InformFailure]),
        // Figure 5: Timer D fires.
        (State::Completed, Input::TimerD) => to(State::Terminated, &[]),
        // 9.1: "SHOULD then consider the original transaction cancelled and SHOULD destroy the
        // client transaction handling the original request".
        (State::Proceeding, Input::GiveUp) => to(State::Terminated, &[InformTimeout]),
        _ => None,
    }
}
