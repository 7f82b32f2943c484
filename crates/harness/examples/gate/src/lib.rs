//! Lets requests with a known API key pass, and tells the upstream whose key it is.
//!
//! Whose it is, an HTTP service knows; its answers are kept where every worker finds them. The plugin's
//! configuration is the name of the service's cluster.

use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Gate { cluster: String::new() }));
}}

struct Gate {
    cluster: String,
}

impl Context for Gate {}

impl RootContext for Gate {
    fn on_configure(&mut self, _size: usize) -> bool {
        let config = self.get_plugin_configuration().unwrap_or_default();
        self.cluster = String::from_utf8(config).unwrap_or_default().trim().to_owned();
        if self.cluster.is_empty() {
            log::error!("the configuration must be the name of a cluster");
        }
        !self.cluster.is_empty()
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request { cluster: self.cluster.clone(), key: String::new() }))
    }
}

struct Request {
    cluster: String,
    key: String,
}

impl Request {
    fn admit(&self, owner: &[u8]) {
        self.set_http_request_header("x-api-key", None);
        self.set_http_request_header_bytes("x-owner", Some(owner));
    }

    fn refuse(&self, status: u32, reason: &str) {
        self.send_http_response(status, vec![], Some(reason.as_bytes()));
    }

    fn ask(&self) -> bool {
        let headers = vec![
            (":method", "GET"),
            (":path", "/owner"),
            (":authority", self.cluster.as_str()),
            ("x-api-key", self.key.as_str()),
        ];
        self.dispatch_http_call(&self.cluster, headers, None, vec![], Duration::from_millis(500)).is_ok()
    }
}

impl Context for Request {
    fn on_http_call_response(&mut self, _token: u32, headers: usize, size: usize, _trailers: usize) {
        // Where a call has failed there are no headers, and the SDK panics if it is asked for one.
        let status = if headers > 0 { self.get_http_call_response_header(":status") } else { None };
        match status.as_deref() {
            Some("200") => {
                let owner = self.get_http_call_response_body(0, size).unwrap_or_default();
                if self.set_shared_data(&self.key, Some(&owner), None).is_err() {
                    log::warn!("the owner of a key could not be kept");
                }
                self.admit(&owner);
                self.resume_http_request();
            }
            Some("404") => self.refuse(403, "this key is not known"),
            status => {
                log::warn!("the key service answered {status:?}");
                self.refuse(503, "keys cannot be checked at the moment");
            }
        }
    }
}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let Some(key) = self.get_http_request_header("x-api-key") else {
            self.refuse(401, "a key is needed");
            return Action::Pause;
        };
        self.key = key;
        if let (Some(owner), _) = self.get_shared_data(&self.key) {
            self.admit(&owner);
            return Action::Continue;
        }
        if !self.ask() {
            self.refuse(503, "keys cannot be checked at the moment");
        }
        Action::Pause
    }
}
