//! Which shapes are in use, counted by the keys that have them.

use portcullis_core::key::KeyMap;
use portcullis_core::selector::MAX_VALUE_BYTES;
use portcullis_core::wire::edge;
use portcullis_core::{Key, Shape};

use crate::log::wire;

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
    /// The place of a shape.
    pub(super) fn place(&mut self, shape: &Shape) -> usize {
        let known = self.slots.iter().position(|slot| slot.shape == *shape);
        let free = || self.slots.iter().position(|slot| slot.keys == 0);
        let at = known.or_else(free).unwrap_or(self.slots.len());
        match self.slots.get_mut(at) {
            Some(slot) if known.is_none() => slot.shape = shape.clone(),
            Some(_) => {}
            None => self.slots.push(Slot { shape: shape.clone(), keys: 0 }),
        }
        at
    }

    /// The shape of a revocation with its place, if it has one and the revocation's selector makes sense.
    ///
    /// Nearly all revocations have a shape that others have: these need not be taken apart to see that.
    pub(super) fn find(&self, revoked: &wire::Revoked) -> Option<(usize, &Shape)> {
        let mut shapes = self.slots.iter().map(|slot| &slot.shape).enumerate();
        shapes.find(|(_, shape)| is_of(revoked, shape))
    }

    /// A key of the shape at that place is in the set. The shape, if it was not in use before.
    pub(super) fn used(&mut self, key: Key, at: usize) -> Option<&Shape> {
        self.slot_of.try_insert(key, at).ok()?;
        let slot = self.slots.get_mut(at)?;
        slot.keys += 1;
        (slot.keys == 1).then_some(&slot.shape)
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

/// Whether a revocation has that shape, and values as a selector of it may have them.
fn is_of(revoked: &wire::Revoked, shape: &Shape) -> bool {
    let (fields, requirements) = (shape.fields(), &revoked.requirements);
    fields.len() == requirements.len()
        && i32::from(edge::CutoffClaim::from(shape.cutoff_claim())) == revoked.cutoff_claim
        && fields.iter().zip(requirements).all(|(field, requirement)| {
            requirement.field.as_ref().is_some_and(|required| field == required)
                && (1..=MAX_VALUE_BYTES).contains(&requirement.value.len())
        })
}
