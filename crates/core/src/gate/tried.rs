//! What the gate remembers of requests that it has decided against.

use super::{Attached, Gate};
use crate::Millis;
use crate::policy::Reports;
use crate::verdict::against;

impl Gate {
    /// Whether [`Gate::tried`] must be told of the request that was decided last.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.tries.is_asking()
    }

    /// What the request that was decided last asked for, and when that was.
    pub fn tried(&mut self, target: Option<&[u8]>, now: Millis) {
        self.tries.asked(target.filter(|_| self.policy.reports == Reports::Paths), now);
    }

    /// A revocation stands against these tokens.
    pub(super) fn remember(&mut self, attached: &Attached) {
        let Some(store) = self.sync.store() else { return };
        self.tries.begin();
        for keys in attached.iter().filter_map(|token| self.live.keys(token)) {
            for (_, key) in against(&store.set, store.shapes.as_slice(), keys) {
                self.tries.against(key);
            }
        }
    }
}
