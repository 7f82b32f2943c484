//! Between the API's data and the front door's.

use portcullis_core::{Cutoff, CutoffClaim, Kind, Selector};

use super::error::{ApiError, Code};
use super::model::{self, FieldProblem, Moment, Secret};
use crate::control::{self, Commit, Refusal, Target};
use crate::{auth, config};

/// What a request for a revocation asks for.
///
/// `by_default` says which issuer is meant when none is named.
pub(super) fn new_revocation(
    mut request: model::NewRevocation,
    by_default: impl Fn() -> Result<String, Refusal>,
) -> Result<control::NewRevocation, ApiError> {
    let (cutoff, expires_at) = (request.cutoff, request.expires_at);
    let (until_reinstated, reason) = (request.until_reinstated, std::mem::take(&mut request.reason));
    Ok(control::NewRevocation {
        cutoff_ms: cutoff.map(Moment::millis),
        expires_at: expires_at.map(Moment::seconds),
        until_reinstated,
        reason,
        ..control::NewRevocation::new(target(request, by_default)?)
    })
}

fn target(
    request: model::NewRevocation,
    by_default: impl Fn() -> Result<String, Refusal>,
) -> Result<Target, ApiError> {
    use model::Kind;
    let model::NewRevocation { kind, issuer, value, token, claims, .. } = request;
    let unwanted = [
        ("token", token.is_some() && kind != Kind::Token),
        ("claims", claims.is_some() && kind != Kind::Claims),
        ("value", value.is_some() && (matches!(kind, Kind::Issuer | Kind::Claims) || token.is_some())),
        ("issuer", issuer.is_some() && (kind == Kind::Claims || token.is_some())),
    ];
    if let Some((field, _)) = unwanted.iter().find(|(_, unwanted)| *unwanted) {
        return Err(not_applicable(kind, field));
    }
    if let Some(Secret(token)) = token {
        return Ok(Target::RawToken { token });
    }
    let issuer_of = |issuer: Option<String>| {
        issuer.map_or_else(|| by_default().map_err(|refusal| missing(&refusal, "/issuer")), Ok)
    };
    let value_of = |value: Option<String>| value.ok_or_else(|| missing(&Refusal::ValueMissing, "/value"));
    Ok(match kind {
        Kind::Session => Target::Session { issuer: issuer_of(issuer)?, sid: value_of(value)? },
        Kind::Subject => Target::Subject { issuer: issuer_of(issuer)?, sub: value_of(value)? },
        Kind::Token => match value.as_deref().and_then(|value| value.strip_prefix("sha256:")) {
            Some(_) if issuer.is_some() => return Err(not_applicable(kind, "issuer")),
            Some(hex) => Target::TokenSha256 { hex: hex.to_owned() },
            None => Target::Token { issuer: issuer_of(issuer)?, jti: value_of(value)? },
        },
        Kind::Client => Target::Client { issuer: issuer_of(issuer)?, client_id: value_of(value)? },
        // Everything that an issuer has issued is too much to mean without saying so.
        Kind::Issuer => Target::Issuer {
            issuer: issuer.ok_or_else(|| missing(&Refusal::IssuerMissing(Vec::new()), "/issuer"))?,
        },
        Kind::Key => Target::Key { issuer: issuer_of(issuer)?, kid: value_of(value)? },
        Kind::Claims => {
            let claims = claims.ok_or_else(|| missing(&Refusal::ValueMissing, "/claims"))?;
            Target::Claims(claims.0.into_iter().collect())
        }
    })
}

fn missing(refusal: &Refusal, pointer: &str) -> ApiError {
    ApiError::refused(refusal, pointer)
}

fn not_applicable(kind: model::Kind, field: &str) -> ApiError {
    let detail = format!("a revocation of this kind ({}) does not take `{field}` as well", kind.name());
    let problem = FieldProblem::at(format!("/{field}"), "leave it out");
    ApiError::new(Code::FieldNotApplicable, detail).field(problem)
}

impl From<control::Revocation> for model::Revocation {
    fn from(revocation: control::Revocation) -> Self {
        let (issuer, value, claims) = about(&revocation.selector);
        Self {
            id: revocation.id.to_string(),
            version: revocation.version(),
            kind: revocation.kind().into(),
            issuer,
            value,
            claims,
            cutoff: cutoff(revocation.cutoff),
            cutoff_claim: revocation.selector.shape().cutoff_claim().into(),
            expires_at: revocation.expires_at.map(Moment::from_seconds),
            until_reinstated: revocation.until_reinstated,
            status: match revocation.status {
                control::Status::Active => model::Status::Active,
                control::Status::Reinstated => model::Status::Reinstated,
                control::Status::Undone => model::Status::Undone,
                control::Status::Expired => model::Status::Expired,
            },
            reason: revocation.reason,
            created_at: Moment::from_millis(revocation.created_at_ms),
            created_by: revocation.created_by.into(),
            reinstated_at: revocation.reinstated_at_ms.map(Moment::from_millis),
            ended_at: revocation.ended_at_ms.map(Moment::from_millis),
        }
    }
}

/// Issuer and value of a selector; of kind `claims`, where the issuer is one of them, all claims instead.
pub(super) fn about(selector: &Selector) -> (Option<String>, Option<String>, Option<model::ClaimValues>) {
    if selector.kind() == Kind::Claims {
        let pairs = selector.requirements().map(|(field, value)| (field.to_string(), value.to_owned()));
        return (None, None, Some(model::ClaimValues(pairs.collect())));
    }
    (selector.claim("iss").map(str::to_owned), control::value_of(selector), None)
}

/// The cut-off's instant; `None`: every token is rejected.
pub(super) fn cutoff(cutoff: Cutoff) -> Option<Moment> {
    match cutoff {
        Cutoff::Always => None,
        Cutoff::At(seconds) => Some(Moment::from_seconds(seconds)),
    }
}

impl From<CutoffClaim> for model::CutoffClaim {
    fn from(claim: CutoffClaim) -> Self {
        match claim {
            CutoffClaim::Iat => Self::Iat,
            CutoffClaim::AuthTime => Self::AuthTime,
        }
    }
}

impl From<auth::Actor> for model::Actor {
    fn from(actor: auth::Actor) -> Self {
        Self { key: actor.key_id, name: actor.name, via: actor.via }
    }
}

impl From<model::Scope> for auth::Scope {
    fn from(scope: model::Scope) -> Self {
        match scope {
            model::Scope::Revoke => Self::Revoke,
            model::Scope::Read => Self::Read,
            model::Scope::Edge => Self::Edge,
            model::Scope::Admin => Self::Admin,
        }
    }
}

impl From<auth::Scope> for model::Scope {
    fn from(scope: auth::Scope) -> Self {
        match scope {
            auth::Scope::Revoke => Self::Revoke,
            auth::Scope::Read => Self::Read,
            auth::Scope::Edge => Self::Edge,
            auth::Scope::Admin => Self::Admin,
        }
    }
}

impl From<control::Receipts> for model::Receipts {
    fn from(receipts: control::Receipts) -> Self {
        let edges = receipts.edges.into_iter().map(|edge| model::EdgeReceipt {
            applied: edge.applied(),
            node: edge.node,
            process: edge.process,
            workers: edge.workers as u64,
            applied_workers: edge.applied_workers as u64,
            ms: edge.ms,
        });
        Self {
            applied: receipts.applied as u64,
            pending: receipts.pending as u64,
            edges: edges.collect(),
            gone: receipts.gone,
        }
    }
}

impl From<&config::Issuer> for model::Issuer {
    fn from(issuer: &config::Issuer) -> Self {
        let settings = &issuer.settings;
        Self {
            issuer: issuer.issuer.clone(),
            jwks_uri: issuer.jwks_uri.clone(),
            audiences: issuer.audiences.clone(),
            max_token_lifetime_seconds: settings.max_token_lifetime.as_secs(),
            max_session_lifetime_seconds: settings.max_session_lifetime.as_secs(),
            clock_skew_ms: u64::try_from(settings.clock_skew.as_millis()).unwrap_or(u64::MAX),
            cutoff_claim: settings.cutoff_claim.into(),
            keys: Vec::new(),
            keys_fetched_at: None,
            keys_failure: None,
            clock_ahead_ms: None,
        }
    }
}

/// The answer to a change: the revocation, warnings, and receipts where the caller waits for them.
pub(super) async fn accepted(
    control: &control::Control,
    accepted: control::Accepted,
    wait: Option<std::time::Duration>,
) -> model::RevocationAnswer {
    let commit: Commit = accepted.commit;
    let receipts = match wait {
        None => None,
        Some(wait) => Some(control.wait_for_receipts(commit, wait).await.into()),
    };
    model::RevocationAnswer {
        revocation: accepted.revocation.into(),
        warnings: accepted.warnings.iter().map(ToString::to_string).collect(),
        receipts,
    }
}

#[cfg(test)]
mod tests;
