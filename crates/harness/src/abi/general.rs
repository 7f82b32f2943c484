//! Logs, time, contexts.

use std::time::Duration;

use crate::action::Action;
use crate::log::{Level, Log};
use crate::memory;
use crate::root::Tick;
use crate::state::Cx;
use crate::status::Status;

use super::quote;

pub(crate) fn log(cx: &mut Cx<'_>, level: u32, text: u32, text_size: u32) -> Result<(), Status> {
    let level = Level::from_code(level).ok_or(Status::BadArgument)?;
    let message = memory::read_text(cx, text, text_size)?;
    cx.data_mut().note(format_args!("{level:?}, {}", quote(message.as_bytes())));
    if level == Level::Critical {
        last_words(cx, &message);
    }
    record(cx, level, message);
    Ok(())
}

/// Keeps what may be a panic's message, for the case that the callback traps.
pub(crate) fn last_words(cx: &mut Cx<'_>, words: &str) {
    /// More than a panic has to say.
    const MAX_LINES: usize = 20;
    let Some(frame) = cx.data_mut().frames.last_mut() else { return };
    let lines = words.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("note: run with"));
    frame.last_words.extend(lines.map(str::to_owned));
    let surplus = frame.last_words.len().saturating_sub(MAX_LINES);
    frame.last_words.drain(..surplus);
}

/// A filter that logs without end does not fill the memory: what comes after this many bytes is not kept.
const MAX_LOGGED: usize = 64 << 20;

/// Keeps a message, whether it came as a host call or on an output stream.
pub(crate) fn record(cx: &mut Cx<'_>, level: Level, message: String) {
    let state = cx.data_mut();
    let (vm, context) = (state.thread, state.context());
    let mut world = state.world();
    let logged = world.logged.saturating_add(message.len());
    if level >= world.log_level && logged <= MAX_LOGGED {
        world.logged = logged;
        world.logs.push(Log { vm, context, level, message });
    }
}

pub(super) fn get_log_level(cx: &mut Cx<'_>, level_at: u32) -> Result<(), Status> {
    let level = cx.data().world().log_level;
    memory::write_u32(cx, level_at, level as u32)
}

pub(super) fn get_current_time(cx: &mut Cx<'_>, time_at: u32) -> Result<(), Status> {
    let now = cx.data().world().unix_time();
    memory::write_u64(cx, time_at, nanoseconds(now))
}

/// A time as the ABI and WASI have it.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// There is one timer per root context, and none in the canary.
pub(super) fn set_tick_period(cx: &mut Cx<'_>, milliseconds: u32) -> Result<(), Status> {
    let state = cx.data_mut();
    state.note(format_args!("{milliseconds} ms"));
    let period = Duration::from_millis(milliseconds.into());
    let due = state.world().elapsed + period;
    if let Some(root) = state.root() {
        root.tick = (milliseconds > 0).then_some(Tick { period, due });
    }
    Ok(())
}

pub(super) fn set_effective_context(cx: &mut Cx<'_>, context: u32) -> Result<(), Status> {
    let state = cx.data_mut();
    state.note(context);
    if !state.is_context(context) {
        return Err(Status::BadArgument);
    }
    if let Some(frame) = state.frames.last_mut() {
        frame.effective = context;
    }
    Ok(())
}

pub(super) fn done(cx: &mut Cx<'_>) -> Result<(), Status> {
    let state = cx.data_mut();
    let id = state.root_of(state.context());
    let root = state.roots.get_mut(&id).filter(|root| root.pending_done).ok_or(Status::NotFound)?;
    root.pending_done = false;
    state.after_call.push_back(Action::DeleteRoot(id));
    Ok(())
}

pub(super) fn get_status(cx: &mut Cx<'_>, code_at: u32, text_at: u32, size_at: u32) -> Result<(), Status> {
    let (code, message) = cx.data_mut().root().map(|root| root.status.clone()).unwrap_or_default();
    memory::write_u32(cx, code_at, code)?;
    memory::give(cx, message.as_bytes(), text_at, size_at)
}

/// The plugin's configuration while it is being configured, else the VM's: ABI 0.1.0 only.
pub(super) fn get_configuration(cx: &mut Cx<'_>, bytes_at: u32, size_at: u32) -> Result<(), Status> {
    let state = cx.data_mut();
    let configured =
        state.root().filter(|root| root.configuring).map(|root| root.plugin.plugin_config.clone());
    let bytes = configured.unwrap_or_else(|| state.plugin.vm_config.clone());
    memory::give(cx, &bytes, bytes_at, size_at)
}
