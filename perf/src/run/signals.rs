//! Ctrl-C and its kin, without a handler: one thread waits for them.

use nix::sys::signal::{SigSet, Signal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What the operator wants.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// SIGINT and SIGTERM so far.
    stop: Arc<AtomicU32>,
    /// SIGUSR1: no new calls (as SIPp).
    soft: Arc<AtomicU32>,
}

/// Keeps the signals for [`Signals::watch`]. Call before any thread is started.
pub fn block() {
    let _ = set().thread_block();
}

fn set() -> SigSet {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1] {
        set.add(signal);
    }
    set
}

impl Signals {
    /// Starts to watch.
    #[must_use]
    pub fn watch() -> Self {
        let signals = Self::default();
        let seen = signals.clone();
        let waiting = std::thread::Builder::new().name("signals".into()).spawn(move || {
            while let Ok(signal) = set().wait() {
                let count = if signal == Signal::SIGUSR1 {
                    &seen.soft
                } else {
                    &seen.stop
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Without the thread Ctrl-C does nothing; the run still ends by itself.
        drop(waiting);
        signals
    }

    /// How often the run was asked to stop.
    #[must_use]
    pub fn stops(&self) -> u32 {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether no new calls are wanted.
    #[must_use]
    pub fn soft(&self) -> bool {
        self.soft.load(Ordering::Relaxed) > 0
    }
}
