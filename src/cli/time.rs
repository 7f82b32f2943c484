//! Instants for people: absolute in UTC, and relative to now.

use crate::api::model::Moment;

/// `2026-11-23 09:30:00Z`.
pub(super) fn absolute(at: Moment) -> String {
    let whole = Moment::from_seconds(at.seconds()).to_string();
    whole.replacen('T', " ", 1)
}

/// `3 min ago`, `in 24 h`, `now`.
pub(super) fn relative(at: Moment, now: Moment) -> String {
    let past = at <= now;
    let millis = at.millis().abs_diff(now.millis());
    // To the nearest: a day that began a moment ago is 24 h, not 23.
    let rounded = |unit: u64| millis.saturating_add(unit / 2) / unit;
    let span = match rounded(1_000) {
        0 => return "now".to_owned(),
        seconds @ 1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", rounded(60_000)),
        7_200..172_800 => format!("{} h", rounded(3_600_000)),
        _ => format!("{} days", rounded(86_400_000)),
    };
    if past { format!("{span} ago") } else { format!("in {span}") }
}

/// `2026-11-23 09:30:00Z (3 min ago)`.
pub(super) fn both(at: Moment, now: Moment) -> String {
    format!("{} ({})", absolute(at), relative(at, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_in_the_unit_that_fits() {
        let now = Moment::from_seconds(1_700_000_000);
        let check =
            |seconds: u64, expect: &str| assert_eq!(relative(Moment::from_seconds(seconds), now), expect);
        check(1_700_000_000, "now");
        check(1_699_999_999, "1 s ago");
        check(1_699_999_881, "119 s ago");
        check(1_699_999_880, "2 min ago");
        check(1_700_003_600, "in 60 min");
        check(1_700_086_400, "in 24 h");
        check(1_700_086_399, "in 24 h");
        check(1_700_864_000, "in 10 days");
    }

    #[test]
    fn absolute_times_are_utc_to_the_second() {
        assert_eq!(absolute(Moment::from_millis(1_700_000_000_250)), "2023-11-14 22:13:20Z");
    }
}
