//! What a request means: its selector, its cut-off, its expiry. Pure: the same request, settings and time
//! give the same event.

use std::fmt;

use portcullis_core::field::ClaimPath;
use portcullis_core::token::{Decoded, Token};
use portcullis_core::wire::edge;
use portcullis_core::{Cutoff, CutoffClaim, Field, Selector, UnixSeconds};

use super::answer::Warning;
use super::error::Refusal;
use super::request::{NewRevocation, Target};
use crate::clock::UnixMillis;
use crate::config::{IssuerSettings, Issuers};
use crate::log::{wire, wire_requirements};

#[cfg(test)]
mod tests;

/// A cut-off may be so far ahead, because the caller's clock may be; see [`NewRevocation::cutoff_ahead_ms`].
pub const FUTURE_TOLERANCE_MS: UnixMillis = 5_000;
/// Longest reason, in bytes.
pub const MAX_REASON_BYTES: usize = 1_024;
/// Tokens are rejected for so long after they have expired, because validators allow for clocks that are
/// behind: 60 s is the default of Envoy's jwt_authn (`clock_skew_seconds`).
const VALIDATORS_LEEWAY: UnixSeconds = 60;
/// The end of the year 9999.
const LAST_SECOND: UnixSeconds = 253_402_300_799;

/// A request, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Intake {
    /// What the revocation matches.
    pub selector: Selector,
    /// The event to be logged.
    pub revoked: wire::Revoked,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
}

/// What a request for a revocation means at that time.
///
/// Default cut-offs: now for `subject`, `client` and `issuer`, so that logging in again works; none for what
/// never comes back (`session`, `token`, `key`) and for `claims`. A revocation ends when the last token that
/// it can match has expired: see [`IssuerSettings`].
///
/// # Errors
/// When the request makes no sense, or could never match a token.
pub fn decide(request: &NewRevocation, issuers: &Issuers, now_ms: UnixMillis) -> Result<Intake, Refusal> {
    check_reason(&request.reason)?;
    let texts = texts_of(&request.target);
    for (field, text) in &texts {
        printable(field, text)?;
    }
    let issuer = issuer_of(&request.target)?;
    let (settings, mut warnings) = settings_of(issuers, issuer)?;
    warnings.extend(
        texts
            .iter()
            .filter(|(_, text)| text.trim() != *text)
            .map(|(field, text)| Warning::WhiteSpace { field: field.to_string(), value: shortened(text) }),
    );
    let cutoff = cutoff_of(request, &settings, now_ms)?;
    let selector = selector_of(&request.target, claim_of(&request.target, cutoff, &settings))?;
    let lifetime = match selector.shape().cutoff_claim() {
        CutoffClaim::Iat => settings.max_token_lifetime,
        // Refreshed tokens carry the same `auth_time`.
        CutoffClaim::AuthTime => settings.max_session_lifetime.max(settings.max_token_lifetime),
    };
    let expires_at = expiry_of(request, cutoff, lifetime.as_secs(), &settings, now_ms / 1_000)?;
    let revoked = wire::Revoked {
        kind: edge::Kind::from(selector.kind()).into(),
        requirements: wire_requirements(&selector),
        cutoff: match cutoff {
            Cutoff::At(seconds) => Some(seconds),
            Cutoff::Always => None,
        },
        cutoff_claim: edge::CutoffClaim::from(selector.shape().cutoff_claim()).into(),
        expires_at,
        reason: request.reason.clone(),
        max_token_lifetime: lifetime.as_secs(),
    };
    Ok(Intake { selector, revoked, warnings })
}

/// What reinstating a revocation at that time means.
///
/// Tokens carry whole seconds, so one issued in the second of the reinstatement may be older or newer: it
/// stays rejected, and from the next second on tokens are accepted.
#[must_use]
pub fn reinstate(
    version: u64,
    revoked: &wire::Revoked,
    reason: &str,
    now_ms: UnixMillis,
) -> wire::Reinstated {
    let cutoff = now_ms / 1_000;
    let expires_at = cutoff.saturating_add(revoked.max_token_lifetime).saturating_add(VALIDATORS_LEEWAY);
    wire::Reinstated { revocation: version, cutoff, expires_at, reason: reason.into() }
}

/// Whether a reason can be kept.
///
/// # Errors
/// When it is too long, or could change what a terminal shows.
pub(super) fn check_reason(reason: &str) -> Result<(), Refusal> {
    if reason.len() > MAX_REASON_BYTES {
        return Err(Refusal::ReasonTooLong { max: MAX_REASON_BYTES });
    }
    printable(&Part::Field("reason"), reason)
}

/// A part of a request.
#[derive(Clone, Copy, Debug)]
enum Part<'a> {
    Field(&'static str),
    Claim(&'a str),
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => out.write_str(name),
            Self::Claim(name) => write!(out, "claims/{}", visible(name)),
        }
    }
}

/// The texts of a target that people will read.
fn texts_of(target: &Target) -> Vec<(Part<'_>, &str)> {
    let both = |issuer, value| vec![(Part::Field("issuer"), issuer), (Part::Field("value"), value)];
    match target {
        Target::Session { issuer, sid: value }
        | Target::Subject { issuer, sub: value }
        | Target::Token { issuer, jti: value }
        | Target::Client { issuer, client_id: value }
        | Target::Key { issuer, kid: value } => both(issuer.as_str(), value.as_str()),
        Target::Issuer { issuer } => vec![(Part::Field("issuer"), issuer)],
        // Of these only a hash is kept.
        Target::RawToken { .. } | Target::TokenSha256 { .. } => Vec::new(),
        Target::Claims(claims) => claims
            .iter()
            .flat_map(|(name, value)| {
                [(Part::Claim(name), name.as_str()), (Part::Claim(name), value.as_str())]
            })
            .collect(),
    }
}

fn printable(part: &Part<'_>, text: &str) -> Result<(), Refusal> {
    if !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(match part {
        Part::Field(field) => Refusal::ControlCharacter { field, claim: None },
        Part::Claim(name) => Refusal::ControlCharacter { field: "claims", claim: Some(visible(name)) },
    })
}

/// A name of bounded length that changes nothing on a terminal.
fn visible(name: &str) -> String {
    name.chars()
        .take(64)
        .map(|char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char })
        .collect()
}

fn issuer_of(target: &Target) -> Result<Option<&str>, Refusal> {
    let named = match target {
        Target::Session { issuer, .. }
        | Target::Subject { issuer, .. }
        | Target::Token { issuer, .. }
        | Target::Client { issuer, .. }
        | Target::Issuer { issuer }
        | Target::Key { issuer, .. } => issuer,
        // Only for its lifetimes: the selector is the hash alone.
        Target::RawToken { .. } | Target::TokenSha256 { .. } => return Ok(None),
        Target::Claims(claims) => {
            return Ok(claims
                .iter()
                .find(|(name, _)| matches!(name.as_str(), "iss" | "/iss"))
                .map(|(_, value)| value.as_str()));
        }
    };
    if named.is_empty() { Err(Refusal::IssuerMissing(Vec::new())) } else { Ok(Some(named)) }
}

fn settings_of(issuers: &Issuers, issuer: Option<&str>) -> Result<(IssuerSettings, Vec<Warning>), Refusal> {
    let Some(issuer) = issuer else { return Ok((longest(issuers), Vec::new())) };
    match issuers.find(issuer) {
        Some(configured) => Ok((configured.settings, Vec::new())),
        None if issuers.strict && !issuers.configured.is_empty() => {
            Err(Refusal::UnknownIssuer(issuer.into()))
        }
        None => Ok((IssuerSettings::default(), vec![not_configured(issuers, issuer)])),
    }
}

/// What to say of an issuer that is not configured.
pub(super) fn not_configured(issuers: &Issuers, issuer: &str) -> Warning {
    if issuers.configured.is_empty() {
        return Warning::IssuerNotConfigured(issuer.into());
    }
    let names = issuers.configured.iter().map(|configured| &configured.issuer);
    Warning::IssuerMatchesNone {
        issuer: issuer.into(),
        similar: names.clone().find(|name| essence(name) == essence(issuer)).cloned(),
        configured: names.cloned().collect(),
    }
}

/// An issuer without what is easily got wrong: case, scheme, trailing slashes, white space.
fn essence(issuer: &str) -> String {
    let lower = issuer.trim().to_lowercase();
    let rest = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    rest.trim_end_matches('/').to_owned()
}

/// What holds for a token of any issuer: the longest lifetimes, the largest skew.
fn longest(issuers: &Issuers) -> IssuerSettings {
    let settings = issuers.configured.iter().map(|configured| configured.settings);
    settings
        .reduce(|one, other| IssuerSettings {
            max_token_lifetime: one.max_token_lifetime.max(other.max_token_lifetime),
            max_session_lifetime: one.max_session_lifetime.max(other.max_session_lifetime),
            clock_skew: one.clock_skew.max(other.clock_skew),
            cutoff_claim: CutoffClaim::Iat,
        })
        .unwrap_or_default()
}

fn cutoff_of(
    request: &NewRevocation,
    settings: &IssuerSettings,
    now_ms: UnixMillis,
) -> Result<Cutoff, Refusal> {
    if request.until_reinstated {
        return match request.cutoff_ms {
            Some(_) => Err(Refusal::CutoffUntilReinstated),
            None => Ok(Cutoff::Always),
        };
    }
    let by_default = match request.target {
        Target::Subject { .. } | Target::Client { .. } | Target::Issuer { .. } => Some(now_ms),
        Target::Session { .. }
        | Target::Token { .. }
        | Target::RawToken { .. }
        | Target::TokenSha256 { .. }
        | Target::Key { .. }
        | Target::Claims(_) => None,
    };
    let skew = u64::try_from(settings.clock_skew.as_millis()).unwrap_or(u64::MAX);
    match request.cutoff_ms.or(by_default) {
        Some(at) if at > now_ms.saturating_add(request.cutoff_ahead_ms) => Err(Refusal::CutoffInFuture),
        Some(at) => Ok(Cutoff::from_millis(at, skew)),
        None => Ok(Cutoff::Always),
    }
}

/// The claim that cut-offs of a target are compared with. The kinds that usually have none take `iat`, so
/// that they share one shape, unless a cut-off was asked for.
fn claim_of(target: &Target, cutoff: Cutoff, settings: &IssuerSettings) -> CutoffClaim {
    match target {
        Target::Subject { .. } | Target::Client { .. } | Target::Issuer { .. } | Target::Claims(_) => {
            settings.cutoff_claim
        }
        Target::Session { .. } | Target::Token { .. } | Target::Key { .. } if cutoff != Cutoff::Always => {
            settings.cutoff_claim
        }
        _ => CutoffClaim::Iat,
    }
}

fn selector_of(target: &Target, claim: CutoffClaim) -> Result<Selector, Refusal> {
    let requirements = match target {
        Target::Session { issuer, sid } => vec![top("iss", issuer)?, top("sid", filled(sid)?)?],
        Target::Subject { issuer, sub } => vec![top("iss", issuer)?, top("sub", filled(sub)?)?],
        Target::Token { issuer, jti } => vec![top("iss", issuer)?, top("jti", filled(jti)?)?],
        Target::Client { issuer, client_id } => {
            vec![top("iss", issuer)?, (Field::Client, filled(client_id)?.into())]
        }
        Target::Issuer { issuer } => vec![top("iss", issuer)?],
        Target::Key { issuer, kid } => vec![top("iss", issuer)?, (Field::KeyId, filled(kid)?.into())],
        Target::RawToken { token } => {
            let mut decoded = Decoded::default();
            let token = Token::read(token, &mut decoded).map_err(Refusal::Token)?;
            vec![(Field::TokenSha256, token.sha256_hex())]
        }
        Target::TokenSha256 { hex } => {
            if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(Refusal::TokenSha256);
            }
            vec![(Field::TokenSha256, hex.to_ascii_lowercase())]
        }
        Target::Claims(claims) => {
            claims.iter().map(|(name, value)| top(name, value)).collect::<Result<_, _>>()?
        }
    };
    Ok(Selector::new(requirements, claim)?)
}

fn top(name: &str, value: &str) -> Result<(Field, String), Refusal> {
    let path: ClaimPath = name.parse().map_err(|error| Refusal::Claim { name: shortened(name), error })?;
    Ok((Field::Claim(path), value.into()))
}

// A name that is refused may be as long as the request; it goes into a message.
fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

fn filled(value: &str) -> Result<&str, Refusal> {
    if value.is_empty() { Err(Refusal::ValueMissing) } else { Ok(value) }
}

fn expiry_of(
    request: &NewRevocation,
    cutoff: Cutoff,
    lifetime: UnixSeconds,
    settings: &IssuerSettings,
    now: UnixSeconds,
) -> Result<Option<UnixSeconds>, Refusal> {
    if let Some(at) = request.expires_at {
        return match cutoff {
            _ if request.until_reinstated => Err(Refusal::ExpiryUntilReinstated),
            _ if at > LAST_SECOND => Err(Refusal::Time("expires_at")),
            _ if at <= now => Err(Refusal::ExpiryPast),
            Cutoff::At(cutoff) if at <= cutoff => Err(Refusal::ExpiryBeforeCutoff),
            _ => Ok(Some(at)),
        };
    }
    if request.until_reinstated {
        return Ok(None);
    }
    if let Cutoff::At(cutoff) = cutoff {
        let end = cutoff.saturating_add(lifetime).saturating_add(VALIDATORS_LEEWAY);
        return if end <= now { Err(Refusal::CutoffTooOld) } else { Ok(Some(end)) };
    }
    let token = settings.max_token_lifetime.as_secs();
    // No shorter than a token: a refresh just before the end of the session yields one.
    let session = settings.max_session_lifetime.as_secs().max(token);
    let after = |lifetime| now.saturating_add(lifetime).saturating_add(VALIDATORS_LEEWAY);
    Ok(match &request.target {
        // A key can go on signing for as long as someone has it.
        Target::Key { .. } => None,
        Target::RawToken { token: raw } => {
            // One that has expired already may be accepted for a while all the same.
            let left = expiry_of_token(raw).map_or(token, |end| end.saturating_sub(now));
            Some(after(left))
        }
        Target::Token { .. } | Target::TokenSha256 { .. } => Some(after(token)),
        Target::Session { .. }
        | Target::Claims(_)
        | Target::Subject { .. }
        | Target::Client { .. }
        | Target::Issuer { .. } => Some(after(session)),
    })
}

/// A JWT's own `exp`, rounded up.
fn expiry_of_token(raw: &str) -> Option<UnixSeconds> {
    use portcullis_core::json::Json;
    let mut decoded = Decoded::default();
    let Ok(Token::Jwt(jwt)) = Token::read(raw, &mut decoded) else { return None };
    let Some(Json::Number(seconds)) = jwt.claims.get("exp") else { return None };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be within range")]
    #[expect(clippy::cast_precision_loss, reason = "the bound is far below 2^53")]
    (1.0..=LAST_SECOND as f64).contains(seconds).then(|| seconds.ceil() as UnixSeconds)
}
