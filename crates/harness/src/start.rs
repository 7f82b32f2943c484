//! Bringing a VM up: linking, `_initialize`, `proxy_on_vm_start`, `proxy_on_configure`.

use std::cell::RefCell;
use std::rc::Rc;

use wasmtime::{Extern, ExternType, InstancePre, Linker};

use crate::abi;
use crate::action;
use crate::callback::{self, Callback, Outcome};
use crate::error::StartError;
use crate::limits::Limits;
use crate::log::Level;
use crate::module::Module;
use crate::plugin::Plugin;
use crate::state::{Cx, ROOT, VmState};
use crate::thread::Thread;
use crate::vm::{self, Vm};
use crate::wasi;
use crate::world::World;

/// Links the module with the host, and says what does not fit.
pub(crate) fn link(module: &Module) -> Result<InstancePre<VmState>, StartError> {
    let abi = module.abi().ok_or(StartError::Abi)?;
    let refused = |error: wasmtime::Error| StartError::Instantiate(format!("{error:#}"));
    let mut linker = Linker::new(module.inner.engine());
    abi::link(&mut linker, abi).map_err(refused)?;
    wasi::link(&mut linker).map_err(refused)?;
    audit(module, &linker)?;
    linker.instantiate_pre(&module.inner).map_err(refused)
}

fn audit(module: &Module, linker: &Linker<VmState>) -> Result<(), StartError> {
    let limits = Limits::new(0);
    let world = Rc::new(RefCell::new(World::default()));
    let state = VmState::new(Thread::Base, world, Rc::new(Plugin::default()), limits);
    let mut store = wasmtime::Store::new(module.inner.engine(), state);
    for import in module.inner.imports() {
        let error = |reason: String| StartError::Import {
            module: import.module().to_owned(),
            name: import.name().to_owned(),
            reason,
        };
        let found = linker.get(&mut store, import.module(), import.name());
        match (import.ty(), found) {
            (_, Err(_)) => return Err(error("there is nothing of that name".to_owned())),
            (ExternType::Func(wanted), Ok(Extern::Func(function))) => {
                let offered = function.ty(&store);
                if !wanted.matches(&offered) {
                    return Err(error(format!("it is {offered}, not {wanted}")));
                }
            }
            (wanted, Ok(_)) => return Err(error(format!("it is a function, not {wanted:?}"))),
        }
    }
    Ok(())
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
        alive(cx)
    })
}

fn has(cx: &Cx<'_>, callback: &Callback) -> bool {
    cx.data().exports.contains_key(callback.name)
}

/// Creates the root context, starts the VM and configures the plugin.
pub(crate) fn start(vm: &Vm) -> Result<(), StartError> {
    initialize(vm)?;
    vm.with(|cx| {
        let logs = cx.data().world().logs.len();
        let plugin = cx.data().plugin.clone();
        cx.data_mut().root.configuring = true;
        vm::call(cx, callback::CONTEXT_CREATE, ROOT, &[ROOT, 0]);
        cx.data_mut().root.configuring = false;
        cx.data_mut().root.created = true;
        let outcome = vm::call(cx, callback::VM_START, ROOT, &[ROOT, size(&plugin.vm_config)]);
        action::finish(cx);
        alive(cx)?;
        if outcome == Outcome::Returned(0) {
            return Err(StartError::VmStart { vm: vm.thread, logs: said(cx, logs) });
        }

        cx.data_mut().root.configuring = true;
        let outcome = vm::call(cx, callback::CONFIGURE, ROOT, &[ROOT, size(&plugin.plugin_config)]);
        cx.data_mut().root.configuring = false;
        action::finish(cx);
        alive(cx)?;
        if outcome == Outcome::Returned(0) {
            return Err(StartError::Configure { vm: vm.thread, logs: said(cx, logs) });
        }
        Ok(())
    })
}

fn alive(cx: &Cx<'_>) -> Result<(), StartError> {
    cx.data().failure.clone().map_or(Ok(()), |failure| Err(StartError::Trap(failure)))
}

/// What was logged of a failure.
fn said(cx: &Cx<'_>, since: usize) -> Vec<String> {
    let world = cx.data().world();
    let logs = world.logs.iter().skip(since).filter(|log| log.level >= Level::Warn);
    logs.map(|log| log.message.clone()).collect()
}

fn size(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
