//! Between the log's messages and the types that know what is valid.

use portcullis_core::wire::edge;
use portcullis_core::{Cutoff, CutoffClaim, Field, Selector};

use super::wire;
use crate::auth::Actor;

impl From<&wire::Actor> for Actor {
    fn from(actor: &wire::Actor) -> Self {
        let wire::Actor { key_id, name, via } = actor.clone();
        Self { key_id, name, via }
    }
}

impl From<Actor> for wire::Actor {
    fn from(actor: Actor) -> Self {
        let Actor { key_id, name, via } = actor;
        Self { key_id, name, via }
    }
}

/// Why an event makes no sense.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EventError {
    /// Its selector does not.
    #[error("a revocation's selector makes no sense")]
    Selector,
    /// An API key's hash has another length.
    #[error("an API key makes no sense")]
    Key,
}

/// The requirements of a selector, for an event.
#[must_use]
pub fn wire_requirements(selector: &Selector) -> Vec<wire::Requirement> {
    selector
        .requirements()
        .map(|(field, value)| wire::Requirement { field: Some(field.into()), value: value.into() })
        .collect()
}

/// What a revocation matches.
///
/// # Errors
/// When the event holds no valid selector.
pub fn selector_of(revoked: wire::Revoked) -> Result<Selector, EventError> {
    let requirements = revoked.requirements.into_iter().map(|wire::Requirement { field, value }| {
        let field = field.and_then(|field| Field::try_from(field).ok());
        Ok((field.ok_or(EventError::Selector)?, value))
    });
    let requirements = requirements.collect::<Result<Vec<_>, EventError>>()?;
    let claim = match edge::CutoffClaim::try_from(revoked.cutoff_claim) {
        Ok(edge::CutoffClaim::Iat) => CutoffClaim::Iat,
        Ok(edge::CutoffClaim::AuthTime) => CutoffClaim::AuthTime,
        Err(_) => return Err(EventError::Selector),
    };
    Selector::new(requirements, claim).map_err(|_| EventError::Selector)
}

/// The tokens that a revocation rejects.
#[must_use]
pub fn cutoff_of(revoked: &wire::Revoked) -> Cutoff {
    revoked.cutoff.map_or(Cutoff::Always, Cutoff::At)
}
