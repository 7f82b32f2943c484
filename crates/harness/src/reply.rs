//! Local replies: what a filter answers in the upstream's place.

use crate::header_map::{HeaderMap, Of};

/// An answer that came from the filter, or from Envoy because the filter's VM is dead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocalReply {
    /// The status that was asked for. A gRPC client sees 200 and [`grpc_status`](Self::grpc_status).
    pub status: u32,
    /// What the client sees, the filter's own headers included.
    pub headers: HeaderMap,
    /// The body, which for a gRPC client became the message.
    pub body: Vec<u8>,
    /// The response code details, for the access log.
    pub details: String,
    /// The gRPC status that a gRPC client sees: the one asked for, else the one that HTTP's maps to.
    pub grpc_status: Option<u32>,
}

impl LocalReply {
    /// The body as text, with what is not UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What the filter asked for.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u32,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) details: String,
    pub(crate) grpc_status: Option<u32>,
}

impl Reply {
    /// Envoy's answer for a filter whose VM is dead.
    pub(crate) fn fail_stream() -> Self {
        Self {
            status: 503,
            headers: HeaderMap::new(),
            body: Vec::new(),
            details: "wasm_fail_stream".to_owned(),
            grpc_status: Some(14),
        }
    }

    /// The answer of another filter.
    pub(crate) fn from_elsewhere(status: u32, details: &str) -> Self {
        Self { status, details: details.to_owned(), grpc_status: None, ..Self::fail_stream() }
    }

    /// The response to a request with these headers: its headers, and its body.
    pub(crate) fn response(&self, request: &HeaderMap) -> (HeaderMap, Vec<u8>) {
        let mut headers = HeaderMap::from([(":status", self.status.to_string())]);
        for (name, value) in self.headers.pairs() {
            headers.merge(Of::Response, name, value);
        }
        if is_grpc(request) {
            headers.set(":status", "200");
            headers.set("content-type", "application/grpc");
            headers.set("grpc-status", self.grpc_status_seen().to_string());
            if !self.body.is_empty() {
                headers.set("grpc-message", percent_encode(&self.body));
            }
            headers.remove("content-length");
            return (headers, Vec::new());
        }
        if self.body.is_empty() {
            headers.remove("content-length");
            headers.remove("content-type");
        } else {
            headers.set("content-length", self.body.len().to_string());
            if !headers.contains("content-type") {
                headers.add("content-type", "text/plain");
            }
        }
        let is_head = request.get(":method") == Some("HEAD");
        (headers, if is_head { Vec::new() } else { self.body.clone() })
    }

    pub(crate) fn into_local_reply(
        self,
        request: &HeaderMap,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> LocalReply {
        let is_grpc = is_grpc(request);
        LocalReply {
            status: self.status,
            grpc_status: is_grpc.then(|| self.grpc_status_seen()),
            headers,
            body: if is_grpc { self.body } else { body },
            details: self.details,
        }
    }

    /// Envoy's mapping of HTTP to gRPC.
    fn grpc_status_seen(&self) -> u32 {
        self.grpc_status.unwrap_or_else(|| grpc_status(self.status))
    }
}

/// The gRPC status that stands for an HTTP status, where there is none of its own.
pub(crate) const fn grpc_status(status: u32) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// Whether Envoy takes a request for gRPC.
fn is_grpc(request: &HeaderMap) -> bool {
    let rest = request.get("content-type").and_then(|kind| kind.strip_prefix("application/grpc"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
}

/// The encoding of `grpc-message`: everything but printable ASCII, and the percent sign.
fn percent_encode(bytes: &[u8]) -> String {
    let encode = |byte: &u8| match byte {
        b' '..=b'~' if *byte != b'%' => char::from(*byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    bytes.iter().map(encode).collect()
}
