//! A shared queue from the point of view of the test.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::post;
use crate::world::World;

/// A shared queue that a VM has registered. It outlives the VM.
#[derive(Clone)]
pub struct Queue {
    pub(crate) world: Rc<RefCell<World>>,
    pub(crate) token: u32,
}

impl Queue {
    /// The filters' name for it, the same in every VM.
    #[must_use]
    pub const fn token(&self) -> u32 {
        self.token
    }

    /// What is in it, the oldest item first.
    #[must_use]
    pub fn items(&self) -> Vec<Vec<u8>> {
        self.world.borrow().queues.items(self.token)
    }

    /// Adds an item, as another filter would: the last VM to register the queue is told.
    pub fn push(&self, item: impl AsRef<[u8]>) {
        // It fails only if the queue has gone with its VMs.
        let _ = self.world.borrow_mut().queues.enqueue(self.token, item.as_ref().to_vec());
        post::deliver(&self.world);
    }

    /// Takes the oldest item.
    #[must_use]
    pub fn pop(&self) -> Option<Vec<u8>> {
        self.world.borrow_mut().queues.dequeue(self.token).ok()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("token", &self.token).field("items", &self.items().len()).finish()
    }
}
