//! What an Envoy is made of.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::callout::Cluster;
use crate::envoy::Envoy;
use crate::error::StartError;
use crate::fault::Fault;
use crate::log::Level;
#[cfg(feature = "scenario")]
use crate::log::Log;
use crate::module::Module;
use crate::plugin::{FailurePolicy, PluginConfig};
use crate::property::Property;
use crate::status::Status;
use crate::world::World;

/// An Envoy that has not started yet.
#[derive(Debug)]
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    plugin: PluginConfig,
    world: World,
    workers: usize,
}

impl Builder {
    pub(crate) fn new(module: &Module) -> Self {
        Self { plugin: PluginConfig::new(module), world: World::default(), workers: 1 }
    }

    /// The plugin's configuration, for `proxy_on_configure`.
    pub fn plugin_config(mut self, config: impl AsRef<[u8]>) -> Self {
        self.plugin = self.plugin.plugin_config(config);
        self
    }

    /// The VM's configuration, for `proxy_on_vm_start`.
    pub fn vm_config(mut self, config: impl AsRef<[u8]>) -> Self {
        self.plugin = self.plugin.vm_config(config);
        self
    }

    /// The plugin's name.
    pub fn plugin_name(mut self, name: impl Into<String>) -> Self {
        self.plugin = self.plugin.plugin_name(name);
        self
    }

    /// The name of the root context.
    pub fn root_id(mut self, id: impl Into<String>) -> Self {
        self.plugin = self.plugin.root_id(id);
        self
    }

    /// The id that the VMs share their data under.
    pub fn vm_id(mut self, id: impl Into<String>) -> Self {
        self.plugin = self.plugin.vm_id(id);
        self
    }

    /// An environment variable of the filter.
    pub fn environment(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.plugin = self.plugin.environment(key, value);
        self
    }

    /// The number of worker threads; one unless told otherwise. The main thread's VM comes on top.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// A property that holds for every stream unless it has its own: `&["xds", "node", "id"]`.
    ///
    /// Filters find what older Envoys had at the top, such as `node`, under `xds`, where Envoy 1.40 has it;
    /// here both ways of saying it will do.
    pub fn property(mut self, path: &[&str], value: impl Into<Property>) -> Self {
        self.world.properties.set(path, value.into());
        self
    }

    /// A function that filters can call by name, with `proxy_call_foreign_function`. It gets the arguments, and
    /// must not use the Envoy. It comes before one of the same name that the harness has of Envoy's own.
    pub fn foreign_function(
        mut self,
        name: impl Into<String>,
        function: impl Fn(&[u8]) -> Result<Vec<u8>, Status> + 'static,
    ) -> Self {
        self.world.functions.add(name.into(), function);
        self
    }

    /// A cluster that call-outs can go to.
    pub fn cluster(mut self, name: impl Into<String>, cluster: Cluster) -> Self {
        self.world.clusters.insert(name.into(), cluster);
        self
    }

    /// What happens to requests once a VM has died.
    pub fn failure_policy(mut self, policy: FailurePolicy) -> Self {
        self.plugin = self.plugin.failure_policy(policy);
        self
    }

    /// The `base_interval` of the back-off between reloads; one second unless told otherwise.
    pub fn reload_interval(mut self, interval: Duration) -> Self {
        self.plugin = self.plugin.reload_interval(interval);
        self
    }

    /// The level that Envoy logs at; information and graver unless told otherwise.
    pub fn log_level(mut self, level: Level) -> Self {
        self.world.log_level = level;
        self
    }

    /// The wall clock at the start; 2026-01-01 00:00:00 UTC unless told otherwise.
    pub fn now(mut self, now: SystemTime) -> Self {
        self.world.started_at = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self
    }

    /// The seed of `random_get` and of the back-off between reloads.
    pub fn seed(mut self, seed: u64) -> Self {
        self.world.random = seed;
        self
    }

    /// The fuel that one callback may use before it is killed as an endless loop.
    pub fn fuel_per_callback(mut self, fuel: u64) -> Self {
        self.plugin = self.plugin.fuel_per_callback(fuel);
        self
    }

    /// The host calls that one callback may make, those in callbacks within it included, before it is killed; a
    /// million unless told otherwise.
    pub fn host_calls_per_callback(mut self, calls: u64) -> Self {
        self.plugin = self.plugin.host_calls_per_callback(calls);
        self
    }

    /// A fault to inject into host calls, from the very start on.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.world.faults.add(fault);
        self
    }

    /// The bytes that a VM's memory may grow to.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.plugin = self.plugin.memory_limit(bytes);
        self
    }

    /// Starts as Envoy does: a base VM, a canary that is dropped, the main thread's VM, and the workers'.
    ///
    /// # Errors
    /// Names what is wrong with the module, or what the filter did not accept.
    pub fn start(self) -> Result<Envoy, StartError> {
        self.world.faults.all().try_for_each(Fault::check)?;
        let world = Rc::new(RefCell::new(self.world));
        Envoy::start(self.plugin, world, self.workers)
    }

    /// As [`Self::start`], with what was logged meanwhile, also if that fails.
    #[cfg(feature = "scenario")]
    pub(crate) fn start_with_logs(self) -> (Vec<Log>, Result<Envoy, StartError>) {
        let world = Rc::new(RefCell::new(self.world));
        let started = Envoy::start(self.plugin, world.clone(), self.workers);
        let logs = world.borrow().logs.clone();
        (logs, started)
    }
}
