//! What happens around an append: its trace, and a line in the log for people and their tools.

use std::time::Duration;

use tracing::{Instrument as _, info};

use super::{Commit, Control, RevocationId};
use crate::auth::Caller;
use crate::clock::UnixMillis;
use crate::log::{LogError, NewEvent, Versions};
use crate::traces;

/// How long receipts are waited for, for a trace; what comes later is in `GET /v1/edges`.
const PATIENCE: Duration = Duration::from_secs(15);
/// Most changes that are followed at a time; beyond it, traces end with the append.
pub(super) const MAX_FOLLOWED: usize = 256;

impl Control {
    /// Makes events durable and in force, and has their trace go on to the last edge's receipt.
    pub(super) async fn commit(
        &self,
        events: Vec<NewEvent>,
        at_ms: UnixMillis,
    ) -> Result<Versions, LogError> {
        let span = traces::append(events.len());
        let versions = self.inner.store.append(events).instrument(span).await?;
        self.follow(Commit { version: versions.last, at_ms });
        Ok(versions)
    }

    fn follow(&self, commit: Commit) {
        let span = traces::enforce(commit.version);
        if span.is_disabled() {
            return;
        }
        let Ok(permit) = std::sync::Arc::clone(&self.inner.followed).try_acquire_owned() else { return };
        let control = self.clone();
        tokio::spawn(async move {
            let receipts = control.wait_for_receipts(commit, PATIENCE).await;
            traces::enforced(&span, commit.at_ms, &receipts);
            drop(permit);
        });
    }
}

/// Says in the log what has become of revocations, by their ids. The audit trail has the rest.
pub(super) fn note(what: &str, ids: impl IntoIterator<Item = RevocationId>, caller: &Caller) {
    let mut ids = ids.into_iter();
    let Some(first) = ids.next() else { return };
    let (others, trace) = (ids.count(), traces::id());
    let (by, via) = (caller.principal.name.as_str(), caller.via.as_str());
    info!(revocation = %first, others, by, via, trace = trace.as_deref(), "{what}");
}
