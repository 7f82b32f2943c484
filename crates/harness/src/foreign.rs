//! Functions that a filter can call by name: the test's, and those of Envoy's that make sense here.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_zlib_with_limit};

use crate::callout::service::{self, Field};
use crate::state::{Cx, VmState};
use crate::status::Status;
use crate::trace::What;

/// What the test has registered: it gets the arguments' bytes, and answers with bytes or a failure.
type Function = Rc<dyn Fn(&[u8]) -> Result<Vec<u8>, Status>>;

/// The functions by name. They come before Envoy's own.
#[derive(Clone, Default)]
pub(crate) struct Functions {
    by_name: BTreeMap<String, Function>,
}

/// What Envoy has beyond the functions in here. A filter that calls one gets the answer for an unknown name.
const ONLY_IN_ENVOY: [&str; 5] = ["sign", "verify_signature", "expr_create", "expr_evaluate", "expr_delete"];

/// zlib's own default, which Envoy takes.
const COMPRESSION_LEVEL: u8 = 6;

/// Keys of filter state that Envoy has a factory for, so that `set_envoy_filter_state` takes them.
const WELL_KNOWN: [&str; 12] = [
    "envoy.filters.listener.original_dst.local_ip",
    "envoy.filters.listener.original_dst.remote_ip",
    "envoy.network.application_protocols",
    "envoy.network.ip",
    "envoy.network.transport_socket.original_dst_address",
    "envoy.network.upstream_server_name",
    "envoy.network.upstream_subject_alt_names",
    "envoy.string",
    "envoy.tcp_proxy.cluster",
    "envoy.tcp_proxy.disable_tunneling",
    "envoy.tcp_proxy.per_connection_idle_timeout_ms",
    "envoy.udp_proxy.cluster",
];

impl Functions {
    pub(crate) fn add(
        &mut self,
        name: String,
        function: impl Fn(&[u8]) -> Result<Vec<u8>, Status> + 'static,
    ) {
        self.by_name.insert(name, Rc::new(function));
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

/// `proxy_call_foreign_function`: what the function gives, if it gives anything.
pub(crate) fn call(cx: &mut Cx<'_>, name: &str, arguments: &[u8]) -> Result<Option<Vec<u8>>, Status> {
    let state = cx.data_mut();
    let function = state.world().functions.by_name.get(name).cloned();
    if let Some(function) = function {
        return function(arguments).map(Some);
    }
    match name {
        // There are no routes here.
        "clear_route_cache" => Ok(None),
        "compress" => Ok(Some(compress_to_vec_zlib(arguments, COMPRESSION_LEVEL))),
        "uncompress" => uncompress(arguments, state.plugin.memory_limit).map(Some),
        "declare_property" => declare_property(state, arguments).map(|()| None),
        "set_envoy_filter_state" => set_envoy_filter_state(state, arguments).map(|()| None),
        _ => {
            if ONLY_IN_ENVOY.contains(&name) {
                let text = format!("Envoy has {name}, the harness has not: give it to the builder");
                state.trace(What::Note(text));
            }
            Err(Status::NotFound)
        }
    }
}

/// zlib's `uncompress`, for which what follows the data does not matter.
///
/// What is more than the VM can have is cut a byte after that: there is no room for it either way.
fn uncompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, Status> {
    match decompress_to_vec_zlib_with_limit(bytes, limit.saturating_add(1)) {
        Ok(plain) => Ok(plain),
        Err(error) if error.status == TINFLStatus::HasMoreOutput => Ok(error.output),
        Err(_) => Err(Status::SerializationFailure),
    }
}

/// `DeclarePropertyArguments { string name = 1; bool readonly = 2; … }`
///
/// What a root context declares holds for its streams. A type and a life span can be given as well, but make no
/// difference to what a filter sees of the property.
fn declare_property(state: &mut VmState, arguments: &[u8]) -> Result<(), Status> {
    let (mut name, mut readonly) = (String::new(), false);
    for (number, value) in service::fields(arguments).ok_or(Status::BadArgument)? {
        match (number, value) {
            (1, Field::Bytes(bytes)) => name = text(bytes)?,
            (2, Field::Number(number)) => readonly = number != 0,
            _ => {}
        }
    }
    // Envoy takes the context that is running, whichever is effective.
    let context = state.frames.last().map_or(0, |frame| frame.context);
    let of_context = (context, name);
    if state.declared.contains_key(&of_context) {
        return Err(Status::BadArgument);
    }
    state.declared.insert(of_context, readonly);
    Ok(())
}

/// `SetEnvoyFilterStateArguments { string path = 1; string value = 2; LifeSpan span = 3; }`
fn set_envoy_filter_state(state: &mut VmState, arguments: &[u8]) -> Result<(), Status> {
    let (mut path, mut value) = (String::new(), String::new());
    for (number, field) in service::fields(arguments).ok_or(Status::BadArgument)? {
        match (number, field) {
            (1, Field::Bytes(bytes)) => path = text(bytes)?,
            (2, Field::Bytes(bytes)) => value = text(bytes)?,
            _ => {}
        }
    }
    let stream = state.stream().ok_or(Status::NotFound)?;
    if !WELL_KNOWN.contains(&path.as_str()) {
        return Err(Status::NotFound);
    }
    stream.filter_state.insert(path, value.into_bytes());
    Ok(())
}

/// A string field; proto3 wants UTF-8.
fn text(bytes: &[u8]) -> Result<String, Status> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Status::BadArgument)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_uncompressed_is_cut_where_no_vm_could_hold_it() {
        let bomb = compress_to_vec_zlib(&vec![0; 1 << 20], COMPRESSION_LEVEL);
        let size = |limit| uncompress(&bomb, limit).map(|plain| plain.len());
        assert_eq!((size(1 << 20), size(1_000)), (Ok(1 << 20), Ok(1_001)));
    }
}
