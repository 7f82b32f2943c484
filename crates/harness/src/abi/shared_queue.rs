//! Queues that the VMs share.

use crate::memory;
use crate::shared_queue::Listener;
use crate::state::Cx;
use crate::status::Status;

use super::quote;

pub(super) fn register(cx: &mut Cx<'_>, name: u32, name_size: u32, token_at: u32) -> Result<(), Status> {
    let name = memory::read(cx, name, name_size)?;
    let state = cx.data_mut();
    state.note(quote(&name));
    let listener = Listener {
        thread: state.thread.event_loop(),
        vm_key: state.vm_key.clone(),
        // Streams register for their root context, which is the one to be told.
        context: state.root_of(state.context()),
    };
    let token = state.world().queues.register(&state.vm_key.vm_id, &name, listener);
    memory::write_u32(cx, token_at, token)
}

/// An empty VM id stands for the own one.
pub(super) fn resolve(
    cx: &mut Cx<'_>,
    vm_id: u32,
    vm_id_size: u32,
    name: u32,
    name_size: u32,
    token_at: u32,
) -> Result<(), Status> {
    let vm_id = memory::read_text(cx, vm_id, vm_id_size)?;
    let name = memory::read(cx, name, name_size)?;
    let state = cx.data_mut();
    state.note(format_args!("{vm_id:?}, {}", quote(&name)));
    let vm_id = if vm_id.is_empty() { &state.vm_key.vm_id } else { &vm_id };
    let token = state.world().queues.resolve(vm_id, &name).ok_or(Status::NotFound)?;
    memory::write_u32(cx, token_at, token)
}

pub(super) fn dequeue(cx: &mut Cx<'_>, token: u32, data_at: u32, size_at: u32) -> Result<(), Status> {
    cx.data_mut().note(token);
    // Taken even if the filter then has no memory for it, as in Envoy.
    let item = cx.data().world().queues.dequeue(token)?;
    memory::give(cx, &item, data_at, size_at)
}

pub(super) fn enqueue(cx: &mut Cx<'_>, token: u32, data: u32, data_size: u32) -> Result<(), Status> {
    let item = memory::read(cx, data, data_size)?;
    let state = cx.data_mut();
    state.note(format_args!("{token}, {}", quote(&item)));
    state.world().queues.enqueue(token, item)
}
