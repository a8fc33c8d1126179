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
    /// As it last answered.
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
                // Its counters go on: the backend adds those of the instances before.
                if let Some(gone) = &mut known.last {
                    gone.clear_gauges();
                }
            }
            if let Some(figures) = answer.figures {
                known.last = Some(figures);
            }
            let figures = known.last.as_deref().cloned().unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::backend::Refused;
    use crate::ops::model::{About, CallRow, RegistrationRow, ShardSnapshot, UserRow};

    /// Answers with what the test puts in.
    struct Scripted(Mutex<(ShardSnapshot, u32)>);

    impl Backend for Scripted {
        fn about(&self) -> &About {
            unreachable!("views do not ask")
        }
        fn snapshot(&self) -> Vec<ShardSnapshot> {
            let mut script = self.0.lock().unwrap();
            script.1 += 1;
            vec![script.0.clone()]
        }
        fn draining(&self) -> bool {
            false
        }
        fn calls(&self, _: usize) -> Vec<CallRow> {
            vec![]
        }
        fn registrations(&self, _: usize, _: &str) -> Vec<RegistrationRow> {
            vec![]
        }
        fn hang_up(&self, _: &str) -> Result<(), Refused> {
            Err(Refused::NotFound)
        }
        fn drain(&self) {}
        fn validate(&self, _: &str) -> Result<(), Vec<String>> {
            Ok(())
        }
        fn users(&self, _: bool) -> Vec<UserRow> {
            vec![]
        }
        fn inject_panic(&self, _: u16) -> Result<(), Refused> {
            Err(Refused::Forbidden)
        }
    }

    fn snapshot(restarts: u64, figures: Option<(u64, u64)>) -> ShardSnapshot {
        let figures = figures.map(|(started, ringing)| {
            let mut figures = ShardFigures::default();
            figures.stats.calls_started = started;
            figures.calls[CallState::Ringing as usize] = ringing;
            Box::new(figures)
        });
        ShardSnapshot {
            shard: 0,
            restarts,
            figures,
        }
    }

    #[test]
    fn counters_survive_silence_and_restarts_but_gauges_do_not() {
        let backend = Arc::new(Scripted(Mutex::new((snapshot(0, Some((100, 7))), 0))));
        let views = Views::new(backend.clone());
        let look = |next: ShardSnapshot| {
            backend.0.lock().unwrap().0 = next;
            std::thread::sleep(FRESH + Duration::from_millis(5));
            let view = views.get();
            let shard = &view.shards[0];
            (
                shard.figures.stats.calls_started,
                view.calls(),
                shard.silent,
                shard.restarts,
            )
        };
        assert_eq!(look(snapshot(0, Some((100, 7)))), (100, 7, false, 0));
        assert_eq!(look(snapshot(0, None)), (100, 7, true, 0), "silent: as last heard");
        assert_eq!(
            look(snapshot(1, None)),
            (100, 0, true, 1),
            "its calls are lost, what it did is not"
        );
        // The backend has added the first instance's already; twice would be a jump in every rate.
        assert_eq!(look(snapshot(1, Some((105, 1)))), (105, 1, false, 1));
        assert_eq!(look(snapshot(2, Some((108, 2)))), (108, 2, false, 2));
    }

    #[test]
    fn shards_are_not_asked_more_often_than_needed() {
        let backend = Arc::new(Scripted(Mutex::new((snapshot(0, Some((1, 0))), 0))));
        let views = Views::new(backend.clone());
        let begun = Instant::now();
        for _ in 0..1000 {
            let _ = views.get();
        }
        let most = 1 + begun.elapsed().as_millis() / FRESH.as_millis();
        assert!(u128::from(backend.0.lock().unwrap().1) <= most);
    }
}
