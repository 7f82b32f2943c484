//! The plugin's settings, the same for all VMs.

/// What to do with requests once a VM has died.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FailurePolicy {
    /// Answer them with 503.
    #[default]
    Closed,
    /// Let them pass without the filter.
    Open,
    /// Make a new VM on the next request, though not within a second of making the last one.
    Reload,
}

/// What Envoy's `PluginConfig` and `VmConfig` say.
#[derive(Clone, Debug)]
pub(crate) struct Plugin {
    pub(crate) name: String,
    pub(crate) root_id: String,
    pub(crate) vm_id: String,
    pub(crate) vm_config: Vec<u8>,
    pub(crate) plugin_config: Vec<u8>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) failure_policy: FailurePolicy,
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

impl Default for Plugin {
    fn default() -> Self {
        Self {
            name: String::new(),
            root_id: String::new(),
            vm_id: String::new(),
            vm_config: Vec::new(),
            plugin_config: Vec::new(),
            environment: Vec::new(),
            failure_policy: FailurePolicy::default(),
            fuel_per_callback: FUEL_PER_CALLBACK,
            host_calls_per_callback: HOST_CALLS_PER_CALLBACK,
            memory_limit: MEMORY_LIMIT,
        }
    }
}
