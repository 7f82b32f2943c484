//! Whether a token would be rejected: the edges' decision, on the ledger instead of their set.

use portcullis_core::claims::keys_of_token;
use portcullis_core::json::Json;
use portcullis_core::token::{Decoded, Jwt, Malformed, Token};
use portcullis_core::{Shapes, Version};

use super::answer::{Checked, Warning};
use super::error::ControlError;
use super::request::CheckSubject;
use super::{Control, require};
use crate::auth::{Caller, Scope};
use crate::log::Search;
use crate::state::State;

/// Revocations that are named; one alone rejects the token.
const MAX_NAMED: usize = 100;

impl Control {
    /// Whether a token would be rejected, by the decision that edges make. Needs the scope `read`; a limited
    /// key is not told of revocations of other issuers.
    ///
    /// # Errors
    /// By caller and log. A token that cannot be read is an answer, not an error.
    pub async fn check(&self, subject: &CheckSubject, caller: &Caller) -> Result<Checked, ControlError> {
        require(caller, Scope::Read)?;
        let mut decoded = Decoded::default();
        let token = match subject {
            CheckSubject::Token(raw) => Token::read(raw, &mut decoded),
            // Claims alone: no selector by the raw token's hash or the header can match.
            CheckSubject::Claims(claims) => {
                Ok(Token::Jwt(Jwt { raw: "", key_id: None, claims: self.with_issuer(claims.clone()) }))
            }
        };
        let opaque = matches!(token, Ok(Token::Opaque(_)));
        let hits = token.and_then(|token| self.inner.store.read(|state| hits(state, &token)));
        let versions = match hits {
            Ok(versions) => versions,
            Err(malformed) => return Ok(Checked { malformed: Some(malformed), ..Checked::default() }),
        };
        let found =
            self.stories(Search::Versions(versions)).await?.into_iter().map(|(revocation, _)| revocation);
        let mut revocations: Vec<_> =
            found.filter(|revocation| caller.principal.may_act_on(revocation.issuer())).collect();
        revocations.sort_by_key(|revocation| (revocation.kind(), revocation.version()));
        let warn = opaque && revocations.is_empty();
        Ok(Checked {
            warnings: warn.then_some(Warning::OpaqueToken).into_iter().collect(),
            kind: revocations.first().map(super::Revocation::kind),
            since_ms: revocations.iter().map(|revocation| revocation.created_at_ms).min(),
            revocations,
            malformed: None,
        })
    }
}

impl Control {
    /// Claims that name no issuer are those of the only one that is configured.
    fn with_issuer<'a>(&'a self, mut claims: Json<'a>) -> Json<'a> {
        if let (Json::Object(members), Some(issuer)) = (&mut claims, self.inner.issuers.only()) {
            members.insert_if_absent("iss", Json::Text(issuer.into()));
        }
        claims
    }
}

/// The live revocations that reject a token.
fn hits(state: &State, token: &Token<'_>) -> Result<Vec<Version>, Malformed> {
    let shapes = Shapes::new(state.shapes().cloned().collect());
    let keys = keys_of_token(state.hash_key(), &shapes, token)?;
    let mut versions = Vec::new();
    for (key, shape) in &keys.keys {
        let Some(shape) = shapes.as_slice().get(*shape) else { continue };
        let issued = keys.time(shape.cutoff_claim());
        let live = state.ledger().of_key(*key).filter(|(_, live)| live.cutoff.rejects(issued));
        versions.extend(live.map(|(version, _)| version).take(MAX_NAMED));
    }
    versions.truncate(MAX_NAMED);
    Ok(versions)
}
