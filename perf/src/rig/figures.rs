//! The figures of a shard, and of all.

use super::AudioFigures;
use crate::engine::{Counters, Times};

/// One role.
#[derive(Clone, Debug, Default)]
pub struct RoleFigures {
    /// Counts since the start.
    pub counters: Counters,
    /// Times since they were last taken.
    pub times: Times,
}

/// All roles, and the audio since it was last taken.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// By role.
    pub roles: Vec<RoleFigures>,
    /// All of them together.
    pub audio: AudioFigures,
}

impl Figures {
    /// Adds another shard's: of the same time.
    pub fn merge(&mut self, other: &Self) {
        if self.roles.len() < other.roles.len() {
            self.roles.resize_with(other.roles.len(), RoleFigures::default);
        }
        for (to, from) in self.roles.iter_mut().zip(&other.roles) {
            to.counters.merge(&from.counters);
            to.times.merge(&from.times);
        }
        let (open, skipped) = (
            self.audio.open + other.audio.open,
            self.audio.skipped + other.audio.skipped,
        );
        self.audio.merge(&other.audio);
        (self.audio.open, self.audio.skipped) = (open, skipped);
    }

    /// Adds the times of a later look: counts are those of the later one.
    pub fn follow(&mut self, later: Self) {
        if self.roles.len() < later.roles.len() {
            self.roles.resize_with(later.roles.len(), RoleFigures::default);
        }
        for (to, from) in self.roles.iter_mut().zip(later.roles) {
            to.counters = from.counters;
            to.times.merge(&from.times);
        }
        self.audio.merge(&later.audio);
        (self.audio.open, self.audio.skipped) = (later.audio.open, later.audio.skipped);
    }
}
