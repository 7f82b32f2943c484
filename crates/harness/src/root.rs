//! Root contexts: a plugin's place in a VM, from its start to its end.

use std::rc::Rc;
use std::time::Duration;

use crate::action;
use crate::callback::{self, Outcome};
use crate::error::StartError;
use crate::log::Level;
use crate::plugin::PluginConfig;
use crate::state::Cx;
use crate::violation::Rule;
use crate::vm;

/// A root context.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) plugin: Rc<PluginConfig>,
    /// Whether the plugin's configuration can be read at the moment.
    pub(crate) configuring: bool,
    /// Whether the plugin is gone, or has gone over to another VM or root context. Streams may still use this one.
    pub(crate) released: bool,
    /// `proxy_on_done` answered false: gone once the filter says `proxy_done`.
    pub(crate) pending_done: bool,
    pub(crate) tick: Option<Tick>,
    /// What `proxy_get_status` answers.
    pub(crate) status: (u32, String),
}

/// A running timer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick {
    pub(crate) period: Duration,
    pub(crate) due: Duration,
}

/// Creates a plugin's root context in a VM, starts it and configures it; gives its id.
pub(crate) fn start(cx: &mut Cx<'_>, plugin: Rc<PluginConfig>) -> Result<u32, StartError> {
    let (vm, logs) = (cx.data().thread, cx.data().world().logs.len());
    let (vm_size, plugin_size) = (size(&cx.data().plugin.vm_config), size(&plugin.plugin_config));
    let id = cx.data_mut().new_context();
    let root = Root {
        plugin,
        configuring: true,
        released: false,
        pending_done: false,
        tick: None,
        status: (0, String::new()),
    };
    cx.data_mut().roots.insert(id, root);
    vm::call(cx, callback::CONTEXT_CREATE, id, &[id, 0]);
    configuring(cx, id, false);
    let outcome = vm::call(cx, callback::VM_START, id, &[id, vm_size]);
    action::finish(cx);
    vm::alive(cx)?;
    if outcome == Outcome::Returned(0) {
        return Err(StartError::VmStart { vm, logs: said(cx, logs) });
    }

    configuring(cx, id, true);
    let outcome = vm::call(cx, callback::CONFIGURE, id, &[id, plugin_size]);
    configuring(cx, id, false);
    action::finish(cx);
    vm::alive(cx)?;
    if outcome == Outcome::Returned(0) {
        return Err(StartError::Configure { vm, logs: said(cx, logs) });
    }
    Ok(id)
}

fn configuring(cx: &mut Cx<'_>, id: u32, configuring: bool) {
    if let Some(root) = cx.data_mut().roots.get_mut(&id) {
        root.configuring = configuring;
    }
}

/// The plugin lets go of its root context, which ends with the last stream of it.
pub(crate) fn release(cx: &mut Cx<'_>, id: u32) {
    if let Some(root) = cx.data_mut().roots.get_mut(&id) {
        root.released = true;
    }
    end_if_unused(cx, id);
}

/// Ends a root context that its plugin has let go of, unless a stream still has it: `proxy_on_done`, and
/// `proxy_on_delete` unless the filter wants to wait. With the last plugin's, the VM ends, waiting or not.
pub(crate) fn end_if_unused(cx: &mut Cx<'_>, id: u32) {
    let state = cx.data();
    // Looking at every stream at the end of each would make a flood of them quadratic.
    if !state.roots.get(&id).is_some_and(|root| root.released && !root.pending_done) {
        return;
    }
    if state.streams.values().any(|stream| stream.root == id && stream.end.is_none()) {
        return;
    }
    let outcome = vm::call(cx, callback::DONE, id, &[id]);
    action::finish(cx);
    if outcome != Outcome::Returned(0) {
        delete(cx, id);
    } else if let Some(root) = cx.data_mut().roots.get_mut(&id) {
        root.pending_done = true;
    }
    let state = cx.data_mut();
    if state.roots.values().all(|root| root.released && root.pending_done) {
        state.retire();
    }
}

/// `proxy_on_delete`, and with the root context its timer and its call-outs go.
pub(crate) fn delete(cx: &mut Cx<'_>, id: u32) {
    vm::call(cx, callback::DELETE, id, &[id]);
    action::finish(cx);
    let state = cx.data_mut();
    let open = state.callouts.drop_open(Some(id));
    // A dead filter could not have given them back.
    for token in open.into_iter().filter(|_| state.is_alive()) {
        state.violate(Rule::LeakedCallout { token });
    }
    state.roots.remove(&id);
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
