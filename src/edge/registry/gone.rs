//! Edges without a connected worker: by when they went, and by what they are called.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::UnixMillis;

/// Processes that have gone.
#[derive(Debug, Default)]
pub(super) struct Gone {
    // With what they were called.
    by_time: BTreeMap<(UnixMillis, String), String>,
    by_node: BTreeMap<String, BTreeSet<String>>,
}

impl Gone {
    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }

    pub(super) fn insert(&mut self, since_ms: UnixMillis, process: &str, node: &str) {
        self.by_time.insert((since_ms, process.to_owned()), node.to_owned());
        self.by_node.entry(node.to_owned()).or_default().insert(process.to_owned());
    }

    pub(super) fn remove(&mut self, since_ms: UnixMillis, process: &str) {
        if let Some(node) = self.by_time.remove(&(since_ms, process.to_owned())) {
            self.unname(&node, process);
        }
    }

    /// Since when the one is gone that has been so longest.
    pub(super) fn first_ms(&self) -> Option<UnixMillis> {
        self.by_time.keys().next().map(|(since_ms, _)| *since_ms)
    }

    /// Takes the one out that has been gone longest.
    pub(super) fn pop_first(&mut self) -> Option<String> {
        let ((_, process), node) = self.by_time.pop_first()?;
        self.unname(&node, &process);
        Some(process)
    }

    fn unname(&mut self, node: &str, process: &str) {
        if let Some(processes) = self.by_node.get_mut(node) {
            processes.remove(process);
            if processes.is_empty() {
                self.by_node.remove(node);
            }
        }
    }

    /// Those of a node.
    pub(super) fn of(&self, node: &str) -> Vec<String> {
        self.by_node.get(node).into_iter().flatten().cloned().collect()
    }
}
