//! Why a module, an Envoy or a VM does not work.

use std::fmt;

use crate::thread::Thread;

/// Why a module cannot be loaded.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// The file cannot be read.
    #[error("cannot read {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What the operating system says.
        reason: String,
    },
    /// The bytes are not a WebAssembly module.
    #[error("not a WebAssembly module: {0}")]
    Malformed(String),
}

/// Why an Envoy refuses the filter or its configuration.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The module exports no `proxy_abi_version_…` that Envoy knows.
    #[error("the module has no proxy-wasm ABI marker such as `proxy_abi_version_0_2_1`")]
    Abi,
    /// The module needs an import that Envoy does not have, or has with another type.
    #[error("Envoy has no import `{module}.{name}`: {reason}")]
    Import {
        /// The namespace.
        module: String,
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The module does not export something that the host needs, or exports it with another type.
    #[error("export `{name}`: {reason}")]
    Export {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The module could not be instantiated.
    #[error("cannot instantiate the module: {0}")]
    Instantiate(String),
    /// A fault was to be injected into a host call that does not exist.
    #[error("there is no host call `{0}` to inject a fault into")]
    Fault(String),
    /// The filter trapped while starting.
    #[error("{0}")]
    Trap(Failure),
    /// `proxy_on_vm_start` answered false.
    #[error("{vm}: proxy_on_vm_start answered false{}", said(.logs))]
    VmStart {
        /// The VM.
        vm: Thread,
        /// What the filter logged before, as warnings or worse.
        logs: Vec<String>,
    },
    /// `proxy_on_configure` answered false.
    #[error("{vm}: proxy_on_configure answered false{}", said(.logs))]
    Configure {
        /// The VM.
        vm: Thread,
        /// What the filter logged before, as warnings or worse.
        logs: Vec<String>,
    },
}

/// How a VM died. Envoy calls it no more.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{vm}: {callback} trapped: {message}{}", stack(.backtrace))]
pub struct Failure {
    /// The VM.
    pub vm: Thread,
    /// The export that was running.
    pub callback: &'static str,
    /// The cause: a panic's message if one was logged, else the trap.
    pub message: String,
    /// The functions on the stack, innermost first, by name as far as the module has names.
    pub backtrace: Vec<String>,
    /// What kind of death it was.
    pub cause: Cause,
}

/// What a VM died of.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// The filter panicked, or did something that WebAssembly does not allow, or called the host when it may not.
    Trap,
    /// The callback used up its fuel, as an endless loop does.
    Fuel,
    /// The callback made more host calls than it may.
    HostCalls,
    /// The filter trapped after its memory was not allowed to grow.
    Memory,
    /// The test wanted it so: an injected [`Fault`](crate::Fault).
    Fault,
}

/// Why the host stops a callback of its own accord.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Stop {
    #[error("too many host calls")]
    HostCalls,
    #[error("an injected fault")]
    Fault,
}

/// As `unwrap` shows it: in words.
impl fmt::Debug for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As `unwrap` shows it: in words.
impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn stack(backtrace: &[String]) -> String {
    /// What is further out tells little.
    const SHOWN: usize = 20;
    backtrace.iter().take(SHOWN).map(|function| format!("\n  in {function}")).collect()
}

fn said(logs: &[String]) -> String {
    logs.iter().map(|line| format!("\n  {line}")).collect()
}
