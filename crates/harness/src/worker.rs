//! A thread of an Envoy: where requests come in, and what they cost.

use std::fmt;
use std::rc::Rc;

use crate::callout::{GrpcCall, GrpcStream, HttpCall};
use crate::cost::Cost;
use crate::envoy::Inner;
use crate::error::Failure;
use crate::request::RequestBuilder;
use crate::state::VmState;
use crate::thread::Thread;

/// A thread with its VM. The main thread has one as well.
#[derive(Clone)]
pub struct Worker {
    pub(crate) inner: Rc<Inner>,
    pub(crate) slot: usize,
}

impl Worker {
    /// Begins a `GET`.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request("GET", path)
    }

    /// Begins a `POST`.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request("POST", path)
    }

    /// Begins a request.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        RequestBuilder::new(self.clone(), method, path)
    }

    /// Which thread it is.
    #[must_use]
    pub fn thread(&self) -> Thread {
        match self.slot {
            0 => Thread::Main,
            slot => Thread::Worker(slot - 1),
        }
    }

    /// The HTTP calls that its VM has made, those that are over included.
    #[must_use]
    pub fn http_calls(&self) -> Vec<HttpCall> {
        self.inner.vm(self.slot).map(|vm| HttpCall::of(&vm).collect()).unwrap_or_default()
    }

    /// The unary gRPC calls that its VM has made, those that are over included.
    #[must_use]
    pub fn grpc_calls(&self) -> Vec<GrpcCall> {
        self.inner.vm(self.slot).map(|vm| GrpcCall::of(&vm).collect()).unwrap_or_default()
    }

    /// The gRPC streams that its VM has opened, the closed ones included.
    #[must_use]
    pub fn grpc_streams(&self) -> Vec<GrpcStream> {
        self.inner.vm(self.slot).map(|vm| GrpcStream::of(&vm).collect()).unwrap_or_default()
    }

    /// How its VM died, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.read(|state| state.failure.clone()).flatten()
    }

    /// What the last request to come in has cost so far.
    #[must_use]
    pub fn last_request(&self) -> Cost {
        self.read(|state| state.streams.values().next_back().map(|stream| stream.cost.clone()))
            .flatten()
            .unwrap_or_default()
    }

    /// The fuel that the last request has used.
    #[must_use]
    pub fn fuel_used(&self) -> u64 {
        self.last_request().fuel
    }

    /// The host calls that the last request has made.
    #[must_use]
    pub fn host_calls(&self) -> u64 {
        self.last_request().host_calls()
    }

    /// What its VM has cost since it started.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.read(|state| state.cost.clone()).unwrap_or_default()
    }

    /// The size of its VM's memory, in bytes. It never shrinks.
    #[must_use]
    pub fn memory_size(&self) -> usize {
        let vm = self.inner.vm(self.slot);
        vm.map_or(0, |vm| vm.with(|cx| cx.data().memory.map_or(0, |memory| memory.data_size(&*cx))))
    }

    fn read<R>(&self, look: impl FnOnce(&VmState) -> R) -> Option<R> {
        self.inner.vm(self.slot).map(|vm| vm.read(look))
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Worker").field(&self.thread()).finish()
    }
}
