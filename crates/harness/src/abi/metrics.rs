//! Metrics.

use crate::memory;
use crate::state::Cx;
use crate::status::Status;

pub(super) fn define(
    cx: &mut Cx<'_>,
    kind: u32,
    name: u32,
    name_size: u32,
    id_at: u32,
) -> Result<(), Status> {
    let name = memory::read_text(cx, name, name_size)?;
    let state = cx.data_mut();
    state.note(format_args!("{kind}, {name:?}"));
    let world = state.world.clone();
    let id = state.metrics.define(&mut world.borrow_mut().metrics, kind, &name)?;
    memory::write_u32(cx, id_at, id)
}

pub(super) fn increment(cx: &mut Cx<'_>, id: u32, offset: i64) -> Result<(), Status> {
    note(cx, id, offset);
    let state = cx.data();
    state.metrics.increment(&mut state.world().metrics, id, offset)
}

pub(super) fn record(cx: &mut Cx<'_>, id: u32, value: u64) -> Result<(), Status> {
    note(cx, id, value);
    let state = cx.data();
    state.metrics.record(&mut state.world().metrics, id, value)
}

pub(super) fn get(cx: &mut Cx<'_>, id: u32, value_at: u32) -> Result<(), Status> {
    let state = cx.data();
    let value = state.metrics.get(&mut state.world().metrics, id)?;
    memory::write_u64(cx, value_at, value)
}

fn note(cx: &mut Cx<'_>, id: u32, value: impl std::fmt::Display) {
    let state = cx.data_mut();
    let name = state.metrics.name(id).unwrap_or("undefined").to_owned();
    state.note(format_args!("{name}, {value}"));
}
