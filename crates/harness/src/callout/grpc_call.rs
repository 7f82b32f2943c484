//! A unary gRPC call from the point of view of the peer, which is the test.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::header_map::HeaderMap;
use crate::thread::Thread;
use crate::vm::Vm;

use super::step::{self, Step};
use super::unary::Call;

/// A unary gRPC call that a filter has made, or has failed to make.
#[derive(Clone)]
pub struct GrpcCall {
    vm: Rc<Vm>,
    token: u32,
}

impl GrpcCall {
    pub(crate) fn of(vm: &Rc<Vm>) -> impl Iterator<Item = Self> + use<> {
        let tokens: Vec<u32> = vm.read(|state| state.callouts.unary.by_token.keys().copied().collect());
        let vm = vm.clone();
        tokens.into_iter().map(move |token| Self { vm: vm.clone(), token })
    }

    /// The thread whose VM has made it.
    #[must_use]
    pub fn vm(&self) -> Thread {
        self.vm.thread
    }

    /// The filter's name for it.
    #[must_use]
    pub const fn token(&self) -> u32 {
        self.token
    }

    /// The cluster that it goes to.
    #[must_use]
    pub fn cluster(&self) -> String {
        self.read(|call| call.cluster.clone())
    }

    /// The service that was asked for, with its package.
    #[must_use]
    pub fn service(&self) -> String {
        self.read(|call| call.service.clone())
    }

    /// The method that was asked for.
    #[must_use]
    pub fn method(&self) -> String {
        self.read(|call| call.method.clone())
    }

    /// The filter's initial metadata, with that of its `GrpcService` before it.
    #[must_use]
    pub fn metadata(&self) -> HeaderMap {
        self.read(|call| call.metadata.clone())
    }

    /// The message that the filter has sent.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        self.read(|call| call.message.clone())
    }

    /// How long the filter waits; none for ever, although the peer is then told that there is no time left.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.read(|call| call.timeout)
    }

    /// Whether the filter still waits for the answer.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.read(|call| call.is_open)
    }

    /// Whether the filter has given it up.
    #[must_use]
    pub fn cancelled_by_filter(&self) -> bool {
        self.read(|call| call.cancelled)
    }

    /// The peer answers.
    pub fn respond(&self, message: impl AsRef<[u8]>) {
        self.perform(Step::Message(message.as_ref().to_vec()));
        self.perform(Step::Close(0, String::new()));
    }

    /// The peer answers with nothing but a gRPC status. Zero is a failure as well, for want of a message.
    pub fn fail(&self, status: u32, message: &str) {
        self.perform(Step::Close(status, message.to_owned()));
    }

    /// The peer answers with a compressed message, which Envoy does not take.
    pub fn respond_compressed(&self) {
        self.perform(Step::Compressed);
    }

    /// The peer answers with an HTTP response that is no gRPC, such as a 503 of a proxy on the way.
    pub fn respond_http(&self, status: u32, headers: impl Into<HeaderMap>, body: impl AsRef<[u8]>) {
        self.perform(Step::response(status, &headers.into(), body.as_ref(), None));
    }

    /// The answer breaks off.
    pub fn break_off(&self) {
        self.perform(Step::BreakOff);
    }

    /// The peer resets the call before it has said anything.
    pub fn reset(&self) {
        self.perform(Step::Reset);
    }

    /// Nobody takes the connection.
    pub fn refuse(&self) {
        self.perform(Step::Refuse);
    }

    fn perform(&self, step: Step) {
        self.vm.with(|cx| step::perform(cx, self.token, step));
    }

    fn read<R>(&self, look: impl FnOnce(&Call) -> R) -> R {
        let nothing = Call::default();
        self.vm.read(|state| look(state.callouts.unary.by_token.get(&self.token).unwrap_or(&nothing)))
    }
}

impl fmt::Debug for GrpcCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcCall")
            .field("vm", &self.vm())
            .field("token", &self.token)
            .field("cluster", &self.cluster())
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}
