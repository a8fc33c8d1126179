//! The newest figures of all shards, shared by everybody who looks: however many browsers and
//! scrapers there are, a shard is asked at most some twenty times a second.

use super::backend::Backend;
use super::model::{CallState, ShardFigures};
use super::stats::Direction;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How old figures may be before the shards are asked again.
const FRESH: Duration = Duration::from_millis(50);

/// One shard, as last heard of.
#[derive(Clone, Debug)]
pub struct ShardView {
    /// Which.
    pub shard: u16,
    /// How often it was restarted.
    pub restarts: u64,
    /// It did not answer when asked last; `figures` are from before.
    pub silent: bool,
    /// Counters include those of instances before a restart.
    pub figures: ShardFigures,
}

/// All shards at one time.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Unix milliseconds.
    pub at: u64,
    /// In the order of their numbers.
    pub shards: Vec<ShardView>,
}

impl View {
    /// A sum over all shards.
    pub fn sum(&self, of: impl Fn(&ShardFigures) -> u64) -> u64 {
        self.shards.iter().map(|shard| of(&shard.figures)).sum()
    }

    /// Calls in a state, all shards.
    #[must_use]
    pub fn calls_in(&self, state: CallState) -> u64 {
        self.sum(|f| f.calls[state as usize])
    }

    /// All calls.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.sum(ShardFigures::calls_total)
    }

    /// Requests received since the start.
    #[must_use]
    pub fn requests_in(&self) -> u64 {
        self.sum(|f| f.stats.requests_total(Direction::In))
    }
}

/// What is remembered of a shard between two looks.
#[derive(Default)]
struct Known {
    restarts: u64,
    /// Counters of instances that are gone.
    retired: Option<Box<ShardFigures>>,
    /// The running instance, as it last answered.
    last: Option<Box<ShardFigures>>,
}

#[derive(Default)]
struct Inner {
    taken: Option<Instant>,
    view: Arc<View>,
    known: BTreeMap<u16, Known>,
}

/// Asks the shards, when the last answer is not fresh any more.
pub struct Views {
    backend: Arc<dyn Backend>,
    inner: Mutex<Inner>,
}

/// Milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Views {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self {
            backend,
            inner: Mutex::default(),
        }
    }

    /// The newest figures. Blocks for 200 ms at most (see [`Backend`]); whoever comes meanwhile
    /// waits for the same answer.
    #[must_use]
    pub fn get(&self) -> Arc<View> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.taken.is_some_and(|taken| taken.elapsed() < FRESH) {
            return inner.view.clone();
        }
        let answers = self.backend.snapshot();
        let mut shards = Vec::with_capacity(answers.len());
        for answer in answers {
            let known = inner.known.entry(answer.shard).or_default();
            let silent = answer.figures.is_none();
            if answer.restarts != known.restarts {
                known.restarts = answer.restarts;
                if let Some(mut gone) = known.last.take() {
                    gone.clear_gauges();
                    match &mut known.retired {
                        Some(retired) => retired.add_counters(&gone),
                        None => known.retired = Some(gone),
                    }
                }
            }
            if let Some(figures) = answer.figures {
                known.last = Some(figures);
            }
            let mut figures = known.last.as_deref().cloned().unwrap_or_default();
            if let Some(retired) = &known.retired {
                figures.add_counters(retired);
            }
            shards.push(ShardView {
                shard: answer.shard,
                restarts: answer.restarts,
                silent,
                figures,
            });
        }
        inner.view = Arc::new(View {
            at: unix_millis(),
            shards,
        });
        inner.taken = Some(Instant::now());
        inner.view.clone()
    }
}
