//! The filter's linear memory, seen from host calls.

use crate::callback::{self, Outcome};
use crate::error::{Cause, Stop};
use crate::fault::{self, Effect};
use crate::state::Cx;
use crate::status::Status;
use crate::vm;

/// Copies bytes out of the VM.
pub(crate) fn read(cx: &Cx<'_>, address: u32, size: u32) -> Result<Vec<u8>, Status> {
    let memory = cx.data().memory.ok_or(Status::InvalidMemoryAccess)?;
    let start = address as usize;
    let range = start..start.checked_add(size as usize).ok_or(Status::InvalidMemoryAccess)?;
    memory.data(cx).get(range).map(<[u8]>::to_vec).ok_or(Status::InvalidMemoryAccess)
}

/// Like [`read`], with what is not UTF-8 replaced.
pub(crate) fn read_text(cx: &Cx<'_>, address: u32, size: u32) -> Result<String, Status> {
    read(cx, address, size).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Copies bytes into the VM.
pub(crate) fn write(cx: &mut Cx<'_>, address: u32, bytes: &[u8]) -> Result<(), Status> {
    let memory = cx.data().memory.ok_or(Status::InvalidMemoryAccess)?;
    memory.write(cx, address as usize, bytes).map_err(|_| Status::InvalidMemoryAccess)
}

pub(crate) fn write_u32(cx: &mut Cx<'_>, address: u32, value: u32) -> Result<(), Status> {
    write(cx, address, &value.to_le_bytes())
}

pub(crate) fn write_u64(cx: &mut Cx<'_>, address: u32, value: u64) -> Result<(), Status> {
    write(cx, address, &value.to_le_bytes())
}

/// Hands a buffer to the filter: allocated by the filter, its address and size written where it asked.
///
/// An empty buffer is a null pointer, without an allocation.
pub(crate) fn give(cx: &mut Cx<'_>, bytes: &[u8], address_at: u32, size_at: u32) -> Result<(), Status> {
    let address = place(cx, bytes)?;
    write_u32(cx, address_at, address)?;
    let size = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
    write_u32(cx, size_at, size)
}

/// Puts bytes where the filter's allocator has room for them; nothing needs none.
pub(crate) fn place(cx: &mut Cx<'_>, bytes: &[u8]) -> Result<u32, Status> {
    let size = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
    let address = if bytes.is_empty() { 0 } else { allocate(cx, size)? };
    write(cx, address, bytes)?;
    Ok(address)
}

/// Asks the filter's allocator, which in the meantime may do next to nothing with the host.
fn allocate(cx: &mut Cx<'_>, size: u32) -> Result<u32, Status> {
    let malloc = [callback::MALLOC, callback::MEMORY_ALLOCATE];
    let malloc = malloc.into_iter().find(|name| cx.data().exports.contains_key(name.name));
    match cx.data_mut().strike(fault::MALLOC) {
        Some(Effect::Answer(_)) => return Err(Status::InvalidMemoryAccess),
        Some(Effect::Trap) => {
            vm::kill(cx.data_mut(), fault::MALLOC, Cause::Fault, &Stop::Fault.to_string());
            return Err(Status::InvalidMemoryAccess);
        }
        None => {}
    }
    let restricted = cx.data_mut().restricted.replace(ALLOWED_IN_MALLOC);
    let outcome = vm::call(cx, malloc.unwrap_or(callback::MALLOC), 0, &[size]);
    cx.data_mut().restricted = restricted;
    match outcome {
        Outcome::Returned(address) if address != 0 => Ok(address),
        _ => Err(Status::InvalidMemoryAccess),
    }
}

const ALLOWED_IN_MALLOC: &[&str] = &["proxy_log", "fd_write", "clock_time_get", "poll_oneoff"];
