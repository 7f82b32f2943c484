//! An HTTP call from the point of view of the peer, which is the test.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::header_map::HeaderMap;
use crate::thread::Thread;
use crate::vm::Vm;

use super::http::Call;
use super::step::{self, Step};

/// An HTTP call that a filter has made, or has failed to make.
#[derive(Clone)]
pub struct HttpCall {
    vm: Rc<Vm>,
    token: u32,
}

impl HttpCall {
    pub(crate) fn of(vm: &Rc<Vm>) -> impl Iterator<Item = Self> + use<> {
        let tokens: Vec<u32> = vm.read(|state| state.callouts.http.by_token.keys().copied().collect());
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

    /// The request headers: the filter's, and the `content-length` that Envoy adds for a body.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        self.read(|call| call.headers.clone())
    }

    /// The request body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        self.read(|call| call.body.clone())
    }

    /// The request trailers that the filter has given. Envoy 1.40 takes them, and does not send them.
    #[must_use]
    pub fn trailers(&self) -> HeaderMap {
        self.read(|call| call.trailers.clone())
    }

    /// How long the filter waits; none for ever.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.read(|call| call.timeout)
    }

    /// Whether the filter still waits for the answer.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.read(|call| call.is_open)
    }

    /// The peer answers. More than 32 MiB is too much for Envoy, and a failure.
    pub fn respond(&self, status: u32, headers: impl Into<HeaderMap>, body: impl AsRef<[u8]>) {
        self.perform(Step::response(status, &headers.into(), body.as_ref(), None));
    }

    /// The peer answers, with trailers.
    pub fn respond_with_trailers(
        &self,
        status: u32,
        headers: impl Into<HeaderMap>,
        body: impl AsRef<[u8]>,
        trailers: impl Into<HeaderMap>,
    ) {
        self.perform(Step::response(status, &headers.into(), body.as_ref(), Some(trailers.into())));
    }

    /// The answer breaks off: the filter hears of no headers, no body and no trailers.
    pub fn fail(&self) {
        self.perform(Step::BreakOff);
    }

    /// The peer resets the call before it has said anything. Envoy answers 503 in its place.
    pub fn reset(&self) {
        self.perform(Step::Reset);
    }

    /// Nobody takes the connection. Envoy answers 503.
    pub fn refuse(&self) {
        self.perform(Step::Refuse);
    }

    fn perform(&self, step: Step) {
        self.vm.with(|cx| step::perform(cx, self.token, step));
    }

    fn read<R>(&self, look: impl FnOnce(&Call) -> R) -> R {
        let nothing = Call::default();
        self.vm.read(|state| look(state.callouts.http.by_token.get(&self.token).unwrap_or(&nothing)))
    }
}

impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCall")
            .field("vm", &self.vm())
            .field("token", &self.token)
            .field("cluster", &self.cluster())
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}
