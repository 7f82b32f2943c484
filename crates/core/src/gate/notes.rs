//! How much of what happens the operator's log is told: a control plane must not fill it.

use alloc::vec::Vec;

use super::Note;
use crate::Millis;

/// Most notes at once, and how long until one more is allowed, milliseconds.
const BURST: u64 = 20;
const PERIOD: Millis = 1_000;

/// The notes that may still be made.
#[derive(Debug)]
pub(super) struct Notes {
    left: u64,
    left_out: u64,
    counted_at: Millis,
}

impl Notes {
    pub(super) fn new(now: Millis) -> Self {
        Self { left: BURST, left_out: 0, counted_at: now }
    }

    /// Time has passed; says what was left out once there is room for it.
    pub(super) fn tick(&mut self, now: Millis) -> Option<Note> {
        let periods = now.saturating_sub(self.counted_at) / PERIOD;
        self.counted_at = self.counted_at.saturating_add(periods.saturating_mul(PERIOD));
        self.left = self.left.saturating_add(periods).min(BURST);
        // Half of the burst, so that what comes next is not left out at once.
        (self.left_out > 0 && self.left > BURST / 2)
            .then(|| Note::LeftOut(core::mem::take(&mut self.left_out)))
    }

    /// Leaves out what is too much.
    pub(super) fn limit(&mut self, notes: &mut Vec<Note>) {
        let count = notes.len() as u64;
        let kept = count.min(self.left);
        self.left -= kept;
        self.left_out = self.left_out.saturating_add(count - kept);
        notes.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_notes_is_counted_and_not_told() {
        let mut notes = Notes::new(0);
        let mut flood: Vec<Note> = (0..100).map(Note::Stale).collect();
        notes.limit(&mut flood);
        assert_eq!(flood.len(), 20);
        assert_eq!(flood.last(), Some(&Note::Stale(19)));
        assert_eq!(notes.tick(999), None);
        assert_eq!(notes.tick(10_999), None);
        assert_eq!(notes.tick(11_000), Some(Note::LeftOut(80)));
        assert_eq!(notes.tick(60_000), None);
        let mut flood: Vec<Note> = (0..100).map(Note::Stale).collect();
        notes.limit(&mut flood);
        assert_eq!(flood.len(), 20);
    }
}
