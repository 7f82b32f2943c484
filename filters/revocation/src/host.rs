//! Every call to the host.
//!
//! The SDK's wrappers panic on statuses that ordinary conditions cause (a header map that is gone, a claim
//! that is null), and a panic ends the worker's VM with every request in it. These return the status. Only
//! opening a stream goes through the SDK, whose dispatcher must know the token.

#![expect(unsafe_code, reason = "calls to the host are foreign functions")]

use std::ptr::{null, null_mut};

use percent_encoding::percent_decode;
use portcullis_core::pairs;
use proxy_wasm::hostcalls;
use proxy_wasm::types::LogLevel;

/// A status of the host other than 0; the numbers are the ABI's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Status(u32);

type Result<T> = std::result::Result<T, Status>;

/// `MapType::HttpRequestHeaders` of the ABI.
const REQUEST_HEADERS: u32 = 0;
/// `BufferType::GrpcReceiveBuffer` and `PluginConfiguration` of the ABI.
const GRPC_MESSAGE: u32 = 5;
const PLUGIN_CONFIGURATION: u32 = 7;
/// `StreamType::HttpRequest` of the ABI.
const REQUEST: u32 = 0;

mod abi {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(super) fn proxy_get_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_get_header_map_pairs(map: u32, pairs: *mut *mut u8, size: *mut usize) -> u32;
        pub(super) fn proxy_replace_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
        pub(super) fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            max: usize,
            bytes: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_get_property(
            path: *const u8,
            path_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_set_property(
            path: *const u8,
            path_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_get_shared_data(
            key: *const u8,
            key_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
            cas: *mut u32,
        ) -> u32;
        pub(super) fn proxy_set_shared_data(
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
            cas: u32,
        ) -> u32;
        pub(super) fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_size: usize,
            body: *const u8,
            body_size: usize,
            headers: *const u8,
            headers_size: usize,
            grpc_status: i32,
        ) -> u32;
        pub(super) fn proxy_continue_stream(stream: u32) -> u32;
        pub(super) fn proxy_set_effective_context(context: u32) -> u32;
        pub(super) fn proxy_grpc_send(token: u32, message: *const u8, size: usize, end: u32) -> u32;
        pub(super) fn proxy_grpc_cancel(token: u32) -> u32;
        pub(super) fn proxy_get_status(code: *mut u32, message: *mut *mut u8, size: *mut usize) -> u32;
        pub(super) fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
        pub(super) fn proxy_increment_metric(id: u32, offset: i64) -> u32;
        pub(super) fn proxy_record_metric(id: u32, value: u64) -> u32;
        pub(super) fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        pub(super) fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
        pub(super) fn proxy_get_log_level(level: *mut u32) -> u32;
    }
}

fn check(status: u32) -> Result<()> {
    if status == 0 { Ok(()) } else { Err(Status(status)) }
}

/// Bytes that the host has written into memory that it got from our allocator.
fn received(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Option<Vec<u8>>> {
    let mut bytes = null_mut();
    let mut size = 0;
    check(call(&raw mut bytes, &raw mut size))?;
    if bytes.is_null() {
        return Ok(None);
    }
    // SAFETY: the host has asked `proxy_on_memory_allocate` for `size` bytes, which made a boxed slice of
    // exactly that length, has written all of them, and gives it up with this call.
    Ok(Some(unsafe { Vec::from_raw_parts(bytes, size, size) }))
}

/// The level that Envoy logs at.
pub(crate) fn log_level() -> LogLevel {
    let mut level = 0;
    // SAFETY: the host writes one u32.
    let status = unsafe { abi::proxy_get_log_level(&raw mut level) };
    match (status, level) {
        (0, 0) => LogLevel::Trace,
        (0, 1) => LogLevel::Debug,
        (0, 2) => LogLevel::Info,
        (0, 3) => LogLevel::Warn,
        (0, 4) => LogLevel::Error,
        (0, _) => LogLevel::Critical,
        _ => crate::DEFAULT_LEVEL,
    }
}

/// The first value of a request header.
pub(crate) fn request_header(name: &str) -> Option<Vec<u8>> {
    received(|bytes, size| {
        // SAFETY: `name` outlives the call; the host writes one pointer and one size.
        unsafe { abi::proxy_get_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len(), bytes, size) }
    })
    .ok()
    .flatten()
}

/// All request headers, serialized: count, lengths, names and values (`PairsUtil` in proxy-wasm-cpp-host).
pub(crate) fn request_headers() -> Vec<u8> {
    // SAFETY: the host writes one pointer and one size.
    let pairs =
        received(|bytes, size| unsafe { abi::proxy_get_header_map_pairs(REQUEST_HEADERS, bytes, size) });
    pairs.ok().flatten().unwrap_or_default()
}

/// Gives a request header one value.
pub(crate) fn set_request_header(name: &str, value: &str) -> Result<()> {
    // SAFETY: both texts outlive the call.
    check(unsafe {
        abi::proxy_replace_header_map_value(
            REQUEST_HEADERS,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Takes a request header away.
pub(crate) fn remove_request_header(name: &str) -> Result<()> {
    // SAFETY: `name` outlives the call.
    check(unsafe { abi::proxy_remove_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len()) })
}

/// The plugin configuration.
pub(crate) fn configuration() -> Vec<u8> {
    buffer(PLUGIN_CONFIGURATION, usize::MAX)
}

/// The message that has arrived on the stream.
pub(crate) fn grpc_message(size: usize) -> Vec<u8> {
    buffer(GRPC_MESSAGE, size)
}

fn buffer(buffer: u32, max: usize) -> Vec<u8> {
    // SAFETY: the host writes one pointer and one size.
    let bytes = received(|bytes, size| unsafe { abi::proxy_get_buffer_bytes(buffer, 0, max, bytes, size) });
    bytes.ok().flatten().unwrap_or_default()
}

/// A property by its path; `None` when it is absent or has no bytes (a null claim).
pub(crate) fn property<'a>(path: impl IntoIterator<Item = &'a str>) -> Option<Vec<u8>> {
    let path = path.into_iter().collect::<Vec<_>>().join("\0");
    // SAFETY: `path` outlives the call; the host writes one pointer and one size.
    received(|bytes, size| unsafe { abi::proxy_get_property(path.as_ptr(), path.len(), bytes, size) })
        .ok()
        .flatten()
}

/// Whether there is something at a path, be it of a kind that has no bytes.
pub(crate) fn has_property<'a>(path: impl IntoIterator<Item = &'a str>) -> bool {
    /// `WasmResult::NotFound` of the ABI.
    const NOT_FOUND: u32 = 1;
    let path = path.into_iter().collect::<Vec<_>>().join("\0");
    // SAFETY: `path` outlives the call; the host writes one pointer and one size.
    received(|bytes, size| unsafe { abi::proxy_get_property(path.as_ptr(), path.len(), bytes, size) })
        != Err(Status(NOT_FOUND))
}

/// Sets the filter state `wasm.NAME` of the effective stream.
pub(crate) fn set_filter_state(name: &str, value: &str) -> Result<()> {
    // SAFETY: both texts outlive the call.
    check(unsafe { abi::proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// A value that all VMs with the same `vm_id` share, and the number that a change of it needs; 0 where there is none.
pub(crate) fn shared_data(key: &str) -> (Option<Vec<u8>>, u32) {
    let mut cas = 0;
    let value = received(|bytes, size| {
        // SAFETY: `key` outlives the call; the host writes one pointer, one size and one u32.
        unsafe { abi::proxy_get_shared_data(key.as_ptr(), key.len(), bytes, size, &raw mut cas) }
    });
    (value.ok().flatten(), cas)
}

/// Sets a shared value unless it has changed since it had that number; with 0, whatever it was.
pub(crate) fn set_shared_data(key: &str, value: &[u8], cas: u32) -> Result<()> {
    // SAFETY: both outlive the call.
    check(unsafe { abi::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) })
}

/// A reply in place of the upstream's, to the effective stream; after response headers were sent Envoy
/// resets the stream instead and keeps the details.
pub(crate) fn reply(reply: &portcullis_core::reply::Reply) -> Result<()> {
    let headers: Vec<(&str, &str)> =
        reply.headers.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let headers = pairs::encode(&headers);
    // SAFETY: everything outlives the call.
    check(unsafe {
        abi::proxy_send_local_response(
            u32::from(reply.status),
            reply.details.as_ptr(),
            reply.details.len(),
            if reply.body.is_empty() { null() } else { reply.body.as_ptr() },
            reply.body.len(),
            headers.as_ptr(),
            headers.len(),
            i32::from(reply.grpc_status),
        )
    })
}

/// Lets the effective stream's paused request go on.
pub(crate) fn resume_request() -> Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { abi::proxy_continue_stream(REQUEST) })
}

/// Whose stream the following calls are about.
pub(crate) fn set_effective_context(context: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { abi::proxy_set_effective_context(context) })
}

/// Opens a bidirectional stream. Failing, Envoy has re-entered the VM and reported the end already.
pub(crate) fn open_stream(target: &str, token: Option<&str>) -> std::result::Result<u32, &'static str> {
    let credential = token.map(|token| format!("Bearer {token}"));
    let metadata = credential.iter().map(|value| ("authorization", value.as_bytes())).collect();
    let (service, method) = (portcullis_core::wire::SERVICE, portcullis_core::wire::METHOD);
    // The SDK panics on BadArgument, which Envoy returns for a GrpcService that it cannot make a client
    // for; the target is one that names a cluster, or a plain name, and both fail with other statuses.
    hostcalls::open_grpc_stream(target, service, method, metadata).map_err(|status| match status {
        proxy_wasm::types::Status::ParseFailure => "the cluster does not exist",
        _ => "the cluster does not exist or has no healthy host",
    })
}

/// Sends a message on a stream.
pub(crate) fn send(stream: u32, message: &[u8]) -> Result<()> {
    // SAFETY: `message` outlives the call.
    check(unsafe { abi::proxy_grpc_send(stream, message.as_ptr(), message.len(), 0) })
}

/// Resets a stream. Inside the close callback this makes Envoy forget its pointer to the ended stream,
/// which it would use again when the filter is reconfigured.
pub(crate) fn cancel(stream: u32) {
    // SAFETY: no memory is passed. A stream that is gone already is what was wanted.
    let _ = unsafe { abi::proxy_grpc_cancel(stream) };
}

/// What the other side said when it ended a stream; known in the close callback only.
pub(crate) fn close_message() -> String {
    let mut code = 0;
    // SAFETY: the host writes one u32, one pointer and one size.
    let message = received(|bytes, size| unsafe { abi::proxy_get_status(&raw mut code, bytes, size) });
    let message = message.ok().flatten().unwrap_or_default();
    // It goes into a log: one line, and not for ever.
    let text = percent_decode(&message).decode_utf8_lossy();
    text.chars().filter(|symbol| !symbol.is_control()).take(800).collect()
}

/// What kind of metric; the numbers are the ABI's.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum MetricKind {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

/// A metric of the process by its name; the same name is the same metric in every VM.
pub(crate) fn define_metric(kind: MetricKind, name: &str) -> Result<u32> {
    let mut id = 0;
    // SAFETY: `name` outlives the call; the host writes one u32.
    check(unsafe { abi::proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds to a counter or a gauge; a counter takes no less than 1.
pub(crate) fn add(metric: u32, by: i64) -> Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { abi::proxy_increment_metric(metric, by) })
}

/// Sets a gauge, or adds a value to a histogram.
pub(crate) fn record(metric: u32, value: u64) -> Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { abi::proxy_record_metric(metric, value) })
}

/// Asks for a tick every so many milliseconds.
pub(crate) fn set_tick_period(millis: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { abi::proxy_set_tick_period_milliseconds(millis) })
}

/// The time on the wall, milliseconds since the Unix epoch.
pub(crate) fn unix_millis() -> u64 {
    let mut nanoseconds = 0;
    // SAFETY: the host writes one u64.
    let status = unsafe { abi::proxy_get_current_time_nanoseconds(&raw mut nanoseconds) };
    if status == 0 { nanoseconds / 1_000_000 } else { 0 }
}
