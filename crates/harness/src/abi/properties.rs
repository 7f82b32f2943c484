//! Properties, and the filter state that filters leave for the access log.

use crate::header_map::HeaderMap;
use crate::memory;
use crate::property::{self, Property};
use crate::reply::grpc_status;
use crate::state::{Cx, VmState};
use crate::status::Status;
use crate::stream::{Ending, Stream};

use super::quote;

/// What filters set is kept under this prefix.
const FILTER_STATE_PREFIX: &str = "wasm.";

pub(super) fn get(
    cx: &mut Cx<'_>,
    path: u32,
    path_size: u32,
    value_at: u32,
    size_at: u32,
) -> Result<(), Status> {
    let path = memory::read_text(cx, path, path_size)?;
    // A trailing separator adds no part.
    let parts: Vec<&str> = path.strip_suffix('\0').unwrap_or(&path).split('\0').collect();
    cx.data_mut().note(parts.join("."));
    let value =
        if path.is_empty() { Property::Null } else { find(cx.data_mut(), &parts).ok_or(Status::NotFound)? };
    let bytes = value.serialize()?;
    memory::give(cx, &bytes, value_at, size_at)
}

pub(super) fn set(
    cx: &mut Cx<'_>,
    path: u32,
    path_size: u32,
    value: u32,
    value_size: u32,
) -> Result<(), Status> {
    let path = memory::read_text(cx, path, path_size)?;
    let value = memory::read(cx, value, value_size)?;
    cx.data_mut().note(format_args!("{path:?}, {}", quote(&value)));
    let state = cx.data_mut();
    let is_read_only = state.declared.get(&(state.root_of(state.context()), path.clone())).copied();
    let stream = state.stream().ok_or(Status::NotFound)?;
    let key = format!("{FILTER_STATE_PREFIX}{path}");
    if is_read_only == Some(true) && stream.filter_state.contains_key(&key) {
        return Err(Status::BadArgument);
    }
    stream.filter_state.insert(key, value);
    Ok(())
}

fn find(state: &mut VmState, path: &[&str]) -> Option<Property> {
    let (top, rest) = path.split_first()?;
    let plugin = state.root().map(|root| root.plugin.clone());
    let given = state.world().properties.at(path).cloned();
    let stream = state.stream();
    if !property::is_known(top) {
        let set = stream
            .and_then(|stream| stream.filter_state.get(&format!("{FILTER_STATE_PREFIX}{top}")).cloned());
        if property::has_moved(top) {
            state.note(format_args!("Envoy 1.40 has no {top}, but xds.{top}"));
        }
        return set.filter(|_| rest.is_empty()).map(Property::from);
    }
    if property::needs_stream(top) && stream.is_none() {
        return None;
    }
    // They are there, but have no form of their own.
    if rest.is_empty() && property::is_opaque(top) {
        return Some(Property::Null);
    }
    if let Some(stream) = stream {
        let own = stream.properties.at(path).cloned();
        let derived = || match *top {
            "request" => request(stream, rest),
            "response" => response(stream, rest),
            "connection" => connection(rest),
            // No metadata at all has an empty serialized form.
            "metadata" if rest.is_empty() => Some(Property::Bytes(Vec::new())),
            "metadata" if *rest == ["filter_metadata"] => Some(Property::default()),
            "filter_state" => Some(stream.filter_state.get(*rest.first()?)?.clone().into()),
            _ => None,
        };
        if let Some(found) = own.or_else(|| given.clone()).or_else(derived) {
            return Some(found);
        }
    }
    let of_plugin = || {
        let plugin = plugin?;
        match (*top, rest) {
            ("plugin_name", []) => Some(plugin.name.clone().into()),
            ("plugin_root_id", []) => Some(plugin.root_id.clone().into()),
            ("plugin_vm_id", []) => Some(plugin.vm_id.clone().into()),
            _ => None,
        }
    };
    given.or_else(of_plugin)
}

/// `request.…`: what the headers tell is gone with them, the rest stays.
fn request(stream: &Stream, path: &[&str]) -> Option<Property> {
    let path_of_stream = &stream.request;
    let is_readable = path_of_stream.readable.headers || stream.logging;
    let headers = path_of_stream.headers.as_ref().filter(|_| is_readable);
    let received = path_of_stream.received;
    match path {
        ["protocol"] => return Some(stream.protocol.into()),
        ["size"] => {
            let announced = headers.and_then(|headers| headers.get("content-length"));
            return announced.map_or(Some(size(received)), |length| length.parse().ok().map(Property::Int));
        }
        ["total_size"] => return Some(size(received + headers.map_or(0, HeaderMap::byte_size))),
        _ => {}
    }
    let headers = headers?;
    let header = |name: &str| headers.get(name).map(Property::from);
    let url = headers.get(":path").unwrap_or_default();
    match path {
        ["path"] => header(":path"),
        ["url_path"] => Some(url.split('?').next().unwrap_or_default().into()),
        ["query"] => Some(url.split_once('?').map_or("", |(_, query)| query).into()),
        ["host"] => header(":authority"),
        ["scheme"] => header(":scheme"),
        ["method"] => header(":method"),
        ["referer"] => header("referer"),
        ["useragent"] => header("user-agent"),
        ["id"] => header("x-request-id"),
        ["headers"] => {
            Some(Property::Map(headers.iter().map(|(name, value)| (name, value.into())).collect()))
        }
        ["headers", name] => headers.joined(name).map(Property::from),
        _ => None,
    }
}

/// Envoy's response flag of a client that has gone away.
const DISCONNECTED: i64 = 0x4000;

/// `response.…`: the status stays once it has come.
fn response(stream: &Stream, path: &[&str]) -> Option<Property> {
    let path_of_stream = &stream.response;
    let headers =
        path_of_stream.headers.as_ref().filter(|_| path_of_stream.readable.headers || stream.logging);
    let trailers = path_of_stream.trailers.as_ref();
    let trailers = trailers.filter(|_| path_of_stream.readable.trailers || stream.logging);
    let sent = path_of_stream.body.len();
    match path {
        ["code"] => Some(Property::Int(path_of_stream.code?.into())),
        ["code_details"] => stream.details.clone().map(Property::from),
        ["size"] => Some(size(sent)),
        ["total_size"] => Some(size(
            sent + [headers, trailers].into_iter().flatten().map(HeaderMap::byte_size).sum::<usize>(),
        )),
        ["flags"] => {
            Some(Property::Int(if stream.end == Some(Ending::Disconnected) { DISCONNECTED } else { 0 }))
        }
        ["grpc_status"] => {
            let told = [trailers, headers].into_iter().flatten().find_map(|map| map.get("grpc-status"));
            let told = told.and_then(|status| status.parse().ok());
            told.or_else(|| Some(grpc_status(path_of_stream.code?).into())).map(Property::Int)
        }
        ["headers", name] => headers?.joined(name).map(Property::from),
        ["trailers", name] => trailers?.joined(name).map(Property::from),
        _ => None,
    }
}

/// `connection.…` of a connection without TLS.
fn connection(path: &[&str]) -> Option<Property> {
    match path {
        ["mtls"] => Some(Property::Bool(false)),
        ["requested_server_name"] => Some("".into()),
        _ => None,
    }
}

fn size(bytes: usize) -> Property {
    Property::Int(i64::try_from(bytes).unwrap_or(i64::MAX))
}
