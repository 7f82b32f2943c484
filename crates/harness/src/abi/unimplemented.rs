//! What links but does nothing yet. The trace says so.

use crate::state::Cx;
use crate::status::Status;
use crate::trace::What;

macro_rules! not_yet {
    ($($name:ident($($argument:ident),*);)*) => {
        $(pub(super) fn $name(cx: &mut Cx<'_>, $($argument: u32),*) -> Result<(), Status> {
            $(let _ = $argument;)*
            let text = concat!("the harness does not emulate ", stringify!($name), " yet");
            cx.data().trace(What::Note(text.to_owned()));
            Err(Status::Unimplemented)
        })*
    };
}

not_yet! {
    resolve_dns(address, address_size, token_at);
}
