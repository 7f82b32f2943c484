//! Functions by name.

use crate::foreign;
use crate::memory;
use crate::state::Cx;
use crate::status::Status;
use crate::violation::Rule;

pub(super) fn call(
    cx: &mut Cx<'_>,
    name: u32,
    name_size: u32,
    arguments: u32,
    arguments_size: u32,
    output_at: u32,
    size_at: u32,
) -> Result<(), Status> {
    let name = memory::read_text(cx, name, name_size)?;
    let arguments = memory::read(cx, arguments, arguments_size)?;
    cx.data_mut().note(&name);
    // A filter that does not want the output passes null for where it goes. A failure has an empty one.
    let result = foreign::call(cx, &name, &arguments);
    let output = result.as_ref().ok().cloned().flatten().unwrap_or_default();
    let size = u32::try_from(output.len()).map_err(|_| Status::InvalidMemoryAccess)?;
    if output_at != 0 {
        let placed = memory::place(cx, &output);
        if placed.is_err() {
            // Envoy writes without looking where.
            cx.data().violate(Rule::NoRoomForResult { function: name });
        }
        memory::write_u32(cx, output_at, placed?)?;
    }
    if size_at != 0 {
        memory::write_u32(cx, size_at, size)?;
    }
    result.map(drop)
}
