//! Host calls that go wrong because the test says so.

use std::collections::BTreeMap;

use crate::abi;
use crate::error::StartError;
use crate::status::Status;
use crate::thread::Thread;
use crate::wasi;

/// The name under which the filter's own allocator can be made to fail.
pub(crate) const MALLOC: &str = "malloc";

/// A host call that goes wrong: every one, or the n-th, of all threads or of one.
///
/// ```
/// use proxy_wasm_harness::{Fault, Status, Thread};
///
/// let second = Fault::on("proxy_get_header_map_value").nth(2).answers(Status::InternalFailure);
/// let ticks = Fault::on("proxy_grpc_stream").during("proxy_on_tick").thread(Thread::Worker(0)).traps();
/// let no_memory = Fault::on("malloc").nth(1);
/// # let _ = (second, ticks, no_memory);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "a fault does nothing before it is given to an Envoy"]
pub struct Fault {
    call: String,
    during: Option<String>,
    thread: Option<Thread>,
    nth: Option<u64>,
    effect: Effect,
}

/// What a fault does in place of the call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    Answer(u32),
    Trap,
}

impl Fault {
    /// A fault of the host call with this import name, of `env` or of WASI. It answers `InternalFailure` unless
    /// told otherwise, and does nothing.
    ///
    /// `malloc` stands for the filter's allocator: it has no memory for what the host wants to hand out.
    pub fn on(call: impl Into<String>) -> Self {
        let effect = Effect::Answer(Status::InternalFailure.code());
        Self { call: call.into(), during: None, thread: None, nth: None, effect }
    }

    /// Only while this export runs, such as `proxy_on_tick`.
    pub fn during(mut self, callback: impl Into<String>) -> Self {
        self.during = Some(callback.into());
        self
    }

    /// Only on this thread, rather than on all of them, the canary included.
    pub fn thread(mut self, thread: Thread) -> Self {
        self.thread = Some(thread);
        self
    }

    /// Only the n-th of the calls that it applies to, from one, rather than every one. Each thread counts for
    /// itself.
    pub fn nth(mut self, n: u64) -> Self {
        self.nth = Some(n);
        self
    }

    /// The call answers this.
    pub fn answers(self, status: Status) -> Self {
        self.answers_code(status.code())
    }

    /// The call answers this number, such as an error number of WASI.
    pub fn answers_code(mut self, code: u32) -> Self {
        self.effect = Effect::Answer(code);
        self
    }

    /// The call traps, and the VM dies.
    pub fn traps(mut self) -> Self {
        self.effect = Effect::Trap;
        self
    }

    /// A fault that can never strike is a mistake.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let known = abi::NAMES.iter().chain(wasi::NAMES).chain(&[MALLOC]).any(|name| *name == self.call);
        if known { Ok(()) } else { Err(StartError::Fault(self.call.clone())) }
    }
}

/// The faults of an Envoy, and how many calls each has seen.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Vec<(Fault, BTreeMap<Thread, u64>)>,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.armed.push((fault, BTreeMap::new()));
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Fault> {
        self.armed.iter().map(|(fault, _)| fault)
    }

    /// What comes of a call: of several faults that strike, the one that was added first counts.
    pub(crate) fn strike(&mut self, thread: Thread, callback: &str, call: &str) -> Option<Effect> {
        let mut effect = None;
        for (fault, seen) in &mut self.armed {
            let applies = fault.call == call
                && fault.thread.is_none_or(|only| only == thread)
                && fault.during.as_ref().is_none_or(|only| only == callback);
            if !applies {
                continue;
            }
            let seen = seen.entry(thread).or_default();
            *seen += 1;
            if fault.nth.is_none_or(|n| n == *seen) {
                effect.get_or_insert(fault.effect);
            }
        }
        effect
    }
}
