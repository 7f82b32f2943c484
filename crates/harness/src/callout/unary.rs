//! Unary gRPC calls between the root context and a peer.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::callback;
use crate::header_map::HeaderMap;
use crate::state::Cx;
use crate::status::Status;
use crate::thread::Thread;
use crate::violation::Rule;

use super::answer::{Callout, CalloutKind, Refusal};
use super::ending::{Ending, NO_HOSTS, UNAVAILABLE};
use super::step::Step;
use super::{Kind, check_time, fail_later, plan, schedule, size, target, tell, tell_status};

/// gRPC's `OK` and `INTERNAL`.
const OK: u32 = 0;
const INTERNAL: u32 = 13;

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
    pub(crate) service: String,
    pub(crate) method: String,
    pub(crate) metadata: HeaderMap,
    pub(crate) message: Vec<u8>,
    /// None to wait for ever.
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_answer: Option<usize>,
    /// Whether the filter waits for the answer.
    pub(crate) is_open: bool,
    pub(crate) cancelled: bool,
    /// Whether the peer's headers have come, and the last message.
    pub(crate) has_begun: bool,
    pub(crate) answer: Option<Vec<u8>>,
}

impl Calls {
    /// The token means something until the callback for the answer is over.
    pub(super) fn forget(&mut self, token: u32) {
        if let Some(call) = self.by_token.get_mut(&token) {
            call.is_open = false;
        }
    }

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
            kind: CalloutKind::GrpcCall,
            service: self.service.clone(),
            method: self.method.clone(),
            headers: self.metadata.clone(),
            body: self.message.clone(),
        }
    }
}

/// `proxy_grpc_call`.
pub(crate) fn open(cx: &mut Cx<'_>, target: &[u8], mut call: Call) -> Result<u32, Status> {
    let state = cx.data_mut();
    check_time(state);
    call.root = state.root_of(state.context());
    let target = target::resolve(state, target)?;
    call.metadata = target.metadata_with(&call.metadata);
    call.cluster.clone_from(&target.cluster);
    call.max_answer = target.max_message;
    let answer = target.ask(&call.asked(state.thread))?;
    call.is_open = answer.refusal().is_none();
    let timeout = call.timeout;
    let calls = &mut state.callouts.unary.by_token;
    let token = Kind::Unary.token(calls.len());
    calls.insert(token, call);
    if let Some(refusal) = answer.refusal() {
        let message = match refusal {
            Refusal::NoCluster => target::NOT_AVAILABLE.to_owned(),
            Refusal::NoHost => NO_HOSTS.ending().message,
        };
        return Err(fail_later(state, token, UNAVAILABLE, message));
    }
    match timeout {
        Some(timeout) => schedule(state, token, timeout, Step::TimeOut),
        None => state.violate(Rule::GrpcCallWithoutTime { token }),
    }
    plan(state, token, answer);
    Ok(token)
}

/// `proxy_grpc_cancel` and `proxy_grpc_close`, which is the same here.
pub(super) fn cancel(cx: &mut Cx<'_>, token: u32) -> Result<(), Status> {
    let call = open_call(cx, token).ok_or(Status::NotFound)?;
    call.is_open = false;
    call.cancelled = true;
    Ok(())
}

fn open_call<'a>(cx: &'a mut Cx<'_>, token: u32) -> Option<&'a mut Call> {
    cx.data_mut().callouts.unary.by_token.get_mut(&token).filter(|call| call.is_open)
}

pub(super) fn perform(cx: &mut Cx<'_>, token: u32, step: Step) {
    let Some(call) = open_call(cx, token) else { return };
    if let Some(ending) = Ending::of(&step, call.has_begun) {
        return end(cx, token, &ending);
    }
    call.has_begun = true;
    if let Step::Message(message) = step {
        if call.max_answer.is_some_and(|max| message.len() > max) {
            return end(cx, token, &Ending::too_large());
        }
        call.answer = Some(message);
    }
}

fn end(cx: &mut Cx<'_>, token: u32, ending: &Ending) {
    let Some(call) = open_call(cx, token) else { return };
    match (ending.status, call.answer.take()) {
        (OK, Some(answer)) => received(cx, token, answer),
        (OK, None) => closed(cx, token, INTERNAL, ""),
        (status, _) => closed(cx, token, status, &ending.message),
    }
}

fn received(cx: &mut Cx<'_>, token: u32, answer: Vec<u8>) {
    let length = size(answer.len());
    cx.data_mut().callouts.readable.message = Some(answer);
    tell(cx, callback::GRPC_MESSAGE, token, &[length]);
}

/// The call has failed.
pub(super) fn closed(cx: &mut Cx<'_>, token: u32, status: u32, message: &str) {
    tell_status(cx, callback::GRPC_CLOSE, token, &[status], (status, message));
}
