//! Data that the VMs share.

use crate::memory;
use crate::state::Cx;
use crate::status::Status;

use super::quote;

pub(super) fn get(
    cx: &mut Cx<'_>,
    key: u32,
    key_size: u32,
    value_at: u32,
    size_at: u32,
    cas_at: u32,
) -> Result<(), Status> {
    let key = memory::read(cx, key, key_size)?;
    cx.data_mut().note(quote(&key));
    let state = cx.data();
    let (value, cas) = state.world().shared_data.get(&state.vm_key.vm_id, &key)?;
    memory::give(cx, &value, value_at, size_at)?;
    memory::write_u32(cx, cas_at, cas)
}

pub(super) fn set(
    cx: &mut Cx<'_>,
    key: u32,
    key_size: u32,
    value: u32,
    value_size: u32,
    cas: u32,
) -> Result<(), Status> {
    let key = memory::read(cx, key, key_size)?;
    let value = memory::read(cx, value, value_size)?;
    cx.data_mut().note(format_args!("{}, {}, cas {cas}", quote(&key), quote(&value)));
    let state = cx.data();
    state.world().shared_data.set(&state.vm_key.vm_id, &key, &value, cas)
}
