//! This program as the filters' linker: what the SDK exports and the filter has no use for is left out.
//!
//! `proxy-wasm` exports every callback of the ABI, and Envoy calls each that is there: for a request that passes, half
//! of its ways into the VM would be to say nothing. rustc tells the linker what to export and has no way to be told
//! otherwise; without the exports, the linker drops what only they need as well.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::cargo;

/// Callbacks of the ABI that the filter does something in; `filters/revocation` overrides exactly these.
const CALLBACKS: [&str; 10] = [
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_grpc_close",
    "proxy_on_grpc_receive",
    "proxy_on_memory_allocate",
    "proxy_on_request_body",
    "proxy_on_request_headers",
    "proxy_on_request_trailers",
    "proxy_on_tick",
];

/// How rustc calls a linker of this kind: `-flavor wasm`, then what it does.
const FLAVOR: &str = "-flavor";

/// Links, if that is what this program was called for.
pub(crate) fn called() -> Option<Result<ExitCode>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    (arguments.first().is_some_and(|first| first == FLAVOR)).then(|| link(arguments))
}

fn link(arguments: Vec<String>) -> Result<ExitCode> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let lib = cargo::output(Command::new(rustc).args(["--print", "target-libdir"]))?;
    let linker = Path::new(&lib).with_file_name("bin").join("rust-lld");
    let status = Command::new(&linker).args(kept(arguments)).status();
    let status = status.with_context(|| format!("cannot start {}", linker.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The arguments without the exports of callbacks that have no use.
fn kept(arguments: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for argument in arguments {
        let exported = kept.last().is_some_and(|before| before == "--export");
        if exported && argument.starts_with("proxy_on_") && !CALLBACKS.contains(&argument.as_str()) {
            kept.pop();
        } else {
            kept.push(argument);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_callbacks_without_use_are_left_out() {
        let split = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let all = "-flavor wasm --export memory --export proxy_on_log --export proxy_on_tick \
                   --export proxy_abi_version_0_2_1 proxy_on_log --no-entry";
        let expect = "-flavor wasm --export memory --export proxy_on_tick \
                      --export proxy_abi_version_0_2_1 proxy_on_log --no-entry";
        assert_eq!(kept(split(all)), split(expect));
    }
}
