//! Taking a request's tokens to the gate, for a request on its way as for one that was held.

use std::rc::Rc;

use portcullis_core::extract::{Found, from_cookie, from_header, from_query};
use portcullis_core::gate::{Attached, Gate, Request};
use portcullis_core::live::StreamId;
use portcullis_core::policy::{Reports, TokenSource};
use portcullis_core::reply::{Asked, details, mark, reject};
use portcullis_core::verdict::{Code, Verdict};
use portcullis_core::{ClaimPath, pairs};

use crate::{clock, host};

/// The header that tells the next filter in mode `mark`.
const MARK_HEADER: &str = "x-portcullis";
/// The filter state's name in the access log is `wasm.portcullis`.
const FILTER_STATE: &str = "portcullis";

/// Decides the effective stream's request.
pub(crate) fn decide(gate: &mut Gate, stream: StreamId) -> (Verdict, Attached) {
    // Envoy drops its choice of a route at each removal, whether or not there was anything to remove.
    if host::has_request_header(MARK_HEADER) {
        let _ = host::remove_request_header(MARK_HEADER);
    }
    let policy = Rc::clone(gate.policy());
    let path = if policy.needs_path() { host::request_header(":path") } else { None };
    if path.as_ref().is_some_and(|path| policy.is_exempt(path)) {
        gate.exempted();
        return (Verdict::Pass(None), Attached::default());
    }
    let mut request = Request::new(stream);
    for (place, source) in policy.tokens.iter().enumerate() {
        present(gate, &mut request, place, source, path.as_deref());
    }
    let decided = gate.decide(request);
    if gate.asks() {
        let read = || host::request_header(":path");
        let target = if policy.reports == Reports::Paths { path.or_else(read) } else { None };
        gate.tried(target.as_deref(), clock::now());
    }
    decided
}

fn present(gate: &mut Gate, request: &mut Request, place: usize, source: &TokenSource, path: Option<&[u8]>) {
    match source {
        TokenSource::Header { name, scheme } => present_header(gate, request, name, scheme.as_deref()),
        TokenSource::Cookie(name) => {
            let values = header_values("cookie");
            gate.present(request, from_cookie(&slices(&values), name));
        }
        TokenSource::Query(name) => {
            let found: Found<'_> = path.map_or(Ok(None), |path| from_query(path, name));
            gate.present(request, found);
        }
        TokenSource::JwtAuthn(key) => {
            let is_there = || host::has_property(metadata_path(key));
            gate.present_verified(request, place, |claim| verified_claim(key, claim), is_there);
        }
    }
}

/// Reading one value by name costs less than all headers, but shows only the first. Envoy joins the values of
/// `authorization` where a filter has registered it as an inline header, as in every release build; where none
/// has, a second value could be the token when the first is none.
fn present_header(gate: &mut Gate, request: &mut Request, name: &str, scheme: Option<&str>) {
    if name == "authorization" {
        let Some(first) = host::request_header(name) else { return };
        let found = from_header(&[first.as_slice()], scheme);
        if found != Ok(None) {
            return gate.present(request, found);
        }
    }
    gate.present(request, from_header(&slices(&header_values(name)), scheme));
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

/// All values of a request header.
fn header_values(name: &str) -> Vec<Vec<u8>> {
    let headers = host::request_headers();
    let headers = pairs::decode(&headers).unwrap_or_default();
    let values = headers.into_iter().filter(|(key, _)| *key == name.as_bytes());
    values.map(|(_, value)| value.to_vec()).collect()
}

fn slices(values: &[Vec<u8>]) -> Vec<&[u8]> {
    values.iter().map(Vec::as_slice).collect()
}
