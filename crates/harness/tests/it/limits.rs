//! Filters without end: each is an error value that names the callback, and never a hang.

use proxy_wasm_harness::{Cause, Envoy, Module, StartError, State};

use crate::probe::script;

const LOG: &str = r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))"#;

/// A filter in text, whose `endless` function is called where the parts say.
fn wat(parts: &str) -> Module {
    let text = format!(
        r#"(module {LOG} {parts}
            (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) i32.const 1024))"#
    );
    Module::from_bytes(&wat::parse_str(text).unwrap()).unwrap()
}

/// How a filter dies whose callback does this.
#[track_caller]
fn dies(parts: &str) -> proxy_wasm_harness::Failure {
    let module = wat(&format!(
        r#"(func $endless {parts})
        (func $handle (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (call $endless) i32.const 0)"#
    ));
    let builder = Envoy::builder(&module).fuel_per_callback(10_000_000).host_calls_per_callback(1_000);
    let envoy = builder.memory_limit(10 << 20).start().unwrap();
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Replied);
    let failure = envoy.worker(0).failure().unwrap();
    assert_eq!(failure.callback, "proxy_on_request_headers");
    assert_eq!(failure.backtrace, ["endless", "handle"]);
    assert!(envoy.worker(0).memory_size() <= 10 << 20);
    failure
}

#[test]
fn looping_for_ever() {
    let failure = dies("(loop $again (br $again))");
    assert_eq!(failure.cause, Cause::Fuel);
    let says = "worker_0: proxy_on_request_headers trapped: it used more than 10000000 units of fuel\n  in endless\n  in handle";
    assert_eq!(failure.to_string(), says);
}

#[test]
fn calling_the_host_for_ever() {
    let failure =
        dies("(loop $again (drop (call $log (i32.const 2) (i32.const 0) (i32.const 1))) (br $again))");
    assert_eq!(
        (failure.cause, failure.message.as_str()),
        (Cause::HostCalls, "it made more than 1000 host calls")
    );
}

#[test]
fn allocating_without_end() {
    let failure =
        dies("(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable");
    assert_eq!(failure.cause, Cause::Memory);
    assert!(failure.message.ends_with("(its memory may not grow beyond 10485760 bytes)"), "{failure}");

    // One that does not mind being refused runs out of fuel.
    let failure = dies("(loop $again (drop (memory.grow (i32.const 1))) (br $again))");
    assert_eq!(failure.cause, Cause::Fuel);
}

#[test]
fn a_filter_in_rust_that_runs_out_of_memory() {
    let envoy = script("request_headers: hoard 100000000").memory_limit(10_000_000).start().unwrap();
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Replied);
    let failure = envoy.worker(0).failure().unwrap();
    assert_eq!(failure.cause, Cause::Memory);
    assert!(failure.message.contains("memory allocation of 100000000 bytes failed"), "{failure}");
    assert!(
        failure.backtrace.iter().any(|function| function.contains("proxy_on_request_headers")),
        "{failure:?}"
    );
}

#[test]
fn logging_without_end() {
    let module = wat(r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (loop $again (drop (call $log (i32.const 2) (i32.const 0) (i32.const 65536))) (br $again))
            i32.const 0)"#);
    let envoy = Envoy::builder(&module).host_calls_per_callback(1_500).start().unwrap();
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Replied);
    assert_eq!(envoy.logs().iter().map(|log| log.message.len()).sum::<usize>(), 64 << 20);
}

#[test]
fn host_calls_are_counted_for_each_callback_anew() {
    let lines = "request_headers: time\nrequest_body: time";
    // Each line costs two: the call, and the log of its answer. So does each callback's name.
    let envoy = script(lines).host_calls_per_callback(2).start().unwrap();
    assert_eq!(envoy.worker(0).post("/").body("b").send().state(), State::Forwarded);
    envoy.assert_clean();
    let envoy = script(lines).host_calls_per_callback(1).start().unwrap();
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Replied);
    assert_eq!(envoy.worker(0).failure().unwrap().cause, Cause::HostCalls);
}

#[test]
fn endless_at_start() {
    let endless = "(func $endless (loop $again (br $again)))";
    let start = |parts: &str| {
        let module = wat(&format!("{endless} {parts}"));
        Envoy::builder(&module).fuel_per_callback(1_000_000).start().unwrap_err()
    };
    let error = start("(start $endless)");
    assert!(matches!(error, StartError::Instantiate(_)), "{error}");
    assert!(error.to_string().contains("endless") && error.to_string().contains("fuel"), "{error}");

    for (export, thread) in
        [("_initialize", "base"), ("proxy_on_vm_start", "canary"), ("proxy_on_configure", "canary")]
    {
        let of_type = if export == "_initialize" { "" } else { "(param i32 i32) (result i32)" };
        let answer = if export == "_initialize" { "" } else { "i32.const 1" };
        let error = start(&format!(r#"(func (export "{export}") {of_type} (call $endless) {answer})"#));
        assert!(matches!(&error, StartError::Trap(failure) if failure.cause == Cause::Fuel), "{error}");
        assert!(error.to_string().starts_with(&format!("{thread}: {export} trapped")), "{error}");
        assert!(error.to_string().contains("\n  in endless"), "{error}");
    }
}

#[test]
fn more_memory_or_tables_than_there_may_be() {
    let refused = |memory: &str| {
        let text = format!(
            r#"(module {memory}
                (func (export "proxy_abi_version_0_2_1"))
                (func (export "malloc") (param i32) (result i32) i32.const 0))"#
        );
        let module = Module::from_bytes(&wat::parse_str(text).unwrap()).unwrap();
        Envoy::builder(&module).memory_limit(1 << 20).start().unwrap_err().to_string()
    };
    let error = refused(r#"(memory (export "memory") 17)"#);
    assert!(error.contains("cannot instantiate the module"), "{error}");
    let error = refused(r#"(memory (export "memory") 1) (table 10000001 funcref)"#);
    assert!(error.contains("cannot instantiate the module"), "{error}");
}
