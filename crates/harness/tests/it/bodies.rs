//! Bodies and trailers: seen in parts, held, changed.

use std::time::Duration;

use proxy_wasm_harness::{HeaderMap, Rule, State};

use crate::probe::{said, script};

const TICK: Duration = Duration::from_millis(100);

#[test]
fn the_beginning_of_a_body_can_be_replaced_and_its_end_be_added_to() {
    let lines = "request_body: body_status request
        request_body: body request 2 100
        request_body: body request 9 100
        request_body: set_body request 0 0 PRE
        request_body: set_body request 100 0 POST
        request_body: set_body request 1 1 X
        request_body: set_body request 0 2 X";
    let envoy = script(lines).start().unwrap();
    let exchange = envoy.worker(0).post("/").body("abc").send();
    let says = [
        "request_body: body_status request = 0 3",
        "request_body: body request 2 100 = 0 \"c\"",
        "request_body: body request 9 100 = 0 \"\"",
        "request_body: set_body request 0 0 PRE = 0",
        "request_body: set_body request 100 0 POST = 0",
        "request_body: set_body request 1 1 X = 2",
        "request_body: set_body request 0 2 X = 0",
    ];
    assert_eq!(said(&envoy), says);
    assert_eq!(exchange.forwarded_body(), b"XEabcPOST");

    let envoy = script("request_body: set_body request 0 100 new").start().unwrap();
    assert_eq!(envoy.worker(0).post("/").body("abc").send().forwarded_body(), b"new");
}

#[test]
fn what_is_held_is_shown_as_a_whole() {
    let lines = "request_body: body request 0 100\nrequest_body: return 1
        configure: tick_period 100\ntick: effective $stream\ntick: body request 0 100\ntick: continue 0";
    let envoy = script(lines).start().unwrap();
    let exchange = envoy.worker(0).post("/").open();
    exchange.send_data("abc");
    exchange.send_data("def");
    exchange.end_request();
    assert_eq!((exchange.state(), exchange.forwarded_body()), (State::Forwarded, Vec::new()));
    envoy.advance(TICK);
    let says = [
        "request_body: body request 0 100 = 0 \"abc\"",
        "request_body: body request 0 100 = 0 \"abcdef\"",
        "request_body: body request 0 100 = 0 \"abcdef\"",
        "tick: effective 2 = 0",
        "tick: body request 0 100 = 0 \"abcdef\"",
        "tick: continue 0 = 0",
    ];
    assert_eq!(said(&envoy)[1..], says);
    assert_eq!(exchange.forwarded_body(), b"abcdef");
    envoy.assert_clean();
}

#[test]
fn behind_held_headers_a_body_waits_unseen() {
    let lines = "request_headers: return 1\nrequest_body: body request 0 100
        configure: tick_period 100\ntick: effective $stream\ntick: continue 0";
    let envoy = script(lines).start().unwrap();
    let exchange = envoy.worker(0).post("/").body("abcdef").send();
    assert_eq!((exchange.state(), said(&envoy).len()), (State::Held, 1));
    envoy.advance(TICK);
    assert_eq!((exchange.state(), exchange.forwarded_body()), (State::Forwarded, b"abcdef".to_vec()));
    assert_eq!(said(&envoy).last().unwrap(), "request_body: body request 0 100 = 0 \"abcdef\"");
}

#[test]
fn continuing_within_the_callback_counts_more_than_pausing() {
    let envoy = script("request_headers: continue 0\nrequest_headers: return 1").start().unwrap();
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Forwarded);
    // Only the headers have gone on; what comes behind them waits for ever.
    let exchange = envoy.worker(0).post("/").body("abc").send();
    assert_eq!((exchange.state(), exchange.forwarded_body()), (State::Forwarded, Vec::new()));
}

#[test]
fn trailers_come_last_and_a_held_body_goes_with_them() {
    let lines = "request_body: return 1\nrequest_trailers: get request_trailers t
        request_trailers: add request_trailers u 1\nrequest_trailers: body request 0 100";
    let envoy = script(lines).start().unwrap();
    let exchange = envoy.worker(0).post("/").body("abc").trailer("t", "1").send();
    let says = [
        "request_trailers: get request_trailers t = 0 \"1\"",
        "request_trailers: add request_trailers u 1 = 0",
        "request_trailers: body request 0 100 = 0 \"abc\"",
    ];
    assert_eq!(said(&envoy), says);
    assert_eq!(exchange.forwarded_body(), b"abc");
}

#[test]
fn a_response_is_held_and_released() {
    let lines = "response_body: return 1\nresponse_trailers: return 1
        configure: tick_period 100\ntick: effective $stream\ntick: body response 0 100\ntick: continue 1";
    let envoy = script(lines).start().unwrap();
    let exchange = envoy.worker(0).get("/").send();
    let _ = exchange.respond(200, HeaderMap::new());
    exchange.respond_data("hi");
    exchange.respond_trailers([("t", "1")]);
    assert!(exchange.is_response_held());
    envoy.advance(TICK);
    assert_eq!(exchange.state(), State::Finished);
    let response = exchange.response().unwrap();
    assert_eq!((response.body, response.trailers), (b"hi".to_vec(), Some(HeaderMap::from([("t", "1")]))));
}

#[test]
fn reading_a_body_that_envoy_has_let_go_of_is_a_crash() {
    let lines = "response_body: return 2
        configure: tick_period 100\ntick: effective $stream\ntick: body response 0 100";
    let envoy = script(lines).start().unwrap();
    let exchange = envoy.worker(0).get("/").send();
    let _ = exchange.respond(200, HeaderMap::new());
    exchange.respond_data("hi");
    envoy.advance(TICK);
    let rules: Vec<_> = envoy.violations().into_iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, [Rule::UsedLostBody { stream: 2 }]);
}
