//! What the control plane does by itself: drop what has expired, forget edges that have gone, compact.

use std::time::Duration;

use portcullis_core::{UnixSeconds, Version};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::revocation::Status;
use super::{Control, event};
use crate::auth::Actor;
use crate::clock::UnixMillis;
use crate::log::wire::event::Event as Body;
use crate::log::{LogError, NewEvent, Record, Reports, Search, wire};

/// How often expiries are looked for: what has expired is rejected for so long at most.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often compaction looks for something to drop.
const COMPACT_EVERY: Duration = Duration::from_secs(24 * 3_600);
/// Events in one step of compaction.
const STEP: usize = 1_000;

impl Control {
    /// Keeps house until `stop`.
    pub async fn keep_house(self, stop: CancellationToken) {
        // A log of an earlier release gets what it lacks now, and not when somebody revokes.
        if let Err(error) = self.inner.store.log().keep(Reports::default()).await {
            warn!(%error, "the log cannot be written");
        }
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        let mut compact = tokio::time::interval(COMPACT_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    self.settle_refusals(true).await;
                    return self.keep_reports(true).await;
                }
                _ = sweep.tick() => {
                    if let Err(error) = self.sweep().await {
                        warn!(%error, "what has expired could not be dropped; it will be tried again");
                    }
                    self.settle_refusals(false).await;
                    self.keep_reports(false).await;
                    let forget_after = u64::try_from(self.inner.edge.forget_after.as_millis()).unwrap_or(u64::MAX);
                    self.inner.registry.forget(self.now_ms().saturating_sub(forget_after));
                }
                _ = compact.tick() => match self.compact().await {
                    Ok(0) => {}
                    Ok(dropped) => info!(dropped, "revocations that ended and messages received long ago were dropped from the log"),
                    Err(error) => warn!(%error, "the log could not be compacted"),
                },
            }
        }
    }

    /// Drops what has expired. Whether there was anything.
    ///
    /// # Errors
    /// By the log; what has expired stays in force then, which is the safe side.
    pub async fn sweep(&self) -> Result<bool, LogError> {
        let at_ms = self.now_ms();
        let until = at_ms / 1_000;
        let due = self.inner.store.read(|state| state.ledger().next_expiry().is_some_and(|at| at <= until));
        if due {
            let event = event(Body::Swept(wire::Swept { until }), Actor::system(), at_ms);
            self.inner.store.append(vec![NewEvent::new(event, None)]).await?;
        }
        Ok(due)
    }

    /// Drops revocations that ended before the retention, and messages received before it, from the log. Returns
    /// how many.
    ///
    /// # Errors
    /// By the log; what was dropped until then stays dropped.
    pub async fn compact(&self) -> Result<usize, LogError> {
        self.compact_in_steps(STEP).await
    }

    pub(super) async fn compact_in_steps(&self, step: usize) -> Result<usize, LogError> {
        let retention = u64::try_from(self.inner.retention.as_millis()).unwrap_or(u64::MAX);
        let horizon_ms = self.now_ms().saturating_sub(retention);
        let old = self.old(step, horizon_ms).await?;
        let mut after = 0;
        let mut dropped = 0;
        while after < old.last {
            let mut records = self.inner.store.log().read(after, step).await?;
            records.retain(|record| record.version <= old.last);
            let Some(last) = records.last().map(|record| record.version) else { break };
            after = last;
            let mut dead = self.dead(records.iter().map(|record| record.version).collect(), &old).await?;
            dead.extend(forgotten(&records, horizon_ms / 1_000)?);
            dead.extend(self.users_of_the_past(&records)?);
            dropped += dead.len();
            if !dead.is_empty() {
                self.inner.store.log().compact(dead, old.last).await?;
            }
        }
        Ok(dropped)
    }

    /// What lies before the horizon.
    async fn old(&self, step: usize, horizon_ms: UnixMillis) -> Result<Old, LogError> {
        let mut old = Old { horizon_ms, last: 0, swept: 0 };
        let mut after = 0;
        loop {
            let records = self.inner.store.log().read(after, step).await?;
            for record in &records {
                let event = record.event()?;
                if super::story::millis(event.at_ms) >= horizon_ms {
                    return Ok(old);
                }
                if let Some(Body::Swept(swept)) = event.event {
                    old.swept = old.swept.max(swept.until);
                }
                old.last = record.version;
            }
            let Some(last) = records.last() else { return Ok(old) };
            after = last.version;
        }
    }

    /// Those of these events that are revocations which ended before the horizon. One that has expired has
    /// ended for the edges only with the sweep that dropped it.
    async fn dead(&self, versions: Vec<Version>, old: &Old) -> Result<Vec<Version>, LogError> {
        let stories = self.stories(Search::Versions(versions)).await?;
        let ended = stories.into_iter().filter(|(revocation, _)| {
            revocation.ended_at_ms.is_some_and(|ended_at_ms| ended_at_ms < old.horizon_ms)
                && (revocation.status != Status::Expired
                    || revocation.expires_at.is_some_and(|at| at <= old.swept))
        });
        Ok(ended.map(|(revocation, _)| revocation.version()).collect())
    }
}

impl Control {
    /// Those of these events that say how users were before, or that they are gone: what those said has been
    /// dropped by then, because it is older.
    fn users_of_the_past(&self, records: &[Record]) -> Result<Vec<Version>, LogError> {
        let mut versions = Vec::new();
        for record in records {
            let is_past = match record.event()?.event {
                Some(Body::UserKept(kept)) => {
                    let now = self.users(|users| users.get(&kept.issuer, &kept.id));
                    now.is_none_or(|now| now.version != record.version)
                }
                Some(Body::UserDropped(_)) => true,
                _ => false,
            };
            versions.extend(Some(record.version).filter(|_| is_past));
        }
        Ok(versions)
    }
}

/// Those of these events that are received messages which no repetition can meet any more.
fn forgotten(records: &[Record], horizon: UnixSeconds) -> Result<Vec<Version>, LogError> {
    let mut versions = Vec::new();
    for record in records {
        if let Some(Body::Received(received)) = record.event()?.event
            && received.remember_until.is_none_or(|until| until < horizon)
        {
            versions.push(record.version);
        }
    }
    Ok(versions)
}

/// The part of the log that is older than the retention.
struct Old {
    horizon_ms: UnixMillis,
    /// Its last version, 0 if there is none.
    last: Version,
    /// What had expired by then, has been dropped in it.
    swept: u64,
}
