//! HTTP calls between the root context and a peer.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::callback;
use crate::header_map::HeaderMap;
use crate::state::{Cx, VmState};
use crate::status::Status;
use crate::thread::Thread;
use crate::trace::What;

use super::answer::{Callout, CalloutKind, Refusal};
use super::ending::LocalReply;
use super::step::Step;
use super::{Kind, Response, check_time, fail_later, plan, schedule, size, tell, tell_status};

/// Envoy reads no longer response: its `http.async_response_buffer_limit`.
const MAX_BODY: usize = 32 << 20;

/// Envoy adds to every answer of a peer how many milliseconds it took.
const SERVICE_TIME: &str = "x-envoy-upstream-service-time";

fn service_time(state: &VmState, token: u32) -> Duration {
    let made_at = state.callouts.http.by_token.get(&token).map_or(Duration::ZERO, |call| call.made_at);
    state.world().elapsed.saturating_sub(made_at)
}

/// The calls of one VM.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) by_token: BTreeMap<u32, Call>,
}

/// A call that was made, or that failed to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    /// The root context that it belongs to.
    pub(crate) root: u32,
    pub(crate) cluster: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
    /// None to wait for ever.
    pub(crate) timeout: Option<Duration>,
    /// Whether the filter waits for the answer.
    pub(crate) is_open: bool,
    /// The time since the start at which it was made.
    pub(crate) made_at: Duration,
}

impl Calls {
    pub(super) fn drop_open(&mut self, root: Option<u32>) -> Vec<u32> {
        let all = self.by_token.iter_mut();
        let calls = all.filter(|(_, call)| root.is_none_or(|root| call.root == root));
        calls.filter_map(|(token, call)| std::mem::take(&mut call.is_open).then_some(*token)).collect()
    }
}

impl Call {
    fn asked(&self, vm: Thread) -> Callout {
        Callout {
            vm,
            cluster: self.cluster.clone(),
            kind: CalloutKind::Http,
            service: String::new(),
            method: String::new(),
            headers: self.headers.clone(),
            body: self.body.clone(),
        }
    }
}

/// `proxy_http_call`.
pub(crate) fn open(cx: &mut Cx<'_>, mut call: Call) -> Result<u32, Status> {
    let state = cx.data_mut();
    check_time(state);
    call.root = state.root_of(state.context());
    let cluster = state.world().clusters.get(&call.cluster).cloned().ok_or(Status::BadArgument)?;
    if [":path", ":method", ":authority"].iter().any(|name| !call.headers.contains(name)) {
        return Err(Status::BadArgument);
    }
    if !call.body.is_empty() {
        call.headers.set("content-length", call.body.len().to_string());
    }
    let asked = call.asked(state.thread);
    let answer = cluster.answer(&asked);
    if answer.refusal() == Some(Refusal::NoCluster) {
        return Err(Status::BadArgument);
    }
    call.is_open = answer.refusal().is_none();
    call.made_at = state.world().elapsed;
    let (is_open, timeout) = (call.is_open, call.timeout);
    let calls = &mut state.callouts.http.by_token;
    let token = Kind::Http.token(calls.len());
    calls.insert(token, call);
    if !is_open {
        // Envoy's answer comes while it is not waited for yet, is put off, and finds that it never is.
        return Err(fail_later(state, token, 0, String::new()));
    }
    if let Some(timeout) = timeout {
        schedule(state, token, timeout, Step::TimeOut);
    }
    plan(state, token, answer);
    Ok(token)
}

pub(super) fn perform(cx: &mut Cx<'_>, token: u32, step: Step) {
    if !cx.data().callouts.http.by_token.get(&token).is_some_and(|call| call.is_open) {
        return;
    }
    match (LocalReply::to(&step), step) {
        (Some(reply), _) => answered(cx, token, reply.response()),
        (_, Step::Response(mut response)) if response.body.len() <= MAX_BODY => {
            response.headers.add(SERVICE_TIME, service_time(cx.data(), token).as_millis().to_string());
            answered(cx, token, response);
        }
        (_, Step::Response(_) | Step::BreakOff) => broken(cx, token),
        _ => cx.data().trace(What::Note(format!("call-out {token} is HTTP: a gRPC answer is none"))),
    }
}

fn answered(cx: &mut Cx<'_>, token: u32, response: Response) {
    let counts = [
        size(response.headers.len()),
        size(response.body.len()),
        size(response.trailers.as_ref().map_or(0, HeaderMap::len)),
    ];
    close(cx, token);
    cx.data_mut().callouts.readable.response = Some(response);
    tell(cx, callback::HTTP_CALL_RESPONSE, token, &counts);
}

/// The answer broke off, or is too long.
fn broken(cx: &mut Cx<'_>, token: u32) {
    close(cx, token);
    let status = (Status::BrokenConnection.code(), "reset");
    tell_status(cx, callback::HTTP_CALL_RESPONSE, token, &[0, 0, 0], status);
}

fn close(cx: &mut Cx<'_>, token: u32) {
    if let Some(call) = cx.data_mut().callouts.http.by_token.get_mut(&token) {
        call.is_open = false;
    }
}
