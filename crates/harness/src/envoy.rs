//! An Envoy process: its threads, its clock, and what was seen of it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use wasmtime::InstancePre;

use crate::action::{self, Action};
use crate::builder::Builder;
use crate::callback::{self, Outcome};
use crate::callout::{self, Cluster, GrpcCall, GrpcStream, HttpCall};
use crate::error::StartError;
use crate::fault::Fault;
use crate::log::Log;
use crate::module::Module;
use crate::plugin::{FailurePolicy, Plugin};
use crate::start;
use crate::state::{ROOT, VmState};
use crate::thread::Thread;
use crate::trace::Event;
use crate::violation::Violation;
use crate::vm::{self, Vm};
use crate::worker::Worker;
use crate::world::World;

/// After a reload, the next one waits for as long as this.
const RELOAD_BACKOFF: Duration = Duration::from_secs(1);

/// A running Envoy with one filter. Handles to its parts share it, and so does a clone.
#[derive(Clone)]
pub struct Envoy {
    pub(crate) inner: Rc<Inner>,
}

pub(crate) struct Inner {
    template: InstancePre<VmState>,
    plugin: Rc<Plugin>,
    world: Rc<RefCell<World>>,
    /// The main thread's VM, then the workers'.
    slots: RefCell<Vec<Slot>>,
}

/// A thread's place for a VM.
struct Slot {
    vm: Rc<Vm>,
    loaded_at: Duration,
}

impl Envoy {
    /// Begins an Envoy that runs this module.
    pub fn builder(module: &Module) -> Builder {
        Builder::new(module)
    }

    pub(crate) fn start(
        module: &Module,
        plugin: Rc<Plugin>,
        world: Rc<RefCell<World>>,
        workers: usize,
    ) -> Result<Self, StartError> {
        let template = start::link(module)?;
        let inner = Inner { template, plugin, world, slots: RefCell::default() };
        start::initialize(&inner.instantiate(Thread::Base)?)?;
        start::start(&inner.instantiate(Thread::Canary)?)?;
        for thread in std::iter::once(Thread::Main).chain((0..workers).map(Thread::Worker)) {
            let vm = Rc::new(inner.instantiate(thread)?);
            start::start(&vm)?;
            inner.slots.borrow_mut().push(Slot { vm, loaded_at: Duration::ZERO });
        }
        Ok(Self { inner: Rc::new(inner) })
    }

    /// A worker thread, from zero. Asking for one that does not exist gives the last one.
    #[must_use]
    pub fn worker(&self, index: usize) -> Worker {
        Worker { inner: self.inner.clone(), slot: (index + 1).min(self.inner.slots.borrow().len() - 1) }
    }

    /// Every worker thread.
    #[must_use]
    pub fn workers(&self) -> Vec<Worker> {
        let count = self.inner.slots.borrow().len();
        (1..count).map(|slot| Worker { inner: self.inner.clone(), slot }).collect()
    }

    /// The main thread, which has a full VM but sees no request.
    #[must_use]
    pub fn main_thread(&self) -> Worker {
        Worker { inner: self.inner.clone(), slot: 0 }
    }

    /// Lets virtual time pass, and everything happen that falls due, by time.
    ///
    /// At the same time, what peers and timeouts do comes first, in the order in which it was planned; then come
    /// the ticks, the main thread's before the workers'.
    pub fn advance(&self, time: Duration) {
        let until = self.now().saturating_add(time);
        loop {
            let [callout, tick] = [self.inner.next_callout(), self.inner.next_tick()];
            let is_callout =
                callout.as_ref().is_some_and(|(due, _)| tick.as_ref().is_none_or(|(tick, _)| due <= tick));
            let Some((due, vm)) = if is_callout { callout } else { tick }.filter(|(due, _)| *due <= until)
            else {
                break;
            };
            let now = due.max(self.now());
            self.inner.world.borrow_mut().elapsed = now;
            if is_callout {
                vm.with(callout::run_next);
            } else {
                fire_tick(&vm, now);
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
        self.inner.world.borrow().shared_data.get(key.as_bytes()).ok().map(|(value, _)| value)
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

    /// Fails if there were violations, or if a VM has died, and shows what led to it.
    ///
    /// # Panics
    /// If there were.
    #[track_caller]
    pub fn assert_clean(&self) {
        let violations = self.violations();
        let failures: Vec<_> =
            self.inner.vms().iter().filter_map(|vm| vm.read(|s| s.failure.clone())).collect();
        assert!(
            violations.is_empty() && failures.is_empty(),
            "the filter misbehaved:\n{}{}\nwhat happened last:\n{}",
            lines(&violations),
            lines(&failures),
            self.inner.last_events(40)
        );
    }

    /// Shuts the filter down in every VM: `proxy_on_done`, and `proxy_on_delete` unless it wants to wait.
    pub fn shut_down(&self) {
        for vm in self.inner.vms() {
            vm.with(|cx| {
                let outcome = vm::call(cx, callback::DONE, ROOT, &[ROOT]);
                action::finish(cx);
                if outcome == Outcome::Returned(0) {
                    cx.data_mut().root.pending_done = true;
                    return;
                }
                cx.data_mut().after_call.push_back(Action::DeleteRoot);
                action::finish(cx);
            });
        }
    }
}

impl Inner {
    fn instantiate(&self, thread: Thread) -> Result<Vm, StartError> {
        Vm::instantiate(&self.template, thread, self.world.clone(), self.plugin.clone())
    }

    fn vms(&self) -> Vec<Rc<Vm>> {
        self.slots.borrow().iter().map(|slot| slot.vm.clone()).collect()
    }

    /// The VM of a thread. There is a main thread, whatever is asked for.
    pub(crate) fn vm(&self, slot: usize) -> Option<Rc<Vm>> {
        self.slots.borrow().get(slot).map(|slot| slot.vm.clone())
    }

    /// The VM for a new request: another one if it is dead and may be replaced.
    pub(crate) fn vm_for_request(&self, index: usize) -> Option<Rc<Vm>> {
        let vm = self.vm(index)?;
        let now = self.world.borrow().elapsed;
        let is_dead = vm.read(VmState::failed);
        if !is_dead || self.plugin.failure_policy != FailurePolicy::Reload {
            return Some(vm);
        }
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(index)?;
        if now < slot.loaded_at + RELOAD_BACKOFF {
            return Some(vm);
        }
        slot.loaded_at = now;
        if let Ok(fresh) = self.instantiate(vm.thread)
            && start::start(&fresh).is_ok()
        {
            vm.write(|state| state.callouts.drop_open());
            slot.vm = Rc::new(fresh);
        }
        Some(slot.vm.clone())
    }

    /// When the next thing happens to a call-out, and to which VM's.
    fn next_callout(&self) -> Option<(Duration, Rc<Vm>)> {
        let next =
            self.vms().into_iter().filter_map(|vm| Some((vm.read(|state| state.callouts.next())?, vm)));
        next.min_by_key(|(next, _)| *next).map(|((due, _), vm)| (due, vm))
    }

    /// The next tick of all VMs; of those at the same time, the first VM's.
    fn next_tick(&self) -> Option<(Duration, Rc<Vm>)> {
        let ticks = self.vms().into_iter().filter_map(|vm| {
            let due = vm.read(|state| state.root.tick.filter(|_| !state.failed()))?.due;
            Some((due, vm))
        });
        ticks.min_by_key(|(due, _)| *due)
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
        let world = self.world.borrow();
        if !world.violations.is_empty() && !world.violations_seen && !std::thread::panicking() {
            eprintln!("the filter misbehaved:\n{}", lines(&world.violations));
        }
    }
}

impl fmt::Debug for Envoy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envoy")
            .field("workers", &self.inner.slots.borrow().len().saturating_sub(1))
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

/// Fires a tick. The next one counts from its end.
fn fire_tick(vm: &Vm, now: Duration) {
    vm.with(|cx| {
        vm::call(cx, callback::TICK, ROOT, &[ROOT]);
        action::finish(cx);
        if let Some(tick) = &mut cx.data_mut().root.tick {
            tick.due = now + tick.period;
        }
    });
}

fn lines<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(|item| format!("  {item}\n")).collect()
}
