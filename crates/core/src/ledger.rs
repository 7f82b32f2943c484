//! The live revocations, and what edges enforce because of them.
//!
//! A key may have several live revocations (a logout and a disabled account); enforced is the strictest of
//! them, so ending one leaves the others in force. The ledger is a function of the events given to it, in
//! the order of their versions: every replica of a log arrives at the same one. Events about revocations
//! that are not live change nothing.

use alloc::collections::{BTreeMap, BTreeSet, btree_map};
use alloc::vec::Vec;

use hashbrown::hash_map;

use crate::cutoff::Cutoff;
use crate::key::{Key, KeyMap};
use crate::set::{Change, RevocationSet};
use crate::{UnixSeconds, Version};

/// One live revocation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Live {
    /// The key of its selector.
    pub key: Key,
    /// The tokens that it rejects now.
    pub cutoff: Cutoff,
    /// When it is dropped; `None`: until reinstated.
    pub expires_at: Option<UnixSeconds>,
    /// Whether tokens issued from some time on are accepted again.
    pub reinstated: bool,
}

/// The live revocations by the version of their event, and the set that follows from them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    live: BTreeMap<Version, Live>,
    by_key: KeyMap<Key, Versions>,
    expiries: BTreeSet<(UnixSeconds, Version)>,
    set: RevocationSet,
}

// Nearly every key has one revocation: that one needs no allocation. A provider that repeats itself may give
// one key very many: the strictest is found without looking at all of them.
#[derive(Clone, Debug)]
enum Versions {
    One(Cutoff, Version),
    Many(BTreeSet<(Cutoff, Version)>),
}

impl Ledger {
    /// A revocation that the event at `version` has put in force.
    pub fn revoke(&mut self, version: Version, revocation: Live) -> Option<Change> {
        match self.live.entry(version) {
            btree_map::Entry::Occupied(_) => return None,
            btree_map::Entry::Vacant(live) => live.insert(revocation),
        };
        if let Some(at) = revocation.expires_at {
            self.expiries.insert((at, version));
        }
        match self.by_key.entry(revocation.key) {
            hash_map::Entry::Occupied(mut versions) => {
                versions.get_mut().add(revocation.cutoff, version);
                self.settle(revocation.key)
            }
            // A key without a live revocation is not in the set: there is nothing to compare with.
            hash_map::Entry::Vacant(versions) => {
                versions.insert(Versions::One(revocation.cutoff, version));
                let change = Change { key: revocation.key, cutoff: Some(revocation.cutoff) };
                self.set.apply(change);
                Some(change)
            }
        }
    }

    /// Tokens issued after `cutoff` are accepted again; what is left ends at `expires_at` at the latest.
    pub fn reinstate(
        &mut self,
        revocation: Version,
        cutoff: UnixSeconds,
        expires_at: UnixSeconds,
    ) -> Option<Change> {
        let live = self.live.get_mut(&revocation)?;
        let before = live.cutoff;
        live.cutoff = before.min(Cutoff::At(cutoff));
        live.reinstated = true;
        if let Some(at) = live.expires_at {
            self.expiries.remove(&(at, revocation));
        }
        let at = live.expires_at.map_or(expires_at, |at| at.min(expires_at));
        live.expires_at = Some(at);
        self.expiries.insert((at, revocation));
        let (key, after) = (live.key, live.cutoff);
        if let Some(versions) = self.by_key.get_mut(&key) {
            versions.replace(before, after, revocation);
        }
        self.settle(key)
    }

    /// As if the revocation had never been.
    pub fn undo(&mut self, revocation: Version) -> Option<Change> {
        let key = self.drop_live(revocation)?;
        self.settle(key)
    }

    /// Drops every revocation that expires at `until` or before.
    pub fn sweep(&mut self, until: UnixSeconds) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some((_, version)) = self.expiries.first().copied().filter(|(at, _)| *at <= until) {
            let change = self.drop_live(version).and_then(|key| self.settle(key));
            changes.extend(change);
        }
        changes
    }

    /// When the next revocation expires.
    #[must_use]
    pub fn next_expiry(&self) -> Option<UnixSeconds> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// A live revocation.
    #[must_use]
    pub fn get(&self, revocation: Version) -> Option<&Live> {
        self.live.get(&revocation)
    }

    /// The live revocations, newest first, from below that version on.
    pub fn before(&self, version: Version) -> impl Iterator<Item = (Version, &Live)> {
        self.live.range(..version).rev().map(|(version, live)| (*version, live))
    }

    /// The live revocations of one key, the strictest first.
    pub fn of_key(&self, key: Key) -> impl Iterator<Item = (Version, &Live)> {
        let versions = self.by_key.get(&key).into_iter().flat_map(Versions::strictest_first);
        versions.filter_map(|version| self.live.get(&version).map(|live| (version, live)))
    }

    /// The number of live revocations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// What edges enforce.
    #[must_use]
    pub fn set(&self) -> &RevocationSet {
        &self.set
    }

    fn drop_live(&mut self, version: Version) -> Option<Key> {
        let live = self.live.remove(&version)?;
        if let Some(at) = live.expires_at {
            self.expiries.remove(&(at, version));
        }
        if let Some(versions) = self.by_key.get_mut(&live.key)
            && versions.remove(live.cutoff, version)
        {
            self.by_key.remove(&live.key);
        }
        Some(live.key)
    }

    // Brings the set's entry of a key in line with the key's live revocations.
    fn settle(&mut self, key: Key) -> Option<Change> {
        let cutoff = self.by_key.get(&key).and_then(Versions::strictest);
        if self.set.get(key) == cutoff {
            return None;
        }
        let change = Change { key, cutoff };
        self.set.apply(change);
        Some(change)
    }
}

impl Versions {
    fn strictest(&self) -> Option<Cutoff> {
        match self {
            Self::One(cutoff, _) => Some(*cutoff),
            Self::Many(versions) => versions.last().map(|(cutoff, _)| *cutoff),
        }
    }

    fn strictest_first(&self) -> impl Iterator<Item = Version> {
        let (one, many) = match self {
            Self::One(_, only) => (Some(*only), None),
            Self::Many(versions) => (None, Some(versions)),
        };
        one.into_iter().chain(many.into_iter().flatten().rev().map(|(_, version)| *version))
    }

    fn add(&mut self, cutoff: Cutoff, version: Version) {
        match self {
            Self::One(other, only) => {
                *self = Self::Many(BTreeSet::from([(*other, *only), (cutoff, version)]))
            }
            Self::Many(versions) => {
                versions.insert((cutoff, version));
            }
        }
    }

    fn replace(&mut self, before: Cutoff, after: Cutoff, version: Version) {
        match self {
            Self::One(cutoff, _) => *cutoff = after,
            Self::Many(versions) => {
                versions.remove(&(before, version));
                versions.insert((after, version));
            }
        }
    }

    /// Whether none is left.
    fn remove(&mut self, cutoff: Cutoff, version: Version) -> bool {
        match self {
            Self::One(_, only) => *only == version,
            Self::Many(versions) => {
                versions.remove(&(cutoff, version));
                versions.is_empty()
            }
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
