//! Filters that work, and those that misbehave while they run.

use proxy_wasm_harness::json;

use super::Shell;

const REQUEST: [&str; 4] = ["--request", "GET /", "--header", "x-api-key: k1"];

fn gate<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["run", "gate.wasm", "--config-text", "keys"], arguments].concat()
}

#[test]
fn a_request_that_waits_for_a_call_out() {
    let shell = Shell::new();
    let peer = ["--cluster", "keys=200 ann", "--workers", "2", "--respond", "204"];
    let second = ["--advance", "1ms", "--request", "GET /b", "--header", "x-api-key: k1", "--worker", "1"];
    let report = shell.json(0, &gate(&[&peer[..], &REQUEST[..], &second[..]].concat()));
    let requests = &report["requests"];
    let outcomes = [0, 1].map(|index| &requests[index]["outcome"]);
    assert_eq!(outcomes, ["finished", "finished"]);
    assert_eq!(requests[1]["worker"], 1);
    assert_eq!(requests[0]["forwarded"]["removed"], json!([["x-api-key", "k1"]]));
    assert_eq!(requests[0]["forwarded"]["added"], json!([["x-owner", "ann"]]));
    assert_eq!(requests[0]["response"], json!({"removed": [], "added": [], "body": null}));
    assert_eq!(requests[0]["cost"]["calls"]["proxy_http_call"], 1);
    assert_eq!(report["callouts"].as_array().unwrap().len(), 1, "the other worker knows by then");
    assert_eq!(report["callouts"][0]["target"], "GET /owner");
    assert_eq!(report["failures"], json!([]));
    let vms = [0, 1, 2].map(|index| &report["threads"][index]["vm"]);
    assert_eq!(vms, ["main_thread", "worker_0", "worker_1"]);
}

#[test]
fn people_read_the_same() {
    let shell = Shell::new();
    let done = shell.run(&gate(&[&["--cluster", "keys"], &REQUEST[..], &["--request", "GET /b"]].concat()));
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    let lines: Vec<_> = done.stdout.lines().filter(|line| !line.contains(" fuel ")).collect();
    let expected = [
        "GET / on worker_0",
        "  held by the filter",
        "GET /b on worker_0",
        "  replied 401",
        "  header    content-length: 15",
        "  header    content-type: text/plain",
        "  body      a key is needed",
        "threads",
        "call-outs",
        "  worker_0 HTTP call to keys: GET /owner, open",
    ];
    assert_eq!(lines, expected.as_slice());
    let traced = shell.run(&gate(&[&REQUEST[..], &["--trace"]].concat()));
    assert!(traced.stdout.contains("proxy_http_call"), "{}", traced.stdout);
    assert!(!traced.stdout.contains('\u{1b}'), "colours are for terminals");
}

#[test]
fn every_peer_of_a_cluster() {
    let shell = Shell::new();
    for (cluster, status) in [("keys=404", 403), ("keys=no-hosts", 503), ("keys=reset", 503), ("other", 503)]
    {
        let arguments = gate(&[&["--cluster", cluster], &REQUEST[..], &["--advance", "1ms"]].concat());
        assert_eq!(shell.json(0, &arguments)["requests"][0]["reply"]["status"], status, "{cluster}");
    }
    let arguments = gate(&[&["--cluster", "keys"], &REQUEST[..], &["--advance", "500ms"]].concat());
    assert_eq!(shell.json(0, &arguments)["requests"][0]["reply"]["status"], 503, "it has timed out");
    let arguments = gate(&[&["--cluster", "keys=echo"], &REQUEST[..], &["--advance", "1ms"]].concat());
    assert_eq!(shell.json(0, &arguments)["requests"][0]["forwarded"]["added"], json!([["x-owner", ""]]));
}

#[test]
fn a_budget_that_is_exceeded_is_a_failure() {
    let shell = Shell::new();
    let budget = |limits: &[&'static str]| gate(&[&["--request", "GET /"], limits].concat());
    let within = ["--max-fuel", "1000000", "--max-host-calls", "2", "--max-data-calls", "1"];
    let report = shell.json(0, &budget(&within));
    let cost = &report["requests"][0]["cost"];
    assert_eq!((&cost["host_calls"], &cost["data_calls"]), (&json!(2), &json!(1)));
    let over =
        shell.json(1, &budget(&["--max-fuel", "10", "--max-host-calls", "1", "--max-data-calls", "0"]));
    let fuel = format!("GET /: fuel {}, allowed 10", cost["fuel"]);
    let others = ["GET /: host calls 2, allowed 1", "GET /: data calls 1, allowed 0"];
    assert_eq!(over["over_budget"], json!([fuel, others[0], others[1]]));
}

#[test]
fn what_comes_before_the_first_request_holds_for_all() {
    let shell = Shell::with("");
    shell.write("body", "from a file");
    let report = shell.json(
        0,
        &[
            &["run", "f.wasm", "--header", "x-all: 1", "--respond", "200", "--respond-header", "x-r: 1"][..],
            &[
                "--respond-body",
                "text",
                "--request",
                "POST /a HTTP/1.1",
                "--body",
                "@body",
                "--trailer",
                "t: 1",
            ],
            &["--request", "GET /b", "--respond", "500", "--property", "source.port=80"],
        ]
        .concat(),
    );
    assert_eq!(report["requests"][0]["outcome"], "finished");
    assert_eq!(report["requests"][0]["forwarded"], json!({"removed": [], "added": [], "body": null}));
    assert_eq!(
        (&report["requests"][1]["method"], &report["requests"][1]["path"]),
        (&json!("GET"), &json!("/b"))
    );
}

#[test]
fn what_a_filter_changes_is_shown() {
    let stamp = std::fs::read("examples/stamp.wat").unwrap();
    let shell = Shell::with("");
    shell.write("stamp.wasm", wat::parse_bytes(&stamp).unwrap());
    let run = ["run", "stamp.wasm", "--request", "GET /", "--respond", "200"];
    assert_eq!(shell.json(0, &run)["requests"][0]["response"]["added"], json!([["x-stamp", "hello"]]));
    let done = shell.run(&run);
    assert!(
        done.stdout
            .starts_with("GET / on worker_0\n  forwarded and answered\n  response  + x-stamp: hello\n")
    );
}

#[test]
fn a_vm_that_dies_is_told_with_its_stack() {
    let handler = |parts: &str| {
        format!(
            r#"(func $deep {parts}) (func $handle (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                (call $deep) i32.const 0)"#
        )
    };
    let endless = "(loop $again (br $again))";
    let hungry =
        "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    for (parts, cause) in [("unreachable", "trap"), (endless, "fuel"), (hungry, "memory")] {
        let shell = Shell::with(&handler(parts));
        let run = ["run", "f.wasm", "--request", "GET /", "--fuel", "1000000", "--memory", "10MiB"];
        let report = shell.json(1, &run);
        let death = &report["failures"][0];
        assert_eq!(
            (&death["cause"], &death["callback"]),
            (&json!(cause), &json!("proxy_on_request_headers"))
        );
        assert_eq!(death["backtrace"], json!(["deep", "handle"]));
        assert_eq!(report["requests"][0]["reply"]["status"], 503);
        let done = shell.run(&run);
        assert!(done.stdout.contains("worker_0: proxy_on_request_headers trapped"), "{}", done.stdout);
    }
    // A VM that was replaced is not forgotten.
    let shell = Shell::with(&handler("unreachable"));
    let run = ["run", "f.wasm", "--failure-policy", "reload", "--request", "GET /", "--advance", "2s"];
    let run = [&run[..], &["--request", "GET /"]].concat();
    assert_eq!(shell.json(1, &run)["failures"].as_array().unwrap().len(), 2);
}

#[test]
fn what_would_crash_envoy_is_a_failure() {
    let twice = r#"(import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $close (i32.const 0))) (drop (call $close (i32.const 0))) i32.const 1)"#;
    let report = Shell::with(twice).json(1, &["run", "f.wasm", "--request", "GET /"]);
    assert!(report["violations"][0].as_str().unwrap().contains("closed twice"), "{report}");
}

#[test]
fn what_a_filter_logs_cannot_steer_the_terminal() {
    let log = r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (data (i32.const 0) "\1b[31m")
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (call $log (i32.const 2) (i32.const 0) (i32.const 5)))"#;
    let done = Shell::with(log).run(&["run", "f.wasm", "--request", "GET /"]);
    assert!(done.stdout.contains(r"worker_0 #2 info: \u{1b}[31m"), "{}", done.stdout);
}
