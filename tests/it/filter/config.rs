//! A configuration that cannot be used is refused, and the log says which key and why.

use proxy_wasm_harness::{Envoy, StartError};

use super::support::module;

#[track_caller]
fn refused(config: &str, expect: &str) {
    let error = Envoy::builder(&module()).plugin_config(config).start().expect_err(config);
    assert!(!matches!(error, StartError::Trap(_)), "{error}");
    let text = format!("{error} {error:?}");
    assert!(text.contains(expect), "{text}");
}

#[test]
fn the_key_and_the_reason_are_named() {
    refused("", "the plugin configuration is not valid JSON");
    refused("{}", "configuration key `control_plane`: is required");
    refused(r#"{"control_plane":{"cluster":"c"},"stratup":{}}"#, "configuration key `stratup`: is unknown");
    refused(r#"{"control_plane":{"cluster":"c"},"startup":{"hold":5}}"#, "`startup.hold`: must be a string");
    let trap = format!("j~{}", "x".repeat(126));
    refused(&format!(r#"{{"control_plane":{{"cluster":"{trap}"}}}}"#), "`control_plane.cluster`");
}
