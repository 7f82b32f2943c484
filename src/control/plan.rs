//! What a message means for what is in force now: its effects, as they would be appended.

use portcullis_core::{Cutoff, CutoffClaim, Selector, UnixSeconds, Version};

use super::Control;
use super::error::{ControlError, Refusal};
use super::intake::{self, Intake};
use super::receive::Message;
use super::request::{NewRevocation, Target};
use super::revocation::{Revocation, RevocationId};
use crate::auth::{Actor, Caller};
use crate::clock::UnixMillis;
use crate::log::wire::event::Event as Body;
use crate::log::{LogError, Search, wire};
use crate::state::{MessageKey, User};

/// Most effects of one message.
pub const MAX_EFFECTS: usize = 100;

/// What follows from a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// A revocation.
    Revoke(NewRevocation),
    /// A revocation, unless the sender has made one of the same that holds as long and leaves nothing out.
    RevokeOnce(NewRevocation),
    /// One of the others, as of that time: it is passed over where the sender has said something newer of the same.
    AsOf(UnixMillis, Box<Self>),
    /// Whatever inlets have revoked of this until reinstated is reinstated. What was revoked through the API
    /// is not: an operator's word is not a provider's to take back.
    Reinstate {
        /// Of what.
        target: Target,
        /// For the audit trail.
        reason: String,
    },
    /// The same of what the sender itself has revoked, by the same inlet.
    ReinstateOwn {
        /// Of what.
        target: Target,
        /// For the audit trail.
        reason: String,
    },
    /// What the sender itself has revoked of this until reinstated, by the same inlet, is undone: the very tokens
    /// that it stopped are accepted again.
    UndoOwn {
        /// Of what.
        target: Target,
        /// For the audit trail.
        reason: String,
    },
    /// A user is kept as it is here.
    KeepUser(User),
    /// A user is dropped.
    DropUser {
        /// Its issuer.
        issuer: String,
        /// Its id.
        id: String,
    },
}

impl Effect {
    /// Whom it is about, where it is about tokens.
    fn target(&self) -> Option<&Target> {
        match self {
            Self::Revoke(request) | Self::RevokeOnce(request) => Some(&request.target),
            Self::Reinstate { target, .. }
            | Self::ReinstateOwn { target, .. }
            | Self::UndoOwn { target, .. } => Some(target),
            Self::AsOf(_, effect) => effect.target(),
            Self::KeepUser(_) | Self::DropUser { .. } => None,
        }
    }
}

/// What a message means for what is in force now.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) revoke: Vec<Intake>,
    pub(super) reinstate: Vec<(RevocationId, wire::Reinstated)>,
    pub(super) undo: Vec<(RevocationId, wire::Undone)>,
    pub(super) users: Vec<Body>,
    pub(super) words: Vec<(MessageKey, UnixMillis)>,
    pub(super) notes: Vec<String>,
}

impl Control {
    pub(super) async fn plan(
        &self,
        message: &Message,
        caller: &Caller,
        at_ms: UnixMillis,
    ) -> Result<Plan, ControlError> {
        if message.effects.len() > MAX_EFFECTS {
            return Err(Refusal::BatchTooLarge { max: MAX_EFFECTS }.into());
        }
        let mut plan = Plan::default();
        for effect in &message.effects {
            self.plan_one(message, effect, caller, at_ms, &mut plan).await?;
        }
        Ok(plan)
    }

    async fn plan_one(
        &self,
        message: &Message,
        effect: &Effect,
        caller: &Caller,
        at_ms: UnixMillis,
        plan: &mut Plan,
    ) -> Result<(), ControlError> {
        match effect {
            Effect::Revoke(request) => match self.understand(request, caller, at_ms) {
                Ok(intake) => plan.revoke.push(intake),
                // Late, but right: there is nothing left to revoke.
                Err(ControlError::Refused(refusal @ Refusal::CutoffTooOld)) => {
                    plan.notes.push(refusal.to_string());
                }
                Err(error) => return Err(error),
            },
            Effect::RevokeOnce(request) => {
                let intake = self.understand(request, caller, at_ms)?;
                if self.is_revoked(&intake, caller, at_ms).await? {
                    plan.notes.push("it is revoked already".into());
                } else {
                    plan.revoke.push(intake);
                }
            }
            Effect::Reinstate { target, reason }
            | Effect::ReinstateOwn { target, reason }
            | Effect::UndoOwn { target, reason } => {
                self.take_back_all(effect, target, reason, caller, at_ms, plan).await?;
            }
            Effect::AsOf(as_of_ms, effect) => {
                if self.is_news((message, caller), effect, (*as_of_ms, at_ms), plan)? {
                    Box::pin(self.plan_one(message, effect, caller, at_ms, plan)).await?;
                }
            }
            Effect::KeepUser(user) => plan.users.push(Body::UserKept(user.clone().into())),
            Effect::DropUser { issuer, id } => {
                let dropped = wire::UserDropped { issuer: issuer.clone(), id: id.clone() };
                plan.users.push(Body::UserDropped(dropped));
            }
        }
        Ok(())
    }

    /// Whether nothing newer was said of the same; then this is the newest.
    fn is_news(
        &self,
        (message, caller): (&Message, &Caller),
        effect: &Effect,
        (as_of_ms, at_ms): (UnixMillis, UnixMillis),
        plan: &mut Plan,
    ) -> Result<bool, ControlError> {
        let Some(target) = effect.target() else { return Ok(true) };
        let selector = self.understand(&NewRevocation::new(target.clone()), caller, at_ms)?.selector;
        // Whatever is compared with a cut-off, now or then: it is one account.
        let named: Vec<String> = selector
            .requirements()
            .map(|(field, value)| format!("{field}={}:{value}", value.len()))
            .collect();
        let about = MessageKey::of(message.inlet, &message.issuer, &named.join("\n"));
        let last = self.inner.store.read(|state| state.last_word(about));
        let newest =
            plan.words.iter().filter(|(word, _)| *word == about).map(|(_, at_ms)| *at_ms).chain(last);
        if newest.max().is_some_and(|newest| newest > as_of_ms) {
            plan.notes.push("a newer message about this account came before".into());
            return Ok(false);
        }
        plan.words.push((about, as_of_ms));
        Ok(true)
    }

    /// Whether the caller has revoked just this, for as long at least: what others have revoked, they may take back.
    async fn is_revoked(
        &self,
        intake: &Intake,
        caller: &Caller,
        at_ms: UnixMillis,
    ) -> Result<bool, LogError> {
        let key = intake.selector.hash(&self.inner.store.log().identity().hash_key);
        let versions: Vec<Version> = self.inner.store.read(|state| {
            let live = state.ledger().of_key(key).filter(|(_, live)| live.cutoff == Cutoff::Always);
            live.map(|(version, _)| version).take(MAX_EFFECTS).collect()
        });
        if versions.is_empty() {
            return Ok(false);
        }
        let is_own = |by: &Actor| by.via == caller.via && by.name == caller.principal.name;
        // From when each was made: whoever says the same again later does not mean longer.
        let lasting = |expires_at: Option<UnixSeconds>, made_ms: UnixMillis| {
            expires_at.map_or(UnixSeconds::MAX, |expires_at| expires_at.saturating_sub(made_ms / 1_000))
        };
        let wanted = lasting(intake.revoked.expires_at, at_ms);
        let stories = self.stories(Search::Versions(versions)).await?;
        Ok(stories.iter().any(|(revocation, _)| {
            is_own(&revocation.created_by)
                && lasting(revocation.expires_at, revocation.created_at_ms) >= wanted
        }))
    }

    async fn take_back_all(
        &self,
        effect: &Effect,
        target: &Target,
        reason: &str,
        caller: &Caller,
        at_ms: UnixMillis,
        plan: &mut Plan,
    ) -> Result<(), ControlError> {
        intake::check_reason(reason)?;
        let is_theirs = |by: &Actor| match effect {
            Effect::ReinstateOwn { .. } | Effect::UndoOwn { .. } => by.via == caller.via,
            _ => by.via != "api",
        };
        let held = self.held(target, caller, at_ms).await?;
        let theirs: Vec<_> =
            held.into_iter().filter(|(revocation, _)| is_theirs(&revocation.created_by)).collect();
        if theirs.is_empty() {
            plan.notes.push("nothing that an inlet has revoked until reinstated".into());
        }
        for (revocation, revoked) in theirs {
            let version = revocation.version();
            if matches!(effect, Effect::UndoOwn { .. }) {
                let undone = wire::Undone { revocation: version, reason: reason.into() };
                plan.undo.push((revocation.id, undone));
            } else {
                plan.reinstate.push((revocation.id, intake::reinstate(version, &revoked, reason, at_ms)));
            }
        }
        Ok(())
    }

    /// What is revoked of a target until it is reinstated.
    async fn held(
        &self,
        target: &Target,
        caller: &Caller,
        at_ms: UnixMillis,
    ) -> Result<Vec<(Revocation, wire::Revoked)>, ControlError> {
        let request = NewRevocation { until_reinstated: true, ..NewRevocation::new(target.clone()) };
        let selector = self.understand(&request, caller, at_ms)?.selector;
        let hash_key = &self.inner.store.log().identity().hash_key;
        // The issuer's cutoff_claim may have been another one when it was revoked.
        let keys = [CutoffClaim::Iat, CutoffClaim::AuthTime].into_iter().filter_map(|claim| {
            let requirements =
                selector.requirements().map(|(field, value)| (field.clone(), value.to_owned()));
            Selector::new(requirements.collect(), claim).ok().map(|selector| selector.hash(hash_key))
        });
        let keys: Vec<_> = keys.collect();
        let versions: Vec<Version> = self.inner.store.read(|state| {
            let live = keys.iter().flat_map(|key| state.ledger().of_key(*key));
            let held = live.filter(|(_, live)| live.expires_at.is_none() && !live.reinstated);
            held.map(|(version, _)| version).take(MAX_EFFECTS).collect()
        });
        Ok(self.stories(Search::Versions(versions)).await?)
    }
}
