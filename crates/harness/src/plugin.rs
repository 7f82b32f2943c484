//! What Envoy's `PluginConfig` says about a plugin.

use std::time::Duration;

use crate::module::Module;

/// What to do with requests once a VM has died.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FailurePolicy {
    /// Answer them with 503.
    #[default]
    Closed,
    /// Let them pass without the filter, and answer those with 503 that the filter has seen before.
    Open,
    /// Let all pass without the filter, also those that it has seen before: the older `fail_open: true`.
    LegacyOpen,
    /// Make a new VM on the next request, if the last one was made long enough ago; else answer with 503. How
    /// long that is, Envoy draws anew each time: between the reload interval and one and a half of it.
    Reload,
}

/// A plugin: which module it runs, how, and with what configuration.
///
/// Plugins of the same module, VM id and VM configuration share their VMs, one a thread, and with them all that
/// the module keeps in statics; each has a root context of its own in them. Plugins that are equal in everything
/// share the root contexts as well.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a plugin does nothing before it is added to an Envoy"]
pub struct PluginConfig {
    pub(crate) module: Module,
    pub(crate) name: String,
    pub(crate) root_id: String,
    pub(crate) vm_id: String,
    pub(crate) vm_config: Vec<u8>,
    pub(crate) plugin_config: Vec<u8>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) failure_policy: FailurePolicy,
    pub(crate) reload_interval: Duration,
    pub(crate) is_singleton: bool,
    pub(crate) fuel_per_callback: u64,
    pub(crate) host_calls_per_callback: u64,
    pub(crate) memory_limit: usize,
}

/// Enough for a snapshot of a large set, and spent by an endless loop in a few seconds.
const FUEL_PER_CALLBACK: u64 = 2_000_000_000;

/// More than any filter needs, and made by an endless loop in about a second.
const HOST_CALLS_PER_CALLBACK: u64 = 1_000_000;

/// Envoy's own limit.
const MEMORY_LIMIT: usize = 1 << 30;

/// Envoy's own interval.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

impl PluginConfig {
    /// A plugin that runs this module, with Envoy's defaults for everything else.
    pub fn new(module: &Module) -> Self {
        Self {
            module: module.clone(),
            name: String::new(),
            root_id: String::new(),
            vm_id: String::new(),
            vm_config: Vec::new(),
            plugin_config: Vec::new(),
            environment: Vec::new(),
            failure_policy: FailurePolicy::default(),
            reload_interval: RELOAD_INTERVAL,
            is_singleton: false,
            fuel_per_callback: FUEL_PER_CALLBACK,
            host_calls_per_callback: HOST_CALLS_PER_CALLBACK,
            memory_limit: MEMORY_LIMIT,
        }
    }

    /// The configuration, for `proxy_on_configure`.
    pub fn plugin_config(mut self, config: impl AsRef<[u8]>) -> Self {
        self.plugin_config = config.as_ref().to_vec();
        self
    }

    /// The VM's configuration, for `proxy_on_vm_start`.
    pub fn vm_config(mut self, config: impl AsRef<[u8]>) -> Self {
        self.vm_config = config.as_ref().to_vec();
        self
    }

    /// The plugin's name.
    pub fn plugin_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The name of the root context.
    pub fn root_id(mut self, id: impl Into<String>) -> Self {
        self.root_id = id.into();
        self
    }

    /// The id under which VMs share their data and queues.
    pub fn vm_id(mut self, id: impl Into<String>) -> Self {
        self.vm_id = id.into();
        self
    }

    /// An environment variable of the filter. Of plugins that share a VM, the first one's hold.
    pub fn environment(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// What happens to requests once a VM has died.
    pub fn failure_policy(mut self, policy: FailurePolicy) -> Self {
        self.failure_policy = policy;
        self
    }

    /// The `base_interval` of the back-off between reloads, in whole milliseconds and at least two; one second
    /// unless told otherwise.
    pub fn reload_interval(mut self, interval: Duration) -> Self {
        self.reload_interval = interval;
        self
    }

    /// Makes it a bootstrap extension (`envoy.bootstrap.wasm`) with a single VM, on the main thread. It sees no
    /// requests; with the VM id of a filter it reaches that one's data and queues.
    pub fn singleton(mut self) -> Self {
        self.is_singleton = true;
        self
    }

    /// The fuel that one callback may use before it is killed as an endless loop.
    pub fn fuel_per_callback(mut self, fuel: u64) -> Self {
        self.fuel_per_callback = fuel;
        self
    }

    /// The host calls that one callback may make before it is killed as an endless loop.
    pub fn host_calls_per_callback(mut self, calls: u64) -> Self {
        self.host_calls_per_callback = calls;
        self
    }

    /// The bytes that a VM's memory may grow to.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = bytes;
        self
    }

    pub(crate) fn vm_key(&self) -> VmKey {
        VmKey { module: self.module.clone(), vm_id: self.vm_id.clone(), vm_config: self.vm_config.clone() }
    }
}

/// What plugins have in common that share a VM.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VmKey {
    pub(crate) module: Module,
    pub(crate) vm_id: String,
    pub(crate) vm_config: Vec<u8>,
}
