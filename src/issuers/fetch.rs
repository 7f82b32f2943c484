//! Where an issuer's keys are, and getting them.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::DATE;
use axum::http::{HeaderValue, Response, StatusCode};
use portcullis_core::json::Json;

use super::KeySet;
use crate::clock::UnixMillis;
use crate::config::Issuer;
use crate::outbound::{Limits, Outbound, OutboundError, Reach};

/// What a document of a provider may cost.
const LIMITS: Limits = Limits { bytes: 512 * 1024, time: Duration::from_secs(8) };

/// Why keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("{url} answers {status}")]
    Status { url: String, status: u16 },
    #[error("{url} is no JWK set: {why}")]
    Keys { url: String, why: &'static str },
    #[error("{url} is no discovery document: {why}")]
    Discovery { url: String, why: &'static str },
    #[error("{url} has no key that can be used{why}")]
    NoKey { url: String, why: String },
}

/// Where calls to an issuer may go.
pub(super) fn reach(issuer: &Issuer) -> Reach {
    if issuer.messages.allow_private_addresses { Reach::Private } else { Reach::Public }
}

/// Keys, and the time at which they were served, Unix milliseconds. A cache on the way makes that earlier, not later.
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    pub(super) date_ms: Option<UnixMillis>,
}

/// The keys that an issuer publishes now.
pub(super) async fn keys(outbound: &Outbound, issuer: &Issuer) -> Result<Fetched, FetchError> {
    let reach = reach(issuer);
    let url = match &issuer.jwks_uri {
        Some(url) => url.clone(),
        None => discover(outbound, issuer, reach).await?,
    };
    let answer = get(outbound, &url, "application/jwk-set+json, application/json", reach).await?;
    let keys = KeySet::parse(answer.body()).map_err(|why| FetchError::Keys { url: url.clone(), why })?;
    // An empty set would take away keys that are good.
    if keys.is_empty() {
        let why = keys.unusable().first().map_or_else(String::new, |first| format!(": {first}"));
        return Err(FetchError::NoKey { url, why });
    }
    Ok(Fetched { keys, date_ms: answer.headers().get(DATE).and_then(date_ms) })
}

/// An HTTP date (RFC 9110, section 5.6.7) as every server must write it, to the second.
fn date_ms(value: &HeaderValue) -> Option<UnixMillis> {
    let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value.as_bytes());
    parsed.ok().and_then(|at| UnixMillis::try_from(at.as_millisecond()).ok())
}

/// OpenID Connect Discovery 1.0, section 4, or, where there is none, that of a transmitter of security events.
async fn discover(outbound: &Outbound, issuer: &Issuer, reach: Reach) -> Result<String, FetchError> {
    let url = format!("{}/.well-known/openid-configuration", issuer.issuer.trim_end_matches('/'));
    match (discover_at(outbound, issuer, reach, url).await, ssf_configuration(&issuer.issuer)) {
        (Err(none @ FetchError::Status { status: 404, .. }), Some(url)) => {
            discover_at(outbound, issuer, reach, url).await.map_err(|_| none)
        }
        (found, _) => found,
    }
}

/// Where a transmitter of security events describes itself (Shared Signals 1.0, section 7.2).
#[must_use]
pub fn ssf_configuration(issuer: &str) -> Option<String> {
    let (scheme, rest) = issuer.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_end_matches('/');
    let separator = if path.is_empty() { "" } else { "/" };
    Some(format!("{scheme}://{host}/.well-known/ssf-configuration{separator}{path}"))
}

/// `jwks_uri` of the document that names this very issuer.
async fn discover_at(
    outbound: &Outbound,
    issuer: &Issuer,
    reach: Reach,
    url: String,
) -> Result<String, FetchError> {
    let answer = get(outbound, &url, "application/json", reach).await?;
    let wrong = |why| FetchError::Discovery { url: url.clone(), why };
    let document = Json::parse(answer.body()).map_err(|_| wrong("not JSON without duplicate members"))?;
    let text = |name| document.get(name).and_then(Json::as_text);
    if text("issuer") != Some(issuer.issuer.as_str()) {
        return Err(wrong("it names another issuer"));
    }
    text("jwks_uri").map(str::to_owned).ok_or_else(|| wrong("no jwks_uri in it"))
}

async fn get(
    outbound: &Outbound,
    url: &str,
    accept: &'static str,
    reach: Reach,
) -> Result<Response<Bytes>, FetchError> {
    let answer = outbound.get(url, accept, reach, LIMITS).await?;
    match answer.status() {
        StatusCode::OK => Ok(answer),
        status => Err(FetchError::Status { url: url.to_owned(), status: status.as_u16() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read_to_the_second() {
        let check = |text: &'static str, expect: Option<u64>| {
            assert_eq!(date_ms(&HeaderValue::from_static(text)), expect, "{text}");
        };
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777_000));
        check("Thu, 01 Jan 1970 00:00:00 GMT", Some(0));
        for text in ["", "now", "Sun, 06 Nov 1934 08:49:37 GMT", "1994-11-06T08:49:37Z"] {
            check(text, None);
        }
    }
}
