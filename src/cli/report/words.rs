//! A report as sentences.

use std::collections::BTreeMap;

use crate::api::model::{Enforced, Moment, ReportedRevocation, Status, Tried};
use crate::cli::output::{BOLD, CAUTION, GOOD, styled, visible};

/// Paths that are named.
const NAMED: usize = 3;

/// `subject alice of https://idp.example was revoked at …, enforced by …, tried …`.
pub(in crate::cli) fn sentence(reported: &ReportedRevocation) -> String {
    let revocation = &reported.revocation;
    let target = styled(BOLD, visible(revocation.target()));
    let reason = match revocation.reason.as_str() {
        "" => String::new(),
        reason => format!(" ({})", visible(reason)),
    };
    let by = visible(&revocation.created_by.name);
    let at = |moment: Option<Moment>| moment.map_or_else(String::new, |at| format!(" at {}", time(at)));
    let since = match revocation.status {
        Status::Active => String::new(),
        Status::Reinstated => format!("; reinstated{}", at(revocation.reinstated_at)),
        Status::Undone => format!("; undone{}", at(revocation.ended_at)),
        Status::Expired => format!("; expired{}", at(revocation.ended_at)),
    };
    let (id, made) = (visible(&revocation.id), time(revocation.created_at));
    let (enforced, tried) = (enforced(reported.enforced.as_ref()), tried(&reported.tried));
    format!("{id}: {target} was revoked at {made} by {by}{reason}, {enforced}, {tried}{since}")
}

/// `enforced by 3 of 3 edges within 8 ms`.
pub(in crate::cli) fn enforced(enforced: Option<&Enforced>) -> String {
    let Some(Enforced { edges, applied, ms, missing }) = enforced else {
        return styled(CAUTION, "who enforces it is not known");
    };
    let by = match (*edges, ms) {
        (0, _) => return styled(CAUTION, "enforced by no edge, because none was connected"),
        (_, Some(ms)) => {
            return styled(GOOD, format_args!("enforced by {applied} of {edges} edges within {ms} ms"));
        }
        (_, None) => format!("enforced by {applied} of {edges} edges"),
    };
    let named: Vec<String> = missing.iter().map(visible).collect();
    let more = edges.saturating_sub(*applied).saturating_sub(named.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    styled(CAUTION, format_args!("{by}, not by {}{more}", named.join(", ")))
}

/// `tried 14 more times at /payments until 2026-11-23 10:06:00.000Z`.
pub(in crate::cli) fn tried(tried: &Tried) -> String {
    let Some(last) = tried.last.filter(|_| tried.count > 0) else { return "not tried since".to_owned() };
    let (often, until) = match tried.count {
        1 => ("once more".to_owned(), "at"),
        count => (format!("{count} more times"), "until"),
    };
    let passed = match tried.passed {
        0 => String::new(),
        passed if passed == tried.count => styled(CAUTION, ", and let pass"),
        passed => styled(CAUTION, format_args!(", {passed} of them let pass")),
    };
    format!("tried {often}{} {until} {}{passed}", places(tried), time(last))
}

/// ` at /payments`, or ` (12 at /payments, 2 at /orders)`.
fn places(tried: &Tried) -> String {
    let paths = paths(tried);
    match paths.as_slice() {
        [] => String::new(),
        [(path, count)] if *count == tried.count => format!(" at {}", visible(path)),
        paths => {
            let shown = paths.iter().take(NAMED);
            let elsewhere = tried.count.saturating_sub(shown.clone().map(|(_, count)| count).sum());
            let shown = shown.map(|(path, count)| format!("{count} at {}", visible(path)));
            let rest = (elsewhere > 0).then(|| format!("{elsewhere} elsewhere"));
            format!(" ({})", shown.chain(rest).collect::<Vec<_>>().join(", "))
        }
    }
}

/// The paths over all edges, the most frequent first.
pub(super) fn paths(tried: &Tried) -> Vec<(&str, u64)> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for place in tried.places.iter().filter(|place| !place.path.is_empty()) {
        *sums.entry(&place.path).or_default() += place.count;
    }
    let mut paths: Vec<(&str, u64)> = sums.into_iter().collect();
    paths.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    paths
}

/// `2026-11-23 10:02:03.120Z`.
pub(super) fn time(at: Moment) -> String {
    at.to_millis_text().replacen('T', " ", 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::model::TriedAt;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn requests(places: &[(&str, &str, u64)], passed: u64) -> Tried {
        let at = Moment::from_millis(1_763_892_360_000);
        let place = |(edge, path, count): &(&str, &str, u64)| TriedAt {
            edge: (*edge).to_owned(),
            path: (*path).to_owned(),
            count: *count,
            passed: 0,
            first: at,
            last: at,
        };
        let count = places.iter().map(|(_, _, count)| count).sum();
        let places = places.iter().map(place).collect();
        Tried { count, passed, first: Some(at), last: Some(at), places }
    }

    #[test]
    fn who_enforces_is_said() {
        let check = |edges, applied, ms, missing: &[&str], expect: &str| {
            let missing = missing.iter().map(|node| (*node).to_owned()).collect();
            assert_eq!(plain(&enforced(Some(&Enforced { edges, applied, ms, missing }))), expect);
        };
        check(3, 3, Some(8), &[], "enforced by 3 of 3 edges within 8 ms");
        check(1, 1, Some(8), &[], "enforced by 1 of 1 edges within 8 ms");
        check(0, 0, None, &[], "enforced by no edge, because none was connected");
        check(3, 1, None, &["b", "c"], "enforced by 1 of 3 edges, not by b, c");
        check(30, 1, None, &["b"], "enforced by 1 of 30 edges, not by b and 28 more");
        assert_eq!(plain(&enforced(None)), "who enforces it is not known");
    }

    #[test]
    fn what_was_tried_is_said() {
        let check = |places: &[(&str, &str, u64)], passed, expect: &str| {
            let until = "2025-11-23 10:06:00.000Z";
            assert_eq!(plain(&tried(&requests(places, passed))), expect.replace("UNTIL", until));
        };
        check(&[], 0, "not tried since");
        check(&[("a", "/payments", 1)], 0, "tried once more at /payments at UNTIL");
        check(
            &[("a", "/payments", 10), ("b", "/payments", 4)],
            0,
            "tried 14 more times at /payments until UNTIL",
        );
        check(&[("a", "/p", 9), ("b", "/q", 2)], 0, "tried 11 more times (9 at /p, 2 at /q) until UNTIL");
        check(&[("a", "/p", 9), ("a", "", 2)], 0, "tried 11 more times (9 at /p, 2 elsewhere) until UNTIL");
        check(&[("a", "", 2)], 0, "tried 2 more times until UNTIL");
        check(&[("a", "/p", 2)], 2, "tried 2 more times at /p until UNTIL, and let pass");
        check(&[("a", "/p", 2)], 1, "tried 2 more times at /p until UNTIL, 1 of them let pass");
    }
}
