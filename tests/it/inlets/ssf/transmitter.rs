//! A small transmitter of security events: it describes itself, keeps one stream, and delivers by push and by poll.
//! None can be installed here, so this stands for one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use portcullis_testbed::{Client, Issuer};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::support::{VERIFICATION, bare};

pub(super) const TOKEN: &str = "token-of-the-transmitter";

/// The transmitter; its issuer signs what it sends.
#[derive(Clone)]
pub(super) struct Transmitter(Arc<Shared>);

struct Shared {
    issuer: OnceLock<Issuer>,
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
}

/// How it behaves, and what it has seen.
#[derive(Default)]
pub(super) struct Inner {
    pub(super) stream: Option<Value>,
    pub(super) status: Value,
    /// Events that are not acknowledged, by `jti`.
    pub(super) queue: BTreeMap<String, String>,
    pub(super) acks: Vec<String>,
    pub(super) errors: BTreeMap<String, Value>,
    pub(super) polls: Vec<Value>,
    /// Calls by method and path.
    pub(super) calls: Vec<String>,
    /// Calls that are answered with this instead, `GET description` among them.
    pub(super) instead: BTreeMap<&'static str, (u16, Value)>,
    /// Every call is answered with 503.
    pub(super) down: bool,
    /// Of the streams that it makes.
    pub(super) inactivity_timeout: Option<u64>,
    /// `Content-Language` of the polls that say what is wrong with events.
    pub(super) languages: Vec<String>,
    /// Polls with acknowledgements are neither kept nor answered.
    pub(super) swallow_acks: bool,
    pub(super) swallowed: usize,
    /// The state of verification events, instead of the one that is asked for.
    pub(super) forged_state: Option<String>,
    pub(super) too_soon: bool,
    /// Changes of the stream are taken, and done later.
    pub(super) later: bool,
    /// It says no more of itself than it must.
    pub(super) taciturn: bool,
    /// The stream that verification events are about, instead of the one that there is.
    pub(super) other_stream: Option<String>,
    /// Where to push.
    pub(super) receiver: Option<Client>,
    /// What the receiver answered to pushes.
    pub(super) answers: Vec<u16>,
    /// Access tokens that have been handed out; the last one is good.
    pub(super) tokens: usize,
}

impl Transmitter {
    pub(super) async fn start() -> Self {
        let inner = Inner { status: json!({"status": "enabled"}), ..Inner::default() };
        let shared =
            Shared { issuer: OnceLock::new(), inner: Mutex::new(inner), changes: watch::Sender::new(0) };
        let this = Self(Arc::new(shared));
        let router = Router::new()
            .route("/.well-known/ssf-configuration", get(describe))
            .route("/ssf/stream", get(read).post(create).patch(change).delete(delete))
            .route("/ssf/status", get(status).post(set_status))
            .route("/ssf/verify", post(verify))
            .route("/ssf/poll", post(poll))
            .route("/token", post(token))
            .with_state(this.clone());
        let issuer = Issuer::start_with(router).await.unwrap();
        assert!(this.0.issuer.set(issuer).is_ok());
        this
    }

    pub(super) fn issuer(&self) -> &Issuer {
        self.0.issuer.get().unwrap()
    }

    /// Looks at it, or changes it.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        let seen = look(&mut self.lock());
        self.0.changes.send_modify(|changes| *changes += 1);
        seen
    }

    /// Waits until it is so.
    pub(super) async fn until(&self, is_so: impl Fn(&Inner) -> bool) {
        let mut changes = self.0.changes.subscribe();
        let waiting = async {
            loop {
                changes.borrow_and_update();
                if is_so(&self.lock()) {
                    return;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await.expect("it never was so");
    }

    /// Waits until a call was made so many times from now on.
    pub(super) async fn until_called(&self, call: &str, times: usize) {
        let count = |inner: &Inner| inner.calls.iter().filter(|made| *made == call).count();
        let enough = count(&self.lock()) + times;
        self.until(|inner| count(inner) >= enough).await;
    }

    /// Puts an event where it is polled.
    pub(super) fn queue(&self, jti: &str, set: String) {
        self.with(|inner| inner.queue.insert(jti.to_owned(), set));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap()
    }

    /// Notes a call, and says how it ends before it begins.
    fn admit(&self, call: &str, headers: &HeaderMap) -> Result<(), Instead> {
        self.with(|inner| {
            inner.calls.push(call.to_owned());
            let given =
                headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
            if inner.down {
                return Err(bare_status(StatusCode::SERVICE_UNAVAILABLE));
            }
            if let Some(answer) = inner.instead.get(call) {
                return Err(answered(answer));
            }
            let good = match inner.tokens {
                0 => format!("Bearer {TOKEN}"),
                count => format!("Bearer access-{count}"),
            };
            if given == good { Ok(()) } else { Err(bare_status(StatusCode::UNAUTHORIZED)) }
        })
    }
}

/// What is answered instead of what was asked for.
type Instead = (StatusCode, Json<Value>);

fn answered((status, body): &(u16, Value)) -> Instead {
    (StatusCode::from_u16(*status).unwrap(), Json(body.clone()))
}

fn bare_status(status: StatusCode) -> Instead {
    (status, Json(Value::Null))
}

async fn describe(State(this): State<Transmitter>) -> Response {
    if this.with(|inner| inner.down) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if let Some(answer) = this.with(|inner| inner.instead.get("GET description").cloned()) {
        return answered(&answer).into_response();
    }
    let name = this.issuer().name();
    if this.with(|inner| inner.taciturn) {
        return Json(json!({ "issuer": name })).into_response();
    }
    Json(json!({
        "spec_version": "1_0", "issuer": name, "jwks_uri": format!("{name}/jwks"),
        "delivery_methods_supported": ["urn:ietf:rfc:8935", "urn:ietf:rfc:8936"],
        "configuration_endpoint": format!("{name}/ssf/stream"),
        "status_endpoint": format!("{name}/ssf/status"),
        "verification_endpoint": format!("{name}/ssf/verify"),
        "critical_subject_members": ["device", "session"],
    }))
    .into_response()
}

async fn token(State(this): State<Transmitter>, headers: HeaderMap, form: String) -> Response {
    // client-1:secret
    let given = headers.get("authorization").and_then(|value| value.to_str().ok());
    let scoped = form == "grant_type=client_credentials&scope=ssf.read+ssf.manage";
    if given != Some("Basic Y2xpZW50LTE6c2VjcmV0") || !scoped {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let count = this.with(|inner| {
        inner.tokens += 1;
        inner.tokens
    });
    Json(json!({"access_token": format!("access-{count}"), "token_type": "Bearer", "expires_in": 3600}))
        .into_response()
}

async fn read(State(this): State<Transmitter>, headers: HeaderMap) -> Result<Response, Instead> {
    this.admit("GET stream", &headers)?;
    Ok(Json(Value::Array(this.with(|inner| inner.stream.clone()).into_iter().collect())).into_response())
}

async fn create(
    State(this): State<Transmitter>,
    headers: HeaderMap,
    Json(wanted): Json<Value>,
) -> Result<Response, Instead> {
    this.admit("POST stream", &headers)?;
    if this.with(|inner| inner.stream.is_some()) {
        return Err(bare_status(StatusCode::CONFLICT));
    }
    Ok((StatusCode::CREATED, Json(this.keep(&wanted))).into_response())
}

async fn change(
    State(this): State<Transmitter>,
    headers: HeaderMap,
    Json(wanted): Json<Value>,
) -> Result<Response, Instead> {
    this.admit("PATCH stream", &headers)?;
    if wanted["stream_id"] != "stream-1" {
        return Err(bare_status(StatusCode::NOT_FOUND));
    }
    if this.with(|inner| inner.later) {
        return Ok(StatusCode::ACCEPTED.into_response());
    }
    Ok(Json(this.keep(&wanted)).into_response())
}

impl Transmitter {
    fn keep(&self, wanted: &Value) -> Value {
        let mut stream = wanted.clone();
        stream["stream_id"] = json!("stream-1");
        stream["iss"] = json!(self.issuer().name());
        stream["events_delivered"] = wanted["events_requested"].clone();
        if wanted["delivery"]["method"] == "urn:ietf:rfc:8936" {
            stream["delivery"]["endpoint_url"] = json!(format!("{}/ssf/poll", self.issuer().name()));
        }
        self.with(|inner| {
            if let Some(seconds) = inner.inactivity_timeout {
                stream["inactivity_timeout"] = json!(seconds);
            }
            inner.stream = Some(stream.clone());
        });
        stream
    }
}

async fn delete(
    State(this): State<Transmitter>,
    headers: HeaderMap,
    uri: axum::http::Uri,
) -> Result<StatusCode, Instead> {
    this.admit("DELETE stream", &headers)?;
    assert_eq!(uri.query(), Some("stream_id=stream-1"));
    this.with(|inner| inner.stream = None);
    Ok(StatusCode::NO_CONTENT)
}

async fn status(
    State(this): State<Transmitter>,
    headers: HeaderMap,
    uri: axum::http::Uri,
) -> Result<Json<Value>, Instead> {
    this.admit("GET status", &headers)?;
    assert_eq!(uri.query(), Some("stream_id=stream-1"));
    Ok(Json(this.with(|inner| inner.status.clone())))
}

async fn set_status(
    State(this): State<Transmitter>,
    headers: HeaderMap,
    Json(wanted): Json<Value>,
) -> Result<Json<Value>, Instead> {
    this.admit("POST status", &headers)?;
    Ok(Json(this.with(|inner| {
        inner.status = wanted;
        inner.status.clone()
    })))
}

async fn verify(
    State(this): State<Transmitter>,
    headers: HeaderMap,
    Json(wanted): Json<Value>,
) -> Result<StatusCode, Instead> {
    this.admit("POST verify", &headers)?;
    let (stream, state, count) = this.with(|inner| {
        let state = inner.forged_state.clone().map_or(wanted["state"].clone(), Value::from);
        (inner.stream.clone().unwrap(), state, inner.calls.len())
    });
    if this.with(|inner| inner.too_soon) {
        return Err(bare_status(StatusCode::TOO_MANY_REQUESTS));
    }
    let jti = format!("verification-{count}");
    let token = bare(this.issuer(), &jti, VERIFICATION, json!({ "state": state }));
    let id = this.with(|inner| inner.other_stream.clone()).unwrap_or("stream-1".into());
    let set = token.claim("sub_id", json!({"format": "opaque", "id": id})).sign().unwrap();
    if stream["delivery"]["method"] == "urn:ietf:rfc:8936" {
        this.queue(&jti, set);
        return Ok(StatusCode::NO_CONTENT);
    }
    let url: axum::http::Uri = stream["delivery"]["endpoint_url"].as_str().unwrap().parse().unwrap();
    let call = this.with(|inner| inner.receiver).unwrap().post(url.path());
    let call = call.header("content-type", "application/secevent+jwt");
    let authorization = stream["delivery"]["authorization_header"].as_str().unwrap();
    let answer = call.header("authorization", authorization).body(set).send().await.unwrap();
    this.with(|inner| inner.answers.push(answer.status.as_u16()));
    Ok(StatusCode::NO_CONTENT)
}

async fn poll(
    State(this): State<Transmitter>,
    headers: HeaderMap,
    Json(question): Json<Value>,
) -> Result<Json<Value>, Instead> {
    this.admit("POST poll", &headers)?;
    let acks: Vec<String> = question["ack"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|jti| jti.as_str().unwrap().to_owned())
        .collect();
    let errors = question["setErrs"].as_object().cloned().unwrap_or_default();
    let language = headers.get("content-language").map(|value| value.to_str().unwrap().to_owned());
    let swallow = this.with(|inner| {
        inner.polls.push(question.clone());
        inner.languages.extend(language.filter(|_| !errors.is_empty()));
        if inner.swallow_acks && !acks.is_empty() {
            inner.swallowed += 1;
            return true;
        }
        for jti in acks.iter().chain(errors.keys()) {
            inner.queue.remove(jti);
        }
        inner.acks.extend(acks.clone());
        inner.errors.extend(errors.clone());
        false
    });
    if swallow {
        std::future::pending::<()>().await;
    }
    if question["returnImmediately"] != true {
        this.until(|inner| !inner.queue.is_empty()).await;
    }
    // One at a time, so that there is more.
    let (sets, more) = this.with(|inner| {
        let first: BTreeMap<String, String> =
            inner.queue.iter().take(1).map(|(jti, set)| (jti.clone(), set.clone())).collect();
        (first, inner.queue.len() > 1)
    });
    Ok(Json(json!({"sets": sets, "moreAvailable": more})))
}
