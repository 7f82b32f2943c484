//! Queues that outlive the VMs which fill and empty them. The last VM to register one is told of what comes.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::plugin::VmKey;
use crate::status::Status;
use crate::thread::Thread;

/// The queues of the process, by token.
#[derive(Debug, Default)]
pub(crate) struct SharedQueues {
    by_token: BTreeMap<u32, Queue>,
    last_token: u32,
    /// What was posted to the threads' event loops and has not run yet.
    posted: VecDeque<Notice>,
}

#[derive(Debug)]
struct Queue {
    vm_id: String,
    name: Vec<u8>,
    listener: Listener,
    items: VecDeque<Vec<u8>>,
}

/// Whom Envoy tells of a new item: whatever VM of this key lives on the thread by then, and in it whatever context
/// has this id.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(crate) thread: Thread,
    pub(crate) vm_key: Rc<VmKey>,
    pub(crate) context: u32,
}

/// That something was put into a queue.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) listener: Listener,
    pub(crate) token: u32,
}

impl SharedQueues {
    /// The token of the queue, which is made if there is none; what it holds stays.
    pub(crate) fn register(&mut self, vm_id: &str, name: &[u8], listener: Listener) -> u32 {
        if let Some(token) = self.resolve(vm_id, name)
            && let Some(queue) = self.by_token.get_mut(&token)
        {
            queue.listener = listener;
            return token;
        }
        self.last_token += 1;
        let queue = Queue { vm_id: vm_id.to_owned(), name: name.to_vec(), listener, items: VecDeque::new() };
        self.by_token.insert(self.last_token, queue);
        self.last_token
    }

    pub(crate) fn resolve(&self, vm_id: &str, name: &[u8]) -> Option<u32> {
        let mut queues = self.by_token.iter();
        queues.find(|(_, queue)| queue.vm_id == vm_id && queue.name == name).map(|(token, _)| *token)
    }

    /// Takes the oldest item, whoever asks.
    pub(crate) fn dequeue(&mut self, token: u32) -> Result<Vec<u8>, Status> {
        self.by_token.get_mut(&token).ok_or(Status::NotFound)?.items.pop_front().ok_or(Status::Empty)
    }

    /// Adds an item, and posts a notice of it.
    pub(crate) fn enqueue(&mut self, token: u32, item: Vec<u8>) -> Result<(), Status> {
        let queue = self.by_token.get_mut(&token).ok_or(Status::NotFound)?;
        queue.items.push_back(item);
        self.posted.push_back(Notice { listener: queue.listener.clone(), token });
        Ok(())
    }

    pub(crate) fn items(&self, token: u32) -> Vec<Vec<u8>> {
        self.by_token.get(&token).map(|queue| queue.items.iter().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn next_notice(&mut self) -> Option<Notice> {
        self.posted.pop_front()
    }

    /// Envoy does so when the last VM of this id is gone.
    pub(crate) fn delete(&mut self, vm_id: &str) {
        self.by_token.retain(|_, queue| queue.vm_id != vm_id);
    }
}
