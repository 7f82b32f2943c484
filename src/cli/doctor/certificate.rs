//! When a certificate must be renewed.

use crate::api::model::Moment;

/// Whoever renews late does so before this, milliseconds.
const TWO_WEEKS_MS: u64 = 14 * 86_400_000;

/// Whether it should have been renewed by now: less than two weeks are left, and less than a third of its life, since
/// a mesh's certificates live for a day and are renewed half-way.
pub(super) fn is_due(from: Moment, until: Moment, now: Moment) -> bool {
    let left = until.millis().saturating_sub(now.millis());
    left < TWO_WEEKS_MS && left < until.millis().saturating_sub(from.millis()) / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lives_by_weeks_and_short_ones_by_thirds() {
        let check = |life_hours: u64, left_hours: u64, expect: bool| {
            let at = |hours: u64| Moment::from_seconds(hours * 3_600);
            let (from, until) = (at(1_000_000), at(1_000_000 + life_hours));
            assert_eq!(is_due(from, until, at(1_000_000 + life_hours - left_hours)), expect, "{life_hours}");
        };
        check(365 * 24, 14 * 24, false);
        check(365 * 24, 14 * 24 - 1, true);
        check(90 * 24, 20 * 24, false);
        check(24, 12, false);
        check(24, 7, true);
        check(24, 0, true);
    }
}
