//! Compiled modules, each compiled once per process.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use wasmparser::{Parser, Payload};
use wasmtime::{Config, Engine, InstancePre, OptLevel};

use crate::abi::Abi;
use crate::audit::Audit;
use crate::error::{ModuleError, StartError};
use crate::start;
use crate::state::VmState;

/// What every binary module begins with.
const MAGIC: &[u8] = b"\0asm";

/// A compiled filter. Cloning is cheap, and the same bytes are compiled once per process.
#[derive(Clone)]
pub struct Module {
    pub(crate) inner: wasmtime::Module,
    /// Tells modules apart: their number within the process.
    number: usize,
    /// The custom sections and their sizes.
    pub(crate) sections: Arc<[(String, usize)]>,
    /// The module linked with the host, once it was asked for.
    linked: Arc<OnceLock<Result<InstancePre<VmState>, StartError>>>,
}

impl PartialEq for Module {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Module {
    /// Compiles a `.wasm` file, or finds that it was compiled before.
    ///
    /// # Errors
    /// If the file cannot be read, or is not a WebAssembly module.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ModuleError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| ModuleError::File {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        Self::from_bytes(&bytes)
    }

    /// Compiles the bytes of a `.wasm` file, or finds that they were compiled before.
    ///
    /// # Errors
    /// If they are not a WebAssembly module.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModuleError> {
        if !bytes.starts_with(MAGIC) {
            return Err(ModuleError::Malformed("it does not begin with `\\0asm`".to_owned()));
        }
        // Compiling takes seconds, and a second thread that wants the same module had better wait for it.
        let mut compiled = compiled().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = compiled.get(bytes) {
            return Ok(module.clone());
        }
        let malformed = |error: wasmtime::Error| ModuleError::Malformed(format!("{error:#}"));
        let engine = engine().as_ref().map_err(|reason| ModuleError::Malformed(reason.clone()))?;
        let inner = wasmtime::Module::from_binary(engine, bytes).map_err(malformed)?;
        let module =
            Self { inner, number: compiled.len(), sections: custom_sections(bytes), linked: Arc::default() };
        compiled.insert(bytes.to_vec(), module.clone());
        Ok(module)
    }

    /// What the module needs of its host, and which Envoys have it.
    #[must_use]
    pub fn audit(&self) -> Audit {
        Audit::of(self)
    }

    /// Everything that the module imports, as namespace and name.
    #[must_use]
    pub fn imports(&self) -> Vec<(String, String)> {
        let imports = self.inner.imports();
        imports.map(|import| (import.module().to_owned(), import.name().to_owned())).collect()
    }

    /// The names of everything that the module exports.
    #[must_use]
    pub fn exports(&self) -> Vec<String> {
        self.inner.exports().map(|export| export.name().to_owned()).collect()
    }

    /// Links the module with the host, or finds that it was linked before.
    pub(crate) fn link(&self) -> Result<InstancePre<VmState>, StartError> {
        self.linked.get_or_init(|| start::link(self)).clone()
    }

    /// The newest version of the ABI that the module claims.
    pub(crate) fn abi(&self) -> Option<Abi> {
        self.inner.exports().filter_map(|export| Abi::from_marker(export.name())).max()
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("abi", &self.abi()).finish_non_exhaustive()
    }
}

fn custom_sections(bytes: &[u8]) -> Arc<[(String, usize)]> {
    // The module has been compiled, so that there is nothing in it which does not parse.
    let payloads = Parser::new(0).parse_all(bytes).flatten();
    let sections = payloads.filter_map(|payload| match payload {
        Payload::CustomSection(section) => Some((section.name().to_owned(), section.data().len())),
        _ => None,
    });
    sections.collect()
}

/// One engine for the process: modules belong to one, and hold no state of any VM.
fn engine() -> &'static Result<Engine, String> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config.consume_fuel(true);
        // A test calls a filter a few times: that costs less than making its code fast.
        config.cranelift_opt_level(OptLevel::None);
        Engine::new(&config).map_err(|error| format!("{error:#}"))
    })
}

fn compiled() -> &'static Mutex<HashMap<Vec<u8>, Module>> {
    static COMPILED: OnceLock<Mutex<HashMap<Vec<u8>, Module>>> = OnceLock::new();
    COMPILED.get_or_init(Mutex::default)
}
