//! Modules of the older versions of the ABI.

use std::time::Duration;

use proxy_wasm_harness::{Envoy, Module, StartError, State};

/// A filter of ABI 0.1.0: it logs the configuration that it finds in each callback, with the callback's letter
/// before it, holds requests and releases them on the next tick.
const OLD: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_configuration" (func $configuration (param i32 i32) (result i32)))
    (import "env" "proxy_continue_request" (func $continue_request (result i32)))
    (import "env" "proxy_continue_response" (func $continue_response (result i32)))
    (import "env" "proxy_clear_route_cache" (func $clear (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (import "env" "proxy_set_tick_period_milliseconds" (func $tick_period (param i32) (result i32)))
    (memory (export "memory") 1)
    (global $free (mut i32) (i32.const 1024))
    (global $stream (mut i32) (i32.const 0))
    (func (export "MARKER"))
    (func (export "malloc") (param i32) (result i32)
        (global.get $free)
        (global.set $free (i32.add (global.get $free) (local.get 0))))
    (func $say (param $letter i32)
        (if (call $configuration (i32.const 8) (i32.const 12)) (then unreachable))
        ;; The configuration is behind a byte of the filter's own.
        (i32.store8 (i32.sub (i32.load (i32.const 8)) (i32.const 1)) (local.get $letter))
        (drop (call $log (i32.const 2) (i32.sub (i32.load (i32.const 8)) (i32.const 1))
            (i32.add (i32.load (i32.const 12)) (i32.const 1))))
        (global.set $free (i32.add (global.get $free) (i32.const 8))))
    (func (export "proxy_on_context_create") (param i32 i32)
        (call $say (i32.const 99))
        (if (local.get 1) (then (global.set $stream (local.get 0)))))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
        (call $say (i32.const 118)) (i32.const 1))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (call $say (i32.const 112))
        (drop (call $tick_period (i32.const 100)))
        (i32.const 1))
    (func (export "proxy_on_request_headers") (param i32 i32) (result i32)
        (call $say (i32.const 104))
        (if (call $clear) (then unreachable))
        (i32.const 1))
    (func (export "proxy_on_response_headers") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_tick") (param i32)
        (if (global.get $stream) (then
            (if (i32.eqz (call $effective (global.get $stream))) (then
                (drop (call $continue_request)) (drop (call $continue_response))))))))"#;

fn module(text: &str) -> Module {
    Module::from_bytes(&wat::parse_str(text).unwrap()).unwrap()
}

#[test]
fn abi_0_1_0_has_one_call_for_configurations_and_headers_without_an_end() {
    let envoy = Envoy::builder(&module(&OLD.replace("MARKER", "proxy_abi_version_0_1_0")));
    let envoy = envoy.vm_config("VM").plugin_config("PLUGIN").start().unwrap();
    let held = envoy.worker(0).post("/").body("b").send();
    assert_eq!(held.state(), State::Held);
    let worker = |log: &proxy_wasm_harness::Log| log.vm == envoy.worker(0).thread();
    let words: Vec<_> = envoy.logs().into_iter().filter(worker).map(|log| log.message).collect();
    assert_eq!(words, ["cPLUGIN", "vVM", "pPLUGIN", "cVM", "hVM"]);
}

#[test]
fn abi_0_1_0_continues_requests_and_responses_by_calls_of_their_own() {
    let text = OLD.replace("MARKER", "proxy_abi_version_0_1_0");
    let envoy = Envoy::builder(&module(&text)).vm_config("VM").plugin_config("PLUGIN").start().unwrap();
    let exchange = envoy.worker(0).get("/").send();
    envoy.advance(Duration::from_millis(100));
    assert_eq!(exchange.state(), State::Forwarded);
    // Both are continued on each tick, the response before there is one: Envoy 1.40 crashes on that.
    assert!(
        envoy.violations().iter().any(|violation| violation.to_string().contains("before there was one"))
    );
    let _ = exchange.respond(200, [("x", "y")]);
    assert!(exchange.is_response_held());
    envoy.advance(Duration::from_millis(100));
    assert!(!exchange.is_response_held());
}

#[test]
fn each_version_has_its_own_calls_and_types() {
    let error =
        Envoy::builder(&module(&OLD.replace("MARKER", "proxy_abi_version_0_2_1"))).start().unwrap_err();
    assert!(
        matches!(&error, StartError::Import { name, .. } if name == "proxy_get_configuration"),
        "{error}"
    );

    let filter = |marker: &str, call: &str, parameters: &str| {
        let text = format!(
            r#"(module {call} (memory (export "memory") 1) (func (export "{marker}"))
                (func (export "malloc") (param i32) (result i32) i32.const 1)
                (func (export "proxy_on_request_headers") (param {parameters}) (result i32) i32.const 0))"#
        );
        Envoy::builder(&module(&text)).start().map(|envoy| envoy.worker(0).get("/").send().state())
    };
    let log_level = r#"(import "env" "proxy_get_log_level" (func (param i32) (result i32)))"#;
    let close = r#"(import "env" "proxy_close_stream" (func (param i32) (result i32)))"#;
    let (old, middle, new) =
        ("proxy_abi_version_0_1_0", "proxy_abi_version_0_2_0", "proxy_abi_version_0_2_1");
    assert_eq!(filter(old, "", "i32 i32").unwrap(), State::Forwarded);
    assert_eq!(filter(middle, close, "i32 i32 i32").unwrap(), State::Forwarded);
    assert_eq!(filter(new, log_level, "i32 i32 i32").unwrap(), State::Forwarded);
    for (marker, call, parameters, name) in [
        (old, close, "i32 i32", "proxy_close_stream"),
        (middle, log_level, "i32 i32 i32", "proxy_get_log_level"),
        (old, "", "i32 i32 i32", "proxy_on_request_headers"),
        (middle, "", "i32 i32", "proxy_on_request_headers"),
    ] {
        let error = filter(marker, call, parameters).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn metadata_is_counted_for_the_filter() {
    let text = r#"(module
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 16) "request0response0")
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) i32.const 1024)
        (func (export "proxy_on_request_metadata") (param i32 i32) (result i32)
            (i32.store8 (i32.const 23) (i32.add (i32.const 48) (local.get 1)))
            (drop (call $log (i32.const 2) (i32.const 16) (i32.const 8))) (i32.const 1))
        (func (export "proxy_on_response_metadata") (param i32 i32) (result i32)
            (i32.store8 (i32.const 32) (i32.add (i32.const 48) (local.get 1)))
            (drop (call $log (i32.const 2) (i32.const 24) (i32.const 9))) (i32.const 1)))"#;
    let envoy = Envoy::builder(&module(text)).start().unwrap();
    let exchange = envoy.worker(0).post("/").open();
    exchange.send_metadata(3);
    let _ = exchange.respond(200, [("x", "y")]);
    exchange.respond_metadata(2);
    let words: Vec<_> = envoy.logs().into_iter().map(|log| log.message).collect();
    assert_eq!(words, ["request3", "response2"]);
    assert_eq!(exchange.finish(), State::Finished, "its answer does not count");
}
