//! The exports through which the host calls a filter.

/// An export, its parameters (all of them `i32`), and whether it answers with an `i32`.
#[derive(Debug)]
pub(crate) struct Callback {
    pub(crate) name: &'static str,
    pub(crate) parameters: usize,
    pub(crate) answers: bool,
}

macro_rules! callbacks {
    ($($constant:ident = $name:literal $parameters:literal $answers:literal;)*) => {
        $(pub(crate) const $constant: &Callback =
            &Callback { name: $name, parameters: $parameters, answers: $answers };)*

        /// Every export that the host looks for.
        pub(crate) const ALL: &[&Callback] = &[$($constant),*];
    };
}

callbacks! {
    INITIALIZE = "_initialize" 0 false;
    MAIN = "main" 2 true;
    MAIN_VOID = "__main_void" 0 true;
    START = "_start" 0 false;
    MALLOC = "malloc" 1 true;
    MEMORY_ALLOCATE = "proxy_on_memory_allocate" 1 true;
    CONTEXT_CREATE = "proxy_on_context_create" 2 false;
    VM_START = "proxy_on_vm_start" 2 true;
    CONFIGURE = "proxy_on_configure" 2 true;
    TICK = "proxy_on_tick" 1 false;
    NEW_CONNECTION = "proxy_on_new_connection" 1 true;
    DOWNSTREAM_DATA = "proxy_on_downstream_data" 3 true;
    DOWNSTREAM_CLOSE = "proxy_on_downstream_connection_close" 2 false;
    UPSTREAM_DATA = "proxy_on_upstream_data" 3 true;
    UPSTREAM_CLOSE = "proxy_on_upstream_connection_close" 2 false;
    REQUEST_HEADERS = "proxy_on_request_headers" 3 true;
    REQUEST_BODY = "proxy_on_request_body" 3 true;
    REQUEST_TRAILERS = "proxy_on_request_trailers" 2 true;
    REQUEST_METADATA = "proxy_on_request_metadata" 2 true;
    RESPONSE_HEADERS = "proxy_on_response_headers" 3 true;
    RESPONSE_BODY = "proxy_on_response_body" 3 true;
    RESPONSE_TRAILERS = "proxy_on_response_trailers" 2 true;
    RESPONSE_METADATA = "proxy_on_response_metadata" 2 true;
    DONE = "proxy_on_done" 1 true;
    LOG = "proxy_on_log" 1 false;
    DELETE = "proxy_on_delete" 1 false;
    HTTP_CALL_RESPONSE = "proxy_on_http_call_response" 5 false;
    QUEUE_READY = "proxy_on_queue_ready" 2 false;
    FOREIGN_FUNCTION = "proxy_on_foreign_function" 3 false;
    GRPC_INITIAL_METADATA = "proxy_on_grpc_receive_initial_metadata" 3 false;
    GRPC_MESSAGE = "proxy_on_grpc_receive" 3 false;
    GRPC_TRAILING_METADATA = "proxy_on_grpc_receive_trailing_metadata" 3 false;
    GRPC_CLOSE = "proxy_on_grpc_close" 3 false;
}

/// How a callback went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// The module does not export it, or the VM is dead: nothing was called.
    NotCalled,
    /// It returned; with zero if it has no answer.
    Returned(u32),
    /// It trapped, which killed the VM.
    Trapped,
}
