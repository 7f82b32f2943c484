//! A thread of an Envoy: where requests come in, and what they cost.

use std::fmt;
use std::rc::Rc;

use crate::action;
use crate::callback;
use crate::callout::{GrpcCall, GrpcStream, HttpCall};
use crate::connection::{Connection, ConnectionBuilder};
use crate::cost::Cost;
use crate::envoy::Inner;
use crate::error::Failure;
use crate::installed::Installed;
use crate::request::RequestBuilder;
use crate::state::{Cx, VmState};
use crate::stream::Stream;
use crate::thread::Thread;
use crate::vm::{self, Vm};

/// A thread with its VM. The main thread has one as well.
#[derive(Clone)]
pub struct Worker {
    pub(crate) inner: Rc<Inner>,
    pub(crate) plugin: Rc<Installed>,
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

    /// Opens a connection through a network filter, to an upstream that takes it.
    #[must_use]
    pub fn connect(&self) -> Connection {
        self.connection().open()
    }

    /// Begins a connection.
    pub fn connection(&self) -> ConnectionBuilder {
        ConnectionBuilder::new(self.clone())
    }

    /// Calls the filter's `proxy_on_foreign_function` in the plugin's root context. Envoy's own code never does;
    /// an Envoy with further extensions may.
    pub fn call_foreign_function(&self, function: u32, data: impl AsRef<[u8]>) {
        let Some(handle) = self.plugin.handle(self.slot) else { return };
        let size = u32::try_from(data.as_ref().len()).unwrap_or(u32::MAX);
        handle.vm.with(|cx| {
            cx.data_mut().call_data = data.as_ref().to_vec();
            vm::call(cx, callback::FOREIGN_FUNCTION, handle.root, &[handle.root, function, size]);
            action::finish(cx);
            cx.data_mut().call_data.clear();
        });
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
        self.vm().map(|vm| HttpCall::of(&vm).collect()).unwrap_or_default()
    }

    /// The unary gRPC calls that its VM has made, those that are over included.
    #[must_use]
    pub fn grpc_calls(&self) -> Vec<GrpcCall> {
        self.vm().map(|vm| GrpcCall::of(&vm).collect()).unwrap_or_default()
    }

    /// The gRPC streams that its VM has opened, the closed ones included.
    #[must_use]
    pub fn grpc_streams(&self) -> Vec<GrpcStream> {
        self.vm().map(|vm| GrpcStream::of(&vm).collect()).unwrap_or_default()
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
        self.vm().map_or(0, |vm| vm.with(|cx| cx.data().memory.map_or(0, |memory| memory.data_size(&*cx))))
    }

    /// Makes a stream in the VM that new ones go to, and does the first thing with it; gives the VM and its context.
    pub(crate) fn begin(
        &self,
        stream: Stream,
        begin: impl FnOnce(&mut Cx<'_>, u32),
    ) -> (Option<Rc<Vm>>, u32) {
        let handle = self.inner.handle_for_request(&self.plugin, self.slot);
        // Nobody listens for a plugin that was removed, or after the end.
        let Some(handle) = handle.filter(|handle| !handle.vm.read(|state| state.retired)) else {
            return (None, 0);
        };
        let id = handle.vm.with(|cx| {
            let is_unseen = cx.data().failed();
            let id = cx.data_mut().add_stream(Stream { root: handle.root, alive: true, is_unseen, ..stream });
            begin(cx, id);
            id
        });
        (Some(handle.vm), id)
    }

    fn read<R>(&self, look: impl FnOnce(&VmState) -> R) -> Option<R> {
        self.vm().map(|vm| vm.read(look))
    }

    fn vm(&self) -> Option<Rc<Vm>> {
        self.plugin.handle(self.slot).map(|handle| handle.vm)
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Worker").field(&self.thread()).finish()
    }
}
