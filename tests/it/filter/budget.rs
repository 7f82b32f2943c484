//! What a request may cost, in counts that do not depend on the machine.

use portcullis_core::wire::edge::ControlMessage;
use prost::Message as _;
use proxy_wasm_harness::State;

use super::support::{Authorized, Plane, connect, module, send, session, synced, wasm};

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

/// Envoy calls every callback that a module exports.
#[test]
fn the_filter_exports_only_what_it_has_a_use_for() {
    let mut exports = module().exports();
    exports.sort_unstable();
    let expect = [
        "_initialize",
        "memory",
        "proxy_abi_version_0_2_1",
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
    assert_eq!(exports, expect);
}

#[test]
fn the_module_stays_small() {
    // Envoy compiles it for every worker.
    let bytes = wasm().len();
    println!("{bytes} bytes");
    assert!(bytes <= 350_000, "{bytes} bytes");
}

/// A set of a thousand sessions, and what one request after another costs; bounds are about a tenth above what was
/// measured, since fuel depends on the pinned compiler.
#[test]
fn a_request_costs_what_its_token_makes_it_cost() {
    let mut plane = Plane::new();
    (0..1_000).for_each(|n| drop(plane.revoke_session(&format!("r{n}"))));
    let (envoy, _stream) = synced("", &plane);
    let send = |token: &str| {
        let exchange = envoy.worker(0).get("/").bearer(token).send();
        exchange.finish();
        exchange
    };
    let check = |what: &str, token: &str, state: State, data_calls: u64, host_calls: u64, fuel: u64| {
        let exchange = send(token);
        let cost = exchange.cost();
        let calls = (exchange.state(), cost.data_calls(), cost.host_calls());
        assert_eq!(calls, (state, data_calls, host_calls), "{what}: {}", exchange.trace());
        println!("{what}: fuel {}", cost.fuel);
        assert!(cost.fuel < fuel, "{what}: fuel {}", cost.fuel);
    };
    let (innocent, revoked) = (session("s1"), session("r7"));
    check("a first token", &innocent, State::Finished, 1, 1, 32_900);
    check("a first token with a header seen before", &session("s2"), State::Finished, 1, 1, 26_800);
    check("a repeated token", &innocent, State::Finished, 1, 1, 7_400);
    // What the client asked decides about the reply, the access log is told, and the control plane of the path.
    check("a first rejected token", &revoked, State::Replied, 4, 7, 42_300);
    check("a repeated rejected token", &revoked, State::Replied, 4, 7, 22_400);
    check("a malformed token", "a.b,c", State::Replied, 4, 6, 19_500);
    check("an opaque token", "opaque", State::Finished, 1, 1, 9_700);
}

#[test]
fn a_flood_of_tokens_costs_no_more_than_first_tokens() {
    let mut plane = Plane::new();
    plane.revoke_session("r");
    let (envoy, _stream) = synced("", &plane);
    let count = 3_000;
    let before = envoy.worker(0).cost().fuel;
    for n in 0..count {
        envoy.worker(0).get("/").bearer(&session(&format!("s{n}"))).send().finish();
    }
    let average = (envoy.worker(0).cost().fuel - before) / count;
    println!("a flood: fuel {average} on average");
    assert!(average < 26_800, "{average}");
}

/// What is held of a revocation, and what a new edge is sent of it: all that a worker's memory grows by and all that
/// the messages are long, over the number of sessions.
#[test]
fn a_revocation_takes_few_bytes() {
    const COUNT: usize = 200_000;
    const PER_CHUNK: usize = 5_000;
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, stream) = synced("", &plane);
    stream.reset();
    let stream = connect(&envoy);
    (1..COUNT).for_each(|n| drop(plane.revoke_session(&format!("r{n}"))));
    let messages = plane.snapshot(PER_CHUNK);
    let sent = |message| ControlMessage { message: Some(message) }.encoded_len();
    let wire: usize = messages.iter().cloned().map(sent).sum();
    let before = envoy.worker(0).memory_size();
    messages.into_iter().for_each(|message| send(&stream, message));
    let grown = envoy.worker(0).memory_size() - before;
    println!("{COUNT} revocations: {wire} bytes sent, {grown} bytes of memory");
    assert!(wire <= COUNT * 10 && grown <= COUNT * 12, "{wire} bytes sent, {grown} bytes of memory");
    for (sid, state) in [("r7", State::Replied), ("r199999", State::Replied), ("s2", State::Finished)] {
        let exchange = envoy.worker(0).get("/").bearer(&session(sid)).send();
        exchange.finish();
        assert_eq!(exchange.state(), state, "{sid}");
    }
    envoy.assert_clean();
}
