//! How call-outs end, in the words of Envoy 1.40.

use crate::header_map::HeaderMap;
use crate::reply;

use super::Response;
use super::step::Step;

/// gRPC's status codes.
const UNKNOWN: u32 = 2;
const RESOURCE_EXHAUSTED: u32 = 8;
const INTERNAL: u32 = 13;
pub(super) const UNAVAILABLE: u32 = 14;

/// The response code details of what a peer has said itself.
const VIA_UPSTREAM: &str = "via_upstream";

/// What Envoy answers in the place of a peer.
#[derive(Debug)]
pub(super) struct LocalReply {
    status: u32,
    body: &'static str,
    details: &'static str,
}

pub(super) const NO_HOSTS: LocalReply =
    LocalReply { status: 503, body: "no healthy upstream", details: "no_healthy_upstream" };

const TIMED_OUT: LocalReply =
    LocalReply { status: 504, body: "upstream request timeout", details: "response_timeout" };

const RESET: LocalReply = LocalReply {
    status: 503,
    body: "upstream connect error or disconnect/reset before headers. reset reason: remote reset",
    details: "upstream_reset_before_response_started{remote_reset}",
};

const REFUSED: LocalReply = LocalReply {
    status: 503,
    body: "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
    details: "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
};

impl LocalReply {
    /// Envoy's answer in place of this step, if it is one before the peer has said anything.
    pub(super) const fn to(step: &Step) -> Option<&'static Self> {
        match step {
            Step::Reset => Some(&RESET),
            Step::Refuse => Some(&REFUSED),
            Step::TimeOut => Some(&TIMED_OUT),
            _ => None,
        }
    }

    pub(super) fn response(&self) -> Response {
        let length = self.body.len().to_string();
        let status = self.status.to_string();
        let headers =
            [(":status", status.as_str()), ("content-length", &length), ("content-type", "text/plain")];
        Response { headers: HeaderMap::from(headers), body: self.body.into(), trailers: None }
    }

    pub(super) fn ending(&self) -> Ending {
        let status = reply::grpc_status(self.status);
        Ending::trailers_only(trailers_only(status, self.body), status, explained(self.body, self.details))
    }
}

/// The end of a gRPC call.
#[derive(Debug)]
pub(super) struct Ending {
    /// The initial metadata, if none has come before.
    pub(super) initial: HeaderMap,
    pub(super) trailing: HeaderMap,
    pub(super) status: u32,
    pub(super) message: String,
}

impl Ending {
    /// What a step that ends a gRPC call comes to, by whether the peer's headers have come before.
    pub(super) fn of(step: &Step, has_begun: bool) -> Option<Self> {
        const BROKEN: &str = "upstream_reset_after_response_started{remote_reset}";
        const DISCONNECTED: &str = "upstream_reset_after_response_started{connection_termination}";
        if let (Some(reply), false) = (LocalReply::to(step), has_begun) {
            return Some(reply.ending());
        }
        Some(match step {
            Step::InitialMetadata(_) | Step::Message(_) => return None,
            Step::Response(response) => Self::instead_of_grpc(response),
            Step::Compressed => Self::error(INTERNAL, VIA_UPSTREAM),
            Step::EndWithoutTrailers => Self::error(UNKNOWN, VIA_UPSTREAM),
            Step::Reset | Step::BreakOff => Self::error(INTERNAL, BROKEN),
            Step::Refuse => Self::error(INTERNAL, DISCONNECTED),
            Step::TimeOut => Self::error(INTERNAL, TIMED_OUT.details),
            Step::Close(status, message) => {
                let text = explained(message, VIA_UPSTREAM);
                if has_begun {
                    let trailing = trailers(*status, message);
                    Self { initial: HeaderMap::new(), trailing, status: *status, message: text }
                } else {
                    Self::trailers_only(trailers_only(*status, message), *status, text)
                }
            }
        })
    }

    /// A message that is larger than the `max_receive_message_length` of the target.
    pub(super) fn too_large() -> Self {
        Self::error(RESOURCE_EXHAUSTED, VIA_UPSTREAM)
    }

    fn error(status: u32, details: &str) -> Self {
        Self { initial: begun(), trailing: HeaderMap::new(), status, message: details.to_owned() }
    }

    fn trailers_only(trailing: HeaderMap, status: u32, message: String) -> Self {
        Self { initial: HeaderMap::new(), trailing, status, message }
    }

    /// A response that a gRPC call was not made for.
    fn instead_of_grpc(response: &Response) -> Self {
        let is_whole = response.body.is_empty() && response.trailers.is_none();
        let grpc_status = |map: &HeaderMap| map.get("grpc-status").and_then(|status| status.parse().ok());
        let message = |map: &HeaderMap| explained(map.get("grpc-message").unwrap_or(""), VIA_UPSTREAM);
        let status = response.headers.get(":status").and_then(|status| status.parse().ok()).unwrap_or(0);
        match (status, grpc_status(&response.headers)) {
            (_, Some(grpc)) if is_whole => {
                Self::trailers_only(response.headers.clone(), grpc, message(&response.headers))
            }
            (200, None) if is_whole => {
                Self::trailers_only(response.headers.clone(), UNKNOWN, message(&response.headers))
            }
            (200, _) => {
                // A frame begins with a zero or a one.
                let is_garbage = response.body.first().is_some_and(|flags| *flags > 1);
                let mut ending = Self::error(if is_garbage { INTERNAL } else { UNKNOWN }, VIA_UPSTREAM);
                ending.initial.clone_from(&response.headers);
                if let (false, Some(trailers)) = (is_garbage, &response.trailers) {
                    ending.status = grpc_status(trailers).unwrap_or(UNKNOWN);
                    ending.message = message(trailers);
                    ending.trailing.clone_from(trailers);
                }
                ending
            }
            (status, _) => {
                let trailing = HeaderMap::new();
                Self::trailers_only(trailing, reply::grpc_status(status), VIA_UPSTREAM.to_owned())
            }
        }
    }
}

/// The headers with which a gRPC answer begins.
pub(super) fn begun() -> HeaderMap {
    HeaderMap::from([(":status", "200"), ("content-type", "application/grpc")])
}

fn trailers(status: u32, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::from([("grpc-status", status.to_string())]);
    if !message.is_empty() {
        trailers.add("grpc-message", message);
    }
    trailers
}

fn trailers_only(status: u32, message: &str) -> HeaderMap {
    let mut map = begun();
    for (name, value) in trailers(status, message).pairs() {
        map.add(name, value);
    }
    map
}

/// Envoy puts the response code details behind the message of a gRPC status, or in its place.
fn explained(message: &str, details: &str) -> String {
    if message.is_empty() { details.to_owned() } else { format!("{message}{{{details}}}") }
}
