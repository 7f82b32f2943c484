//! The audit trail.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_core::Version;

use super::answer::{AuditEvent, AuditRecord};
use super::error::ControlError;
use super::request::{EventFilter, Page, PageRequest};
use super::revocation::RevocationId;
use super::story::millis;
use super::{Control, require};
use crate::auth::{Actor, Caller, Scope};
use crate::log::wire::event::Event as Body;
use crate::log::{Head, LogError, Record, Search, Verified, cutoff_of, selector_of, wire};

/// Most items of a page.
const MAX_LIMIT: usize = 1_000;

/// The revocations that events speak of: their ids and issuers.
type Named = BTreeMap<Version, (RevocationId, Option<String>)>;

impl Control {
    /// The audit trail, oldest first; the cursor is the version of the last event seen. Needs the scope
    /// `read`; a limited key sees what concerns its issuers.
    ///
    /// # Errors
    /// By caller and log.
    pub async fn events(
        &self,
        filter: EventFilter,
        page: PageRequest,
        caller: &Caller,
    ) -> Result<Page<AuditEvent>, ControlError> {
        require(caller, Scope::Read)?;
        let after = page.cursor.unwrap_or_default();
        let limit = page.limit.clamp(1, MAX_LIMIT);
        let mut records = match filter.revocation {
            None => self.inner.store.log().read(after, limit).await?,
            Some(id) => {
                self.find(id, caller).await?;
                let stories = self.inner.store.log().stories(Search::Versions(vec![id.version()])).await?;
                let events =
                    stories.into_iter().flat_map(|story| [vec![story.revoked], story.since].concat());
                events.filter(|record| record.version > after).take(limit).collect()
            }
        };
        // What is being written now is seen by the next call, when it is in force as well.
        let in_force = self.inner.store.version();
        records.retain(|record| record.version <= in_force);
        let next = records.last().map(|record| record.version).filter(|_| records.len() == limit);
        let named = self.named(&records).await?;
        let mut items = Vec::with_capacity(records.len());
        for record in &records {
            let (event, issuer) = tell(record, &named)?;
            let visible = match issuer {
                About::Issuer(issuer) => caller.principal.may_act_on(issuer.as_deref()),
                About::Everything => caller.principal.issuers.is_empty(),
            };
            if visible {
                items.push(event);
            }
        }
        Ok(Page { items, next })
    }

    /// Goes through the hash chain of the audit trail; `expected` is a head that was written down earlier. Needs the scope
    /// `read`.
    ///
    /// # Errors
    /// By caller and log. A chain that does not hold is an answer, not an error.
    pub async fn verify(&self, expected: Option<Head>, caller: &Caller) -> Result<Verified, ControlError> {
        require(caller, Scope::Read)?;
        Ok(self.inner.store.log().verify(expected).await?)
    }

    /// The revocations that these events are, or are about.
    async fn named(&self, records: &[Record]) -> Result<Named, LogError> {
        let mut versions = BTreeSet::new();
        for record in records {
            match record.event()?.event {
                Some(Body::Reinstated(event)) => versions.insert(event.revocation),
                Some(Body::Undone(event)) => versions.insert(event.revocation),
                Some(Body::Received(event)) => {
                    versions.extend(caused(record.version, &event));
                    true
                }
                _ => false,
            };
        }
        let found = self.stories(Search::Versions(versions.into_iter().collect())).await?;
        let named = |(revocation, _): (super::Revocation, _)| {
            (revocation.version(), (revocation.id, revocation.issuer().map(ToOwned::to_owned)))
        };
        Ok(found.into_iter().map(named).collect())
    }
}

/// The versions of the events that a message has caused.
fn caused(version: Version, received: &wire::Received) -> impl Iterator<Item = Version> {
    (version + 1..).take(received.caused.try_into().unwrap_or(usize::MAX))
}

enum About {
    Issuer(Option<String>),
    Everything,
}

fn tell(record: &Record, named: &Named) -> Result<(AuditEvent, About), LogError> {
    let event = record.event()?;
    let damaged =
        |error: &dyn std::fmt::Display| LogError::Damaged(format!("event {}: {error}", record.version));
    let of = |version: Version| {
        named.get(&version).cloned().map_or((None, None), |(id, issuer)| (Some(id), issuer))
    };
    let (what, about) = match event.event.ok_or_else(|| damaged(&"of an unknown type"))? {
        Body::Revoked(revoked) => {
            let id = RevocationId::of(record.version, &record.payload);
            let (cutoff, expires_at, reason) =
                (cutoff_of(&revoked), revoked.expires_at, revoked.reason.clone());
            let selector = selector_of(revoked).map_err(|error| damaged(&error))?;
            let about = About::Issuer(selector.claim("iss").map(ToOwned::to_owned));
            (AuditRecord::Revoked { id, selector, cutoff, expires_at, reason }, about)
        }
        Body::Reinstated(event) => {
            let (id, issuer) = of(event.revocation);
            let (cutoff, expires_at, reason) = (event.cutoff, event.expires_at, event.reason);
            (AuditRecord::Reinstated { id, cutoff, expires_at, reason }, About::Issuer(issuer))
        }
        Body::Undone(event) => {
            let (id, issuer) = of(event.revocation);
            (AuditRecord::Undone { id, reason: event.reason }, About::Issuer(issuer))
        }
        Body::Swept(event) => (AuditRecord::Swept { until: event.until }, About::Everything),
        Body::KeyCreated(event) => {
            let scopes = event.scopes.iter().filter_map(|scope| Scope::from_name(scope)).collect();
            let issuers = event.issuers.into_iter().collect();
            (AuditRecord::KeyCreated { id: event.id, name: event.name, scopes, issuers }, About::Everything)
        }
        Body::KeyDeleted(event) => (AuditRecord::KeyDeleted { id: event.id }, About::Everything),
        Body::Received(event) => {
            let ids = caused(record.version, &event).filter_map(|version| Some(named.get(&version)?.0));
            let revocations = ids.collect();
            let about = match event.issuer.is_empty() {
                true => About::Everything,
                false => About::Issuer(Some(event.issuer.clone())),
            };
            let wire::Received { inlet, issuer, message_id, peer, signal, refusal, detail, count, .. } =
                event;
            let refusal = Some(refusal).filter(|refusal| !refusal.is_empty());
            let count = Some(count).filter(|count| *count > 0);
            let received = AuditRecord::Received {
                inlet,
                issuer,
                message_id,
                peer,
                signal,
                revocations,
                refusal,
                detail,
                count,
            };
            (received, about)
        }
        Body::UserKept(event) => {
            let wire::UserKept { issuer, id, user_name, active, .. } = event;
            let about = About::Issuer(Some(issuer.clone()));
            (AuditRecord::UserKept { issuer, id, user_name, active }, about)
        }
        Body::UserDropped(wire::UserDropped { issuer, id }) => {
            let about = About::Issuer(Some(issuer.clone()));
            (AuditRecord::UserDropped { issuer, id }, about)
        }
    };
    let actor = event.actor.as_ref().map(Actor::from).unwrap_or_default();
    Ok((AuditEvent { version: record.version, at_ms: millis(event.at_ms), actor, what }, about))
}
