//! The Portcullis filter: the adapter from proxy-wasm to `portcullis-core`, and nothing else.
//!
//! `root` keeps a worker in touch with the control plane, `http` takes a request to the gate and does what
//! it says, `host` is the only module that calls the host, `metrics` names what is counted.

use proxy_wasm::types::LogLevel;

mod host;
mod http;
mod metrics;
mod request;
mod root;

mod entry {
    proxy_wasm::main! {{
        // The host's level may not be asked for yet; `on_configure` does.
        proxy_wasm::set_log_level(super::DEFAULT_LEVEL);
        proxy_wasm::set_root_context(|context| Box::new(super::root::Root::new(context)));
    }}
}

/// The level of the SDK's logger until the host has been asked.
const DEFAULT_LEVEL: LogLevel = LogLevel::Info;
