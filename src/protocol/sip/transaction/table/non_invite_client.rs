//! Non-INVITE client transaction: RFC 3261 section 17.1.2, figure 6.

use super::Action::{InformFailure, InformTimeout, Pass, SendRequest, Start, Stop};
use super::{Action, Step, Timer, to};

/// States of figure 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The request is out, nothing came back.
    Trying,
    /// A provisional response came.
    Proceeding,
    /// A final response came; its repetitions are absorbed.
    Completed,
    /// Over.
    Terminated,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// 1xx.
    Provisional,
    /// 200 to 699.
    Final,
    /// Send again.
    TimerE,
    /// No final response.
    TimerF,
    /// Enough waiting for repetitions.
    TimerK,
    /// The request could not be sent.
    TransportError,
}

impl State {
    /// For printing.
    pub const ALL: [State; 4] = [State::Trying, State::Proceeding, State::Completed, State::Terminated];
}

impl Input {
    /// For printing.
    pub const ALL: [Input; 6] = [
        Input::Provisional,
        Input::Final,
        Input::TimerE,
        Input::TimerF,
        Input::TimerK,
        Input::TransportError,
    ];
}

/// The arrow into figure 6: "Request from TU: send request". Timer E runs on unreliable
/// transports only (section 17.1.2.2).
#[must_use]
pub const fn start(reliable: bool) -> Step<State> {
    let actions: &[Action] = if reliable {
        &[SendRequest, Start(Timer::F)]
    } else {
        &[SendRequest, Start(Timer::E), Start(Timer::F)]
    };
    Step {
        next: State::Trying,
        actions,
    }
}

/// The arrows of figure 6; `None` where it has none.
#[must_use]
pub const fn step(state: State, input: Input, reliable: bool) -> Option<Step<State>> {
    match (state, input) {
        // Figure 6 and 17.1.2.2: the interval doubles up to T2 in Trying, and is T2 in Proceeding.
        (State::Trying | State::Proceeding, Input::TimerE) if !reliable => to(state, &[SendRequest, Start(Timer::E)]),
        // Figure 6: Timer F / inform TU, from both.
        (State::Trying | State::Proceeding, Input::TimerF) => to(State::Terminated, &[InformTimeout]),
        // Figure 6 and 17.1.4: Transport Err. / inform TU, from both.
        (State::Trying | State::Proceeding, Input::TransportError) => to(State::Terminated, &[InformFailure]),
        // Figure 6: 1xx / resp. to TU, from both. Timers E and F go on.
        (State::Trying | State::Proceeding, Input::Provisional) => to(State::Proceeding, &[Pass]),
        // Figure 6: 200-699 / resp. to TU; Timer K is zero on reliable transports.
        (State::Trying | State::Proceeding, Input::Final) if reliable => {
            to(State::Terminated, &[Stop(Timer::E), Stop(Timer::F), Pass])
        }
        (State::Trying | State::Proceeding, Input::Final) => to(
            State::Completed,
            &[Stop(Timer::E), Stop(Timer::F), Pass, Start(Timer::K)],
        ),
        // 17.1.2.2: Completed is there "to buffer any additional response retransmissions".
        (State::Completed, Input::Final) => to(State::Completed, &[]),
        // Figure 6: Timer K fires.
        (State::Completed, Input::TimerK) => to(State::Terminated, &[]),
        _ => None,
    }
}
