//! The command line's HTTP client: one method per call of the API.
//!
//! Blocking, one connection, kept alive. An [`Answer`] keeps the text that came, so that `--json` prints
//! exactly that. Redirects are not followed: the key is for one server.

mod batch;
mod distrust;
mod error;

use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::{Method, Request, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::api::model::{
    CapturedMessage, CheckAnswer, CheckRequest, Edges, Events, FilterModules, InletAnswer, Issuers, Keys,
    NewKey, NewKeyAnswer, NewRevocation, NewStreamStatus, Problem, Report, ReportedRevocation,
    RevocationAnswer, Revocations, Secret, ServiceStatus, Stream, TakeBack, Verification, VerifyAnswer,
    VerifyRequest,
};

pub use batch::BatchResults;
pub use distrust::Distrust;
pub use error::ClientError;

/// For a connection, and for an answer, on top of what a call asks the control plane to wait.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// A control plane, and who calls it.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    base: String,
    key: Option<Secret>,
}

/// The text of a successful answer, and the type to read it as.
#[derive(Debug)]
pub struct Answer<T> {
    text: String,
    read_as: PhantomData<T>,
}

/// Query parameters; those without a value are left out.
pub type Query<'a> = &'a [(&'a str, Option<String>)];

impl<T: DeserializeOwned> Answer<T> {
    /// Exactly what came.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says.
    ///
    /// # Errors
    /// When it is not what this release understands.
    pub fn read(&self) -> Result<T, ClientError> {
        serde_json::from_str(&self.text).map_err(|error| ClientError::Answer { detail: error.to_string() })
    }
}

impl Client {
    /// A client of the control plane at `url`. `ca_pem` replaces the public certificate authorities.
    ///
    /// # Errors
    /// When the URL is none, or `ca_pem` holds no certificate.
    pub fn new(url: &str, key: Option<Secret>, ca_pem: Option<&[u8]>) -> Result<Self, ClientError> {
        let uri: Uri = url.parse().map_err(|_| ClientError::Url(url.to_owned()))?;
        let (Some("http" | "https"), Some(host), None) = (uri.scheme_str(), uri.host(), uri.query()) else {
            return Err(ClientError::Url(url.to_owned()));
        };
        let loopback = matches!(host, "localhost" | "[::1]") || host.starts_with("127.");
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_recv_body(Some(ANSWER_TIMEOUT))
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")));
        let config = if loopback { config.proxy(None) } else { config };
        let config = match ca_pem {
            None => config,
            Some(pem) => config.tls_config(TlsConfig::builder().root_certs(root_certs(pem)?).build()),
        };
        Ok(Self { agent: config.build().into(), base: url.trim_end_matches('/').to_owned(), key })
    }

    /// `POST /v1/revocations`.
    ///
    /// # Errors
    /// As every call: when the control plane cannot be reached, or refuses.
    pub fn revoke(
        &self,
        revocation: &NewRevocation,
        wait: Option<Duration>,
    ) -> Result<Answer<RevocationAnswer>, ClientError> {
        self.post("/v1/revocations", revocation, wait)
    }

    /// `POST /v1/revocations/{id}/reinstate`.
    ///
    /// # Errors
    /// As [`Client::revoke`]; so for all that follow.
    pub fn reinstate(
        &self,
        id: &str,
        why: &TakeBack,
        wait: Option<Duration>,
    ) -> Result<Answer<RevocationAnswer>, ClientError> {
        self.post(&format!("/v1/revocations/{}/reinstate", segment(id)), why, wait)
    }

    /// `POST /v1/revocations/{id}/undo`.
    pub fn undo(
        &self,
        id: &str,
        why: &TakeBack,
        wait: Option<Duration>,
    ) -> Result<Answer<RevocationAnswer>, ClientError> {
        self.post(&format!("/v1/revocations/{}/undo", segment(id)), why, wait)
    }

    /// `GET /v1/revocations`.
    pub fn revocations(&self, filter: Query<'_>) -> Result<Answer<Revocations>, ClientError> {
        self.get("/v1/revocations", filter)
    }

    /// `GET /v1/revocations/{id}`.
    pub fn revocation(&self, id: &str) -> Result<Answer<ReportedRevocation>, ClientError> {
        self.get(&format!("/v1/revocations/{}", segment(id)), &[])
    }

    /// `GET /v1/report`.
    pub fn report(&self, span: Query<'_>) -> Result<Answer<Report>, ClientError> {
        self.get("/v1/report", span)
    }

    /// `POST /v1/check`.
    pub fn check(&self, token: &CheckRequest) -> Result<Answer<CheckAnswer>, ClientError> {
        self.post("/v1/check", token, None)
    }

    /// `GET /v1/edges`.
    pub fn edges(&self) -> Result<Answer<Edges>, ClientError> {
        self.get("/v1/edges", &[])
    }

    /// `GET /v1/events`.
    pub fn events(&self, filter: Query<'_>) -> Result<Answer<Events>, ClientError> {
        self.get("/v1/events", filter)
    }

    /// `POST /v1/events/verify`.
    pub fn verify_events(&self, request: &VerifyRequest) -> Result<Answer<VerifyAnswer>, ClientError> {
        self.post("/v1/events/verify", request, None)
    }

    /// `GET /v1/status`.
    pub fn status(&self) -> Result<Answer<ServiceStatus>, ClientError> {
        self.get("/v1/status", &[])
    }

    /// `GET /v1/issuers`.
    pub fn issuers(&self) -> Result<Answer<Issuers>, ClientError> {
        self.get("/v1/issuers", &[])
    }

    /// `GET /filter`.
    pub fn filters(&self) -> Result<Answer<FilterModules>, ClientError> {
        self.get("/filter", &[])
    }

    /// `POST /v1/inlets/{inlet}/try`.
    pub fn try_inlet(
        &self,
        inlet: &str,
        message: &CapturedMessage,
    ) -> Result<Answer<InletAnswer>, ClientError> {
        self.post(&format!("/v1/inlets/{}/try", segment(inlet)), message, None)
    }

    /// `GET /v1/ssf/{name}`.
    pub fn stream(&self, name: &str) -> Result<Answer<Stream>, ClientError> {
        self.get(&format!("/v1/ssf/{}", segment(name)), &[])
    }

    /// `POST /v1/ssf/{name}`.
    pub fn add_stream(&self, name: &str) -> Result<Answer<Stream>, ClientError> {
        self.post(&format!("/v1/ssf/{}", segment(name)), &(), None)
    }

    /// `POST /v1/ssf/{name}/verify`.
    pub fn verify_stream(&self, name: &str) -> Result<Answer<Verification>, ClientError> {
        self.post(&format!("/v1/ssf/{}/verify", segment(name)), &(), None)
    }

    /// `POST /v1/ssf/{name}/status`.
    pub fn set_stream_status(
        &self,
        name: &str,
        status: &NewStreamStatus,
    ) -> Result<Answer<Stream>, ClientError> {
        self.post(&format!("/v1/ssf/{}/status", segment(name)), status, None)
    }

    /// `DELETE /v1/ssf/{name}`.
    pub fn remove_stream(&self, name: &str) -> Result<(), ClientError> {
        self.delete(&format!("/v1/ssf/{}", segment(name)))
    }

    /// `GET /v1/keys`.
    pub fn keys(&self) -> Result<Answer<Keys>, ClientError> {
        self.get("/v1/keys", &[])
    }

    /// `POST /v1/keys`.
    pub fn create_key(&self, key: &NewKey) -> Result<Answer<NewKeyAnswer>, ClientError> {
        self.post("/v1/keys", key, None)
    }

    /// `DELETE /v1/keys/{id}`.
    pub fn delete_key(&self, id: &str) -> Result<(), ClientError> {
        self.delete(&format!("/v1/keys/{}", segment(id)))
    }

    fn delete(&self, path: &str) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, path, &[]);
        let response =
            request.body(()).map_err(ureq::Error::Http).and_then(|request| self.agent.run(request));
        self.succeeded(response).map(drop)
    }

    /// `POST /v1/revocations/batch` with these lines of NDJSON.
    ///
    /// The results are read as they come, after the lines are sent; more lines than the control plane holds
    /// results for would leave both sides waiting, so callers send a large import in parts.
    pub fn batch(&self, lines: Vec<u8>) -> Result<BatchResults, ClientError> {
        let request = self
            .request(Method::POST, "/v1/revocations/batch", &[])
            .header("content-type", "application/x-ndjson")
            // A refusal (a wrong key, say) then arrives before the lines are sent, not in the middle.
            .header("expect", "100-continue");
        let response =
            request.body(lines).map_err(ureq::Error::Http).and_then(|request| self.agent.run(request));
        self.succeeded(response).map(BatchResults::new)
    }

    fn get<T: DeserializeOwned>(&self, path: &str, query: Query<'_>) -> Result<Answer<T>, ClientError> {
        let request = self.request(Method::GET, path, query);
        let response =
            request.body(()).map_err(ureq::Error::Http).and_then(|request| self.agent.run(request));
        self.answer(response)
    }

    fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        wait: Option<Duration>,
    ) -> Result<Answer<T>, ClientError> {
        let json = serde_json::to_string(body).map_err(|error| ClientError::Request(error.to_string()))?;
        let wait_text = wait.map(|wait| format!("{}ms", wait.as_millis()));
        let request = self
            .request(Method::POST, path, &[("wait", wait_text)])
            .header("content-type", "application/json")
            .body(json)
            .map_err(ureq::Error::Http);
        let timeout = ANSWER_TIMEOUT.saturating_add(wait.unwrap_or_default());
        let response = request.and_then(|request| {
            let request = self.agent.configure_request(request).timeout_recv_response(Some(timeout)).build();
            self.agent.run(request)
        });
        self.answer(response)
    }

    fn request(&self, method: Method, path: &str, query: Query<'_>) -> ureq::http::request::Builder {
        let mut parameters = form_urlencoded::Serializer::new(String::new());
        for (name, value) in query {
            if let Some(value) = value {
                parameters.append_pair(name, value);
            }
        }
        let parameters = parameters.finish();
        let separator = if parameters.is_empty() { "" } else { "?" };
        let request =
            Request::builder().method(method).uri(format!("{}{path}{separator}{parameters}", self.base));
        match &self.key {
            None => request,
            Some(key) => request.header("authorization", format!("Bearer {}", key.0)),
        }
    }

    fn answer<T: DeserializeOwned>(
        &self,
        response: Result<Response<Body>, ureq::Error>,
    ) -> Result<Answer<T>, ClientError> {
        let mut response = self.succeeded(response)?;
        let text = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_string();
        let text = text.map_err(|error| ClientError::from_transport(&self.base, error))?;
        Ok(Answer { text, read_as: PhantomData })
    }

    fn succeeded(
        &self,
        response: Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, ClientError> {
        let mut response = response.map_err(|error| ClientError::from_transport(&self.base, error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let text =
            response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_string().unwrap_or_default();
        match serde_json::from_str::<Box<Problem>>(&text) {
            Ok(problem) if !problem.code.is_empty() => Err(ClientError::Refused { status, problem, text }),
            _ => Err(ClientError::Stranger { url: self.base.clone(), status }),
        }
    }
}

/// A path segment: an id may hold anything that a person typed.
fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn root_certs(pem: &[u8]) -> Result<RootCerts, ClientError> {
    let certificates: Vec<Certificate<'static>> = parse_pem(pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        Err(ClientError::NoCertificate)
    } else {
        Ok(RootCerts::new_with_certs(&certificates))
    }
}
