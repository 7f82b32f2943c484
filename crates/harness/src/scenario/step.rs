//! What happens in a scenario, step by step.

use serde::Deserialize;

use super::text::{Bytes, Header, Time};

/// One step. Each `[[step]]` of a file has exactly one of these keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// A client sends a request, or begins one.
    Request(Request),
    /// The client sends more of its request.
    Send(Part),
    /// The client of this exchange goes away. The empty name means the last exchange.
    Disconnect(String),
    /// The upstream begins its answer to a request that has reached it.
    Respond(Answer),
    /// The upstream sends more of its answer.
    RespondMore(Part),
    /// The host waits for what a timer or another thread leads to.
    Wait(Wait),
    /// This much time passes. A host without a virtual clock has to wait for so long.
    Pass(Time),
    /// The peer of a cluster does something about every call-out that is open.
    Peer(PeerStep),
}

/// A request.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Request {
    /// How other steps and expectations call the exchange; its number, from one, unless told otherwise.
    pub name: String,
    /// The worker that it comes in at, from zero.
    pub worker: usize,
    /// The version of HTTP: 1 for 1.1, or 2. The latter unless told otherwise.
    pub http: u8,
    /// The method; `GET` unless told otherwise.
    pub method: String,
    /// The path, with its query; `/` unless told otherwise.
    pub path: String,
    /// The other headers. `:authority` is `example.com` unless given here.
    pub headers: Vec<Header>,
    /// The body, sent in one part.
    pub body: Option<Bytes>,
    /// The trailers. With HTTP/1.1 there are none.
    pub trailers: Option<Vec<Header>>,
    /// Whether the request goes on by [`Step::Send`].
    pub open: bool,
    /// The whole answer, if the request reaches the upstream.
    pub answer: Option<Answer>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            name: String::new(),
            worker: 0,
            http: 2,
            method: "GET".to_owned(),
            path: "/".to_owned(),
            headers: Vec::new(),
            body: None,
            trailers: None,
            open: false,
            answer: None,
        }
    }
}

impl Request {
    /// Every header of the request, in the order in which a host has them: pseudo-headers, the scenario's,
    /// and `x-forwarded-proto`.
    #[must_use]
    pub fn all_headers(&self) -> Vec<Header> {
        let header = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
        let given = self.headers.iter().find(|header| header.name == ":authority");
        let authority = header(":authority", given.map_or("example.com", |header| &header.value));
        let (path, method) = (header(":path", &self.path), header(":method", &self.method));
        let scheme = header(":scheme", "http");
        let mut all = match self.http {
            1 => vec![authority, path, method, scheme],
            _ => vec![method, scheme, authority, path],
        };
        all.extend(self.headers.iter().filter(|header| !header.name.starts_with(':')).cloned());
        if !self.headers.iter().any(|header| header.name.eq_ignore_ascii_case(FORWARDED_PROTO)) {
            all.push(header(FORWARDED_PROTO, "http"));
        }
        all
    }
}

/// Envoy adds it to every request that has none.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// An answer of the upstream, or its beginning.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Answer {
    /// The exchange that it is for; the last one unless told otherwise. Not for the answer in a request.
    pub of: String,
    /// The status; 200 unless told otherwise.
    pub status: u16,
    /// The other headers.
    pub headers: Vec<Header>,
    /// The body, sent in one part.
    pub body: Option<Bytes>,
    /// The trailers.
    pub trailers: Option<Vec<Header>>,
    /// Whether it goes on by [`Step::RespondMore`]. Without it and without a body the headers are the end.
    pub open: bool,
}

impl Default for Answer {
    fn default() -> Self {
        Self { of: String::new(), status: 200, headers: Vec::new(), body: None, trailers: None, open: false }
    }
}

/// More of a body, and perhaps its end.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Part {
    /// The exchange that it is for; the last one unless told otherwise.
    pub of: String,
    /// Some of the body.
    pub body: Option<Bytes>,
    /// The trailers, which are the end.
    pub trailers: Option<Vec<Header>>,
    /// Whether this is the end.
    pub end: bool,
}

/// What to wait for: everything that is named.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Wait {
    /// A line that the filter logs, as expectations have it; of all lines it is the beginning.
    pub log: Option<String>,
    /// How often the line must be there by then, from the start; once unless told otherwise.
    pub times: usize,
    /// The thread that logs it, `worker_0` unless told otherwise.
    pub thread: String,
    /// A cluster with a peer.
    pub cluster: Option<String>,
    /// How many call-outs the cluster must have seen by then, from the start.
    pub callouts: usize,
}

impl Default for Wait {
    fn default() -> Self {
        Self { log: None, times: 1, thread: "worker_0".to_owned(), cluster: None, callouts: 0 }
    }
}

/// What the peer of a cluster does, in the order of the keys.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PeerStep {
    /// The cluster.
    pub cluster: String,
    /// Sends its initial metadata; without it, that comes with the first message.
    pub initial: Option<Vec<Header>>,
    /// Sends a message.
    pub message: Option<Bytes>,
    /// Ends streams and unary calls with a status; with nothing but trailers, if it has sent nothing before. A
    /// unary call is answered by a message and a close in one step.
    pub close: Option<Close>,
    /// Answers HTTP calls; or gRPC with an answer that is none.
    pub answer: Option<Answer>,
    /// Resets streams and calls.
    pub reset: bool,
}

/// How a peer ends a stream.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Close {
    /// The gRPC status.
    pub status: u32,
    /// The gRPC message.
    pub message: String,
}
