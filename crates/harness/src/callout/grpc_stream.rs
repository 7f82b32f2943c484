//! A gRPC stream from the point of view of the peer, which is the test.

use std::fmt;
use std::rc::Rc;

use crate::header_map::HeaderMap;
use crate::thread::Thread;
use crate::vm::Vm;

use super::step::{self, Step};
use super::stream::Stream;

/// A gRPC stream that a filter has opened, or has failed to open.
#[derive(Clone)]
pub struct GrpcStream {
    vm: Rc<Vm>,
    token: u32,
}

impl GrpcStream {
    pub(crate) fn of(vm: &Rc<Vm>) -> impl Iterator<Item = Self> + use<> {
        let tokens: Vec<u32> = vm.read(|state| state.callouts.streams.by_token.keys().copied().collect());
        let vm = vm.clone();
        tokens.into_iter().map(move |token| Self { vm: vm.clone(), token })
    }

    /// The thread whose VM has opened it.
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
        self.read(|stream| stream.cluster.clone())
    }

    /// The service that was asked for, with its package.
    #[must_use]
    pub fn service(&self) -> String {
        self.read(|stream| stream.service.clone())
    }

    /// The method that was asked for.
    #[must_use]
    pub fn method(&self) -> String {
        self.read(|stream| stream.method.clone())
    }

    /// The filter's initial metadata, with that of its `GrpcService` before it.
    #[must_use]
    pub fn metadata(&self) -> HeaderMap {
        self.read(|stream| stream.metadata.clone())
    }

    /// Whether neither side has ended it, apart from the filter having said its last word.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.read(Stream::is_open)
    }

    /// Whether the filter has said its last word, by an end mark or by closing.
    #[must_use]
    pub fn is_half_closed(&self) -> bool {
        self.read(|stream| stream.half_closed)
    }

    /// Whether the filter has cancelled it while it was open.
    #[must_use]
    pub fn cancelled_by_filter(&self) -> bool {
        self.read(|stream| stream.cancelled)
    }

    /// Takes the messages that the filter has sent since the last time.
    #[must_use]
    pub fn take_sent(&self) -> Vec<Vec<u8>> {
        self.vm.write(|state| {
            let stream = state.callouts.streams.by_token.get_mut(&self.token);
            stream.map(|stream| std::mem::take(&mut stream.sent)).unwrap_or_default()
        })
    }

    /// The peer sends its initial metadata.
    pub fn initial_metadata(&self, metadata: impl Into<HeaderMap>) {
        self.perform(Step::InitialMetadata(metadata.into()));
    }

    /// The peer sends a message; and initial metadata before, if it has not yet.
    pub fn send(&self, message: impl AsRef<[u8]>) {
        self.perform(Step::Message(message.as_ref().to_vec()));
    }

    /// The peer sends a compressed message. Envoy does not take it, and ends the stream.
    pub fn send_compressed(&self) {
        self.perform(Step::Compressed);
    }

    /// The peer ends the stream with a gRPC status; with nothing but trailers, if it has not sent anything yet.
    pub fn close(&self, status: u32, message: &str) {
        self.perform(Step::Close(status, message.to_owned()));
    }

    /// The peer ends the stream without a gRPC status.
    pub fn end_without_trailers(&self) {
        self.perform(Step::EndWithoutTrailers);
    }

    /// The peer resets the stream. If it has not sent anything yet, Envoy says that it is unavailable.
    pub fn reset(&self) {
        self.perform(Step::Reset);
    }

    /// Nobody takes the connection; or it breaks, if something has been sent over it.
    pub fn refuse(&self) {
        self.perform(Step::Refuse);
    }

    /// The peer answers with an HTTP response that is no gRPC, such as a 503 of a proxy on the way.
    pub fn respond_http(&self, status: u32, headers: impl Into<HeaderMap>, body: impl AsRef<[u8]>) {
        self.perform(Step::response(status, &headers.into(), body.as_ref(), None));
    }

    fn perform(&self, step: Step) {
        self.vm.with(|cx| step::perform(cx, self.token, step));
    }

    fn read<R>(&self, look: impl FnOnce(&Stream) -> R) -> R {
        let nothing = Stream::default();
        self.vm.read(|state| look(state.callouts.streams.by_token.get(&self.token).unwrap_or(&nothing)))
    }
}

impl fmt::Debug for GrpcStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcStream")
            .field("vm", &self.vm())
            .field("token", &self.token)
            .field("cluster", &self.cluster())
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}
