//! Reports: which edges enforce a revocation and since when, and what was tried with it afterwards.
//!
//! Edges say both; the log keeps it beside the events. A push is watched until every edge has applied it, and an edge
//! that comes back within [`LATE_MS`] still counts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_core::Version;
use tokio::time::Instant;
use tracing::warn;

use super::error::ControlError;
use super::revocation::{Revocation, RevocationId};
use super::{Control, require};
use crate::auth::{Caller, Scope};
use crate::clock::UnixMillis;
use crate::log::{LogError, Push, Reported, Reports, Search, Tried};
use crate::quiet::Quiet;

/// A push that is not enforced everywhere by then is written down as it stands.
const DUE_MS: UnixMillis = 15_000;
/// How long edges that are missing may still come.
const LATE_MS: UnixMillis = 600_000;
/// Pushes that are watched; beyond it the oldest is written down as it stands.
const MAX_WATCHED: usize = 4_096;
/// Requests in one transaction, so that no revocation waits for long behind them.
const MAX_KEPT: usize = 512;
/// Places of requests that a revocation is reported with, in a page and alone.
const PLACES: usize = 20;
const ALL_PLACES: usize = 1_024;

/// A revocation with what edges say of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReportedRevocation {
    /// The revocation.
    pub revocation: Revocation,
    /// Who enforces it; `None` where that is not known, because the process ended before edges had said so.
    pub enforced: Option<Push>,
    /// All requests that it stood against.
    pub count: u64,
    /// Those of them that an edge in `observe` or `mark` let pass.
    pub passed: u64,
    /// When the first and the last of them came.
    pub between_ms: Option<(UnixMillis, UnixMillis)>,
    /// Where, the most frequent first.
    pub tried: Vec<Tried>,
}

/// Where a page of a report ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReportCursor {
    /// The time of the last revocation.
    pub at_ms: UnixMillis,
    /// Its version.
    pub version: Version,
}

/// Which part of a report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReportRequest {
    /// Revocations accepted from then on.
    pub from_ms: UnixMillis,
    /// And before that.
    pub to_ms: UnixMillis,
    /// Where the page before ended.
    pub cursor: Option<ReportCursor>,
    /// Most items.
    pub limit: usize,
}

/// The pushes that are watched.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pushes: Mutex<Vec<Watch>>,
    failures: Quiet<()>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    pub(super) first: Version,
    pub(super) last: Version,
    pub(super) at_ms: UnixMillis,
    pub(super) written: bool,
}

impl Watched {
    // Nothing that can fail half-way happens under the lock.
    fn lock(&self) -> MutexGuard<'_, Vec<Watch>> {
        self.pushes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    /// One revocation with what edges say of it. Needs the scope `read`.
    ///
    /// # Errors
    /// When there is none of that id that the caller may see.
    pub async fn get_reported(
        &self,
        id: RevocationId,
        caller: &Caller,
    ) -> Result<ReportedRevocation, ControlError> {
        let revocation = self.get(id, caller).await?;
        let reported = self.reported(vec![revocation], ALL_PLACES).await?.pop();
        reported.ok_or(ControlError::NoRevocation(id))
    }

    /// The revocations accepted in a span of time, oldest first, with what edges say of them. Needs the scope `read`; a
    /// limited key sees those of its issuers.
    ///
    /// # Errors
    /// By caller and log.
    pub async fn report(
        &self,
        request: ReportRequest,
        caller: &Caller,
    ) -> Result<(Vec<ReportedRevocation>, Option<ReportCursor>), ControlError> {
        require(caller, Scope::Read)?;
        let ReportRequest { from_ms, to_ms, cursor, limit } = request;
        let after = cursor.map_or((0, 0), |cursor| (cursor.at_ms, cursor.version));
        let found = self.stories(Search::Between { from_ms, to_ms, after, limit }).await?;
        let full = found.len() == limit;
        let last =
            found.last().map(|(last, _)| ReportCursor { at_ms: last.created_at_ms, version: last.version() });
        // What is being written now is in the next report, when it is in force as well.
        let in_force = self.inner.store.version();
        let visible = found.into_iter().map(|(revocation, _)| revocation).filter(|revocation| {
            revocation.version() <= in_force && caller.principal.may_act_on(revocation.issuer())
        });
        let reported = self.reported(visible.collect(), PLACES).await?;
        Ok((reported, last.filter(|_| full)))
    }

    async fn reported(
        &self,
        revocations: Vec<Revocation>,
        places: usize,
    ) -> Result<Vec<ReportedRevocation>, LogError> {
        let versions: Vec<Version> = revocations.iter().map(Revocation::version).collect();
        let now = self.standing(&versions);
        let kept = self.inner.store.log().reported(versions, places).await?;
        let together = |((revocation, kept), now): ((Revocation, Reported), Option<Push>)| {
            let Reported { push, count, passed, between_ms, tried } = kept;
            ReportedRevocation { revocation, enforced: now.or(push), count, passed, between_ms, tried }
        };
        Ok(revocations.into_iter().zip(kept).zip(now).map(together).collect())
    }

    /// How far those of these versions have got that are watched.
    fn standing(&self, versions: &[Version]) -> Vec<Option<Push>> {
        let watched = self.watch();
        let of = |version: &Version| {
            let after = watched.partition_point(|watch| watch.last < *version);
            watched.get(after).filter(|watch| watch.first <= *version).copied()
        };
        let found: Vec<Option<Watch>> = versions.iter().map(of).collect();
        drop(watched);
        let mut pushes = self.pushes(found.iter().flatten().copied().collect()).into_iter();
        found.into_iter().map(|watch| watch.and_then(|_| pushes.next())).collect()
    }

    /// The pushes that are watched, with what has been pushed since.
    pub(super) fn watch(&self) -> MutexGuard<'_, Vec<Watch>> {
        let mut watched = self.inner.watched.lock();
        let pushed = self.inner.store.take_pushed().into_iter();
        watched.extend(pushed.map(|(first, last, at_ms)| Watch { first, last, at_ms, written: false }));
        watched
    }

    fn pushes(&self, watched: Vec<Watch>) -> Vec<Push> {
        let asked: Vec<(Version, UnixMillis)> =
            watched.iter().map(|watch| (watch.last, watch.at_ms)).collect();
        let enforced = self.inner.registry.enforced(&asked, self.now_ms());
        let push = |(watch, enforced): (Watch, crate::edge::Enforced)| Push {
            first: watch.first,
            last: watch.last,
            accepted_at_ms: watch.at_ms,
            edges: enforced.edges as u64,
            applied: enforced.applied as u64,
            applied_at_ms: enforced.at_ms,
            missing: enforced.missing,
        };
        watched.into_iter().zip(enforced).map(push).collect()
    }

    /// Writes down what edges have said since the last call; with `now`, also what they may yet say more of.
    pub(super) async fn keep_reports(&self, now: bool) {
        let settled = self.settled(now);
        let over: Vec<Version> =
            settled.iter().filter(|(_, over)| *over).map(|(push, _)| push.last).collect();
        let written: Vec<Version> = settled.iter().map(|(push, _)| push.last).collect();
        let pushes = settled.into_iter().map(|(push, _)| push).collect();
        let mut reports = vec![Reports { tried: Vec::new(), pushes }];
        let tried = self.inner.tries.take();
        reports.extend(
            tried.chunks(MAX_KEPT).map(|tried| Reports { tried: tried.to_vec(), pushes: Vec::new() }),
        );
        for reports in reports.into_iter().filter(|reports| !reports.is_empty()) {
            let requests = reports.tried.iter().map(|tried| tried.count).sum();
            if let Err(error) = self.inner.store.log().keep(reports).await {
                if self.inner.watched.failures.is_due(None, (), Instant::now()) {
                    warn!(%error, "what edges have reported could not be kept: reports lack it");
                }
                self.inner.metrics.unassigned_tries.inc_by(requests);
            }
        }
        // Only now, so that nobody asks in between for what is neither watched nor kept.
        let mut watched = self.watch();
        watched.retain(|watch| over.binary_search(&watch.last).is_err());
        for watch in &mut *watched {
            watch.written |= written.binary_search(&watch.last).is_ok();
        }
    }

    /// The pushes that are to be written down, and whether they need not be watched any more.
    fn settled(&self, now: bool) -> Vec<(Push, bool)> {
        let now_ms = self.now_ms();
        let watched = self.watch().clone();
        let surplus = watched.len().saturating_sub(MAX_WATCHED);
        let pushes = self.pushes(watched.clone());
        let settled = watched.into_iter().zip(pushes).enumerate().filter_map(|(index, (watch, push))| {
            let age_ms = now_ms.saturating_sub(watch.at_ms);
            let over = push.applied_at_ms.is_some() || age_ms >= LATE_MS || index < surplus;
            let due = over || (!watch.written && (now || age_ms >= DUE_MS));
            due.then_some((push, over))
        });
        settled.collect()
    }
}
