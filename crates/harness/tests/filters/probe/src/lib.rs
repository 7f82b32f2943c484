//! Makes the host calls that the plugin's configuration lists, and logs what the host answers.
//!
//! The configuration is a list of lines `CALLBACK: COMMAND ARGUMENT…`. In each callback the lines for it are
//! carried out in order; each logs itself and its result, as in `request_headers: get request accept = 0 "a"`.
//! Callbacks return what the last `return` says, else "continue". Arguments know `$stream`, the context of the
//! last stream, `$token`, the last token that the host gave, and `$arguments`, what the running callback was called
//! with; `~` is an empty argument, and `%0A` the character of that code. Each root context has the lines of its own
//! configuration, also where several share a VM. Callbacks that a root context gets before its configuration find
//! no lines.

mod commands;
mod host;

use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    static PROBE: RefCell<Probe> = const { RefCell::new(Probe::new()) };
}

/// More contexts than any test has.
const MAX_STREAMS: usize = 4096;

/// What the filter remembers.
struct Probe {
    /// By root context.
    scripts: BTreeMap<u32, String>,
    /// The root context of each stream; an array, so that finding one costs the same every time.
    roots: [u32; MAX_STREAMS],
    stream: u32,
    token: u32,
    /// What the running callback was called with, and how many of these there are. Not on the heap, whose
    /// state would make requests differ in what they cost.
    arguments: ([u32; 5], usize),
    count: u32,
}

impl Probe {
    const fn new() -> Self {
        Self {
            scripts: BTreeMap::new(),
            roots: [0; MAX_STREAMS],
            stream: 0,
            token: 0,
            arguments: ([0; 5], 0),
            count: 0,
        }
    }
}

/// Carries out the lines for a callback in a context.
fn run(context: u32, callback: &str, unless_told: u32) -> u32 {
    let script = PROBE.with_borrow(|probe| {
        let root = probe.roots.get(context as usize).copied().filter(|root| *root != 0).unwrap_or(context);
        probe.scripts.get(&root).cloned().unwrap_or_default()
    });
    let mut answer = unless_told;
    for line in script.lines() {
        let Some((name, command)) = line.split_once(':') else { continue };
        if name.trim() != callback {
            continue;
        }
        let words: Vec<String> = command.split_whitespace().map(argument).collect();
        let Some((command, arguments)) = words.split_first() else { continue };
        if command == "return" {
            answer = arguments.first().and_then(|answer| answer.parse().ok()).unwrap_or(0);
            continue;
        }
        let result = commands::run(command, arguments);
        host::log(2, &format!("{callback}: {} = {result}", words.join(" ")));
    }
    answer
}

fn argument(word: &str) -> String {
    PROBE.with_borrow(|probe| match word {
        "$stream" => probe.stream.to_string(),
        "$token" => probe.token.to_string(),
        "~" => String::new(),
        "$arguments" => {
            let (arguments, count) = &probe.arguments;
            let arguments: Vec<_> = arguments.iter().take(*count).map(u32::to_string).collect();
            arguments.join(",")
        }
        word => unescaped(word),
    })
}

fn remember(arguments: &[u32]) {
    PROBE.with_borrow_mut(|probe| {
        probe.arguments.1 = arguments.len();
        probe.arguments.0[..arguments.len()].copy_from_slice(arguments);
    });
}

/// Replaces `%` and two hexadecimal digits by the character of that code.
fn unescaped(word: &str) -> String {
    let mut parts = word.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) => text.extend([char::from(code).to_string().as_str(), &part[2..]]),
            None => text.extend(["%", part]),
        }
    }
    text
}

macro_rules! callbacks {
    ($($export:ident($($argument:ident),*) $name:literal;)*) => {
        $(#[unsafe(no_mangle)]
        pub extern "C" fn $export($($argument: u32),*) {
            remember(&[$($argument),*]);
            let [context, ..] = [$($argument),*];
            run(context, $name, 0);
        })*
    };
    (answering $($export:ident($($argument:ident),*) $name:literal $default:literal;)*) => {
        $(#[unsafe(no_mangle)]
        pub extern "C" fn $export($($argument: u32),*) -> u32 {
            remember(&[$($argument),*]);
            let [context, ..] = [$($argument),*];
            run(context, $name, $default)
        })*
    };
}

callbacks! {
    proxy_on_tick(_context) "tick";
    proxy_on_log(_context) "log";
    proxy_on_delete(_context) "delete";
    proxy_on_grpc_receive_initial_metadata(_context, _token, _count) "grpc_initial";
    proxy_on_grpc_receive(_context, _token, _size) "grpc_message";
    proxy_on_grpc_receive_trailing_metadata(_context, _token, _count) "grpc_trailing";
    proxy_on_grpc_close(_context, _token, _status) "grpc_close";
    proxy_on_queue_ready(_context, _token) "queue_ready";
    proxy_on_downstream_connection_close(_context, _by) "downstream_close";
    proxy_on_upstream_connection_close(_context, _by) "upstream_close";
    proxy_on_foreign_function(_context, _function, _size) "foreign_function";
    proxy_on_http_call_response(_context, _token, _headers, _body, _trailers) "http_call_response";
}

callbacks! { answering
    proxy_on_vm_start(_context, _size) "vm_start" 1;
    proxy_on_new_connection(_context) "new_connection" 0;
    proxy_on_downstream_data(_context, _size, _end) "downstream_data" 0;
    proxy_on_upstream_data(_context, _size, _end) "upstream_data" 0;
    proxy_on_request_headers(_context, _count, _end) "request_headers" 0;
    proxy_on_request_body(_context, _size, _end) "request_body" 0;
    proxy_on_request_trailers(_context, _count) "request_trailers" 0;
    proxy_on_response_headers(_context, _count, _end) "response_headers" 0;
    proxy_on_response_body(_context, _size, _end) "response_body" 0;
    proxy_on_response_trailers(_context, _count) "response_trailers" 0;
    proxy_on_done(_context) "done" 1;
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    if parent != 0 {
        PROBE.with_borrow_mut(|probe| {
            probe.stream = context;
            probe.roots[context as usize % MAX_STREAMS] = parent;
        });
        run(context, "create", 0);
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_configure(context: u32, size: u32) -> u32 {
    let script = host::get_buffer(host::PLUGIN_CONFIGURATION, 0, size).unwrap_or_default();
    let script = String::from_utf8_lossy(&script).into_owned();
    PROBE.with_borrow_mut(|probe| probe.scripts.insert(context, script));
    run(context, "configure", 1)
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Box::into_raw(vec![0u8; size].into_boxed_slice()).cast()
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    // The linker makes this function; it runs constructors, once.
    unsafe { __wasm_call_ctors() };
}
