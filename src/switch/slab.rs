//! A slab with generations: an index that outlives its entry finds nothing instead of a stranger.

/// Index and generation of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    /// Place in the slab.
    pub index: u32,
    /// How often the place was used before.
    pub generation: u32,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}

/// Entries in a vector, freed places are used again.
#[derive(Debug)]
pub struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Puts a value in.
    pub fn insert(&mut self, value: T) -> Handle {
        if let Some(index) = self.free.pop()
            && let Some(place) = self.places.get_mut(index as usize)
        {
            place.value = Some(value);
            return Handle { index, generation: place.generation };
        }
        let index = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.push(Place { generation: 0, value: Some(value) });
        Handle { index, generation: 0 }
    }

    /// Looks an entry up.
    pub fn get(&self, handle: Handle) -> Option<&T> {
        let place = self.places.get(handle.index as usize)?;
        if place.generation == handle.generation { place.value.as_ref() } else { None }
    }

    /// Looks an entry up to change it.
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        let place = self.places.get_mut(handle.index as usize)?;
        if place.generation == handle.generation { place.value.as_mut() } else { None }
    }

    /// Takes an entry out; its handle finds nothing from now on.
    pub fn remove(&mut self, handle: Handle) -> Option<T> {
        let place = self.places.get_mut(handle.index as usize)?;
        if place.generation != handle.generation {
            return None;
        }
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(handle.index);
        Some(value)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (Handle, &T)> {
        self.places.iter().enumerate().filter_map(|(index, place)| {
            let handle = Handle { index: u32::try_from(index).ok()?, generation: place.generation };
            place.value.as_ref().map(|value| (handle, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_handle_finds_nothing() {
        let mut slab = Slab::default();
        let first = slab.insert("a");
        assert_eq!(slab.remove(first), Some("a"));
        let second = slab.insert("b");
        assert_eq!(second.index, first.index);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get(second), Some(&"b"));
        assert_eq!(slab.len(), 1);
    }
}
