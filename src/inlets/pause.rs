//! How long to wait before somebody is asked again.

use std::time::Duration;

/// First and longest pause after a failure.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// How long to wait after a failure: twice as long after each further one.
#[derive(Debug, Default)]
pub(super) struct Pause(u32);

impl Pause {
    /// The pause after one more failure.
    pub(super) fn next(&mut self) -> Duration {
        let pause = FIRST.saturating_mul(1 << self.0.min(6)).min(LONGEST);
        self.0 = self.0.saturating_add(1);
        jittered(pause)
    }

    /// It has worked.
    pub(super) fn reset(&mut self) {
        self.0 = 0;
    }
}

/// Between half of a time and all of it, so that receivers do not all call at once.
pub(super) fn jittered(time: Duration) -> Duration {
    let half = time / 2;
    // Without randomness, the longest.
    let part = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
    half + half.mul_f64(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_and_start_again() {
        let mut pause = Pause::default();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let (longest, seen) = (Duration::from_secs(seconds), pause.next());
            assert!(longest / 2 <= seen && seen <= longest, "{seen:?} of {longest:?}");
        }
        pause.reset();
        assert!(pause.next() <= FIRST);
    }
}
