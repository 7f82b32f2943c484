//! Modules that are broken, each in its own way.

use proxy_wasm_harness::{Envoy, Exchange, Module, ModuleError, StartError, State, artifact};

/// A filter in text, around these parts.
fn wat(parts: &str) -> Module {
    let text = format!(
        r#"(module {parts}
            (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) i32.const 1024))"#
    );
    Module::from_bytes(&wat::parse_str(text).unwrap()).unwrap()
}

#[track_caller]
fn refused(parts: &str, says: &str) {
    let error = Envoy::builder(&wat(parts)).start().unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn a_file_must_be_there_and_be_a_module() {
    let missing = Module::from_file("/nowhere/filter.wasm").unwrap_err();
    assert!(matches!(missing, ModuleError::File { .. }), "{missing}");
    let malformed = Module::from_bytes(b"not wasm").unwrap_err();
    assert_eq!(malformed.to_string(), "not a WebAssembly module: it does not begin with `\\0asm`");
    let cut = Module::from_bytes(b"\0asm\x01\0\0\0\x01").unwrap_err();
    assert!(matches!(cut, ModuleError::Malformed(_)), "{cut}");
}

#[test]
fn a_module_must_have_the_abi_marker_and_an_allocator() {
    let plain =
        Module::from_bytes(&wat::parse_str(r#"(module (memory (export "memory") 1))"#).unwrap()).unwrap();
    assert!(matches!(Envoy::builder(&plain).start().unwrap_err(), StartError::Abi));

    let text = r#"(module (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_0")))"#;
    let module = Module::from_bytes(&wat::parse_str(text).unwrap()).unwrap();
    let error = Envoy::builder(&module).start().unwrap_err();
    assert!(matches!(&error, StartError::Export { name, .. } if name == "malloc"), "{error}");
}

#[test]
fn an_import_must_be_known_and_of_the_right_type() {
    refused(
        r#"(import "env" "proxy_teleport" (func))"#,
        "Envoy has no import `env.proxy_teleport`: there is nothing of that name",
    );
    refused(r#"(import "env" "proxy_log" (func (param i64)))"#, "Envoy has no import `env.proxy_log`: it is");
    refused(r#"(import "env" "proxy_log" (global i32))"#, "it is a function");
    refused(r#"(import "wasi_snapshot_preview1" "fd_pipe" (func))"#, "wasi_snapshot_preview1.fd_pipe");
}

#[test]
fn a_callback_must_have_its_type() {
    refused(r#"(func (export "proxy_on_tick") (param i64))"#, "export `proxy_on_tick`: has the type");
}

#[test]
fn a_trap_at_start_names_the_callback() {
    refused(r#"(func (export "_initialize") unreachable)"#, "base: _initialize trapped");
    let vm_start = r#"(func (export "proxy_on_vm_start") (param i32 i32) (result i32)"#;
    refused(&format!("{vm_start} unreachable)"), "canary: proxy_on_vm_start trapped");
    refused(&format!("{vm_start} i32.const 0)"), "canary: proxy_on_vm_start answered false");
    refused(r#"(func $start unreachable) (start $start)"#, "cannot instantiate the module");
}

#[test]
fn next_to_no_host_call_may_be_made_before_the_start() {
    let call = r#"(import "env" "proxy_done" (func $done (result i32)))
        (func (export "_initialize") (drop (call $done)))"#;
    refused(call, "proxy_done may not be called at this point");
}

#[test]
fn an_allocator_that_fails_is_told_to_the_filter() {
    let text = r#"(module
        (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) i32.const 0)
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (call $pairs (i32.const 0) (i32.const 8) (i32.const 12))
            i32.const 6 i32.ne if unreachable end
            (drop (call $log (i32.const 2) (i32.const 0) (i32.const -1)))
            i32.const 0))"#;
    let module = Module::from_bytes(&wat::parse_str(text).unwrap()).unwrap();
    let envoy = Envoy::builder(&module).start().unwrap();
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Forwarded);
    assert!(envoy.logs().is_empty(), "a pointer that leads nowhere");
    envoy.assert_clean();
}

#[test]
fn a_filter_without_callbacks_lets_everything_pass() {
    let envoy = Envoy::builder(&wat("")).start().unwrap();
    let exchange: Exchange = envoy.worker(0).post("/").body("b").send();
    assert_eq!((exchange.state(), exchange.finish()), (State::Forwarded, State::Finished));
}

#[test]
fn modules_are_compiled_once() {
    let begin = std::time::Instant::now();
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/filters/hello");
    let first = artifact::build(dir).unwrap();
    let _ = Module::from_bytes(&first).unwrap();
    let compiled = begin.elapsed();
    let again = std::time::Instant::now();
    let module = Module::from_bytes(&artifact::build(dir).unwrap()).unwrap();
    assert!(again.elapsed() < compiled / 2 || compiled.as_millis() < 50);
    assert!(module.exports().contains(&"proxy_on_tick".to_owned()));
    assert!(module.imports().contains(&("env".to_owned(), "proxy_log".to_owned())));
}

#[test]
fn a_filter_that_does_not_build_says_why() {
    let dir = std::env::temp_dir().join(format!("harness-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("src")).unwrap();
    let manifest =
        "[package]\nname = \"broken\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n";
    std::fs::write(dir.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(dir.join("src/lib.rs"), "fn main() { this is not Rust }").unwrap();
    let error = artifact::build(&dir).unwrap_err();
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(
        matches!(&error, artifact::BuildError::Failed { output, .. } if output.contains("lib.rs")),
        "{error}"
    );
}
