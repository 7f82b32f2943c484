//! What a request costs: host calls and fuel.

use std::collections::BTreeMap;

/// Calls that hand data to the filter: each costs Envoy a call back into the VM's allocator and a copy.
const RETURNING_DATA: [&str; 9] = [
    "proxy_get_header_map_value",
    "proxy_get_header_map_pairs",
    "proxy_get_property",
    "proxy_get_buffer_bytes",
    "proxy_get_shared_data",
    "proxy_get_status",
    "proxy_get_configuration",
    "proxy_dequeue_shared_queue",
    "proxy_call_foreign_function",
];

/// Host calls made and fuel used: by one request, or by a VM since it started.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cost {
    /// Wasm instructions, roughly: wasmtime's fuel. The same input costs the same.
    pub fuel: u64,
    calls: BTreeMap<&'static str, u64>,
}

impl Cost {
    /// The number of host calls.
    #[must_use]
    pub fn host_calls(&self) -> u64 {
        self.calls.values().sum()
    }

    /// The number of host calls that hand data to the filter, the expensive ones.
    #[must_use]
    pub fn data_calls(&self) -> u64 {
        RETURNING_DATA.iter().map(|name| self.count(name)).sum()
    }

    /// How often this host call was made, by its import name.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.calls.get(name).copied().unwrap_or(0)
    }

    /// Every host call that was made, and how often.
    pub fn calls(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.calls.iter().map(|(name, count)| (*name, *count))
    }

    pub(crate) fn add_call(&mut self, name: &'static str) {
        *self.calls.entry(name).or_default() += 1;
    }
}
