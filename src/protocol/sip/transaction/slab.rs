//! Numbered places that are used again; a generation tells the users of one place apart.

/// Up to `limit` entries in places 0, 1, 2 ...; memory grows to the busiest moment and stays.
pub(super) struct Slab<T> {
    places: Vec<Place<T>>,
    /// Head of the list of free places.
    free: u32,
    live: usize,
}

struct Place<T> {
    /// Odd while in use; never 0 when used.
    generation: u32,
    content: Content<T>,
}

enum Content<T> {
    Free { next: u32 },
    Used(T),
}

/// End of the free list.
const NONE: u32 = u32::MAX;
/// Generations stay below this, so that they fit a tag beside the side bit.
const GENERATIONS: u32 = 1 << 31;

impl<T> Slab<T> {
    /// Reserves address space for a while of growth; pages are touched as they are used.
    pub(super) fn new(expected: usize) -> Self {
        Self {
            places: Vec::with_capacity(expected),
            free: NONE,
            live: 0,
        }
    }

    /// Puts an entry somewhere; gives place and generation.
    pub(super) fn insert(&mut self, entry: T) -> (u32, u32) {
        self.live += 1;
        if let Some(place) = self.places.get_mut(self.free as usize)
            && let Content::Free { next } = place.content
        {
            let index = std::mem::replace(&mut self.free, next);
            place.generation = (place.generation + 1) % GENERATIONS;
            place.content = Content::Used(entry);
            return (index, place.generation);
        }
        let index = u32::try_from(self.places.len()).unwrap_or(NONE);
        debug_assert!(index < NONE, "limits are 32 bits");
        self.places.push(Place {
            generation: 1,
            content: Content::Used(entry),
        });
        (index, 1)
    }

    /// Takes the entry out of a place.
    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let place = self.places.get_mut(index as usize)?;
        if matches!(place.content, Content::Free { .. }) {
            return None;
        }
        self.live -= 1;
        place.generation = (place.generation + 1) % GENERATIONS;
        match std::mem::replace(
            &mut place.content,
            Content::Free {
                next: std::mem::replace(&mut self.free, index),
            },
        ) {
            Content::Used(entry) => Some(entry),
            Content::Free { .. } => None,
        }
    }

    /// The entry in a place, whoever it is.
    pub(super) fn at(&self, index: u32) -> Option<&T> {
        match &self.places.get(index as usize)?.content {
            Content::Used(entry) => Some(entry),
            Content::Free { .. } => None,
        }
    }

    /// The entry in a place, to change.
    pub(super) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        match &mut self.places.get_mut(index as usize)?.content {
            Content::Used(entry) => Some(entry),
            Content::Free { .. } => None,
        }
    }

    /// The generation of a place; 0 where there never was an entry.
    pub(super) fn generation(&self, index: u32) -> u32 {
        self.places.get(index as usize).map_or(0, |place| place.generation)
    }

    /// The entry that was put there with that generation.
    pub(super) fn get(&self, index: u32, generation: u32) -> Option<&T> {
        self.at(index).filter(|_| self.generation(index) == generation)
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// How many places there ever were at once.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_with_another_generation() {
        let mut slab = Slab::new(0);
        let (a, first) = slab.insert('a');
        let (b, _) = slab.insert('b');
        assert_ne!(a, b);
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.get(a, first), None);
        let (c, second) = slab.insert('c');
        assert_eq!(c, a);
        assert_ne!(first, second);
        assert_eq!((slab.get(c, first), slab.get(c, second)), (None, Some(&'c')));
        assert_eq!((slab.len(), slab.places()), (2, 2));
    }
}
