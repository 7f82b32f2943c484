//! The plugins of a running Envoy: what adding, changing and removing them does to the VMs of its threads.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use wasmtime::InstancePre;

use crate::envoy::Inner;
use crate::error::StartError;
use crate::plugin::{FailurePolicy, PluginConfig, VmKey};
use crate::post;
use crate::queue::Queue;
use crate::root;
use crate::start;
use crate::state::VmState;
use crate::thread::Thread;
use crate::vm::Vm;
use crate::worker::Worker;

/// A plugin of a running Envoy, as on a listener of its own: requests to its workers pass this one and no other.
#[derive(Clone)]
pub struct Plugin {
    pub(crate) inner: Rc<Inner>,
    pub(crate) installed: Rc<Installed>,
}

/// The plugins of an Envoy, and what they have been checked with.
#[derive(Default)]
pub(crate) struct Plugins {
    bases: RefCell<Vec<Base>>,
    installed: RefCell<Vec<Rc<Installed>>>,
}

/// A base VM, which is gone by now; it remembers which plugins a canary has accepted or refused.
struct Base {
    vm_key: VmKey,
    checked: Vec<(Rc<PluginConfig>, bool)>,
}

/// A plugin, and its places on the threads.
pub(crate) struct Installed {
    config: RefCell<Rc<PluginConfig>>,
    /// By thread, the main one first. Empty once the plugin is removed.
    handles: RefCell<Vec<Handle>>,
}

/// A plugin's place on one thread.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) vm: Rc<Vm>,
    pub(crate) root: u32,
    loaded_at: Duration,
}

impl Handle {
    fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.vm, &other.vm) && self.root == other.root
    }
}

impl Installed {
    /// The plugin's place on a thread, the main one being the first.
    pub(crate) fn handle(&self, slot: usize) -> Option<Handle> {
        self.handles.borrow().get(slot).cloned()
    }
}

impl Plugin {
    /// A worker thread, from zero. Asking for one that does not exist gives the last one.
    #[must_use]
    pub fn worker(&self, index: usize) -> Worker {
        self.thread((index + 1).min(self.inner.workers))
    }

    /// Every worker thread.
    #[must_use]
    pub fn workers(&self) -> Vec<Worker> {
        (1..=self.inner.workers).map(|slot| self.thread(slot)).collect()
    }

    /// The main thread, which has a full VM but sees no request.
    #[must_use]
    pub fn main_thread(&self) -> Worker {
        self.thread(0)
    }

    /// What it was added with, or last changed to.
    pub fn config(&self) -> PluginConfig {
        (**self.installed.config.borrow()).clone()
    }

    /// Updates the configuration as Envoy does: a canary tries it, and then each thread gets a new root context,
    /// in the VM that it has unless that would be another one. New requests go there. The old root context ends
    /// when its last request has. An equal configuration changes nothing.
    ///
    /// # Errors
    /// If the canary refuses it, as in Envoy, which then keeps the old one; and if a thread does, on which Envoy
    /// would be without the filter from then on.
    pub fn update(&self, config: PluginConfig) -> Result<(), StartError> {
        let config = Rc::new(config);
        let handles = self.inner.install(&config)?;
        *self.installed.config.borrow_mut() = config;
        self.replace(handles);
        Ok(())
    }

    /// Removes it. Requests that it sees already go on.
    pub fn remove(&self) {
        self.replace(Vec::new());
    }

    /// A queue of the VM id that the plugin has, once a VM has registered it.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<Queue> {
        let world = self.inner.world.clone();
        let token = world.borrow().queues.resolve(&self.config().vm_id, name.as_bytes())?;
        Some(Queue { world, token })
    }

    /// The value of a key of the shared data of the VM id that the plugin has.
    #[must_use]
    pub fn shared_data(&self, key: &str) -> Option<Vec<u8>> {
        let world = self.inner.world.borrow();
        world.shared_data.get(&self.config().vm_id, key.as_bytes()).ok().map(|(value, _)| value)
    }

    fn thread(&self, slot: usize) -> Worker {
        Worker { inner: self.inner.clone(), plugin: self.installed.clone(), slot }
    }

    fn replace(&self, handles: Vec<Handle>) {
        let old = self.installed.handles.replace(handles);
        self.inner.release(&old);
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.config();
        f.debug_struct("Plugin")
            .field("name", &config.name)
            .field("root_id", &config.root_id)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Adds a plugin.
    pub(crate) fn add(&self, config: PluginConfig) -> Result<Rc<Installed>, StartError> {
        let config = Rc::new(config);
        let handles = RefCell::new(self.install(&config)?);
        let installed = Rc::new(Installed { config: RefCell::new(config), handles });
        self.plugins.installed.borrow_mut().push(installed.clone());
        Ok(installed)
    }

    /// Brings a plugin up on all threads, or on none. What that posts waits until it is done.
    fn install(&self, config: &Rc<PluginConfig>) -> Result<Vec<Handle>, StartError> {
        self.world.borrow_mut().is_delivering = true;
        let workers = if config.is_singleton { 0 } else { self.workers };
        let mut handles = Vec::new();
        let mut load_all = || {
            self.check(config)?;
            for thread in std::iter::once(Thread::Main).chain((0..workers).map(Thread::Worker)) {
                handles.push(self.load(thread, config)?);
            }
            Ok(())
        };
        let result = load_all();
        self.world.borrow_mut().is_delivering = false;
        if result.is_err() {
            self.release(&handles);
        }
        post::deliver(&self.world);
        result.map(|()| handles)
    }

    /// Has a base VM load the module, and a canary accept the plugin, unless they have before.
    fn check(&self, config: &Rc<PluginConfig>) -> Result<(), StartError> {
        let key = config.vm_key();
        let template = config.module.link()?;
        let mut bases = self.plugins.bases.borrow_mut();
        bases.retain(|base| self.world.borrow().vms.iter().any(|vm| vm.read(|s| *s.vm_key == base.vm_key)));
        if !bases.iter().any(|base| base.vm_key == key) {
            start::initialize(&self.instantiate(&template, Thread::Base, config)?)?;
            bases.push(Base { vm_key: key.clone(), checked: Vec::new() });
        }
        let Some(base) = bases.iter_mut().find(|base| base.vm_key == key) else { return Ok(()) };
        match base.checked.iter().find(|(checked, _)| checked == config) {
            Some((_, true)) => return Ok(()),
            Some((_, false)) => return Err(StartError::Configure { vm: Thread::Canary, logs: Vec::new() }),
            None => {}
        }
        let canary = self.instantiate(&template, Thread::Canary, config)?;
        start::initialize(&canary)?;
        let result = canary.with(|cx| root::start(cx, config.clone()));
        if result.is_ok() || matches!(result, Err(StartError::Configure { .. })) {
            base.checked.push((config.clone(), result.is_ok()));
        }
        result.map(drop)
    }

    /// The plugin's place on a thread: an equal plugin's, or a new root context in the VM that is there, or in a
    /// new one.
    fn load(&self, thread: Thread, config: &Rc<PluginConfig>) -> Result<Handle, StartError> {
        if let Some(handle) = self.equal(thread, config) {
            return Ok(handle);
        }
        let found = self.world.borrow().vm(thread, &config.vm_key());
        let is_new = found.is_none();
        let vm = match found {
            Some(vm) => vm,
            None => {
                let vm = Rc::new(self.instantiate(&config.module.link()?, thread, config)?);
                start::initialize(&vm)?;
                vm
            }
        };
        let root = vm.with(|cx| root::start(cx, config.clone()))?;
        if is_new {
            self.world.borrow_mut().add_vm(vm.clone());
        }
        Ok(Handle { vm, root, loaded_at: self.world.borrow().elapsed })
    }

    fn equal(&self, thread: Thread, config: &PluginConfig) -> Option<Handle> {
        let fits = |handle: &&Handle| handle.vm.thread == thread && handle.vm.read(VmState::is_alive);
        let installed = self.plugins.installed.borrow();
        let mut equals = installed.iter().filter(|plugin| **plugin.config.borrow() == *config);
        equals.find_map(|plugin| plugin.handles.borrow().iter().find(fits).cloned())
    }

    /// Lets go of places that no plugin has any more.
    fn release(&self, handles: &[Handle]) {
        for handle in handles {
            let installed = self.plugins.installed.borrow();
            let is_shared =
                installed.iter().any(|plugin| plugin.handles.borrow().iter().any(|other| other.is(handle)));
            drop(installed);
            if !is_shared {
                handle.vm.with(|cx| root::release(cx, handle.root));
            }
        }
    }

    /// The place for a new request: in another VM if this one is dead and may be replaced.
    pub(crate) fn handle_for_request(&self, plugin: &Installed, slot: usize) -> Option<Handle> {
        let config = plugin.config.borrow().clone();
        let old = plugin.handle(slot)?;
        if config.failure_policy != FailurePolicy::Reload || !old.vm.read(VmState::failed) {
            return Some(old);
        }
        let now = self.world.borrow().elapsed;
        let wait = self.world.borrow_mut().next_backoff(config.reload_interval);
        if now < old.loaded_at + wait {
            self.count(&config, "backoff");
            return Some(old);
        }
        let (event, new) = match self.load(old.vm.thread, &config) {
            Ok(new) => ("success", new),
            Err(_) => ("failure", Handle { loaded_at: now, ..old.clone() }),
        };
        self.count(&config, event);
        if let Some(handle) = plugin.handles.borrow_mut().get_mut(slot) {
            *handle = new.clone();
        }
        self.release(&[old]);
        Some(new)
    }

    fn count(&self, config: &PluginConfig, event: &str) {
        let name = format!("wasm.{}.vm_reload_{event}", config.name);
        self.world.borrow_mut().metrics.count(&name);
    }

    /// Ends all plugins. Their places stay, for the test to look at what was there.
    pub(crate) fn end(&self) {
        let installed = self.plugins.installed.borrow().clone();
        for handle in installed.iter().flat_map(|plugin| plugin.handles.borrow().clone()) {
            handle.vm.with(|cx| root::release(cx, handle.root));
        }
    }

    fn instantiate(
        &self,
        template: &InstancePre<VmState>,
        thread: Thread,
        plugin: &Rc<PluginConfig>,
    ) -> Result<Vm, StartError> {
        Vm::instantiate(template, thread, self.world.clone(), plugin.clone())
    }
}
