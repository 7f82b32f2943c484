//! A VM: an instance of the module with its state, and the way into it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use wasmtime::{AsContextMut as _, FuncType, InstancePre, Store, Trap, Val, WasmBacktrace};

use crate::abi::Abi;
use crate::callback::{self, Callback, Outcome};
use crate::error::{Cause, Failure, StartError, Stop};
use crate::limits::Limits;
use crate::plugin::PluginConfig;
use crate::post;
use crate::state::{Cx, Frame, VmState};
use crate::thread::Thread;
use crate::trace::What;
use crate::world::World;

/// A VM, alive or dead.
pub(crate) struct Vm {
    pub(crate) thread: Thread,
    store: RefCell<Store<VmState>>,
    world: Rc<RefCell<World>>,
}

impl Vm {
    /// Makes an instance, without calling anything but the module's start function.
    pub(crate) fn instantiate(
        template: &InstancePre<VmState>,
        thread: Thread,
        world: Rc<RefCell<World>>,
        plugin: Rc<PluginConfig>,
    ) -> Result<Self, StartError> {
        let limits = Limits::new(plugin.memory_limit);
        let fuel = plugin.fuel_per_callback;
        let vm_key = Rc::new(plugin.vm_key());
        let state = VmState::new(thread, world.clone(), plugin, vm_key, limits);
        let mut store = Store::new(template.module().engine(), state);
        store.limiter(|state| &mut state.limits);
        let refused = |error: wasmtime::Error| StartError::Instantiate(format!("{error:#}"));
        store.set_fuel(fuel).map_err(refused)?;
        let instance = template.instantiate(&mut store).map_err(refused)?;

        let abi = store.data().plugin.module.abi();
        let memory = instance.get_memory(&mut store, "memory");
        if memory.is_none() {
            return Err(export("memory", "is missing"));
        }
        store.data_mut().memory = memory;
        for callback in callback::ALL {
            let Some(function) = instance.get_func(&mut store, callback.name) else { continue };
            check(callback, &function.ty(&store), abi).map_err(|reason| export(callback.name, &reason))?;
            store.data_mut().exports.insert(callback.name, function);
        }
        let exports = &store.data().exports;
        if ![callback::MALLOC, callback::MEMORY_ALLOCATE].iter().any(|name| exports.contains_key(name.name)) {
            return Err(export("malloc", "is missing, and so is `proxy_on_memory_allocate`"));
        }
        Ok(Self { thread, store: RefCell::new(store), world })
    }

    /// Runs something with the VM, and then what that has posted to this and other threads. Not to be nested:
    /// what runs inside gets the context handed on.
    pub(crate) fn with<R>(&self, run: impl FnOnce(&mut Cx<'_>) -> R) -> R {
        let result = run(&mut self.store.borrow_mut().as_context_mut());
        post::deliver(&self.world);
        result
    }

    /// Looks at the state between callbacks.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&VmState) -> R) -> R {
        look(self.store.borrow().data())
    }

    /// Changes the state between callbacks.
    pub(crate) fn write<R>(&self, change: impl FnOnce(&mut VmState) -> R) -> R {
        change(self.store.borrow_mut().data_mut())
    }
}

impl fmt::Debug for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Vm").field(&self.thread).finish()
    }
}

/// Calls an export, without the actions that Envoy runs afterwards.
pub(crate) fn call(cx: &mut Cx<'_>, callback: &'static Callback, context: u32, arguments: &[u32]) -> Outcome {
    let state = cx.data_mut();
    if !state.is_alive() {
        return Outcome::NotCalled;
    }
    let Some(function) = state.exports.get(callback.name).copied() else { return Outcome::NotCalled };
    let is_outermost = state.frames.is_empty();
    state.frames.push(Frame { callback: callback.name, context, effective: 0, last_words: Vec::new() });
    let is_allocation = [callback::MALLOC.name, callback::MEMORY_ALLOCATE.name].contains(&callback.name);
    if !is_allocation {
        state.trace(What::Callback { name: callback.name, arguments: arguments.to_vec() });
    }
    if is_outermost {
        state.host_calls = 0;
        state.limits.refused = false;
        let fuel = state.plugin.fuel_per_callback;
        // Fails only in an engine without fuel.
        let _ = cx.set_fuel(fuel);
    }

    let before = cx.get_fuel().unwrap_or(0);
    let function_type = function.ty(&*cx);
    // Callbacks of ABI 0.1.0 have fewer parameters.
    let arguments: Vec<Val> =
        arguments.iter().take(function_type.params().len()).map(|a| Val::I32(a.cast_signed())).collect();
    let mut results = vec![Val::I32(0); function_type.results().len()];
    let result = function.call(&mut *cx, &arguments, &mut results);
    let used = before.saturating_sub(cx.get_fuel().unwrap_or(0));

    let state = cx.data_mut();
    if is_outermost {
        state.cost.fuel += used;
    }
    let outer_context = state.frames.iter().rev().nth(1).map(|frame| frame.context);
    if outer_context != Some(context)
        && !is_allocation
        && let Some(cost) = state.stream_cost()
    {
        cost.fuel += used;
    }
    match result {
        Ok(()) => {
            let answer = results.first().and_then(Val::i32).map(i32::cast_unsigned);
            if !is_allocation {
                state.trace(What::Returned { name: callback.name, answer });
            }
            state.frames.pop();
            Outcome::Returned(answer.unwrap_or(0))
        }
        Err(error) => {
            let failure = failure(state, &error);
            state.trace(What::Trapped { name: callback.name, message: failure.message.clone() });
            state.die(failure);
            state.frames.pop();
            Outcome::Trapped
        }
    }
}

/// Fails if the VM is dead.
pub(crate) fn alive(cx: &Cx<'_>) -> Result<(), StartError> {
    cx.data().failure.clone().map_or(Ok(()), |failure| Err(StartError::Trap(failure)))
}

fn failure(state: &VmState, error: &wasmtime::Error) -> Failure {
    let frames = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames).unwrap_or_default();
    let name = |frame: &wasmtime::FrameInfo| match frame.func_name() {
        // Without the hash that only the compiler knows a use for.
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("function {}", frame.func_index()),
    };
    let frame = state.frames.last();
    let words = frame.map(|frame| frame.last_words.join(" ")).filter(|words| !words.is_empty());
    let words = words.unwrap_or_else(|| error.root_cause().to_string());
    // Standard error comes in pieces.
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let cause = match (error.downcast_ref::<Trap>(), error.downcast_ref::<Stop>()) {
        (Some(Trap::OutOfFuel), _) => Cause::Fuel,
        (_, Some(Stop::HostCalls)) => Cause::HostCalls,
        (_, Some(Stop::Fault)) => Cause::Fault,
        _ if state.limits.refused => Cause::Memory,
        _ => Cause::Trap,
    };
    let plugin = &state.plugin;
    let message = match cause {
        Cause::Fuel => format!("it used more than {} units of fuel", plugin.fuel_per_callback),
        Cause::HostCalls => format!("it made more than {} host calls", plugin.host_calls_per_callback),
        Cause::Fault => Stop::Fault.to_string(),
        Cause::Memory => format!("{words} (its memory may not grow beyond {} bytes)", plugin.memory_limit),
        Cause::Trap => words,
    };
    let callback = frame.map_or("", |frame| frame.callback);
    Failure { vm: state.thread, callback, message, backtrace: frames.iter().map(name).collect(), cause }
}

/// Ends a VM as a trap within this export would.
pub(crate) fn kill(state: &mut VmState, callback: &'static str, cause: Cause, message: &str) {
    let message = message.to_owned();
    state.trace(What::Trapped { name: callback, message: message.clone() });
    let failure = Failure { vm: state.thread, callback, message, backtrace: Vec::new(), cause };
    state.die(failure);
}

/// Says what is wrong with the type of a callback. Those for headers got a third parameter with ABI 0.2.0.
pub(crate) fn check(callback: &Callback, found: &FuncType, abi: Option<Abi>) -> Result<(), String> {
    let is_headers =
        [callback::REQUEST_HEADERS.name, callback::RESPONSE_HEADERS.name].contains(&callback.name);
    let is_short = is_headers && abi == Some(Abi::V0_1_0);
    let parameters = callback.parameters - usize::from(is_short);
    let is_i32 = |mut types: Box<dyn Iterator<Item = wasmtime::ValType> + '_>| types.all(|t| t.is_i32());
    let all_i32 = is_i32(Box::new(found.params())) && is_i32(Box::new(found.results()));
    let fits = found.params().len() == parameters && found.results().len() == usize::from(callback.answers);
    if fits && all_i32 { Ok(()) } else { Err(format!("has the type {found}")) }
}

fn export(name: &str, reason: &str) -> StartError {
    StartError::Export { name: name.to_owned(), reason: reason.to_owned() }
}
