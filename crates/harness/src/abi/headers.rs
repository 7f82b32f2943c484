//! Header, trailer and metadata maps.

use crate::header_map::{HeaderMap, Of};
use crate::memory;
use crate::pairs;
use crate::state::{Cx, VmState};
use crate::status::Status;

use super::quote;

const REQUEST_HEADERS: u32 = 0;
const REQUEST_TRAILERS: u32 = 1;
const RESPONSE_HEADERS: u32 = 2;
const RESPONSE_TRAILERS: u32 = 3;
const GRPC_INITIAL_METADATA: u32 = 4;
const GRPC_TRAILING_METADATA: u32 = 5;
const CALL_RESPONSE_HEADERS: u32 = 6;
const CALL_RESPONSE_TRAILERS: u32 = 7;
const MAX: u32 = CALL_RESPONSE_TRAILERS;

/// The first value of a name, whatever follows it.
pub(super) fn get(
    cx: &mut Cx<'_>,
    map: u32,
    key: u32,
    key_size: u32,
    value_at: u32,
    size_at: u32,
) -> Result<(), Status> {
    let key = self::key(cx, map, key, key_size)?;
    // While logging, a map may be missing without anybody's fault.
    let is_logging = cx.data_mut().stream().is_some_and(|stream| stream.logging);
    let missing = if is_logging { Status::NotFound } else { Status::BadArgument };
    let found = readable(cx.data_mut(), map).ok_or(missing)?;
    let value = found.get_bytes(&key).ok_or(Status::NotFound)?.to_vec();
    memory::give(cx, &value, value_at, size_at)
}

pub(super) fn add(
    cx: &mut Cx<'_>,
    map: u32,
    key: u32,
    key_size: u32,
    value: u32,
    value_size: u32,
) -> Result<(), Status> {
    let key = self::key(cx, map, key, key_size)?;
    let value = self::value(cx, value, value_size)?;
    writable(cx.data_mut(), map)?.merge(of(map), key, value);
    Ok(())
}

pub(super) fn replace(
    cx: &mut Cx<'_>,
    map: u32,
    key: u32,
    key_size: u32,
    value: u32,
    value_size: u32,
) -> Result<(), Status> {
    let key = self::key(cx, map, key, key_size)?;
    let value = self::value(cx, value, value_size)?;
    writable(cx.data_mut(), map)?.set(key, value);
    Ok(())
}

pub(super) fn remove(cx: &mut Cx<'_>, map: u32, key: u32, key_size: u32) -> Result<(), Status> {
    let key = self::key(cx, map, key, key_size)?;
    writable(cx.data_mut(), map)?.remove(key);
    Ok(())
}

/// All pairs. A map that is not there is an empty one, where the other calls fail.
pub(super) fn get_pairs(cx: &mut Cx<'_>, map: u32, pairs_at: u32, size_at: u32) -> Result<(), Status> {
    known(cx, map)?;
    let found = readable(cx.data_mut(), map).filter(|found| !found.is_empty());
    let bytes = found.map(|found| found.encode()).unwrap_or_default();
    memory::give(cx, &bytes, pairs_at, size_at)
}

pub(super) fn set_pairs(cx: &mut Cx<'_>, map: u32, pairs: u32, pairs_size: u32) -> Result<(), Status> {
    known(cx, map)?;
    let bytes = memory::read(cx, pairs, pairs_size)?;
    let found = writable(cx.data_mut(), map)?;
    *found = HeaderMap::new();
    for (name, value) in pairs::decode(&bytes) {
        found.merge(of(map), name, value);
    }
    Ok(())
}

pub(super) fn byte_size(cx: &mut Cx<'_>, map: u32, size_at: u32) -> Result<(), Status> {
    known(cx, map)?;
    let size = writable(cx.data_mut(), map)?.byte_size();
    memory::write_u32(cx, size_at, u32::try_from(size).unwrap_or(u32::MAX))
}

fn known(cx: &mut Cx<'_>, map: u32) -> Result<(), Status> {
    cx.data_mut().note(name(map));
    if map > MAX { Err(Status::BadArgument) } else { Ok(()) }
}

fn key(cx: &mut Cx<'_>, map: u32, key: u32, key_size: u32) -> Result<Vec<u8>, Status> {
    known(cx, map)?;
    let key = memory::read(cx, key, key_size)?;
    cx.data_mut().note(quote(&key));
    Ok(key)
}

fn value(cx: &mut Cx<'_>, value: u32, value_size: u32) -> Result<Vec<u8>, Status> {
    let value = memory::read(cx, value, value_size)?;
    cx.data_mut().note(quote(&value));
    Ok(value)
}

/// The map, if the phase lets the filter read it. Logging may read what is closed otherwise.
fn readable(state: &mut VmState, map: u32) -> Option<&mut HeaderMap> {
    if map >= GRPC_INITIAL_METADATA {
        let answer = &mut state.callouts.readable;
        return match map {
            GRPC_INITIAL_METADATA => answer.initial_metadata.as_mut(),
            GRPC_TRAILING_METADATA => answer.trailing_metadata.as_mut(),
            CALL_RESPONSE_HEADERS => answer.response.as_mut().map(|response| &mut response.headers),
            CALL_RESPONSE_TRAILERS => answer.response.as_mut()?.trailers.as_mut(),
            _ => None,
        };
    }
    let stream = state.stream()?;
    let logging = stream.logging;
    let (request, response) = (&mut stream.request, &mut stream.response);
    match map {
        REQUEST_HEADERS => request.headers.as_mut().filter(|_| request.readable.headers || logging),
        REQUEST_TRAILERS => request.trailers.as_mut().filter(|_| request.readable.trailers),
        RESPONSE_HEADERS => response.headers.as_mut().filter(|_| response.readable.headers || logging),
        RESPONSE_TRAILERS => response.trailers.as_mut().filter(|_| response.readable.trailers || logging),
        _ => None,
    }
}

/// The map, if the phase lets the filter change it.
fn writable(state: &mut VmState, map: u32) -> Result<&mut HeaderMap, Status> {
    if state.stream().is_some_and(|stream| stream.logging) {
        return Err(Status::BadArgument);
    }
    let is_answer = map >= GRPC_INITIAL_METADATA;
    readable(state, map).filter(|_| !is_answer).ok_or(Status::BadArgument)
}

const fn of(map: u32) -> Of {
    match map {
        REQUEST_HEADERS => Of::Request,
        RESPONSE_HEADERS => Of::Response,
        _ => Of::Trailers,
    }
}

fn name(map: u32) -> &'static str {
    match map {
        REQUEST_HEADERS => "request headers",
        REQUEST_TRAILERS => "request trailers",
        RESPONSE_HEADERS => "response headers",
        RESPONSE_TRAILERS => "response trailers",
        GRPC_INITIAL_METADATA => "gRPC initial metadata",
        GRPC_TRAILING_METADATA => "gRPC trailing metadata",
        CALL_RESPONSE_HEADERS => "call response headers",
        CALL_RESPONSE_TRAILERS => "call response trailers",
        _ => "unknown map",
    }
}
