//! Taking a request's tokens to the gate, for a request on its way as for one that was held.

use std::rc::Rc;

use portcullis_core::extract::{Found, from_cookie, from_header, from_query};
use portcullis_core::gate::{Attached, Gate, Request};
use portcullis_core::live::StreamId;
use portcullis_core::policy::{Reports, TokenSource};
use portcullis_core::reply::{Asked, details, mark, reject};
use portcullis_core::token::Malformed;
use portcullis_core::verdict::{Code, Verdict};
use portcullis_core::{ClaimPath, pairs};

use crate::{clock, host};

/// The header that tells the next filter in mode `mark`.
const MARK_HEADER: &str = "x-portcullis";
/// The filter state's name in the access log is `wasm.portcullis`.
const FILTER_STATE: &str = "portcullis";

/// Decides the effective stream's request.
///
/// Its headers are read all at once: one that is asked for by a name has Envoy build a table of them first
/// (`HeaderMapImpl::getExisting`), and shows the first of several values alone.
pub(crate) fn decide(gate: &mut Gate, stream: StreamId) -> (Verdict, Attached) {
    let policy = Rc::clone(gate.policy());
    let bytes = host::request_headers();
    let headers = pairs::decode(&bytes).map(Headers);
    let path = headers.as_ref().and_then(|headers| headers.first(":path"));
    // Removing has Envoy choose the route again, whether or not there was anything to remove.
    if headers.as_ref().is_none_or(|headers| headers.first(MARK_HEADER).is_some()) {
        let _ = host::remove_request_header(MARK_HEADER);
    }
    if path.is_some_and(|path| policy.is_exempt(path)) {
        gate.exempted();
        return (Verdict::Pass(None), Attached::default());
    }
    let mut request = Request::new(stream);
    match &headers {
        Some(headers) => {
            for (place, source) in policy.tokens.iter().enumerate() {
                present(gate, &mut request, place, source, headers);
            }
        }
        // Envoy gives no such thing; nothing may pass because of it.
        None => gate.present(&mut request, Err(Malformed::Characters)),
    }
    let decided = gate.decide(request);
    if gate.asks() {
        let target = if policy.reports == Reports::Paths { path } else { None };
        gate.tried(target, clock::now());
    }
    decided
}

/// The headers of a request, in their order.
struct Headers<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Headers<'a> {
    fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(own, _)| *own == name.as_bytes()).map(|(_, value)| *value)
    }

    fn first(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }
}

fn present(
    gate: &mut Gate,
    request: &mut Request,
    place: usize,
    source: &TokenSource,
    headers: &Headers<'_>,
) {
    match source {
        TokenSource::Header { name, scheme } => {
            let mut values = headers.all(name);
            // Nearly always there is one.
            let found = match (values.next(), values.next()) {
                (Some(value), None) => from_header(&[value], scheme.as_deref()),
                (None, _) => return,
                _ => Err(Malformed::Several),
            };
            gate.present(request, found);
        }
        TokenSource::Cookie(name) => {
            let values: Vec<&[u8]> = headers.all("cookie").collect();
            gate.present(request, from_cookie(&values, name));
        }
        TokenSource::Query(name) => {
            let found: Found<'_> = headers.first(":path").map_or(Ok(None), |path| from_query(path, name));
            gate.present(request, found);
        }
        TokenSource::JwtAuthn(key) => {
            let is_there = || host::has_property(metadata_path(key));
            gate.present_verified(request, place, |claim| verified_claim(key, claim), is_there);
        }
    }
}

/// Where jwt_authn has stored what it has verified.
fn metadata_path(key: &str) -> [&str; 4] {
    ["metadata", "filter_metadata", "envoy.filters.http.jwt_authn", key]
}

/// A claim that jwt_authn has verified and stored in the stream's dynamic metadata.
pub(crate) fn verified_claim(key: &str, claim: &ClaimPath) -> Option<Vec<u8>> {
    host::property(metadata_path(key).into_iter().chain(claim.names().iter().map(String::as_str)))
}

/// Does to the effective stream what was decided; true when its request goes on.
pub(crate) fn act(gate: &Gate, verdict: Verdict) -> bool {
    match verdict {
        Verdict::Pass(None | Some(Code::Missing)) => true,
        Verdict::Pass(Some(code)) => {
            state("allowed", code);
            true
        }
        Verdict::Observe(code) => {
            log::debug!("observed: {}", code.name());
            state("observed", code);
            true
        }
        Verdict::Mark(code) => {
            log::debug!("marked: {}", code.name());
            state("marked", code);
            let _ = host::set_request_header(MARK_HEADER, &mark(code));
            true
        }
        Verdict::Hold => false,
        Verdict::Reject(code) => {
            end(gate, code, asked());
            false
        }
    }
}

/// Ends the effective stream: a reply if none has begun, else a reset; the access log learns why.
pub(crate) fn end(gate: &Gate, code: Code, asked: Asked) {
    state("rejected", code);
    let reply = reject(gate.policy(), code, asked);
    log::debug!("{}", reply.details);
    if let Err(status) = host::reply(&reply) {
        log::error!("{} could not be sent: {status:?}", details(code));
    }
}

/// What the client asked, as far as the reply depends on it.
fn asked() -> Asked {
    let header =
        |name, matches: fn(&[u8]) -> bool| host::request_header(name).is_some_and(|value| matches(&value));
    let page = header(":method", |method| matches!(method, b"GET" | b"HEAD"))
        && header("accept", |accept| accept.windows(9).any(|part| part.eq_ignore_ascii_case(b"text/html")));
    Asked { grpc: header("content-type", is_grpc), page }
}

/// As Envoy's `Grpc::Common::hasGrpcContentType`: gRPC-Web is ordinary HTTP.
fn is_grpc(content_type: &[u8]) -> bool {
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

fn state(outcome: &str, code: Code) {
    let _ = host::set_filter_state(FILTER_STATE, &format!("{outcome};code={}", code.name()));
}
