//! How far versions have got, for many of them at once.

use std::collections::{BTreeMap, VecDeque};

use portcullis_core::Version;

use super::{GRACE_MS, Inner, Registry};
use crate::clock::UnixMillis;

/// Most edges that are named as missing.
const MAX_MISSING: usize = 16;
/// Steps of the slowest worker that are remembered.
const MAX_STEPS: usize = 4_096;

/// How far a version has got.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Enforced {
    /// The edges that should enforce it.
    pub edges: usize,
    /// Those of them that do, with every worker.
    pub applied: usize,
    /// Since when they do, if all do.
    pub at_ms: Option<UnixMillis>,
    /// The first of the others.
    pub missing: Vec<String>,
}

/// What the slowest connected worker has enforced, and since when.
#[derive(Debug, Default)]
pub(super) struct Slowest(VecDeque<(Version, UnixMillis)>);

impl Slowest {
    /// Looks at the positions of the connected workers again.
    pub(super) fn note(&mut self, positions: &BTreeMap<Version, usize>, now_ms: UnixMillis) {
        let slowest = positions.first_key_value().map_or(Version::MAX, |(version, _)| *version);
        if self.0.back().is_none_or(|(last, _)| *last != slowest) {
            self.0.push_back((slowest, now_ms));
            if self.0.len() > MAX_STEPS {
                self.0.pop_front();
            }
        }
    }

    /// Since when every connected worker has enforced a version.
    fn since(&self, version: Version) -> Option<UnixMillis> {
        let reached = self.0.iter().rev().take_while(|(slowest, _)| *slowest >= version);
        reached.last().map(|(_, at_ms)| *at_ms)
    }
}

impl Registry {
    /// How far these versions have got, each with the time of its acceptance. An edge counts as in
    /// [`Registry::wait`].
    ///
    /// Looks at each edge once, however many versions there are.
    #[must_use]
    pub fn enforced(&self, pushed: &[(Version, UnixMillis)], now_ms: UnixMillis) -> Vec<Enforced> {
        if pushed.is_empty() {
            return Vec::new();
        }
        let mut inner = self.lock();
        inner.settle(now_ms);
        let Inner { edges, slowest, .. } = &*inner;
        let (mut here, mut gone) = (Vec::new(), Vec::new());
        for edge in edges.values() {
            let version = edge.workers.values().map(|entry| entry.version).min().unwrap_or_default();
            match edge.gone_since_ms {
                None => here.push((version, edge.node.as_str())),
                Some(since_ms) => gone.push((version, edge.node.as_str(), since_ms)),
            }
        }
        here.sort_unstable();
        let far = |(version, accepted_at_ms): &(Version, UnixMillis)| {
            let (late, applied) = here.split_at(here.partition_point(|(has, _)| has < version));
            let concerned =
                gone.iter().filter(|(_, _, since_ms)| since_ms.saturating_add(GRACE_MS) >= *accepted_at_ms);
            let (mut edges, mut applied) = (here.len(), applied.len());
            let mut missing: Vec<&str> = late.iter().map(|(_, node)| *node).take(MAX_MISSING).collect();
            for (has, node, _) in concerned {
                edges += 1;
                if has >= version {
                    applied += 1;
                } else if missing.len() < MAX_MISSING {
                    missing.push(node);
                }
            }
            missing.sort_unstable();
            let all = edges > 0 && applied == edges;
            let at_ms = all.then(|| slowest.since(*version).unwrap_or(now_ms).max(*accepted_at_ms));
            Enforced { edges, applied, at_ms, missing: missing.into_iter().map(str::to_owned).collect() }
        };
        pushed.iter().map(far).collect()
    }
}
