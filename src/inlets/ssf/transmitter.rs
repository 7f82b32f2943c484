//! Calls to a transmitter: its description, and the management of a stream (Shared Signals 1.0, sections 7 and 8).

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use portcullis_core::json::Json;
use serde_json::{Value, json};

mod call;

use self::call::{LIMITS, expect, parse, text};
use super::super::Inlets;
use super::PREFIX;
use super::streams::{Known, Stream};
use crate::config::{Delivery, SecretError};
use crate::control::printable;
use crate::issuers::ssf_configuration;
use crate::outbound::{Limits, OutboundError, Reach};

pub(super) const PUSH: &str = "urn:ietf:rfc:8935";
pub(super) const POLL: &str = "urn:ietf:rfc:8936";
/// Why a transmitter has not done what was asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum TransmitterError {
    /// No answer.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// Another status than the specification has.
    #[error("{url} answers {status}{}", if detail.is_empty() { String::new() } else { format!(": {detail}") })]
    Status { url: String, status: u16, detail: String },
    /// A description or a stream of somebody else.
    #[error("{url} is of issuer {found}, and the configured transmitter is {expected}")]
    Issuer { url: String, found: String, expected: String },
    /// An answer that makes no sense.
    #[error("{url} answers what is not understood: {why}")]
    Answer { url: String, why: &'static str },
    /// The credential cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The transmitter does not offer this.
    #[error("the transmitter's description has no {0}")]
    NoEndpoint(&'static str),
    /// Nobody could push to this control plane.
    #[error("inlets.public_url is not configured: the transmitter must be told where to push")]
    NoPublicUrl,
    /// The stream does not exist there.
    #[error("the transmitter has no such stream: create it with `portcullis ssf add {0}`")]
    NoStream(String),
    /// The operating system has no randomness.
    #[error("no state can be made that nobody else knows: {0}")]
    NoRandomness(String),
    /// Asked again before the transmitter allows it.
    #[error("the transmitter was asked for a verification too recently: try again later")]
    TooSoon,
    /// This control plane cannot take events now.
    #[error("events cannot be taken in now; they will be asked for again")]
    HeldBack,
}

/// A transmitter, as it describes itself, for one stream.
pub(super) struct Transmitter<'a> {
    inlets: &'a Inlets,
    stream: &'a Stream,
    reach: Reach,
    description: Json<'static>,
}

/// A stream as its transmitter has it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Told {
    /// The transmitter's name for it.
    pub(crate) stream_id: String,
    /// Where it is delivered, or is to be asked for.
    pub(crate) endpoint: Option<String>,
    /// The events that are sent.
    pub(crate) events_delivered: Vec<String>,
    /// `enabled`, `paused` or `disabled`; `None` where the transmitter has no status.
    pub(crate) status: Option<String>,
    /// Why.
    pub(crate) reason: Option<String>,
    method: Option<String>,
    description: Option<String>,
    inactivity_timeout: Option<Duration>,
}

impl<'a> Transmitter<'a> {
    /// Reads its description.
    pub(super) async fn of(inlets: &'a Inlets, stream: &'a Stream) -> Result<Self, TransmitterError> {
        let name = &stream.settings.transmitter;
        let reach = inlets.directory().reach(name);
        let url = ssf_configuration(name).unwrap_or_default();
        let answer = inlets.directory().outbound().get(&url, "application/json", reach, LIMITS).await?;
        let description = parse(&url, StatusCode::OK, &answer)?;
        expect_issuer(&url, description.get("issuer"), name)?;
        let critical: BTreeSet<String> = match description.get("critical_subject_members") {
            Some(Json::List(list)) => list.iter().filter_map(Json::as_text).map(str::to_owned).collect(),
            _ => BTreeSet::new(),
        };
        stream.learn(critical);
        Ok(Self { inlets, stream, reach, description })
    }

    /// Creates the stream, or brings one that is there in line with the configuration.
    pub(super) async fn add(&self) -> Result<Told, TransmitterError> {
        let url = self.endpoint("configuration_endpoint")?;
        let delivery = match &self.stream.settings.delivery {
            Delivery::Poll { .. } => json!({ "method": POLL }),
            Delivery::Push(None) => json!({"method": PUSH, "endpoint_url": self.push_url()?}),
            Delivery::Push(Some(secret)) => {
                json!({"method": PUSH, "endpoint_url": self.push_url()?, "authorization_header": secret.read()?})
            }
        };
        let events: Vec<&str> = self.stream.settings.events.iter().map(|kind| kind.uri()).collect();
        let mut wanted =
            json!({"events_requested": events, "delivery": delivery, "description": self.name_there()});
        let answer = self.call(Method::POST, url, Some(&wanted), LIMITS).await?;
        if answer.status() != StatusCode::CONFLICT {
            return self.told(&parse(url, StatusCode::CREATED, &answer)?, url);
        }
        // One stream for each receiver, and it is there.
        let there = self.streams().await?;
        let ours = self.ours(&there).or(if let [only] = there.as_slice() { Some(only) } else { None });
        let ours = ours.ok_or_else(|| self.no_stream())?;
        if let Value::Object(members) = &mut wanted {
            members.insert("stream_id".into(), json!(ours.stream_id));
        }
        let answer = self.call(Method::PATCH, url, Some(&wanted), LIMITS).await?;
        match answer.status() {
            // Taken, and not yet done.
            StatusCode::ACCEPTED => {
                self.stream.know(Some(known(ours)));
                Ok(ours.clone())
            }
            _ => self.told(&parse(url, StatusCode::OK, &answer)?, url),
        }
    }

    /// The stream, with its status.
    pub(super) async fn find(&self) -> Result<Told, TransmitterError> {
        let mut told = self.find_only().await?;
        if let Ok(url) = self.endpoint("status_endpoint") {
            let url = with_id(url, &told.stream_id);
            let answer = self.call(Method::GET, &url, None, LIMITS).await?;
            let status = parse(&url, StatusCode::OK, &answer)?;
            (told.status, told.reason) = (text(&status, "status"), text(&status, "reason"));
        }
        Ok(told)
    }

    /// The stream without its status.
    pub(super) async fn find_only(&self) -> Result<Told, TransmitterError> {
        let there = self.streams().await?;
        let ours = self.ours(&there).cloned().ok_or_else(|| self.no_stream());
        self.stream.know(ours.as_ref().ok().map(known));
        ours
    }

    /// Calls about the stream, so that it counts as in use; says how long that lasts, where it does not for ever.
    pub(super) async fn touch(&self) -> Result<Option<Duration>, TransmitterError> {
        let Told { stream_id, inactivity_timeout: Some(timeout), .. } = self.find_only().await? else {
            return Ok(None);
        };
        // Only a call that names the stream counts.
        let url = self.endpoint("status_endpoint").or_else(|_| self.endpoint("configuration_endpoint"))?;
        let url = with_id(url, &stream_id);
        let answer = self.call(Method::GET, &url, None, LIMITS).await?;
        expect(&url, StatusCode::OK, &answer)?;
        Ok(Some(timeout))
    }

    /// Whether it has streams to be managed.
    pub(super) fn has_streams(&self) -> bool {
        self.endpoint("configuration_endpoint").is_ok()
    }

    /// Asks for a verification event with that state.
    pub(super) async fn verify(&self, state: &str) -> Result<(), TransmitterError> {
        let url = self.endpoint("verification_endpoint")?;
        let ours = self.find_only().await?;
        let request = json!({"stream_id": ours.stream_id, "state": state});
        let answer = self.call(Method::POST, url, Some(&request), LIMITS).await?;
        match answer.status() {
            StatusCode::TOO_MANY_REQUESTS => Err(TransmitterError::TooSoon),
            _ => expect(url, StatusCode::NO_CONTENT, &answer),
        }
    }

    /// Enables, pauses or disables the stream.
    pub(super) async fn set_status(&self, status: &str, reason: &str) -> Result<Told, TransmitterError> {
        let url = self.endpoint("status_endpoint")?;
        let mut ours = self.find_only().await?;
        let mut request = json!({"stream_id": ours.stream_id, "status": status});
        if let (Value::Object(members), false) = (&mut request, reason.is_empty()) {
            members.insert("reason".into(), json!(reason));
        }
        let answer = self.call(Method::POST, url, Some(&request), LIMITS).await?;
        if answer.status() != StatusCode::ACCEPTED {
            let told = parse(url, StatusCode::OK, &answer)?;
            (ours.status, ours.reason) = (text(&told, "status"), text(&told, "reason"));
        }
        Ok(ours)
    }

    /// Deletes the stream.
    pub(super) async fn remove(&self) -> Result<(), TransmitterError> {
        let ours = self.find_only().await?;
        let url = with_id(self.endpoint("configuration_endpoint")?, &ours.stream_id);
        let answer = self.call(Method::DELETE, &url, None, LIMITS).await?;
        expect(&url, StatusCode::NO_CONTENT, &answer)?;
        self.stream.know(None);
        Ok(())
    }

    /// Asks for events.
    pub(super) async fn poll(
        &self,
        url: &str,
        request: &Value,
        limits: Limits,
    ) -> Result<Json<'static>, TransmitterError> {
        let answer = self.call(Method::POST, url, Some(request), limits).await?;
        parse(url, StatusCode::OK, &answer)
    }

    async fn streams(&self) -> Result<Vec<Told>, TransmitterError> {
        let url = self.endpoint("configuration_endpoint")?;
        let answer = self.call(Method::GET, url, None, LIMITS).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        match parse(url, StatusCode::OK, &answer)? {
            Json::List(list) => list.iter().map(|stream| self.read_stream(stream, url)).collect(),
            one => Ok(vec![self.read_stream(&one, url)?]),
        }
    }

    /// Of the streams that this receiver has there, the one that is meant.
    fn ours<'t>(&self, there: &'t [Told]) -> Option<&'t Told> {
        let (method, push_url) = match &self.stream.settings.delivery {
            Delivery::Push(_) => (PUSH, self.push_url().ok()),
            Delivery::Poll { .. } => (POLL, None),
        };
        let same = |told: &&Told| told.method.as_deref() == Some(method);
        let named = there.iter().filter(same).find(|told| match &push_url {
            Some(url) => told.endpoint.as_ref() == Some(url),
            None => told.description.as_ref() == Some(&self.name_there()),
        });
        // A transmitter with one stream for each receiver need not keep descriptions.
        let only = || match there {
            [only] if push_url.is_none() && same(&only) && only.description.is_none() => Some(only),
            _ => None,
        };
        named.or_else(only)
    }

    fn told(&self, answer: &Json<'_>, url: &str) -> Result<Told, TransmitterError> {
        let told = self.read_stream(answer, url)?;
        self.stream.know(Some(known(&told)));
        Ok(told)
    }

    fn read_stream(&self, stream: &Json<'_>, url: &str) -> Result<Told, TransmitterError> {
        let told = told(stream, url)?;
        // What does not say whose it is was found where the transmitter's own are.
        if let iss @ Some(_) = stream.get("iss") {
            expect_issuer(url, iss, &self.stream.settings.transmitter)?;
        }
        Ok(told)
    }

    fn name_there(&self) -> String {
        format!("portcullis {}", self.stream.settings.name)
    }

    fn push_url(&self) -> Result<String, TransmitterError> {
        let path = format!("{PREFIX}{}", self.stream.settings.name);
        self.inlets.public_url(&path).ok_or(TransmitterError::NoPublicUrl)
    }

    fn no_stream(&self) -> TransmitterError {
        TransmitterError::NoStream(self.stream.settings.name.clone())
    }

    fn endpoint(&self, name: &'static str) -> Result<&str, TransmitterError> {
        self.description.get(name).and_then(Json::as_text).ok_or(TransmitterError::NoEndpoint(name))
    }
}

fn told(stream: &Json<'_>, url: &str) -> Result<Told, TransmitterError> {
    let why = "a stream without stream_id";
    let stream_id =
        text(stream, "stream_id").ok_or_else(|| TransmitterError::Answer { url: url.into(), why })?;
    let delivery = stream.get("delivery").cloned().unwrap_or(Json::Null);
    let events_delivered = match stream.get("events_delivered") {
        Some(Json::List(events)) => events.iter().filter_map(Json::as_text).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    Ok(Told {
        stream_id,
        endpoint: text(&delivery, "endpoint_url"),
        events_delivered,
        method: text(&delivery, "method"),
        description: text(stream, "description"),
        inactivity_timeout: inactivity_timeout(stream),
        status: None,
        reason: None,
    })
}

/// In seconds, as `expires_in` is (RFC 6749 appendix A.14).
fn inactivity_timeout(stream: &Json<'_>) -> Option<Duration> {
    match stream.get("inactivity_timeout") {
        Some(Json::Number(seconds)) if *seconds > 0.0 => Duration::try_from_secs_f64(*seconds).ok(),
        _ => None,
    }
}

/// The transmitter, its streams and its events have one issuer.
fn expect_issuer(url: &str, named: Option<&Json<'_>>, expected: &str) -> Result<(), TransmitterError> {
    let found = match named {
        Some(Json::Text(iss)) if iss == expected => return Ok(()),
        Some(Json::Text(iss)) => printable(iss, 200),
        _ => "nobody".to_owned(),
    };
    Err(TransmitterError::Issuer { url: url.into(), found, expected: expected.into() })
}

fn known(told: &Told) -> Known {
    Known { stream_id: told.stream_id.clone(), endpoint: told.endpoint.clone() }
}

fn with_id(url: &str, stream_id: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    let id: String = form_urlencoded::byte_serialize(stream_id.as_bytes()).collect();
    format!("{url}{separator}stream_id={id}")
}
