//! What a request may cost, in counts that do not depend on the machine.

use proxy_wasm_harness::State;

use super::support::{Authorized, Plane, module, session, synced};

/// Imports that Envoy 1.33 and later provide: the ABI's own, and the WASI calls that it has always had.
const WASI: [&str; 6] =
    ["clock_time_get", "environ_get", "environ_sizes_get", "fd_write", "proc_exit", "random_get"];

#[test]
fn the_filter_imports_only_what_every_envoy_has() {
    for (from, name) in module().imports() {
        let known = match from.as_str() {
            "env" => name.starts_with("proxy_"),
            "wasi_snapshot_preview1" => WASI.contains(&name.as_str()),
            _ => false,
        };
        assert!(known, "{from}.{name}");
    }
}

#[test]
fn a_repeated_token_costs_one_header_read() {
    let mut plane = Plane::new();
    (0..1_000).for_each(|n| drop(plane.revoke_session(&format!("r{n}"))));
    let (envoy, _stream) = synced("", &plane);
    let token = session("s1");
    let first = envoy.worker(0).get("/").bearer(&token).send();
    first.finish();
    let again = envoy.worker(0).get("/").bearer(&token).send();
    assert_eq!(again.state(), State::Forwarded);
    let cost = again.cost();
    assert_eq!((cost.data_calls(), cost.host_calls()), (1, 2), "{}", again.trace());
    // Bounds about a tenth above what was measured; fuel depends on the pinned compiler.
    assert!(cost.fuel < 11_500, "repeated: {}", cost.fuel);
    assert!(first.cost().fuel < 57_000, "first: {}", first.cost().fuel);
}
