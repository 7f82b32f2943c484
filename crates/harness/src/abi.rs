//! The host calls of ABI 0.2.1, one function each, and the table that links them.

#![expect(clippy::too_many_arguments, reason = "that is how many the ABI's functions have")]

use wasmtime::{AsContextMut as _, Caller, Linker};

use crate::error::Stop;
use crate::fault::Effect;
use crate::state::{Cx, VmState};
use crate::status::Status;
use crate::trace::What;

mod buffers;
mod callouts;
mod foreign;
mod general;
mod headers;
mod metrics;
mod properties;
mod shared_data;
mod shared_queue;
mod streams;
mod unimplemented;

pub(crate) use general::{last_words, nanoseconds, record};

/// The versions of the ABI that Envoy knows, by the export that marks them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Abi {
    V0_1_0,
    V0_2_0,
    V0_2_1,
}

impl Abi {
    pub(crate) fn from_marker(export: &str) -> Option<Self> {
        match export {
            "proxy_abi_version_0_1_0" => Some(Self::V0_1_0),
            "proxy_abi_version_0_2_0" => Some(Self::V0_2_0),
            "proxy_abi_version_0_2_1" => Some(Self::V0_2_1),
            _ => None,
        }
    }

    pub(crate) const fn number(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_2_1 => "0.2.1",
        }
    }
}

macro_rules! host_calls {
    ($($versions:pat => {$($name:literal = $function:path: ($($argument:ident: $type:ty),*);)*})*) => {
        /// The names of all host calls, of any version.
        pub(crate) const NAMES: &[&str] = &[$($($name),*),*];

        /// Links the host calls that a module of this ABI version may import.
        pub(crate) fn link(linker: &mut Linker<VmState>, abi: Abi) -> wasmtime::Result<()> {
            $(if matches!(abi, $versions) {
                $(linker.func_wrap(
                    "env",
                    $name,
                    |mut caller: Caller<'_, VmState>, $($argument: $type),*| -> wasmtime::Result<u32> {
                        let mut cx = caller.as_context_mut();
                        if let Some(code) = enter(&mut cx, $name)? {
                            return Ok(code);
                        }
                        let result = $function(&mut cx, $($argument),*);
                        Ok(leave(&mut cx, $name, result))
                    },
                )?;)*
            })*
            Ok(())
        }
    };
}

host_calls! {
    _ => {
        "proxy_log" = general::log: (level: u32, text: u32, text_size: u32);
        "proxy_get_current_time_nanoseconds" = general::get_current_time: (time_at: u32);
        "proxy_set_tick_period_milliseconds" = general::set_tick_period: (milliseconds: u32);
        "proxy_set_effective_context" = general::set_effective_context: (context: u32);
        "proxy_done" = general::done: ();
        "proxy_get_status" = general::get_status: (code_at: u32, text_at: u32, size_at: u32);
        "proxy_call_foreign_function" = foreign::call:
            (name: u32, name_size: u32, input: u32, input_size: u32, output_at: u32, size_at: u32);

        "envoy_resolve_dns" = unimplemented::resolve_dns: (address: u32, address_size: u32, token_at: u32);

        "proxy_get_property" = properties::get: (path: u32, path_size: u32, value_at: u32, size_at: u32);
        "proxy_set_property" = properties::set: (path: u32, path_size: u32, value: u32, value_size: u32);

        "proxy_get_header_map_value" = headers::get:
            (map: u32, key: u32, key_size: u32, value_at: u32, size_at: u32);
        "proxy_add_header_map_value" = headers::add:
            (map: u32, key: u32, key_size: u32, value: u32, value_size: u32);
        "proxy_replace_header_map_value" = headers::replace:
            (map: u32, key: u32, key_size: u32, value: u32, value_size: u32);
        "proxy_remove_header_map_value" = headers::remove: (map: u32, key: u32, key_size: u32);
        "proxy_get_header_map_pairs" = headers::get_pairs: (map: u32, pairs_at: u32, size_at: u32);
        "proxy_set_header_map_pairs" = headers::set_pairs: (map: u32, pairs: u32, pairs_size: u32);
        "proxy_get_header_map_size" = headers::byte_size: (map: u32, size_at: u32);

        "proxy_get_buffer_bytes" = buffers::get:
            (buffer: u32, start: u32, length: u32, bytes_at: u32, size_at: u32);
        "proxy_get_buffer_status" = buffers::status: (buffer: u32, size_at: u32, flags_at: u32);
        "proxy_set_buffer_bytes" = buffers::set:
            (buffer: u32, start: u32, length: u32, bytes: u32, bytes_size: u32);

        "proxy_send_local_response" = streams::send_local_response:
            (status: u32, details: u32, details_size: u32, body: u32, body_size: u32,
             pairs: u32, pairs_size: u32, grpc_status: u32);

        "proxy_get_shared_data" = shared_data::get:
            (key: u32, key_size: u32, value_at: u32, size_at: u32, cas_at: u32);
        "proxy_set_shared_data" = shared_data::set:
            (key: u32, key_size: u32, value: u32, value_size: u32, cas: u32);
        "proxy_register_shared_queue" = shared_queue::register:
            (name: u32, name_size: u32, token_at: u32);
        "proxy_resolve_shared_queue" = shared_queue::resolve:
            (vm_id: u32, vm_id_size: u32, name: u32, name_size: u32, token_at: u32);
        "proxy_dequeue_shared_queue" = shared_queue::dequeue:
            (token: u32, data_at: u32, size_at: u32);
        "proxy_enqueue_shared_queue" = shared_queue::enqueue:
            (token: u32, data: u32, data_size: u32);

        "proxy_define_metric" = metrics::define: (kind: u32, name: u32, name_size: u32, id_at: u32);
        "proxy_increment_metric" = metrics::increment: (id: u32, offset: i64);
        "proxy_record_metric" = metrics::record: (id: u32, value: u64);
        "proxy_get_metric" = metrics::get: (id: u32, value_at: u32);

        "proxy_http_call" = callouts::http_call:
            (cluster: u32, cluster_size: u32, pairs: u32, pairs_size: u32, body: u32, body_size: u32,
             trailers: u32, trailers_size: u32, timeout: u32, token_at: u32);
        "proxy_grpc_call" = callouts::grpc_call:
            (target: u32, target_size: u32, service: u32, service_size: u32, method: u32, method_size: u32,
             pairs: u32, pairs_size: u32, message: u32, message_size: u32, timeout: u32, token_at: u32);
        "proxy_grpc_stream" = callouts::grpc_stream:
            (target: u32, target_size: u32, service: u32, service_size: u32, method: u32, method_size: u32,
             pairs: u32, pairs_size: u32, token_at: u32);
        "proxy_grpc_send" = callouts::grpc_send: (token: u32, message: u32, message_size: u32, end: u32);
        "proxy_grpc_close" = callouts::grpc_close: (token: u32);
        "proxy_grpc_cancel" = callouts::grpc_cancel: (token: u32);
    }
    Abi::V0_1_0 => {
        "proxy_get_configuration" = general::get_configuration: (bytes_at: u32, size_at: u32);
        "proxy_continue_request" = streams::continue_request: ();
        "proxy_continue_response" = streams::continue_response: ();
        "proxy_clear_route_cache" = streams::clear_route_cache: ();
    }
    Abi::V0_2_0 | Abi::V0_2_1 => {
        "proxy_continue_stream" = streams::continue_stream: (kind: u32);
        "proxy_close_stream" = streams::close_stream: (kind: u32);
    }
    Abi::V0_2_1 => {
        "proxy_get_log_level" = general::get_log_level: (level_at: u32);
    }
}

/// Counts a host call, and traps if it is not allowed at the moment, as in Envoy; or if it is one too many.
///
/// What it gives is the answer of a fault, in place of the call's.
pub(crate) fn enter(cx: &mut Cx<'_>, name: &'static str) -> wasmtime::Result<Option<u32>> {
    let state = cx.data_mut();
    state.note.clear();
    if state.restricted.is_some_and(|allowed| !allowed.contains(&name)) {
        return Err(wasmtime::Error::msg(format!("{name} may not be called at this point")));
    }
    state.cost.add_call(name);
    if let Some(cost) = state.stream_cost() {
        cost.add_call(name);
    }
    state.host_calls += 1;
    if state.host_calls > state.plugin.host_calls_per_callback {
        return Err(wasmtime::Error::new(Stop::HostCalls));
    }
    match state.strike(name) {
        Some(Effect::Trap) => Err(wasmtime::Error::new(Stop::Fault)),
        Some(Effect::Answer(code)) => Ok(Some(code)),
        None => Ok(None),
    }
}

fn leave(cx: &mut Cx<'_>, name: &'static str, result: Result<(), Status>) -> u32 {
    let state = cx.data_mut();
    let status = result.err().unwrap_or(Status::Ok);
    let arguments = std::mem::take(&mut state.note);
    state.trace(What::HostCall { name, arguments, status });
    status.code()
}

/// A word from outside, quoted and of bearable length.
fn quote(bytes: &[u8]) -> String {
    const SHOWN: usize = 120;
    let text = String::from_utf8_lossy(bytes);
    let shown: String = text.chars().take(SHOWN).collect();
    let rest = if shown.len() < text.len() { "…" } else { "" };
    format!("{shown:?}{rest}")
}
