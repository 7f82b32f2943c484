//! What all VMs of one Envoy share: clock, clusters, metrics, shared data, and what was seen of them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;

use crate::callout::Cluster;
use crate::error::Failure;
use crate::fault::Faults;
use crate::foreign::Functions;
use crate::log::{Level, Log};
use crate::metrics::Metrics;
use crate::plugin::VmKey;
use crate::property::Property;
use crate::shared_data::SharedData;
use crate::shared_queue::SharedQueues;
use crate::thread::Thread;
use crate::trace::Trace;
use crate::violation::Violation;
use crate::vm::Vm;

/// 2026-01-01T00:00:00Z.
const STARTED_AT: Duration = Duration::from_secs(1_767_225_600);

/// The process around the VMs.
#[derive(Debug)]
pub(crate) struct World {
    /// The virtual time that has passed since the process started.
    pub(crate) elapsed: Duration,
    /// The wall clock at the start, since the Unix epoch.
    pub(crate) started_at: Duration,
    pub(crate) clusters: BTreeMap<String, Cluster>,
    /// Properties that hold for every stream unless it has its own.
    pub(crate) properties: Property,
    pub(crate) metrics: Metrics,
    pub(crate) shared_data: SharedData,
    pub(crate) queues: SharedQueues,
    pub(crate) functions: Functions,
    /// The VMs in use, dead ones included, by thread and age.
    pub(crate) vms: Vec<Rc<Vm>>,
    /// Whether what was posted is running, or has to wait.
    pub(crate) is_delivering: bool,
    pub(crate) log_level: Level,
    pub(crate) logs: Vec<Log>,
    /// The bytes in the logs.
    pub(crate) logged: usize,
    pub(crate) trace: Trace,
    pub(crate) faults: Faults,
    pub(crate) violations: Vec<Violation>,
    /// How VMs have died, but for those that only try things.
    pub(crate) failures: Vec<Failure>,
    /// Whether somebody has looked at the violations, so that nobody need be told of them.
    pub(crate) violations_seen: bool,
    /// How many steps of peers were planned, to tell those apart that fall due at the same time.
    pub(crate) planned: u64,
    /// The state of the generator behind `random_get`: the same on every run.
    pub(crate) random: u64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            elapsed: Duration::ZERO,
            started_at: STARTED_AT,
            clusters: BTreeMap::new(),
            properties: Property::from(json!({"xds": {"node": {"id": "", "cluster": ""}}})),
            metrics: Metrics::default(),
            shared_data: SharedData::default(),
            queues: SharedQueues::default(),
            functions: Functions::default(),
            vms: Vec::new(),
            is_delivering: false,
            log_level: Level::Info,
            logs: Vec::new(),
            logged: 0,
            trace: Trace::default(),
            faults: Faults::default(),
            violations: Vec::new(),
            failures: Vec::new(),
            violations_seen: false,
            planned: 0,
            random: 0,
        }
    }
}

impl World {
    pub(crate) fn unix_time(&self) -> Duration {
        self.started_at + self.elapsed
    }

    /// The place of a planned step among those that fall due at the same time.
    pub(crate) fn next_order(&mut self) -> u64 {
        self.planned += 1;
        self.planned
    }

    /// Adds a VM behind those of its thread.
    pub(crate) fn add_vm(&mut self, vm: Rc<Vm>) {
        let place = self.vms.partition_point(|other| other.thread <= vm.thread);
        self.vms.insert(place, vm);
    }

    /// The living VM of a thread that plugins with this key share.
    pub(crate) fn vm(&self, thread: Thread, key: &VmKey) -> Option<Rc<Vm>> {
        let is_it = |vm: &&Rc<Vm>| vm.thread == thread && vm.read(|s| s.is_alive() && *s.vm_key == *key);
        self.vms.iter().find(is_it).cloned()
    }

    /// Lets go of the VMs that no plugin has any more, and of what they have shared once all of an id are gone.
    pub(crate) fn drop_retired(&mut self) {
        let (retired, vms) = std::mem::take(&mut self.vms).into_iter().partition(|vm| vm.read(|s| s.retired));
        self.vms = vms;
        let retired: Vec<Rc<Vm>> = retired;
        for vm in retired {
            let vm_id = vm.read(|state| state.vm_key.vm_id.clone());
            if !self.vms.iter().any(|vm| vm.read(|state| state.vm_key.vm_id == vm_id)) {
                self.shared_data.delete(&vm_id);
                self.queues.delete(&vm_id);
            }
        }
    }

    /// How long the next reload has to wait for the last one: Envoy's `JitteredLowerBoundBackOffStrategy`.
    pub(crate) fn next_backoff(&mut self, base: Duration) -> Duration {
        let base = u64::try_from(base.as_millis()).unwrap_or(u64::MAX).clamp(2, u64::MAX / 2);
        Duration::from_millis(base + self.next_random() % (base / 2))
    }

    /// SplitMix64: small, and every seed is a good one.
    pub(crate) fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
