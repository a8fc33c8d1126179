//! Octets of a call and of a binding, from how resident memory grew with them.

use super::fit::Smooth;
use super::learn::CALM_COST;

/// Octets of a call until enough of them stood: a generous guess, twice what a relayed call takes
/// with its two legs, transactions and buffers.
pub const OCTETS_A_CALL: f64 = 32.0 * 1024.0;
/// Octets of a binding, measured with a hundred thousand of them.
pub const OCTETS_A_BINDING: f64 = 214.0;
/// Growth that is more than what the allocator rounds.
const CALLS_TO_JUDGE: u64 = 1000;
const BINDINGS_TO_JUDGE: u64 = 10_000;
/// What can be believed.
const CALL_RANGE: (f64, f64) = (1024.0, 1_048_576.0);
const BINDING_RANGE: (f64, f64) = (64.0, 16_384.0);

#[derive(Clone, Copy, Debug)]
struct Stand {
    resident: u64,
    calls: u64,
    bindings: u64,
}

/// What was learnt. Only a new peak teaches: memory of calls that have ended is kept for the next.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    first: Option<Stand>,
    calls_peak: u64,
    bindings_peak: u64,
    call: Smooth,
    binding: Smooth,
}

impl Memory {
    /// One look.
    pub fn learn(&mut self, resident: Option<u64>, calls: u64, bindings: u64, seconds: f64) {
        let Some(resident) = resident else { return };
        let first = *self.first.get_or_insert(Stand {
            resident,
            calls,
            bindings,
        });
        let grown = resident.saturating_sub(first.resident) as f64;
        let (more_calls, more_bindings) = (
            calls.saturating_sub(first.calls),
            bindings.saturating_sub(first.bindings),
        );
        let settle = |grown: f64, by: u64, (least, most): (f64, f64)| (grown / by as f64).clamp(least, most);
        if calls >= self.calls_peak && more_calls >= CALLS_TO_JUDGE {
            let others = more_bindings as f64 * self.octets_a_binding();
            self.call.add(
                settle((grown - others).max(0.0), more_calls, CALL_RANGE),
                seconds,
                CALM_COST,
            );
        }
        let no_calls = calls.max(self.calls_peak) <= first.calls + CALLS_TO_JUDGE / 10;
        if bindings >= self.bindings_peak && more_bindings >= BINDINGS_TO_JUDGE && no_calls {
            self.binding
                .add(settle(grown, more_bindings, BINDING_RANGE), seconds, CALM_COST);
        }
        self.calls_peak = self.calls_peak.max(calls);
        self.bindings_peak = self.bindings_peak.max(bindings);
    }

    /// Learnt, or the guess.
    #[must_use]
    pub fn octets_a_call(&self) -> f64 {
        self.call.known().unwrap_or(OCTETS_A_CALL)
    }

    /// Learnt, or as measured.
    #[must_use]
    pub fn octets_a_binding(&self) -> f64 {
        self.binding.known().unwrap_or(OCTETS_A_BINDING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_teach_and_the_way_down_does_not() {
        let mut memory = Memory::default();
        let base = 80_000_000;
        for calls in (0..=4000).step_by(100) {
            memory.learn(Some(base + calls * 20_000), calls, 0, 1.0);
        }
        assert!((memory.octets_a_call() - 20_000.0).abs() < 100.0);
        memory.learn(Some(base + 80_000_000), 1500, 0, 1.0);
        assert!(
            (memory.octets_a_call() - 20_000.0).abs() < 100.0,
            "kept for the next calls"
        );
        assert_eq!(memory.octets_a_binding(), OCTETS_A_BINDING);
    }

    #[test]
    fn bindings_teach_while_there_are_no_calls() {
        let mut memory = Memory::default();
        for bindings in (0..=40_000).step_by(1000) {
            memory.learn(Some(50_000_000 + bindings * 300), 0, bindings, 1.0);
        }
        assert!((memory.octets_a_binding() - 300.0).abs() < 1.0);
        assert_eq!(memory.octets_a_call(), OCTETS_A_CALL);
        memory.learn(None, 9000, 90_000, 1.0);
        assert_eq!(memory.octets_a_call(), OCTETS_A_CALL, "memory that cannot be read");
    }
}
