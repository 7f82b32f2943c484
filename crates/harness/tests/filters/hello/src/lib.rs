//! Greets whom the configuration names, turns away whom the control plane has banned, and counts both.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MetricType, Status};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

/// What root and requests share.
#[derive(Default)]
struct Shared {
    greeting: String,
    banned: HashSet<String>,
    /// The contexts of the requests that are under way, by user.
    live: HashMap<u32, String>,
}

#[derive(Default)]
struct Root {
    shared: Rc<RefCell<Shared>>,
    requests: u32,
    stream: Option<u32>,
}

impl Context for Root {
    fn on_grpc_stream_message(&mut self, _token: u32, size: usize) {
        let Some(bytes) = self.get_grpc_stream_message(0, size) else { return };
        let user = String::from_utf8_lossy(&bytes).into_owned();
        let mut shared = self.shared.borrow_mut();
        for (context, _) in shared.live.iter().filter(|(_, live)| **live == user) {
            if hostcalls::set_effective_context(*context).is_ok() {
                let _ = hostcalls::send_http_response(403, vec![], Some(b"banned"));
            }
        }
        shared.banned.insert(user);
    }

    fn on_grpc_stream_close(&mut self, token: u32, _status: u32) {
        let _ = hostcalls::cancel_grpc_stream(token);
        self.stream = None;
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let Some(config) = self.get_plugin_configuration() else {
            log::error!("there is no configuration");
            return false;
        };
        let Ok(greeting) = String::from_utf8(config) else { return false };
        self.shared.borrow_mut().greeting = greeting;
        self.requests = hostcalls::define_metric(MetricType::Counter, "hello_requests").unwrap_or_default();
        self.set_tick_period(Duration::from_secs(1));
        true
    }

    fn on_tick(&mut self) {
        if self.stream.is_none() {
            // Some cluster names would parse as a message, so the target is one: GrpcService in protobuf.
            let service = "\x0a\x0e\x0a\x0ccontrolplane";
            let metadata = vec![("x-who", b"hello".as_slice())];
            match self.open_grpc_stream(service, "hello.Bans", "Watch", metadata) {
                Ok(token) => self.stream = Some(token),
                Err(Status::InternalFailure) => log::warn!("the control plane is away"),
                Err(status) => log::error!("cannot open a stream: {status:?}"),
            }
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request { id, shared: self.shared.clone(), requests: self.requests }))
    }
}

struct Request {
    id: u32,
    shared: Rc<RefCell<Shared>>,
    requests: u32,
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let _ = hostcalls::increment_metric(self.requests, 1);
        let Some(user) = self.get_http_request_header("x-user") else { return Action::Continue };
        if user == "panic" {
            panic!("asked to");
        }
        let mut shared = self.shared.borrow_mut();
        if shared.banned.contains(&user) {
            self.send_http_response(403, vec![("x-reason", "banned")], Some(b"banned"));
            return Action::Pause;
        }
        self.set_http_request_header("x-greeting", Some(&format!("{}, {user}", shared.greeting)));
        self.set_property(vec!["hello"], Some(user.as_bytes()));
        shared.live.insert(self.id, user);
        Action::Continue
    }

    fn on_log(&mut self) {
        self.shared.borrow_mut().live.remove(&self.id);
    }
}
