//! Which shapes are in use, counted by the keys that have them.

use portcullis_core::key::KeyMap;
use portcullis_core::{Key, Shape};

/// The shapes of the live revocations.
#[derive(Clone, Debug, Default)]
pub(super) struct Shapes {
    slots: Vec<Slot>,
    // A key is a hash over its shape, so it has one.
    slot_of: KeyMap<Key, usize>,
}

#[derive(Clone, Debug)]
struct Slot {
    shape: Shape,
    keys: usize,
}

impl Shapes {
    /// A key of that shape is in the set. Whether the shape was not in use before.
    pub(super) fn used(&mut self, key: Key, shape: &Shape) -> bool {
        if self.slot_of.contains_key(&key) {
            return false;
        }
        let known = self.slots.iter().position(|slot| slot.shape == *shape);
        let at =
            known.or_else(|| self.slots.iter().position(|slot| slot.keys == 0)).unwrap_or(self.slots.len());
        self.slot_of.insert(key, at);
        match self.slots.get_mut(at) {
            Some(slot) => {
                let new = slot.keys == 0;
                if known.is_none() {
                    slot.shape = shape.clone();
                }
                slot.keys += 1;
                new
            }
            None => {
                self.slots.push(Slot { shape: shape.clone(), keys: 1 });
                true
            }
        }
    }

    /// A key is no longer in the set.
    pub(super) fn unused(&mut self, key: Key) {
        if let Some(at) = self.slot_of.remove(&key)
            && let Some(slot) = self.slots.get_mut(at)
        {
            slot.keys = slot.keys.saturating_sub(1);
        }
    }

    /// The shapes that some key has.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Shape> {
        self.slots.iter().filter(|slot| slot.keys > 0).map(|slot| &slot.shape)
    }
}
