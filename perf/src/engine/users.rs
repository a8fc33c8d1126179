//! Users (`-users`): each of the calls that are kept going belongs to one. SIPp's rules: users are numbered from 1,
//! take turns in that order, and keep their variables from one call to the next.

use super::value::Value;
use std::collections::VecDeque;

/// The users of one shard: of all users, every `shards`-th.
pub(super) struct Users {
    shard: u64,
    shards: u64,
    /// Users without a call, by place; the longest waiting first.
    free: VecDeque<u32>,
    /// Variables of users without a call, by place.
    values: Vec<Vec<Value>>,
}

impl Users {
    /// `count` users with so many variables each, none of them set.
    pub(super) fn new(count: u64, variables: usize, shard: u64, shards: u64) -> Self {
        Self {
            shard,
            shards,
            free: (0..count as u32).collect(),
            values: (0..count).map(|_| vec![Value::None; variables]).collect(),
        }
    }

    /// The user of a new call, and its variables.
    pub(super) fn take(&mut self) -> Option<(u64, Vec<Value>)> {
        let place = self.free.pop_front()?;
        let values = self.values.get_mut(place as usize).map(std::mem::take)?;
        Some((1 + self.shard + u64::from(place) * self.shards, values))
    }

    /// The user's call is over.
    pub(super) fn give_back(&mut self, user: u64, values: Vec<Value>) {
        let Some(place) = user.checked_sub(1 + self.shard).map(|from| from / self.shards) else {
            return;
        };
        if let Some(kept) = self.values.get_mut(place as usize) {
            *kept = values;
            self.free.push_back(place as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_take_turns_and_keep_their_values() {
        let mut users = Users::new(2, 1, 1, 3);
        let (first, mut values) = users.take().expect("two are free");
        assert_eq!((first, &values), (2, &vec![Value::None]));
        let (second, others) = users.take().expect("one is free");
        assert_eq!(second, 5);
        assert!(users.take().is_none());
        values[0] = Value::Number(7.0);
        users.give_back(second, others);
        users.give_back(first, values);
        assert_eq!(users.take().map(|(user, _)| user), Some(5));
        assert_eq!(users.take(), Some((2, vec![Value::Number(7.0)])));
    }
}
