//! What cannot be used: each is an error that names the cause and what to do, and never a hang.

use proxy_wasm_harness::json;

use super::Shell;

#[track_caller]
fn check(error: &str, says: &[&str]) {
    for part in says {
        assert!(error.contains(part), "`{part}` is not in:\n{error}");
    }
}

#[test]
fn a_file_that_is_no_filter() {
    let shell = Shell::with("");
    for verb in ["run", "audit"] {
        check(&shell.refused(&[verb, "nowhere.wasm"]), &["cannot read nowhere.wasm", "No such file"]);
        check(&shell.refused(&[verb, "."]), &["cannot read ."]);
        shell.write("text.wasm", "(module)");
        check(&shell.refused(&[verb, "text.wasm"]), &["not a WebAssembly module", "must be assembled first"]);
    }
    shell.write("plain.wasm", wat::parse_str(r#"(module (memory (export "memory") 1))"#).unwrap());
    check(&shell.refused(&["run", "plain.wasm"]), &["no proxy-wasm ABI marker", "SDKs"]);
}

#[test]
fn a_filter_that_envoy_would_not_start() {
    let unknown = Shell::with(r#"(import "env" "proxy_teleport" (func))"#);
    check(&unknown.refused(&["run", "f.wasm"]), &["env.proxy_teleport", "proxy-wasm-harness audit"]);
    let of_start = |export: &str, parts: &str| {
        Shell::with(&format!(r#"(func $it (export "{export}") (param i32 i32) (result i32) {parts})"#))
    };
    let traps = of_start("proxy_on_vm_start", "unreachable");
    check(
        &traps.refused(&["run", "f.wasm"]),
        &["would not start f.wasm", "proxy_on_vm_start trapped", "in it"],
    );
    let endless = of_start("proxy_on_configure", "(loop $again (br $again)) i32.const 1");
    let error = endless.refused(&["run", "f.wasm", "--fuel", "1000000"]);
    check(&error, &["proxy_on_configure trapped", "more than 1000000 units of fuel", "--fuel"]);
    let hungry =
        "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    let error = of_start("proxy_on_configure", hungry).refused(&["run", "f.wasm", "--memory", "128KiB"]);
    check(&error, &["may not grow beyond 131072 bytes", "--memory"]);
    let refuses = of_start("proxy_on_configure", "i32.const 0");
    check(&refuses.refused(&["run", "f.wasm"]), &["proxy_on_configure answered false", "--config"]);
    check(&Shell::new().refused(&["run", "gate.wasm"]), &["must be the name of a cluster", "--config-text"]);
}

#[test]
fn arguments_that_make_no_sense() {
    let shell = Shell::with("");
    let refused = |arguments: &[&str]| shell.refused(&[&["run", "f.wasm"], arguments].concat());
    check(&refused(&["--request", "GET"]), &["--request <METHOD PATH>", "needs a method and a path"]);
    check(&refused(&["--request", "GET / a: b"]), &["headers are given with --header"]);
    check(&refused(&["--header", "x-a"]), &["'name: value'"]);
    check(&refused(&["--advance", "5"]), &["500ms"]);
    check(&refused(&["--respond", "99"]), &["from 200 to 599"]);
    check(&refused(&["--memory", "1kb"]), &["64KiB"]);
    check(&refused(&["--property", "a=text"]), &["not JSON", "a text needs quotes"]);
    check(&refused(&["--cluster", "a=b"]), &["none of healthy, no-hosts"]);
    check(&refused(&["--workers", "0"]), &["0 is not in 1..=64"]);
    check(&refused(&["--worker", "1", "--request", "GET /"]), &["there are 1 workers, counted from zero"]);
    check(&refused(&["--config", "nowhere"]), &["--config <FILE>", "cannot read it", "No such file"]);
    check(&refused(&["--body", "@nowhere"]), &["cannot read it"]);
    check(&refused(&["--config", "f.wasm", "--config-text", ""]), &["cannot be used with"]);
    check(&shell.refused(&["audit", "f.wasm", "--envoy", "1.35"]), &["only 1.36 to 1.40 are known"]);
}

#[test]
fn an_audit_says_what_does_not_link() {
    let shell = Shell::new();
    let done = shell.run(&["audit", "gate.wasm", "--envoy", "1.36"]);
    assert_eq!(done.code, 0, "{}", done.stdout);
    check(
        &done.stdout,
        &["ABI       0.2.1", "1.40 yes", "env.proxy_http_call", "proxy_on_http_call_response"],
    );
    let audit = shell.json(0, &["audit", "gate.wasm"]);
    assert_eq!((&audit["abi"], &audit["problems"]), (&json!("0.2.1"), &json!([])));
    assert_eq!(audit["links_on"][4], json!([40, true]));

    let unknown = Shell::with(r#"(import "env" "proxy_teleport" (func))"#);
    let done = unknown.run(&["audit", "f.wasm"]);
    assert_eq!(done.code, 1);
    check(&done.stdout, &["NO: unknown to Envoy", "problems\n  import `env.proxy_teleport`"]);
    assert_eq!(unknown.json(1, &["audit", "f.wasm"])["imports"][0]["links"], false);

    let newer = r#"(import "wasi_snapshot_preview1" "fd_sync" (func (param i32) (result i32)))"#;
    let newer = Shell::with(newer);
    assert_eq!(newer.json(0, &["audit", "f.wasm", "--envoy", "1.39"])["imports"][0]["since"], 39);
    let audit = newer.json(1, &["audit", "f.wasm", "--envoy", "1.38"]);
    assert_eq!(audit["problems"], json!(["it does not link on Envoy 1.38"]));
}

#[test]
fn help_names_what_there_is() {
    let shell = Shell::with("");
    let help = shell.run(&["--help"]);
    assert_eq!(help.code, 0);
    check(&help.stdout, &["run", "audit", "Exit codes:"]);
    let help = shell.run(&["run", "--help"]);
    check(&help.stdout, &["--request", "--advance", "Examples:", "Exit codes:", "[default: 1GiB]"]);
    let none = shell.run(&[]);
    assert_eq!(none.code, 2);
    check(&none.stderr, &["Usage:"]);
}
