//! Lays a machine out as text: a matrix to read and a DOT graph to draw.

use super::{Action, Step};
use std::fmt::{Debug, Write};

/// Prints `step` for both kinds of transport, as rows of states and columns of inputs.
pub(super) fn machine<S: Copy + Debug + PartialEq, I: Copy + Debug>(
    states: &[S],
    inputs: &[I],
    start: [Step<S>; 2],
    step: fn(S, I, bool) -> Option<Step<S>>,
) -> String {
    let mut out = String::new();
    for (reliable, start) in [false, true].into_iter().zip(start) {
        let _ = writeln!(out, "[{}]", if reliable { "reliable" } else { "unreliable" });
        let _ = writeln!(out, "start -> {:?}: {}", start.next, list(start.actions));
        for &state in states {
            let _ = writeln!(out, "{state:?}");
            for &input in inputs {
                let cell = match step(state, input, reliable) {
                    None => "-".to_owned(),
                    Some(arrow) => format!("{:?}: {}", arrow.next, list(arrow.actions)),
                };
                let _ = writeln!(out, "  {:<15} {cell}", format!("{input:?}"));
            }
        }
    }
    out
}

/// Prints the unreliable machine as a DOT graph.
pub(super) fn dot<S: Copy + Debug + PartialEq, I: Copy + Debug>(
    name: &str,
    states: &[S],
    inputs: &[I],
    start: Step<S>,
    step: fn(S, I, bool) -> Option<Step<S>>,
) -> String {
    let mut out = format!("digraph {name} {{\n  start [shape=point];\n");
    let _ = writeln!(out, "  start -> {:?} [label=\"{}\"];", start.next, list(start.actions));
    for &state in states {
        for &input in inputs {
            if let Some(arrow) = step(state, input, false) {
                let label = format!("{input:?} / {}", list(arrow.actions));
                let _ = writeln!(out, "  {state:?} -> {:?} [label=\"{label}\"];", arrow.next);
            }
        }
    }
    out.push_str("}\n");
    out
}

fn list(actions: &[Action]) -> String {
    if actions.is_empty() {
        return "nothing".to_owned();
    }
    let names: Vec<String> = actions.iter().map(|action| format!("{action:?}")).collect();
    names.join(", ")
}
