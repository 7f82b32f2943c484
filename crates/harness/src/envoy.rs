//! An Envoy process: its threads, its clock, and what was seen of it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::action;
use crate::builder::Builder;
use crate::callback;
use crate::callout::{self, Cluster, GrpcCall, GrpcStream, HttpCall};
use crate::error::{Failure, StartError};
use crate::fault::Fault;
use crate::http;
use crate::installed::{Installed, Plugin, Plugins};
use crate::log::Log;
use crate::module::Module;
use crate::network::{self, By};
use crate::plugin::PluginConfig;
use crate::queue::Queue;
use crate::state::VmState;
use crate::stream::Ending;
use crate::trace::Event;
use crate::violation::Violation;
use crate::vm::{self, Vm};
use crate::worker::Worker;
use crate::world::World;

/// A running Envoy. Handles to its parts share it, and so does a clone.
#[derive(Clone)]
pub struct Envoy {
    pub(crate) inner: Rc<Inner>,
    first: Rc<Installed>,
}

pub(crate) struct Inner {
    pub(crate) world: Rc<RefCell<World>>,
    /// The number of worker threads.
    pub(crate) workers: usize,
    pub(crate) plugins: Plugins,
}

impl Envoy {
    /// Begins an Envoy that runs this module.
    pub fn builder(module: &Module) -> Builder {
        Builder::new(module)
    }

    pub(crate) fn start(
        config: PluginConfig,
        world: Rc<RefCell<World>>,
        workers: usize,
    ) -> Result<Self, StartError> {
        let inner = Inner { world, workers, plugins: Plugins::default() };
        let first = inner.add(config)?;
        Ok(Self { inner: Rc::new(inner), first })
    }

    /// The plugin that it was started with.
    #[must_use]
    pub fn plugin(&self) -> Plugin {
        Plugin { inner: self.inner.clone(), installed: self.first.clone() }
    }

    /// Adds a plugin, as on another listener. A canary tries it first, and then each thread gets a root context
    /// for it.
    ///
    /// # Errors
    /// Names what is wrong with the module, or what the filter did not accept.
    pub fn add_plugin(&self, config: PluginConfig) -> Result<Plugin, StartError> {
        let installed = self.inner.add(config)?;
        Ok(Plugin { inner: self.inner.clone(), installed })
    }

    /// Updates the configuration of the plugin that it was started with; see [`Plugin::update`].
    ///
    /// # Errors
    /// If the filter does not accept it.
    pub fn update_config(&self, config: impl AsRef<[u8]>) -> Result<(), StartError> {
        let plugin = self.plugin();
        plugin.update(plugin.config().plugin_config(config))
    }

    /// A worker thread, from zero. Asking for one that does not exist gives the last one.
    #[must_use]
    pub fn worker(&self, index: usize) -> Worker {
        self.plugin().worker(index)
    }

    /// Every worker thread.
    #[must_use]
    pub fn workers(&self) -> Vec<Worker> {
        self.plugin().workers()
    }

    /// The main thread, which has a full VM but sees no request.
    #[must_use]
    pub fn main_thread(&self) -> Worker {
        self.plugin().main_thread()
    }

    /// Lets virtual time pass, and everything happen that falls due, by time.
    ///
    /// At the same time, what peers and timeouts do comes first, in the order in which it was planned; then come
    /// the ticks, the main thread's before the workers'.
    pub fn advance(&self, time: Duration) {
        let until = self.now().saturating_add(time);
        loop {
            let (callout, tick) = (self.inner.next_callout(), self.inner.next_tick());
            let is_callout =
                callout.as_ref().is_some_and(|(due, _)| tick.as_ref().is_none_or(|(tick, ..)| due <= tick));
            let due =
                if is_callout { callout.as_ref().map(|(due, _)| *due) } else { tick.as_ref().map(|t| t.0) };
            let Some(due) = due.filter(|due| *due <= until) else { break };
            let now = due.max(self.now());
            self.inner.world.borrow_mut().elapsed = now;
            match (callout, tick) {
                (Some((_, vm)), _) if is_callout => vm.with(callout::run_next),
                (_, Some((_, vm, root))) => fire_tick(&vm, root, now),
                _ => break,
            }
        }
        self.inner.world.borrow_mut().elapsed = until;
    }

    /// The virtual time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.inner.world.borrow().elapsed
    }

    /// Adds a cluster, or changes it.
    pub fn set_cluster(&self, name: impl Into<String>, cluster: Cluster) {
        self.inner.world.borrow_mut().clusters.insert(name.into(), cluster);
    }

    /// Removes a cluster. Streams that are open stay.
    pub fn remove_cluster(&self, name: &str) {
        self.inner.world.borrow_mut().clusters.remove(name);
    }

    /// Injects a fault from now on.
    ///
    /// # Errors
    /// If there is no such host call.
    pub fn inject(&self, fault: Fault) -> Result<(), StartError> {
        fault.check()?;
        self.inner.world.borrow_mut().faults.add(fault);
        Ok(())
    }

    /// Every HTTP call that any VM has made, those that are over included, by thread and age.
    #[must_use]
    pub fn http_calls(&self) -> Vec<HttpCall> {
        self.inner.vms().iter().flat_map(HttpCall::of).collect()
    }

    /// Every unary gRPC call that any VM has made, those that are over included, by thread and age.
    #[must_use]
    pub fn grpc_calls(&self) -> Vec<GrpcCall> {
        self.inner.vms().iter().flat_map(GrpcCall::of).collect()
    }

    /// Every gRPC stream that any VM has opened, the closed ones included, by thread and age.
    #[must_use]
    pub fn grpc_streams(&self) -> Vec<GrpcStream> {
        let vms = self.inner.vms();
        vms.iter().flat_map(GrpcStream::of).collect()
    }

    /// The value of a counter or gauge.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<u64> {
        self.inner.world.borrow().metrics.number(name)
    }

    /// Every counter and gauge.
    #[must_use]
    pub fn metrics(&self) -> Vec<(String, u64)> {
        let world = self.inner.world.borrow();
        world.metrics.numbers().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// What was recorded in a histogram, in order.
    #[must_use]
    pub fn histogram(&self, name: &str) -> Option<Vec<u64>> {
        self.inner.world.borrow().metrics.histogram(name).map(<[u64]>::to_vec)
    }

    /// The value of a key of shared data.
    #[must_use]
    pub fn shared_data(&self, key: &str) -> Option<Vec<u8>> {
        self.plugin().shared_data(key)
    }

    /// A shared queue, once a VM has registered it.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<Queue> {
        self.plugin().queue(name)
    }

    /// What the filter has logged at the level of the log or above, in order, base and canary included; up to
    /// 64 MiB of it.
    #[must_use]
    pub fn logs(&self) -> Vec<Log> {
        self.inner.world.borrow().logs.clone()
    }

    /// The last callbacks and host calls.
    #[must_use]
    pub fn trace(&self) -> Vec<Event> {
        self.inner.world.borrow().trace.events().cloned().collect()
    }

    /// What the filter did that real Envoy would not survive, or not answer for.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let mut world = self.inner.world.borrow_mut();
        world.violations_seen = true;
        world.violations.clone()
    }

    /// How VMs have died on the main thread and on workers, those that were replaced since included.
    #[must_use]
    pub fn failures(&self) -> Vec<Failure> {
        self.inner.world.borrow().failures.clone()
    }

    /// Fails if there were violations, or if a VM has died, and shows what led to it.
    ///
    /// # Panics
    /// If there were.
    #[track_caller]
    pub fn assert_clean(&self) {
        let (violations, failures) = (self.violations(), self.failures());
        assert!(
            violations.is_empty() && failures.is_empty(),
            "the filter misbehaved:\n{}{}\nwhat happened last:\n{}",
            lines(&violations),
            lines(&failures),
            self.inner.last_events(40)
        );
    }

    /// Ends the process: open requests are reset, and each root context gets `proxy_on_done`, and
    /// `proxy_on_delete` unless it wants to wait, for which nobody waits any more.
    pub fn shut_down(&self) {
        for vm in self.inner.vms() {
            vm.with(|cx| {
                let open = cx.data().streams.iter().filter(|(_, stream)| stream.end.is_none());
                for id in open.map(|(id, _)| *id).collect::<Vec<_>>() {
                    http::end(cx, id, Ending::Reset);
                    network::close(cx, id, By::Local);
                }
            });
        }
        self.inner.end();
    }
}

impl Inner {
    fn vms(&self) -> Vec<Rc<Vm>> {
        self.world.borrow().vms.clone()
    }

    /// When the next thing happens to a call-out, and to which VM's.
    fn next_callout(&self) -> Option<(Duration, Rc<Vm>)> {
        let next =
            self.vms().into_iter().filter_map(|vm| Some((vm.read(|state| state.callouts.next())?, vm)));
        next.min_by_key(|(next, _)| *next).map(|((due, _), vm)| (due, vm))
    }

    /// The next tick of all root contexts; of those at the same time, the first VM's.
    fn next_tick(&self) -> Option<(Duration, Rc<Vm>, u32)> {
        let ticks = self.vms().into_iter().filter(|vm| vm.read(VmState::is_alive)).filter_map(|vm| {
            let first = vm.read(|state| {
                let due = state.roots.iter().filter_map(|(id, root)| Some((root.tick?.due, *id)));
                due.min_by_key(|(due, _)| *due)
            });
            first.map(|(due, root)| (due, vm, root))
        });
        ticks.min_by_key(|(due, ..)| *due)
    }

    pub(crate) fn last_events(&self, count: usize) -> String {
        let world = self.world.borrow();
        let events: Vec<_> = world.trace.events().collect();
        lines(events.get(events.len().saturating_sub(count)..).unwrap_or_default())
    }
}

/// Violations that no test has looked at are shown at the end.
impl Drop for Inner {
    #[expect(clippy::print_stderr, reason = "a test's output is where its author looks")]
    fn drop(&mut self) {
        // The VMs know the world as well.
        let vms = std::mem::take(&mut self.world.borrow_mut().vms);
        drop(vms);
        let world = self.world.borrow();
        if !world.violations.is_empty() && !world.violations_seen && !std::thread::panicking() {
            eprintln!("the filter misbehaved:\n{}", lines(&world.violations));
        }
    }
}

impl fmt::Debug for Envoy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envoy")
            .field("workers", &self.inner.workers)
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

/// Fires a tick. The next one counts from its end.
fn fire_tick(vm: &Vm, root: u32, now: Duration) {
    vm.with(|cx| {
        vm::call(cx, callback::TICK, root, &[root]);
        action::finish(cx);
        if let Some(tick) = cx.data_mut().roots.get_mut(&root).and_then(|root| root.tick.as_mut()) {
            tick.due = now + tick.period;
        }
    });
}

fn lines<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(|item| format!("  {item}\n")).collect()
}
