//! gRPC streams. They belong to the root context, whichever context opens them.

use crate::grpc;
use crate::header_map::HeaderMap;
use crate::memory;
use crate::pairs;
use crate::state::Cx;
use crate::status::Status;

use super::quote;

pub(super) fn stream(
    cx: &mut Cx<'_>,
    target: u32,
    target_size: u32,
    service: u32,
    service_size: u32,
    method: u32,
    method_size: u32,
    pairs: u32,
    pairs_size: u32,
    token_at: u32,
) -> Result<(), Status> {
    let target = memory::read(cx, target, target_size)?;
    let service = memory::read_text(cx, service, service_size)?;
    let method = memory::read_text(cx, method, method_size)?;
    let metadata: HeaderMap = pairs::decode(&memory::read(cx, pairs, pairs_size)?).into_iter().collect();
    let arguments = format!("{}, {service}/{method}", quote(&target));
    let result = grpc::open(cx, &target, service, method, &metadata);
    // Opening may have called the filter, which may have called the host.
    cx.data_mut().note.clear();
    cx.data_mut().note(arguments);
    memory::write_u32(cx, token_at, result?)
}

pub(super) fn send(
    cx: &mut Cx<'_>,
    token: u32,
    message: u32,
    message_size: u32,
    end: u32,
) -> Result<(), Status> {
    let message = memory::read(cx, message, message_size)?;
    cx.data_mut().note(format_args!("{token}, {} bytes", message.len()));
    grpc::send(cx, token, message, end != 0)
}

pub(super) fn close(cx: &mut Cx<'_>, token: u32) -> Result<(), Status> {
    cx.data_mut().note(token);
    grpc::close(cx, token)
}

pub(super) fn cancel(cx: &mut Cx<'_>, token: u32) -> Result<(), Status> {
    cx.data_mut().note(token);
    grpc::cancel(cx, token)
}
