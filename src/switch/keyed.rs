//! The keyed hash that decides who is whose home, and where a name lies in a table. The key is a
//! secret of the process, so that no peer can choose names that meet in one place.

use std::hash::{BuildHasher, DefaultHasher, Hasher};

/// SipHash of the standard library under a key of ours. `RandomState` does the same, but hides its
/// key: a simulated run could not be repeated in another process.
#[derive(Clone, Debug)]
pub struct Keyed(DefaultHasher);

impl Keyed {
    /// The hash under `key`. Who has to be safe from peers takes the key from the operating system.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(&key);
        Self(hasher)
    }
}

impl BuildHasher for Keyed {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_alone_decides() {
        let one = Keyed::new([1; 32]);
        assert_eq!(one.hash_one("name"), Keyed::new([1; 32]).hash_one("name"));
        assert_ne!(one.hash_one("name"), Keyed::new([2; 32]).hash_one("name"));
        assert_ne!(one.hash_one("name"), one.hash_one("names"));
    }
}
