//! Properties, and the filter state that filters leave for the access log.

use crate::header_map::HeaderMap;
use crate::memory;
use crate::property::{self, Property};
use crate::state::{Cx, VmState};
use crate::status::Status;

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
    if let Some(stream) = stream {
        let own = stream.properties.at(path).cloned();
        let derived = || match *top {
            "response" if *rest == ["code_details"] => stream.details.clone().map(Property::from),
            "request" if stream.request.readable.headers || stream.logging => {
                request(stream.request.headers.as_ref()?, rest)
            }
            "response" if stream.response.readable.headers || stream.logging => {
                response(stream.response.headers.as_ref()?, rest)
            }
            "filter_state" => Some(stream.filter_state.get(*rest.first()?)?.clone().into()),
            _ => None,
        };
        if let Some(found) = own.or_else(derived) {
            return Some(found);
        }
    }
    let given = state.world().properties.at(path).cloned();
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

/// `request.…`, as far as the headers tell.
fn request(headers: &HeaderMap, path: &[&str]) -> Option<Property> {
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
        ["headers", name] => header(name),
        _ => None,
    }
}

/// `response.…`, as far as the headers tell.
fn response(headers: &HeaderMap, path: &[&str]) -> Option<Property> {
    match path {
        ["code"] => Some(Property::Int(headers.get(":status")?.parse().ok()?)),
        ["headers", name] => headers.get(name).map(Property::from),
        _ => None,
    }
}
