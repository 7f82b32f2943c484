//! A connection through a network filter, from the point of view of its client and of the upstream.

use std::fmt;
use std::rc::Rc;

use crate::cost::Cost;
use crate::envoy::Inner;
use crate::network::{self, By, Network, Side};
use crate::property::Property;
use crate::state::Cx;
use crate::stream::Stream;
use crate::vm::Vm;
use crate::worker::Worker;

/// A connection. The handle shows what happens to it later as well, by a tick or a message.
#[derive(Clone)]
pub struct Connection {
    inner: Rc<Inner>,
    vm: Option<Rc<Vm>>,
    id: u32,
}

/// A connection that has not been opened yet.
#[derive(Debug)]
#[must_use = "nothing is opened before `open`"]
pub struct ConnectionBuilder {
    worker: Worker,
    properties: Property,
}

impl ConnectionBuilder {
    pub(crate) fn new(worker: Worker) -> Self {
        Self { worker, properties: Property::default() }
    }

    /// Sets a property of this connection, such as its `&["source", "address"]`.
    pub fn property(mut self, path: &[&str], value: impl Into<Property>) -> Self {
        self.properties.set(path, value.into());
        self
    }

    /// Opens it.
    pub fn open(self) -> Connection {
        let Self { worker, properties } = self;
        let stream = Stream { network: Some(Network::default()), properties, ..Stream::default() };
        let (vm, id) = worker.begin(stream, network::open);
        Connection { inner: worker.inner, vm, id }
    }
}

impl Connection {
    /// The client sends something.
    pub fn send(&self, bytes: impl AsRef<[u8]>) {
        self.drive(|cx, id| network::data(cx, id, Side::Client, bytes.as_ref(), false));
    }

    /// The client sends no more, and may still receive.
    pub fn end(&self) {
        self.drive(|cx, id| network::data(cx, id, Side::Client, &[], true));
    }

    /// The client resets the connection.
    pub fn disconnect(&self) {
        self.drive(|cx, id| network::close(cx, id, By::Remote));
    }

    /// The upstream sends something.
    pub fn respond(&self, bytes: impl AsRef<[u8]>) {
        self.drive(|cx, id| network::data(cx, id, Side::Upstream, bytes.as_ref(), false));
    }

    /// The upstream sends no more.
    pub fn end_response(&self) {
        self.drive(|cx, id| network::data(cx, id, Side::Upstream, &[], true));
    }

    /// What the upstream has received so far.
    #[must_use]
    pub fn forwarded(&self) -> Vec<u8> {
        self.read(|network| network.downstream.passed.clone()).unwrap_or_default()
    }

    /// What the client has received so far.
    #[must_use]
    pub fn received(&self) -> Vec<u8> {
        self.read(|network| network.upstream.passed.clone()).unwrap_or_default()
    }

    /// Whether it is open, at least in one direction.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.stream(|stream| stream.end.is_none()).unwrap_or(false)
    }

    /// Whether the filter holds it: as a whole, or something that the client has sent.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let held = |network: &Network| !network.is_started || !network.downstream.held.is_empty();
        self.is_open() && self.read(held).unwrap_or(false)
    }

    /// What a filter has set with `proxy_set_property`, with `wasm.` before the name; lossy if not UTF-8.
    #[must_use]
    pub fn filter_state(&self, name: &str) -> Option<String> {
        let bytes = self.stream(|stream| stream.filter_state.get(name).cloned()).flatten()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What it has cost so far, in the callbacks of its own context.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.stream(|stream| stream.cost.clone()).unwrap_or_default()
    }

    /// The id of its context in the filter.
    #[must_use]
    pub const fn context_id(&self) -> u32 {
        self.id
    }

    /// What happened, for people to read: the last events of the whole Envoy.
    #[must_use]
    pub fn trace(&self) -> String {
        self.inner.last_events(60)
    }

    fn drive(&self, act: impl FnOnce(&mut Cx<'_>, u32)) {
        if let Some(vm) = &self.vm {
            vm.with(|cx| act(cx, self.id));
        }
    }

    fn stream<R>(&self, look: impl FnOnce(&Stream) -> R) -> Option<R> {
        self.vm.as_ref()?.read(|state| state.streams.get(&self.id).map(look))
    }

    fn read<R>(&self, look: impl FnOnce(&Network) -> R) -> Option<R> {
        self.stream(|stream| stream.network.as_ref().map(look)).flatten()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("context", &self.id)
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}
