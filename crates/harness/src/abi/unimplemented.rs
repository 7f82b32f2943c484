//! What links but does nothing yet. The trace says so.

use crate::memory;
use crate::state::Cx;
use crate::status::Status;
use crate::trace::What;

macro_rules! not_yet {
    ($($name:ident($($argument:ident),*);)*) => {
        $(pub(super) fn $name(cx: &mut Cx<'_>, $($argument: u32),*) -> Result<(), Status> {
            $(let _ = $argument;)*
            let text = concat!("the harness does not emulate proxy_", stringify!($name), " yet");
            cx.data().trace(What::Note(text.to_owned()));
            Err(Status::Unimplemented)
        })*
    };
}

not_yet! {
    register_shared_queue(name, name_size, token_at);
    resolve_shared_queue(vm_id, vm_id_size, name, name_size, token_at);
    dequeue_shared_queue(token, data_at, size_at);
    enqueue_shared_queue(token, data, data_size);
}

/// Envoy's answer for a function that nobody has registered.
pub(super) fn call_foreign_function(
    cx: &mut Cx<'_>,
    name: u32,
    name_size: u32,
    input: u32,
    input_size: u32,
    _output_at: u32,
    _size_at: u32,
) -> Result<(), Status> {
    let name = memory::read_text(cx, name, name_size)?;
    memory::read(cx, input, input_size)?;
    cx.data_mut().note(name);
    Err(Status::NotFound)
}
