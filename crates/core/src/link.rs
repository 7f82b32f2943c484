//! When to open the stream to the control plane, and when to give one up.
//!
//! One attempt per tick at most: two failing attempts within one callback hang Envoy. What counts as being
//! connected is a message, not an opened stream: Envoy reports response headers even for a failed one.

use crate::Millis;

/// First and longest wait between attempts.
const BACKOFF: (Millis, Millis) = (200, 10_000);
/// How long a new stream may take to say something.
const FIRST_WORD: Millis = 10_000;
/// Shortest silence that ends a stream, whatever the heartbeat.
const SHORTEST_SILENCE: Millis = 3_000;
/// Silence in heartbeats that ends a stream.
const MISSED_HEARTBEATS: Millis = 3;

/// The state of the connection to the control plane.
#[derive(Debug)]
pub struct Link {
    state: State,
    failures: u32,
    random: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Down { retry_at: Millis },
    Up { last_word: Millis, patience: Millis },
}

impl Link {
    /// Not connected, to be opened at once. `seed`: random, so that edges do not come back all together.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: State::Down { retry_at: 0 }, failures: 0, random: seed }
    }

    /// Whether a stream is open.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// Whether a stream should be opened now.
    #[must_use]
    pub fn is_due(&self, now: Millis) -> bool {
        matches!(self.state, State::Down { retry_at } if now >= retry_at)
    }

    /// Whether the open stream has been silent for too long.
    #[must_use]
    pub fn is_silent(&self, now: Millis) -> bool {
        matches!(self.state, State::Up { last_word, patience } if now.saturating_sub(last_word) > patience)
    }

    /// A stream has been opened.
    pub fn opened(&mut self, now: Millis) {
        self.state = State::Up { last_word: now, patience: FIRST_WORD };
    }

    /// The control plane has sent its header and promised a heartbeat period.
    pub fn greeted(&mut self, now: Millis, heartbeat: Millis) {
        let patience = heartbeat.saturating_mul(MISSED_HEARTBEATS).max(SHORTEST_SILENCE);
        self.state = State::Up { last_word: now, patience };
    }

    /// The control plane and the edge have agreed on a set: only this ends the back-off, so that a stream
    /// which is given up again and again is opened more and more rarely.
    pub fn agreed(&mut self) {
        self.failures = 0;
    }

    /// The control plane has said something.
    pub fn heard(&mut self, now: Millis) {
        if let State::Up { last_word, .. } = &mut self.state {
            *last_word = now;
        }
    }

    /// The stream has ended, could not be opened, or was given up. The next attempt waits, longer after each
    /// failure, between half and the whole of the step.
    pub fn down(&mut self, now: Millis) {
        let step = BACKOFF.0.saturating_mul(1 << self.failures.min(16)).min(BACKOFF.1);
        self.failures = self.failures.saturating_add(1);
        let wait = step / 2 + self.next_random() % (step / 2 + 1);
        self.state = State::Down { retry_at: now.saturating_add(wait) };
    }

    // SplitMix64: spreads retries, guards nothing.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(link: &mut Link) -> Millis {
        link.down(0);
        (0..).find(|now| link.is_due(*now)).unwrap()
    }

    #[test]
    fn attempts_back_off_with_jitter_up_to_a_limit() {
        let mut link = Link::new(7);
        assert!(link.is_due(0));
        let waits: [Millis; 12] = core::array::from_fn(|_| wait(&mut link));
        for (failures, waited) in waits.into_iter().enumerate() {
            let step = (200 << failures.min(10)).min(10_000);
            assert!((step / 2..=step).contains(&waited), "{waited} after {failures}");
        }
        let mut other = Link::new(8);
        let others: [Millis; 12] = core::array::from_fn(|_| wait(&mut other));
        assert_ne!(others, waits);
    }

    #[test]
    fn an_agreement_ends_the_back_off() {
        let mut link = Link::new(7);
        (0..8).for_each(|_| link.down(0));
        link.opened(0);
        assert!(!link.is_due(1_000_000));
        link.greeted(0, 1_000);
        assert!(wait(&mut link) >= 5_000);
        link.opened(0);
        link.agreed();
        assert!(wait(&mut link) <= 200);
    }

    #[test]
    fn silence_is_noticed() {
        let mut link = Link::new(7);
        link.opened(100);
        assert!(!link.is_silent(10_100) && link.is_silent(10_101));
        link.greeted(200, 5_000);
        assert!(!link.is_silent(15_200) && link.is_silent(15_201));
        link.heard(15_000);
        assert!(!link.is_silent(30_000));
        link.down(30_000);
        assert!(!link.is_silent(90_000));
    }
}
