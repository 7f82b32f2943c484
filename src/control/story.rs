//! From the events about a revocation to what callers see of it.

use portcullis_core::ledger::Live;
use portcullis_core::{Cutoff, Selector, UnixSeconds, Version};

use super::error::ControlError;
use super::revocation::{Revocation, RevocationId, Status};
use super::{Control, require};
use crate::auth::{Actor, Caller, Scope};
use crate::clock::UnixMillis;
use crate::log::wire::event::Event as Body;
use crate::log::{LogError, Search, Story, cutoff_of, selector_of, wire};

/// What of a revocation's event callers see beside its selector.
pub(super) struct Terms {
    cutoff: Cutoff,
    expires_at: Option<UnixSeconds>,
    reason: String,
}

impl Terms {
    pub(super) fn of(revoked: &wire::Revoked) -> Self {
        Self { cutoff: cutoff_of(revoked), expires_at: revoked.expires_at, reason: revoked.reason.clone() }
    }
}

/// A revocation that has just been made.
pub(super) fn new(
    id: RevocationId,
    selector: Selector,
    terms: Terms,
    created_by: Actor,
    created_at_ms: UnixMillis,
) -> Revocation {
    let Terms { cutoff, expires_at, reason } = terms;
    Revocation {
        id,
        selector,
        cutoff,
        expires_at,
        until_reinstated: expires_at.is_none(),
        status: Status::Active,
        reason,
        created_at_ms,
        created_by,
        reinstated_at_ms: None,
        ended_at_ms: None,
    }
}

/// A revocation as its events and the ledger have it.
pub(super) fn tell(story: &Story, live: Option<Live>) -> Result<(Revocation, wire::Revoked), LogError> {
    let version = story.revoked.version;
    let event = story.revoked.event()?;
    let Some(Body::Revoked(revoked)) = event.event else {
        return Err(LogError::Damaged(format!("event {version} is no revocation")));
    };
    let selector = selector_of(revoked.clone())
        .map_err(|error| LogError::Damaged(format!("event {version}: {error}")))?;
    let id = RevocationId::of(version, &story.revoked.payload);
    let created_by = event.actor.as_ref().map(Actor::from).unwrap_or_default();
    let mut revocation = new(id, selector, Terms::of(&revoked), created_by, millis(event.at_ms));
    let mut undone_at_ms = None;
    for record in &story.since {
        let event = record.event()?;
        let at_ms = millis(event.at_ms);
        match event.event {
            Some(Body::Reinstated(reinstated)) => {
                revocation.reinstated_at_ms.get_or_insert(at_ms);
                revocation.cutoff = revocation.cutoff.min(Cutoff::At(reinstated.cutoff));
                let end =
                    revocation.expires_at.map_or(reinstated.expires_at, |at| at.min(reinstated.expires_at));
                revocation.expires_at = Some(end);
                revocation.until_reinstated = false;
            }
            Some(Body::Undone(_)) => {
                undone_at_ms.get_or_insert(at_ms);
            }
            _ => {}
        }
    }
    revocation.status = match (live, undone_at_ms) {
        (Some(live), _) if live.reinstated => Status::Reinstated,
        (Some(_), _) => Status::Active,
        (None, Some(_)) => Status::Undone,
        (None, None) => Status::Expired,
    };
    revocation.ended_at_ms = match revocation.status {
        Status::Active | Status::Reinstated => None,
        Status::Undone => undone_at_ms,
        Status::Expired => revocation.expires_at.map(|at| at.saturating_mul(1_000)),
    };
    Ok((revocation, revoked))
}

pub(super) fn millis(at_ms: i64) -> UnixMillis {
    UnixMillis::try_from(at_ms).unwrap_or_default()
}

impl Control {
    /// One revocation. Needs the scope `read`.
    ///
    /// # Errors
    /// When there is none of that id that the caller may see.
    pub async fn get(&self, id: RevocationId, caller: &Caller) -> Result<Revocation, ControlError> {
        require(caller, Scope::Read)?;
        Ok(self.find(id, caller).await?.0)
    }

    /// A revocation that the caller may act on, whatever its scopes.
    pub(super) async fn find(
        &self,
        id: RevocationId,
        caller: &Caller,
    ) -> Result<(Revocation, wire::Revoked), ControlError> {
        let mut found = self.stories(Search::Versions(vec![id.version()])).await?;
        found
            .pop()
            .filter(|(revocation, _)| revocation.id == id && caller.principal.may_act_on(revocation.issuer()))
            .ok_or(ControlError::NoRevocation(id))
    }

    /// Revocations with what has become of them, in the order of the search.
    pub(super) async fn stories(&self, search: Search) -> Result<Vec<(Revocation, wire::Revoked)>, LogError> {
        let stories = self.inner.store.log().stories(search).await?;
        let versions: Vec<Version> = stories.iter().map(|story| story.revoked.version).collect();
        let live: Vec<Option<Live>> = self
            .inner
            .store
            .read(|state| versions.iter().map(|version| state.ledger().get(*version).copied()).collect());
        stories.iter().zip(live).map(|(story, live)| tell(story, live)).collect()
    }
}
