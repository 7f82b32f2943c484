//! The operating system that a filter sees.

use proxy_wasm_harness::Level;

use crate::probe::{said, script};

#[test]
fn output_is_logged() {
    let envoy = script("configure: print hello").start().unwrap();
    assert_eq!(said(&envoy), ["hello", "configure: print hello = 0"]);
    assert_eq!(envoy.logs()[0].level, Level::Info);
}

#[test]
fn there_is_an_environment_if_one_is_given() {
    let envoy = script("configure: env A\nconfigure: env B").environment("A", "1").start().unwrap();
    assert_eq!(said(&envoy), ["configure: env A = 0 \"1\"", "configure: env B = 0 \"\""]);
}
