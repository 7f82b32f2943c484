//! What is going to happen to the call-outs of a VM, by time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::step::Step;

/// Steps with their tokens, by when they are due and, at the same time, by when they were planned in any VM.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    steps: BTreeMap<(Duration, u64), (u32, Step)>,
}

impl Agenda {
    pub(super) fn add(&mut self, at: Duration, order: u64, token: u32, step: Step) {
        self.steps.insert((at, order), (token, step));
    }

    pub(super) fn next(&self) -> Option<(Duration, u64)> {
        self.steps.keys().next().copied()
    }

    pub(super) fn pop(&mut self) -> Option<(u32, Step)> {
        self.steps.pop_first().map(|(_, step)| step)
    }
}
