//! The Portcullis filter: the adapter from proxy-wasm to `portcullis-core`, and nothing else.
//!
//! `root` keeps a worker in touch with the control plane, `http` takes a request to the gate and does what
//! it says, `host` is the only module that calls the host, `metrics` names what is counted.

use proxy_wasm::types::LogLevel;

mod clock;
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

/// A custom section of the module with the release that it is of, for whoever holds the file.
#[expect(unsafe_code, reason = "a section of a name of its own holds nothing else")]
#[used]
#[unsafe(link_section = "portcullis.version")]
static VERSION: [u8; env!("CARGO_PKG_VERSION").len()] = {
    let mut version = [0; env!("CARGO_PKG_VERSION").len()];
    version.copy_from_slice(env!("CARGO_PKG_VERSION").as_bytes());
    version
};

/// The level of the SDK's logger until the host has been asked.
const DEFAULT_LEVEL: LogLevel = LogLevel::Info;
