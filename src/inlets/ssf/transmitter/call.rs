//! HTTP calls to a transmitter, with the configured credential.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_LANGUAGE, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use portcullis_core::json::Json;
use serde_json::Value;

use super::{Transmitter, TransmitterError};
use crate::config::Credential;
use crate::control::printable;
use crate::outbound::{Limits, OutboundError};

/// What a call may cost.
pub(super) const LIMITS: Limits = Limits { bytes: 256 * 1024, time: Duration::from_secs(8) };
/// An access token is used until so long before its end, and so long without an end.
const TOKEN_MARGIN_MS: u64 = 30_000;
const TOKEN_LIFETIME_SECONDS: f64 = 300.0;
/// Longest lifetime that is believed.
const MAX_TOKEN_SECONDS: f64 = 86_400.0;

impl Transmitter<'_> {
    /// With the configured credential; with a new access token where the old one is not accepted.
    pub(super) async fn call(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
        limits: Limits,
    ) -> Result<Response<Bytes>, TransmitterError> {
        let token = self.token(None).await?;
        let answer = self.send(method.clone(), url, body, token.as_deref(), limits).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        match self.token(token.as_deref()).await? {
            newer if newer != token => Ok(self.send(method, url, body, newer.as_deref(), limits).await?),
            _ => Ok(answer),
        }
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
        token: Option<&str>,
        limits: Limits,
    ) -> Result<Response<Bytes>, OutboundError> {
        let text = body.map(Value::to_string).unwrap_or_default();
        let mut headers = vec![(ACCEPT, "application/json".to_owned())];
        if body.is_some() {
            headers.push((CONTENT_TYPE, "application/json".into()));
            // Of the descriptions of errors in it.
            headers.push((CONTENT_LANGUAGE, "en".into()));
        }
        headers.extend(token.map(|token| (AUTHORIZATION, format!("Bearer {token}"))));
        let request = request(method, url, headers, text)?;
        self.inlets.directory().outbound().send(request, self.reach, limits).await
    }

    /// The bearer token to call with: another one than that which was refused, where another can be had.
    async fn token(&self, refused: Option<&str>) -> Result<Option<String>, TransmitterError> {
        let (url, client_id, secret, scope) = match &self.stream.settings.credential {
            Credential::None => return Ok(None),
            Credential::Token(secret) => return Ok(Some(secret.read()?)),
            Credential::Client { token_url, client_id, secret, scope } => {
                (token_url, client_id, secret, scope)
            }
        };
        // Who comes second finds what the first one has fetched.
        let _turn = self.stream.fetching_token().await;
        let kept = self.stream.token(self.inlets.control().time_ms());
        if kept.is_some() && kept.as_deref() != refused {
            return Ok(kept);
        }
        let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        // RFC 6749 section 2.3.1.
        let basic = STANDARD.encode(format!("{}:{}", escaped(client_id), escaped(&secret.read()?)));
        let form = format!("grant_type=client_credentials&scope={}", escaped(scope));
        let headers = vec![
            (ACCEPT, "application/json".to_owned()),
            (CONTENT_TYPE, "application/x-www-form-urlencoded".into()),
            (AUTHORIZATION, format!("Basic {basic}")),
        ];
        let request = request(Method::POST, url, headers, form)?;
        let answer = self.inlets.directory().outbound().send(request, self.reach, LIMITS).await?;
        let answer = parse(url, StatusCode::OK, &answer)?;
        let Some(token) = text(&answer, "access_token") else {
            return Err(TransmitterError::Answer { url: url.clone(), why: "no access_token in it" });
        };
        let seconds = match answer.get("expires_in") {
            Some(Json::Number(seconds)) => seconds.clamp(0.0, MAX_TOKEN_SECONDS),
            _ => TOKEN_LIFETIME_SECONDS,
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let lifetime_ms = (seconds * 1_000.0) as u64;
        let until = self.inlets.control().time_ms() + lifetime_ms.saturating_sub(TOKEN_MARGIN_MS);
        self.stream.keep_token(token.clone(), until);
        Ok(Some(token))
    }
}

fn request(
    method: Method,
    url: &str,
    headers: Vec<(HeaderName, String)>,
    body: String,
) -> Result<Request<Full<Bytes>>, OutboundError> {
    let wrong = || OutboundError::Url(url.into());
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    *request.uri_mut() = url.parse().map_err(|_| wrong())?;
    for (name, value) in headers {
        request.headers_mut().insert(name, HeaderValue::try_from(value).map_err(|_| wrong())?);
    }
    Ok(request)
}

pub(super) fn expect(
    url: &str,
    status: StatusCode,
    answer: &Response<Bytes>,
) -> Result<(), TransmitterError> {
    if answer.status() == status {
        return Ok(());
    }
    let detail = printable(&String::from_utf8_lossy(answer.body()), 200);
    Err(TransmitterError::Status { url: url.into(), status: answer.status().as_u16(), detail })
}

pub(super) fn parse(
    url: &str,
    status: StatusCode,
    answer: &Response<Bytes>,
) -> Result<Json<'static>, TransmitterError> {
    expect(url, status, answer)?;
    let why = "not JSON without duplicate members";
    let json = Json::parse(answer.body()).map_err(|_| TransmitterError::Answer { url: url.into(), why })?;
    Ok(json.into_owned())
}

pub(super) fn text(object: &Json<'_>, name: &str) -> Option<String> {
    object.get(name).and_then(Json::as_text).filter(|text| !text.is_empty()).map(str::to_owned)
}
