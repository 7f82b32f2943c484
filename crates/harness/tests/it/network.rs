//! Network filters.

use std::time::Duration;

use proxy_wasm_harness::FailurePolicy;

use crate::probe::{said, script};

const LIFE: &str = "create: log 2 create\nnew_connection: log 2 new\ndownstream_close: log 2 dclose
    upstream_close: log 2 uclose\nlog: log 2 log\ndone: log 2 done\ndelete: log 2 delete";
const TICK: Duration = Duration::from_millis(100);

fn words(envoy: &proxy_wasm_harness::Envoy) -> Vec<String> {
    said(envoy).into_iter().filter(|line| !line.contains('=')).collect()
}

#[test]
fn data_passes_in_both_directions_and_the_end_is_logged_after_done() {
    let lines = format!(
        "{LIFE}\ndownstream_data: body downstream 0 100\ndownstream_data: body upstream 0 100
         downstream_data: set_body downstream 0 0 pre\nupstream_data: body upstream 0 100
         upstream_data: set_body upstream 100 0 post"
    );
    let envoy = script(&lines).start().unwrap();
    let connection = envoy.worker(0).connect();
    connection.send("one");
    connection.respond("two");
    assert_eq!((connection.forwarded(), connection.received()), (b"preone".to_vec(), b"twopost".to_vec()));
    connection.end_response();
    assert!(connection.is_open());
    connection.end();
    assert!(!connection.is_open());
    assert_eq!(words(&envoy), ["create", "new", "uclose", "dclose", "done", "log", "delete"]);
    let says = [
        "downstream_data: body downstream 0 100 = 0 \"one\"",
        "downstream_data: body upstream 0 100 = 0 \"\"",
        "downstream_data: set_body downstream 0 0 pre = 0",
        "upstream_data: body upstream 0 100 = 0 \"two\"",
        "upstream_data: set_body upstream 100 0 post = 0",
    ];
    assert_eq!(said(&envoy)[4..9], says);
    envoy.assert_clean();
}

#[test]
fn held_data_grows_is_readable_and_goes_on_when_the_filter_says_so() {
    let lines =
        "downstream_data: body downstream 0 100\ndownstream_data: return 1\nconfigure: tick_period 100
        tick: effective $stream\ntick: body downstream 0 100\ntick: continue 2\ntick: continue 3";
    let envoy = script(lines).start().unwrap();
    let connection = envoy.worker(0).connect();
    connection.send("one");
    connection.send("two");
    assert_eq!((connection.forwarded(), connection.is_held()), (Vec::new(), true));
    envoy.advance(TICK);
    assert_eq!((connection.forwarded(), connection.is_held()), (b"onetwo".to_vec(), false));
    let says = [
        "downstream_data: body downstream 0 100 = 0 \"one\"",
        "downstream_data: body downstream 0 100 = 0 \"onetwo\"",
        "tick: effective 2 = 0",
        "tick: body downstream 0 100 = 0 \"onetwo\"",
        "tick: continue 2 = 0",
        "tick: continue 3 = 12",
    ];
    assert_eq!(said(&envoy)[1..], says);
}

#[test]
fn a_held_connection_reads_nothing() {
    let lines = "new_connection: return 1\ndownstream_data: body downstream 0 100\nconfigure: tick_period 100
        tick: effective $stream\ntick: continue 2";
    let envoy = script(lines).start().unwrap();
    let connection = envoy.worker(0).connect();
    connection.send("one");
    assert_eq!((said(&envoy).len(), connection.is_held()), (1, true));
    envoy.advance(TICK);
    assert_eq!(connection.forwarded(), b"one");
    assert_eq!(said(&envoy).last().unwrap(), "downstream_data: body downstream 0 100 = 0 \"one\"");
}

#[test]
fn held_data_of_the_upstream_cannot_be_continued() {
    let lines = "upstream_data: body upstream 0 100\nupstream_data: return 1";
    let envoy = script(lines).start().unwrap();
    let connection = envoy.worker(0).connect();
    connection.respond("one");
    connection.respond("two");
    assert_eq!(connection.received(), b"");
    assert_eq!(said(&envoy).last().unwrap(), "upstream_data: body upstream 0 100 = 0 \"onetwo\"");
}

#[test]
fn either_side_closes_the_connection_and_what_comes_is_lost() {
    for lines in ["downstream_data: close 2", "downstream_data: close 3"] {
        let envoy = script(&format!("{lines}\n{LIFE}")).start().unwrap();
        let connection = envoy.worker(0).connect();
        connection.send("one");
        assert_eq!((connection.is_open(), connection.forwarded()), (false, Vec::new()));
        assert_eq!(words(&envoy), ["create", "new", "dclose", "done", "log", "delete"]);
    }
}

#[test]
fn a_connection_has_properties_and_filter_state_but_nothing_of_http() {
    let lines = "new_connection: get_property source.address\nnew_connection: set_property x y
        new_connection: get_property x\nnew_connection: get_property request.path
        downstream_data: reply 401 d b\ndownstream_data: close 0\ndownstream_data: get request x
        downstream_data: continue 0\ndownstream_data: body request 0 10";
    let envoy = script(lines).start().unwrap();
    let connection = envoy.worker(0).connection().property(&["source", "address"], "127.0.0.1:5").open();
    connection.send("one");
    let says = [
        "new_connection: get_property source.address = 0 \"127.0.0.1:5\"",
        "new_connection: set_property x y = 0",
        "new_connection: get_property x = 0 \"y\"",
        "new_connection: get_property request.path = 1",
        "downstream_data: reply 401 d b = 0",
        "downstream_data: close 0 = 0",
        "downstream_data: get request x = 2",
        "downstream_data: continue 0 = 0",
        "downstream_data: body request 0 10 = 0 \"\"",
    ];
    assert_eq!(said(&envoy), says);
    assert_eq!(
        (connection.forwarded(), connection.filter_state("wasm.x").as_deref()),
        (b"one".to_vec(), Some("y"))
    );
}

#[test]
fn a_dead_vm_closes_connections_unless_it_fails_open() {
    for (policy, first, second) in [
        (FailurePolicy::Closed, false, false),
        (FailurePolicy::Open, false, true),
        (FailurePolicy::LegacyOpen, true, true),
    ] {
        let envoy = script("downstream_data: panic ouch").failure_policy(policy).start().unwrap();
        let connection = envoy.worker(0).connect();
        connection.send("one");
        assert_eq!(connection.is_open(), first, "{policy:?}");
        let connection = envoy.worker(0).connect();
        connection.send("one");
        assert_eq!((connection.is_open(), connection.forwarded() == b"one"), (second, second), "{policy:?}");
    }
}

#[test]
fn a_client_may_go_away() {
    let envoy = script(&format!("downstream_data: return 1\n{LIFE}")).start().unwrap();
    let connection = envoy.worker(0).connect();
    connection.send("one");
    connection.disconnect();
    assert_eq!(words(&envoy), ["create", "new", "dclose", "done", "log", "delete"]);
    connection.send("two");
    assert_eq!(connection.forwarded(), b"");
}
