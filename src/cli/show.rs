//! Revocations and receipts in words.

use super::output::{BOLD, CAUTION, DIM, GOOD, Output, styled, visible};
use super::time;
use crate::api::model::{Moment, Receipts, Revocation, RevocationAnswer, Status};

/// A change that was made: what it was, the revocation, and who enforces it.
pub(super) fn change(done: &str, answer: &RevocationAnswer, now: Moment) -> String {
    let revocation = &answer.revocation;
    let mut lines = vec![format!("{} {}", styled(BOLD, done), visible(revocation.target()))];
    lines.extend(details(revocation, now));
    if let Some(receipts) = &answer.receipts {
        lines.push(enforced(receipts));
        lines.extend(pending(receipts));
        lines.extend(gone(receipts));
    }
    lines.join("\n")
}

/// What the answer warns of.
pub(super) fn warnings(answer: &RevocationAnswer, out: &Output) {
    answer.warnings.iter().for_each(|warning| out.warning(visible(warning)));
}

/// A revocation's particulars, one per line, indented.
pub(super) fn details(revocation: &Revocation, now: Moment) -> Vec<String> {
    let mut lines = vec![field("id", visible(&revocation.id)), field("status", status(revocation, now))];
    if matches!(revocation.status, Status::Active | Status::Reinstated) {
        lines.push(field("rejects", rejects(revocation, now)));
        lines.push(field("ends", ends(revocation, now)));
    }
    if !revocation.reason.is_empty() {
        lines.push(field("reason", visible(&revocation.reason)));
    }
    lines
}

/// `active`, or what has become of it and when.
pub(super) fn status(revocation: &Revocation, now: Moment) -> String {
    let since =
        |at: Option<Moment>| at.map_or_else(String::new, |at| format!(", {}", time::relative(at, now)));
    match revocation.status {
        Status::Active => styled(GOOD, "active"),
        Status::Reinstated => styled(CAUTION, "reinstated") + &since(revocation.reinstated_at),
        Status::Undone => styled(DIM, "undone") + &since(revocation.ended_at),
        Status::Expired => styled(DIM, "expired") + &since(revocation.ended_at),
    }
}

/// Which tokens it rejects.
pub(super) fn rejects(revocation: &Revocation, now: Moment) -> String {
    let claim = match revocation.cutoff_claim.name() {
        "iat" => String::new(),
        other => format!(" by {other}"),
    };
    match revocation.cutoff {
        None => "every token that matches".to_owned(),
        Some(cutoff) => format!("tokens issued until {}{claim}", time::both(cutoff, now)),
    }
}

/// When it is dropped.
pub(super) fn ends(revocation: &Revocation, now: Moment) -> String {
    match revocation.expires_at {
        Some(at) => time::both(at, now),
        None if revocation.until_reinstated => "when it is reinstated".to_owned(),
        None => "when it is undone".to_owned(),
    }
}

/// `enforced by 3 of 3 workers at 1 of 1 edges in 2 ms`.
pub(super) fn enforced(receipts: &Receipts) -> String {
    let (applied, workers) = receipts.workers();
    let edges = receipts.applied + receipts.pending;
    if edges == 0 {
        return styled(CAUTION, "no edge is connected: nothing enforces it yet");
    }
    let took = receipts.slowest_ms().map_or_else(String::new, |ms| format!(" in {ms} ms"));
    let text =
        format!("enforced by {applied} of {workers} workers at {} of {edges} edges{took}", receipts.applied);
    styled(if receipts.pending == 0 { GOOD } else { CAUTION }, text)
}

fn pending(receipts: &Receipts) -> impl Iterator<Item = String> {
    let late = receipts.edges.iter().filter(|edge| !edge.applied);
    late.map(|edge| {
        let node = visible(&edge.node);
        format!("  waiting for {node} ({} of {} workers)", edge.applied_workers, edge.workers)
    })
}

/// Edges that cannot be asked: an operator who waits must not take their silence for consent.
fn gone(receipts: &Receipts) -> Option<String> {
    /// So many are named.
    const FEW: usize = 5;
    let names: Vec<_> = receipts.gone.iter().take(FEW).map(|node| visible(node).to_string()).collect();
    let more = receipts.gone.len().saturating_sub(FEW);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let names = names.join(", ");
    (!names.is_empty()).then(|| {
        format!("  not known of {names}{more}: gone; if only cut off, the old set is in force there")
    })
}

pub(super) fn field(name: &str, text: impl std::fmt::Display) -> String {
    format!("  {} {text}", styled(DIM, format_args!("{name:<8}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::model::EdgeReceipt;

    fn receipts(workers: &[(u64, u64, Option<u64>)]) -> Receipts {
        let edge = |(index, (applied_workers, workers, ms)): (usize, &(u64, u64, Option<u64>))| EdgeReceipt {
            node: format!("edge-{index}"),
            process: String::new(),
            workers: *workers,
            applied_workers: *applied_workers,
            applied: applied_workers == workers,
            ms: *ms,
        };
        let edges: Vec<EdgeReceipt> = workers.iter().enumerate().map(edge).collect();
        let applied = edges.iter().filter(|edge| edge.applied).count() as u64;
        Receipts { applied, pending: edges.len() as u64 - applied, edges, gone: Vec::new() }
    }

    #[test]
    fn receipts_are_one_sentence() {
        let text = |receipts: &Receipts| anstream::adapter::strip_str(&enforced(receipts)).to_string();
        let all = receipts(&[(3, 3, Some(2)), (2, 2, Some(5))]);
        assert_eq!(text(&all), "enforced by 5 of 5 workers at 2 of 2 edges in 5 ms");
        let some = receipts(&[(3, 3, Some(2)), (1, 2, None)]);
        assert_eq!(text(&some), "enforced by 4 of 5 workers at 1 of 2 edges");
        assert_eq!(text(&receipts(&[])), "no edge is connected: nothing enforces it yet");
    }

    #[test]
    fn edges_that_are_late_are_named() {
        let some = receipts(&[(3, 3, Some(2)), (1, 2, None)]);
        assert_eq!(pending(&some).collect::<Vec<_>>(), ["  waiting for edge-1 (1 of 2 workers)"]);
    }

    #[test]
    fn edges_that_have_gone_are_named_as_far_as_one_reads() {
        let of = |count: usize| {
            gone(&Receipts { gone: (0..count).map(|n| format!("e{n}")).collect(), ..receipts(&[]) })
        };
        assert_eq!(of(0), None);
        assert!(of(2).is_some_and(|text| text.starts_with("  not known of e0, e1: gone")));
        assert!(
            of(7).is_some_and(|text| text.starts_with("  not known of e0, e1, e2, e3, e4 and 2 more: gone"))
        );
    }
}
