//! The edges, as the control plane sees them.

use std::collections::BTreeMap;

use super::finding::{Code, Finding, Observed};
use super::plane::Plane;
use crate::api::model::{Edge, Moment, RefusedEdge, Worker};
use crate::cli::time;

/// A worker answers every heartbeat; what is late by more is silent.
const MISSED_HEARTBEATS: u64 = 3;
/// An edge that has seen traffic and a revocation for so long should have rejected something.
const LONG_MS: u64 = 86_400_000;
/// An edge that is refused tries again within seconds: one that has not for so long is not there any more.
const REFUSED_MS: u64 = 15 * 60_000;

pub(super) fn findings(plane: &Plane) -> Vec<Finding> {
    let now = plane.status.now;
    let lately = |edge: &&RefusedEdge| now.millis().saturating_sub(edge.last.millis()) <= REFUSED_MS;
    let refused = plane.status.refused_edges.iter().filter(lately);
    let refused = refused.map(|edge| refused_edge(edge, now));
    listed(plane).into_iter().chain(refused).collect()
}

fn refused_edge(edge: &RefusedEdge, now: Moment) -> Finding {
    let peer = edge.peer.as_deref().unwrap_or("an unknown address");
    let (subject, from) = match &edge.node {
        Some(node) => (format!("edge {node}"), format!(" from {peer}")),
        None => (format!("edge at {peer}"), String::new()),
    };
    let certificate = match edge.certificate.join(", ") {
        names if names.is_empty() => String::new(),
        names => format!(" with the certificate {names}"),
    };
    let times = if edge.count == 1 { "once".to_owned() } else { format!("{} times", edge.count) };
    let seen = format!(
        "it was refused{from}{certificate} {times}, the last time {}: {}",
        time::relative(edge.last, now),
        edge.message
    );
    Finding::new(Code::EdgeRefused, subject, seen)
}

fn listed(plane: &Plane) -> Vec<Finding> {
    let edges = &plane.edges.edges;
    if !edges.iter().any(|edge| edge.connected) {
        let none = Finding::new(Code::EdgeNone, "control plane", "no edge is connected");
        return edges.iter().flat_map(|edge| one_edge(plane, edge)).chain([none]).collect();
    }
    let connected = edges.iter().filter(|edge| edge.connected);
    let shared = shared(connected.map(|edge| edge.node.as_str())).map(|(node, count)| {
        Finding::new(
            Code::NodeIdShared,
            format!("edge {node}"),
            format!("{count} connected Envoys have this node.id"),
        )
    });
    // An Envoy that was started again is another process of the same name.
    let is_replaced = |edge: &&Edge| {
        let same = |other: &Edge| other.connected && other.node == edge.node && !edge.node.is_empty();
        !edge.connected && over_limit(edge).is_none() && edges.iter().any(same)
    };
    let current = edges.iter().filter(|edge| !is_replaced(edge));
    current.flat_map(|edge| one_edge(plane, edge)).chain(shared).collect()
}

/// The names that several have, and how many; those without one share none.
pub(super) fn shared<'a>(nodes: impl Iterator<Item = &'a str>) -> impl Iterator<Item = (&'a str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for node in nodes.filter(|node| !node.is_empty()) {
        *counts.entry(node).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count > 1)
}

fn one_edge(plane: &Plane, edge: &Edge) -> Vec<Finding> {
    let now = plane.status.now;
    let subject = match edge.node.as_str() {
        "" => format!("edge without a name (process {})", edge.process),
        node => format!("edge {node}"),
    };
    let found = match (over_limit(edge), edge.connected) {
        // Such a worker comes back again and again: that it is gone is not the news.
        (Some(refused), _) => vec![Some(refused)],
        (None, true) => vec![
            edge.node.is_empty().then(|| (Code::NodeIdMissing, "its node.id is empty".to_owned())),
            behind(edge, plane.settled_version),
            silent(plane, edge),
            other_filter(plane, edge),
            never_rejected(plane, edge),
        ],
        (None, false) => {
            let last = time::relative(edge.last_contact, now);
            vec![Some((Code::EdgeGone, format!("it was last heard of {last}, at version {}", edge.version)))]
        }
    };
    Finding::all(&subject, found.into_iter().flatten())
}

fn over_limit(edge: &Edge) -> Option<Observed> {
    let refused = edge.workers.iter().find_map(|worker| worker.refused)?;
    let seen = format!(
        "it refuses the set: {} revocations, and its limit is {}",
        refused.revocations, refused.limit
    );
    Some((Code::EdgeOverLimit, seen))
}

fn connected(edge: &Edge) -> impl Iterator<Item = &Worker> {
    edge.workers.iter().filter(|worker| worker.connected)
}

fn behind(edge: &Edge, version: u64) -> Option<Observed> {
    let all = connected(edge).count();
    let late = connected(edge).filter(|worker| worker.version < version).count();
    let oldest = connected(edge).map(|worker| worker.version).min()?;
    if late == 0 {
        return None;
    }
    if late == all {
        return Some((Code::EdgeLagging, format!("it enforces version {oldest} of {version}")));
    }
    let seen = format!("{late} of its {all} workers are behind: at version {oldest} of {version}");
    Some((Code::EdgeWorkersDisagree, seen))
}

fn silent(plane: &Plane, edge: &Edge) -> Option<Observed> {
    let patience = plane.status.heartbeat_ms.saturating_mul(MISSED_HEARTBEATS);
    let now = plane.status.now;
    let stalest = connected(edge).map(|worker| worker.last_contact).min()?;
    let silent = now.millis().saturating_sub(stalest.millis()) > patience;
    silent.then(|| {
        let seen =
            format!("a worker was last heard of {}, though it is connected", time::relative(stalest, now));
        (Code::EdgeSilent, seen)
    })
}

fn other_filter(plane: &Plane, edge: &Edge) -> Option<Observed> {
    let current = plane.status.filters.first()?;
    (edge.filter_version != current.version).then(|| {
        let seen = format!(
            "its filter is {}, and the control plane hands out {}",
            edge.filter_version, current.version
        );
        (Code::EdgeFilterVersion, seen)
    })
}

fn never_rejected(plane: &Plane, edge: &Edge) -> Option<Observed> {
    let now = plane.status.now.millis();
    let long_ago = |at: u64| now.saturating_sub(at) >= LONG_MS;
    let revoked = plane.revocations.iter().any(|revocation| long_ago(revocation.created_at.millis()));
    let all_long = connected(edge).all(|worker| long_ago(worker.connected_since.millis()));
    let none = edge.workers.iter().all(|worker| worker.rejections.is_empty());
    (revoked && all_long && none).then(|| {
        let seen =
            "it has rejected nothing since it connected, and revocations are in force for more than a day";
        (Code::EdgeNeverRejected, seen.to_owned())
    })
}
