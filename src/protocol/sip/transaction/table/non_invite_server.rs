//! Non-INVITE server transaction: RFC 3261 section 17.2.2, figure 8.

use super::Action::{InformFailure, Pass, Resend, SendKept, SendOnce, Start};
use super::{Step, Timer, to};

/// States of figure 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The request is with the TU, no response yet.
    Trying,
    /// A provisional response was sent.
    Proceeding,
    /// A final response was sent and is repeated for each repetition of the request.
    Completed,
    /// Over.
    Terminated,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The request came again.
    Request,
    /// The TU gives a 1xx.
    Provisional,
    /// The TU gives 200 to 699.
    Final,
    /// Enough waiting for repetitions.
    TimerJ,
    /// A response could not be sent.
    TransportError,
}

impl State {
    /// For printing.
    pub const ALL: [State; 4] = [State::Trying, State::Proceeding, State::Completed, State::Terminated];
}

impl Input {
    /// For printing.
    pub const ALL: [Input; 5] = [
        Input::Request,
        Input::Provisional,
        Input::Final,
        Input::TimerJ,
        Input::TransportError,
    ];
}

/// The arrow into figure 8: "Request received: pass to TU".
#[must_use]
pub const fn start() -> Step<State> {
    Step {
        next: State::Trying,
        actions: &[Pass],
    }
}

/// The arrows of figure 8; `None` where it has none.
#[must_use]
pub const fn step(state: State, input: Input, reliable: bool) -> Option<Step<State>> {
    match (state, input) {
        // 17.2.2: "Once in the Trying state, any further request retransmissions are discarded."
        (State::Trying, Input::Request) => to(State::Trying, &[]),
        // Figure 8: Request / send response.
        (State::Proceeding, Input::Request) => to(State::Proceeding, &[Resend]),
        // Figure 8: 1xx from TU / send response.
        (State::Trying | State::Proceeding, Input::Provisional) => to(State::Proceeding, &[SendKept]),
        // Figure 8: 200-699 from TU / send response; Timer J is zero on reliable transports.
        (State::Trying | State::Proceeding, Input::Final) if reliable => to(State::Terminated, &[SendOnce]),
        (State::Trying | State::Proceeding, Input::Final) => to(State::Completed, &[SendKept, Start(Timer::J)]),
        // Figure 8: Request / send response. Other final responses of the TU are discarded (17.2.2).
        (State::Completed, Input::Request) => to(State::Completed, &[Resend]),
        // Figure 8: Timer J fires.
        (State::Completed, Input::TimerJ) => to(State::Terminated, &[]),
        // RFC 6026 8.8 (17.2.4): inform the TU "and MUST remain in the current state".
        (State::Proceeding | State::Completed, Input::TransportError) => to(state, &[InformFailure]),
        _ => None,
    }
}
