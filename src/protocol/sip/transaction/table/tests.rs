//! The printed tables are the reviewed truth: a change of a machine shows up as a changed
//! snapshot below `snapshots/`.

use super::print::{dot, machine};
use super::{Action, Step, Timer, invite_client, invite_server, non_invite_client, non_invite_server};

macro_rules! snapshots {
    ($test:ident, $machine:ident, $starts:expr) => {
        #[test]
        fn $test() {
            let starts = $starts;
            let (states, inputs) = (&$machine::State::ALL, &$machine::Input::ALL);
            insta::assert_snapshot!(
                concat!(stringify!($machine), "_matrix"),
                machine(states, inputs, starts, $machine::step)
            );
            insta::assert_snapshot!(
                concat!(stringify!($machine), "_dot"),
                dot(stringify!($machine), states, inputs, starts[0], $machine::step)
            );
        }
    };
}

snapshots!(
    figure_5,
    invite_client,
    [invite_client::start(false), invite_client::start(true)]
);
snapshots!(
    figure_6,
    non_invite_client,
    [non_invite_client::start(false), non_invite_client::start(true)]
);
snapshots!(
    figure_7,
    invite_server,
    [invite_server::start(), invite_server::start()]
);
snapshots!(
    figure_8,
    non_invite_server,
    [non_invite_server::start(), non_invite_server::start()]
);

/// Every action list of a machine, with the transport's kind.
fn arrows<S: Copy, I: Copy>(
    states: &[S],
    inputs: &[I],
    step: fn(S, I, bool) -> Option<Step<S>>,
) -> Vec<(bool, &'static [Action])> {
    let mut all = Vec::new();
    for reliable in [false, true] {
        for &state in states {
            for &input in inputs {
                all.extend(step(state, input, reliable).map(|arrow| (reliable, arrow.actions)));
            }
        }
    }
    all
}

/// Section 17: retransmission timers and the wait timers D, I, J, K never start on reliable
/// transports.
#[test]
fn reliable_transports_start_no_retransmission() {
    let mut all = arrows(
        &invite_client::State::ALL,
        &invite_client::Input::ALL,
        invite_client::step,
    );
    all.extend(arrows(
        &invite_server::State::ALL,
        &invite_server::Input::ALL,
        invite_server::step,
    ));
    all.extend(arrows(
        &non_invite_client::State::ALL,
        &non_invite_client::Input::ALL,
        non_invite_client::step,
    ));
    all.extend(arrows(
        &non_invite_server::State::ALL,
        &non_invite_server::Input::ALL,
        non_invite_server::step,
    ));
    for (reliable, actions) in all {
        for action in actions.iter().filter(|_| reliable) {
            assert!(
                !matches!(
                    action,
                    Action::Start(Timer::A | Timer::D | Timer::E | Timer::G | Timer::I | Timer::J | Timer::K)
                ),
                "{actions:?}"
            );
        }
    }
}

/// Nothing leads out of Terminated.
#[test]
fn terminated_is_the_end() {
    for reliable in [false, true] {
        for input in invite_client::Input::ALL {
            assert_eq!(
                invite_client::step(invite_client::State::Terminated, input, reliable),
                None
            );
        }
        for input in invite_server::Input::ALL {
            assert_eq!(
                invite_server::step(invite_server::State::Terminated, input, reliable),
                None
            );
        }
        for input in non_invite_client::Input::ALL {
            assert_eq!(
                non_invite_client::step(non_invite_client::State::Terminated, input, reliable),
                None
            );
        }
        for input in non_invite_server::Input::ALL {
            assert_eq!(
                non_invite_server::step(non_invite_server::State::Terminated, input, reliable),
                None
            );
        }
    }
}
