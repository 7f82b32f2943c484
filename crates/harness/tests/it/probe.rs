//! The filter that makes the host calls which its configuration lists.

use proxy_wasm_harness::{Builder, Envoy, Exchange, Module, Rule, Thread, artifact};

/// An Envoy whose filter carries out these lines.
pub(crate) fn script(lines: &str) -> Builder {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/filters/probe");
    let module = Module::from_bytes(&artifact::build(dir).unwrap()).unwrap();
    Envoy::builder(&module).plugin_config(lines)
}

/// What the filter says on the first worker.
pub(crate) fn said(envoy: &Envoy) -> Vec<String> {
    let logs = envoy.logs().into_iter().filter(|log| log.vm == Thread::Worker(0));
    logs.map(|log| log.message).collect()
}

/// What the filter did wrong on the first worker.
pub(crate) fn rules(envoy: &Envoy) -> Vec<Rule> {
    let violations = envoy.violations().into_iter().filter(|violation| violation.vm == Thread::Worker(0));
    violations.map(|violation| violation.rule).collect()
}

/// Sends a `GET` through a filter that carries out these lines, and checks what it says.
#[track_caller]
pub(crate) fn check(lines: &str, says: &[&str]) -> (Envoy, Exchange) {
    let envoy = script(lines).start().unwrap();
    let exchange = envoy.worker(0).get("/path?q=1").send();
    assert_eq!(said(&envoy), says, "{}", exchange.trace());
    (envoy, exchange)
}
