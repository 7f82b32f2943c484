//! The imports, in a form that is safe to use.

use std::fmt;

pub const PLUGIN_CONFIGURATION: u32 = 7;

/// What the host answered: its status, and its data.
pub struct Answer {
    pub status: u32,
    pub data: Option<Data>,
}

pub enum Data {
    Bytes(Vec<u8>),
    Number(u64),
}

impl Answer {
    pub fn done(status: u32) -> Self {
        Self { status, data: None }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.data {
            Some(Data::Bytes(bytes)) if self.status == 0 => write!(f, "0 \"{}\"", bytes.escape_ascii()),
            Some(Data::Number(number)) if self.status == 0 => write!(f, "0 {number}"),
            _ => write!(f, "{}", self.status),
        }
    }
}

macro_rules! imports {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {
        #[link(wasm_import_module = "env")]
        unsafe extern "C" {
            $(pub fn $name($($argument: $type),*) -> u32;)*
        }
    };
}

imports! {
    proxy_log(level: u32, text: *const u8, size: usize);
    proxy_get_log_level(level: *mut u32);
    proxy_get_current_time_nanoseconds(time: *mut u64);
    proxy_set_tick_period_milliseconds(period: u32);
    proxy_set_effective_context(context: u32);
    proxy_done();
    proxy_get_status(code: *mut u32, text: *mut *mut u8, size: *mut usize);
    proxy_get_property(path: *const u8, path_size: usize, value: *mut *mut u8, size: *mut usize);
    proxy_set_property(path: *const u8, path_size: usize, value: *const u8, size: usize);
    proxy_get_header_map_value(map: u32, key: *const u8, key_size: usize, value: *mut *mut u8, size: *mut usize);
    proxy_add_header_map_value(map: u32, key: *const u8, key_size: usize, value: *const u8, size: usize);
    proxy_replace_header_map_value(map: u32, key: *const u8, key_size: usize, value: *const u8, size: usize);
    proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize);
    proxy_get_header_map_pairs(map: u32, pairs: *mut *mut u8, size: *mut usize);
    proxy_set_header_map_pairs(map: u32, pairs: *const u8, size: usize);
    proxy_get_header_map_size(map: u32, size: *mut u32);
    proxy_get_buffer_bytes(buffer: u32, start: u32, length: u32, bytes: *mut *mut u8, size: *mut usize);
    proxy_get_buffer_status(buffer: u32, size: *mut u32, flags: *mut u32);
    proxy_set_buffer_bytes(buffer: u32, start: u32, length: u32, bytes: *const u8, size: usize);
    proxy_continue_stream(kind: u32);
    proxy_close_stream(kind: u32);
    proxy_send_local_response(status: u32, details: *const u8, details_size: usize, body: *const u8,
        body_size: usize, pairs: *const u8, pairs_size: usize, grpc_status: i32);
    proxy_get_shared_data(key: *const u8, key_size: usize, value: *mut *mut u8, size: *mut usize, cas: *mut u32);
    proxy_set_shared_data(key: *const u8, key_size: usize, value: *const u8, size: usize, cas: u32);
    proxy_register_shared_queue(name: *const u8, size: usize, token: *mut u32);
    proxy_resolve_shared_queue(vm_id: *const u8, vm_id_size: usize, name: *const u8, size: usize, token: *mut u32);
    proxy_enqueue_shared_queue(token: u32, data: *const u8, size: usize);
    proxy_dequeue_shared_queue(token: u32, data: *mut *mut u8, size: *mut usize);
    proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32);
    proxy_increment_metric(id: u32, offset: i64);
    proxy_record_metric(id: u32, value: u64);
    proxy_get_metric(id: u32, value: *mut u64);
    proxy_http_call(cluster: *const u8, cluster_size: usize, pairs: *const u8, pairs_size: usize, body: *const u8,
        body_size: usize, trailers: *const u8, trailers_size: usize, timeout: u32, token: *mut u32);
    proxy_grpc_call(target: *const u8, target_size: usize, service: *const u8, service_size: usize,
        method: *const u8, method_size: usize, pairs: *const u8, pairs_size: usize, message: *const u8,
        message_size: usize, timeout: u32, token: *mut u32);
    proxy_grpc_stream(target: *const u8, target_size: usize, service: *const u8, service_size: usize,
        method: *const u8, method_size: usize, pairs: *const u8, pairs_size: usize, token: *mut u32);
    proxy_grpc_send(token: u32, message: *const u8, size: usize, end: u32);
    proxy_grpc_close(token: u32);
    proxy_grpc_cancel(token: u32);
    proxy_call_foreign_function(name: *const u8, name_size: usize, input: *const u8, input_size: usize,
        output: *mut *mut u8, size: *mut usize);
}

pub fn log(level: u32, text: &str) {
    unsafe { proxy_log(level, text.as_ptr(), text.len()) };
}

/// A call that hands out bytes, which the host has allocated in here.
pub fn bytes(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Answer {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    let status = call(&raw mut data, &raw mut size);
    let bytes = if status == 0 && !data.is_null() {
        unsafe { Vec::from_raw_parts(data, size, size) }
    } else {
        Vec::new()
    };
    Answer { status, data: Some(Data::Bytes(bytes)) }
}

/// A call that hands out a number.
pub fn number<T: Default + Into<u64>>(call: impl FnOnce(*mut T) -> u32) -> Answer {
    let mut value = T::default();
    let status = call(&raw mut value);
    Answer { status, data: Some(Data::Number(value.into())) }
}

pub fn get_buffer(buffer: u32, start: u32, length: u32) -> Option<Vec<u8>> {
    let answer = bytes(|data, size| unsafe { proxy_get_buffer_bytes(buffer, start, length, data, size) });
    match answer.data {
        Some(Data::Bytes(bytes)) if answer.status == 0 => Some(bytes),
        _ => None,
    }
}
