//! Call-outs. They belong to the root context, whichever context makes them.

use std::time::Duration;

use crate::callout::{self, http, stream, unary};
use crate::header_map::{HeaderMap, Of};
use crate::memory;
use crate::pairs;
use crate::state::Cx;
use crate::status::Status;

use super::quote;

pub(super) fn http_call(
    cx: &mut Cx<'_>,
    cluster: u32,
    cluster_size: u32,
    pairs: u32,
    pairs_size: u32,
    body: u32,
    body_size: u32,
    trailers: u32,
    trailers_size: u32,
    timeout: u32,
    token_at: u32,
) -> Result<(), Status> {
    let cluster = memory::read_text(cx, cluster, cluster_size)?;
    let body = memory::read(cx, body, body_size)?;
    let headers = header_map(Of::Request, &memory::read(cx, pairs, pairs_size)?);
    let trailers = header_map(Of::Trailers, &memory::read(cx, trailers, trailers_size)?);
    let shown = |name: &str| headers.get(name).unwrap_or("").to_owned();
    let request = quote(format!("{} {}", shown(":method"), shown(":path")).as_bytes());
    cx.data_mut().note(format_args!("{}, {request}, {timeout} ms", quote(cluster.as_bytes())));
    memory::write_u32(cx, token_at, 0)?;
    // Envoy takes the number for a signed one.
    if i32::try_from(timeout).is_err() {
        return Err(Status::BadArgument);
    }
    let timeout = duration(timeout);
    let token =
        http::open(cx, http::Call { cluster, headers, body, trailers, timeout, ..http::Call::default() })?;
    memory::write_u32(cx, token_at, token)
}

pub(super) fn grpc_call(
    cx: &mut Cx<'_>,
    target: u32,
    target_size: u32,
    service: u32,
    service_size: u32,
    method: u32,
    method_size: u32,
    pairs: u32,
    pairs_size: u32,
    message: u32,
    message_size: u32,
    timeout: u32,
    token_at: u32,
) -> Result<(), Status> {
    let target = memory::read(cx, target, target_size)?;
    let service = memory::read_text(cx, service, service_size)?;
    let method = memory::read_text(cx, method, method_size)?;
    let metadata = header_map(Of::Trailers, &memory::read(cx, pairs, pairs_size)?);
    let message = memory::read(cx, message, message_size)?;
    cx.data_mut().note(format_args!("{}, {service}/{method}, {timeout} ms", quote(&target)));
    let timeout = duration(timeout);
    let call = unary::Call { service, method, metadata, message, timeout, ..unary::Call::default() };
    let token = unary::open(cx, &target, call)?;
    memory::write_u32(cx, token_at, token)
}

pub(super) fn grpc_stream(
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
    let metadata = header_map(Of::Trailers, &memory::read(cx, pairs, pairs_size)?);
    let arguments = format!("{}, {service}/{method}", quote(&target));
    let stream = stream::Stream { service, method, metadata, ..stream::Stream::default() };
    let result = stream::open(cx, &target, stream);
    // Opening may have called the filter, which may have called the host.
    cx.data_mut().note.clear();
    cx.data_mut().note(arguments);
    memory::write_u32(cx, token_at, result?)
}

pub(super) fn grpc_send(
    cx: &mut Cx<'_>,
    token: u32,
    message: u32,
    message_size: u32,
    end: u32,
) -> Result<(), Status> {
    let message = memory::read(cx, message, message_size)?;
    cx.data_mut().note(format_args!("{token}, {} bytes", message.len()));
    stream::send(cx, token, message, end != 0)
}

pub(super) fn grpc_close(cx: &mut Cx<'_>, token: u32) -> Result<(), Status> {
    cx.data_mut().note(token);
    callout::close(cx, token)
}

pub(super) fn grpc_cancel(cx: &mut Cx<'_>, token: u32) -> Result<(), Status> {
    cx.data_mut().note(token);
    callout::cancel(cx, token)
}

fn header_map(of: Of, pairs: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs::decode(pairs) {
        // Envoy knows the old name of this one.
        let is_host = of == Of::Request && name.eq_ignore_ascii_case(b"host");
        map.merge(of, if is_host { b":authority".to_vec() } else { name }, value);
    }
    map
}

/// Zero milliseconds are no limit.
fn duration(milliseconds: u32) -> Option<Duration> {
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds.into()))
}
