//! Bringing a VM up: linking, and what it does before it has a context.

use wasmtime::{InstancePre, Linker};

use crate::abi::{self, Abi};
use crate::callback::{self, Callback};
use crate::error::StartError;
use crate::module::Module;
use crate::state::{Cx, VmState};
use crate::vm::{self, Vm};
use crate::wasi;

/// Links the module with the host, and says what does not fit.
pub(crate) fn link(module: &Module) -> Result<InstancePre<VmState>, StartError> {
    let abi = module.abi().ok_or(StartError::Abi)?;
    let refused = |error: wasmtime::Error| StartError::Instantiate(format!("{error:#}"));
    let linker = linker(module, abi).map_err(refused)?;
    for import in module.audit().imports() {
        if let Some(reason) = import.problem() {
            let (module, name) = (import.module.clone(), import.name.clone());
            return Err(StartError::Import { module, name, reason });
        }
    }
    linker.instantiate_pre(&module.inner).map_err(refused)
}

/// Everything that a module of this ABI can import.
pub(crate) fn linker(module: &Module, abi: Abi) -> wasmtime::Result<Linker<VmState>> {
    let mut linker = Linker::new(module.inner.engine());
    abi::link(&mut linker, abi)?;
    wasi::link(&mut linker)?;
    Ok(linker)
}

/// Runs the module's initialization, in which it may do next to nothing with the host.
pub(crate) fn initialize(vm: &Vm) -> Result<(), StartError> {
    vm.with(|cx| {
        cx.data_mut().restricted = Some(wasi::ALLOWED_AT_START);
        if has(cx, callback::INITIALIZE) {
            vm::call(cx, callback::INITIALIZE, 0, &[]);
            let main = if has(cx, callback::MAIN) { callback::MAIN } else { callback::MAIN_VOID };
            vm::call(cx, main, 0, &[0, 0]);
        } else {
            vm::call(cx, callback::START, 0, &[]);
        }
        cx.data_mut().restricted = None;
        vm::alive(cx)
    })
}

fn has(cx: &Cx<'_>, callback: &Callback) -> bool {
    cx.data().exports.contains_key(callback.name)
}
