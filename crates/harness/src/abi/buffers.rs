//! Bodies, messages and configurations.

use crate::memory;
use crate::state::{Cx, VmState};
use crate::status::Status;
use crate::violation::Rule;

const REQUEST_BODY: u32 = 0;
const RESPONSE_BODY: u32 = 1;
const DOWNSTREAM_DATA: u32 = 2;
const UPSTREAM_DATA: u32 = 3;
const HTTP_CALL_RESPONSE_BODY: u32 = 4;
const GRPC_MESSAGE: u32 = 5;
const VM_CONFIGURATION: u32 = 6;
const PLUGIN_CONFIGURATION: u32 = 7;
const CALL_DATA: u32 = 8;

pub(super) fn get(
    cx: &mut Cx<'_>,
    buffer: u32,
    start: u32,
    length: u32,
    bytes_at: u32,
    size_at: u32,
) -> Result<(), Status> {
    cx.data_mut().note(format_args!("{}, {start}, {length}", name(buffer)));
    let bytes = contents(cx.data_mut(), buffer)?;
    let end = start.checked_add(length).ok_or(Status::BadArgument)? as usize;
    let shown = bytes.get(start as usize..end.min(bytes.len())).unwrap_or_default();
    memory::give(cx, shown, bytes_at, size_at)
}

pub(super) fn status(cx: &mut Cx<'_>, buffer: u32, size_at: u32, flags_at: u32) -> Result<(), Status> {
    cx.data_mut().note(name(buffer));
    let bytes = contents(cx.data_mut(), buffer)?;
    memory::write_u32(cx, size_at, u32::try_from(bytes.len()).unwrap_or(u32::MAX))?;
    memory::write_u32(cx, flags_at, 0)
}

/// Bodies can have something put behind them, or instead of their beginning.
pub(super) fn set(
    cx: &mut Cx<'_>,
    buffer: u32,
    start: u32,
    length: u32,
    bytes: u32,
    bytes_size: u32,
) -> Result<(), Status> {
    cx.data_mut().note(format_args!("{}, {start}, {length}, {bytes_size} bytes", name(buffer)));
    contents(cx.data_mut(), buffer)?;
    let mut new = memory::read(cx, bytes, bytes_size)?;
    let body = body(cx.data_mut(), buffer).ok_or(Status::BadArgument)?;
    if start == 0 {
        let replaced = body.len().min(length as usize);
        body.splice(..replaced, new);
    } else if start as usize >= body.len() {
        body.append(&mut new);
    } else {
        return Err(Status::BadArgument);
    }
    Ok(())
}

/// A body that is not there now is an empty buffer, not an error.
fn contents(state: &mut VmState, buffer: u32) -> Result<Vec<u8>, Status> {
    Ok(match buffer {
        REQUEST_BODY | RESPONSE_BODY | DOWNSTREAM_DATA | UPSTREAM_DATA => {
            body(state, buffer).cloned().unwrap_or_default()
        }
        CALL_DATA => state.call_data.clone(),
        GRPC_MESSAGE => state.callouts.readable.message.clone().unwrap_or_default(),
        VM_CONFIGURATION => state.plugin.vm_config.clone(),
        PLUGIN_CONFIGURATION => {
            let root = state.root().filter(|root| root.configuring).ok_or(Status::NotFound)?;
            root.plugin.plugin_config.clone()
        }
        HTTP_CALL_RESPONSE_BODY => {
            let response = state.callouts.readable.response.as_ref();
            response.map(|response| response.body.clone()).ok_or(Status::NotFound)?
        }
        _ => return Err(Status::BadArgument),
    })
}

fn body(state: &mut VmState, buffer: u32) -> Option<&mut Vec<u8>> {
    if let DOWNSTREAM_DATA | UPSTREAM_DATA = buffer {
        let network = state.stream()?.network.as_mut()?;
        let flow = if buffer == DOWNSTREAM_DATA { &mut network.downstream } else { &mut network.upstream };
        return flow.is_readable.then_some(&mut flow.held);
    }
    let id = state.context();
    let is_outside = state.frames.last().is_some_and(|frame| frame.context != id);
    let stream = state.stream()?;
    let lost = match buffer {
        REQUEST_BODY => stream.request.body_is_lost,
        _ => stream.response.body_is_lost,
    };
    if lost && is_outside {
        state.violate(Rule::UsedLostBody { stream: id });
    }
    let stream = state.stream()?;
    let path = match buffer {
        REQUEST_BODY => &mut stream.request,
        RESPONSE_BODY => &mut stream.response,
        _ => return None,
    };
    path.readable.body.then(|| path.visible_body())
}

fn name(buffer: u32) -> &'static str {
    match buffer {
        REQUEST_BODY => "request body",
        RESPONSE_BODY => "response body",
        DOWNSTREAM_DATA => "downstream data",
        UPSTREAM_DATA => "upstream data",
        HTTP_CALL_RESPONSE_BODY => "call response body",
        GRPC_MESSAGE => "gRPC message",
        VM_CONFIGURATION => "VM configuration",
        PLUGIN_CONFIGURATION => "plugin configuration",
        CALL_DATA => "call data",
        _ => "unknown buffer",
    }
}
