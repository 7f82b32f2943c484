//! What modules need of Envoy.

use proxy_wasm_harness::{Envoy, Links, Module, artifact};

fn wat(text: &str) -> Module {
    Module::from_bytes(&wat::parse_str(text).unwrap()).unwrap()
}

#[test]
fn a_filter_links_where_its_imports_do() {
    let probe = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/filters/probe");
    let audit = Module::from_bytes(&artifact::build(probe).unwrap()).unwrap().audit();
    assert_eq!((audit.abi(), audit.problems()), (Some("0.2.1"), Vec::new()));
    assert_eq!((audit.links_on(36), audit.links_on(40), audit.links_on(35)), (Some(true), Some(true), None));
    assert!(audit.imports().iter().all(|import| import.links == Links::Everywhere), "{audit}");
    assert!(audit.sections().iter().any(|(name, size)| name == "name" && *size > 100), "{audit}");
    assert!(audit.memory().unwrap().0 > 1 << 20);
}

#[test]
fn a_filter_of_the_newest_go_does_not_link_on_older_envoys() {
    let audit = wat(r#"(module
        (import "wasi_snapshot_preview1" "fd_readdir" (func (param i32 i32 i32 i64 i32) (result i32)))
        (import "wasi_unstable" "sched_yield" (func (result i32)))
        (memory (export "memory") 2 16)
        (func (export "malloc") (param i32) (result i32) i32.const 1)
        (func (export "proxy_abi_version_0_2_0")))"#)
    .audit();
    let links: Vec<_> = audit.imports().iter().map(|import| &import.links).collect();
    assert_eq!(links, [&Links::Since(39), &Links::Everywhere]);
    assert_eq!([38, 39].map(|minor| audit.links_on(minor)), [Some(false), Some(true)]);
    assert_eq!(audit.memory(), Some((131_072, Some(1_048_576))));
    assert_eq!(audit.problems(), Vec::<String>::new());
    let table = audit.to_string();
    assert!(table.contains("links on  1.36 NO, 1.37 NO, 1.38 NO, 1.39 yes, 1.40 yes"), "{table}");
    assert!(table.contains("  wasi_snapshot_preview1.fd_readdir  1.39 and later\n"), "{table}");
}

#[test]
fn whatever_envoy_would_refuse_is_named_at_once() {
    let module = wat(r#"(module
        (import "env" "proxy_teleport" (func (param i32)))
        (import "env" "proxy_log" (func (param i64)))
        (import "env" "proxy_done" (global i32))
        (import "env" "proxy_get_configuration" (func (param i32 i32) (result i32)))
        (func (export "proxy_abi_version_0_3_0"))
        (func (export "proxy_on_tick") (param i64))
        (func (export "proxy_on_teleport")))"#);
    let audit = module.audit();
    let problems = audit.problems();
    let says = [
        "no ABI marker such as `proxy_abi_version_0_2_1`",
        "import `env.proxy_teleport`: there is nothing of that name",
        "import `env.proxy_log`: it is (type (func (param i32 i32 i32) (result i32))), not (type (func (param i64)))",
        "import `env.proxy_done`: it is a function, not Global",
        "import `env.proxy_get_configuration`: there is nothing of that name",
        "export `memory`: is missing",
        "export `malloc or proxy_on_memory_allocate`: is missing",
        "export `proxy_on_tick`: has the type (type (func (param i64)))",
    ];
    assert_eq!(problems.len(), says.len(), "{problems:#?}");
    for (problem, says) in problems.iter().zip(says) {
        assert!(problem.starts_with(says), "{problem}");
    }
    let table = audit.to_string();
    assert!(table.contains("Envoy calls nothing of that name"), "{table}");
    assert!(table.contains("Envoy does not know this version"), "{table}");
    assert!(Envoy::builder(&module).start().is_err());
}
