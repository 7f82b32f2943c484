//! Contexts, ticks, and the order of things.

use std::time::Duration;

use proxy_wasm_harness::{Rule, State, Thread};

use crate::probe::{check, said, script};

#[test]
fn a_stream_is_logged_then_done_then_deleted() {
    let (envoy, exchange) = check(
        "create: log 2 create\nrequest_headers: log 2 request\nresponse_headers: log 2 response
         log: log 2 log\ndone: log 2 done\ndelete: log 2 delete",
        &["create", "create: log 2 create = 0", "request", "request_headers: log 2 request = 0"],
    );
    assert_eq!(exchange.finish(), State::Finished);
    let words: Vec<_> = said(&envoy).into_iter().filter(|line| !line.contains('=')).collect();
    assert_eq!(words, ["create", "request", "response", "log", "done", "delete"]);
}

#[test]
fn each_thread_has_a_vm_and_so_has_the_canary() {
    let envoy = script("configure: log 2 here").workers(2).start().unwrap();
    let logs = envoy.logs().into_iter().filter(|log| log.message == "here");
    let threads: Vec<_> = logs.map(|log| log.vm).collect();
    assert_eq!(threads, [Thread::Canary, Thread::Main, Thread::Worker(0), Thread::Worker(1)]);
    assert_eq!(envoy.workers().len(), 2);
    assert_eq!(envoy.main_thread().thread(), Thread::Main);
}

#[test]
fn ticks_fire_in_order_of_time_and_then_of_threads() {
    let envoy = script("configure: tick_period 100\ntick: time").workers(2).start().unwrap();
    envoy.advance(Duration::from_millis(250));
    let ticks: Vec<_> = envoy.logs().into_iter().filter(|log| log.message.starts_with("tick")).collect();
    let threads: Vec<_> = ticks.iter().map(|log| log.vm).collect();
    let all = [Thread::Main, Thread::Worker(0), Thread::Worker(1)];
    assert_eq!(threads, [all, all].concat());
    assert_eq!(ticks[0].message, "tick: time = 0 1767225600100000000");
    assert_eq!(ticks[5].message, "tick: time = 0 1767225600200000000");
    assert_eq!(envoy.now(), Duration::from_millis(250));
}

#[test]
fn a_tick_can_stop_its_timer() {
    let envoy = script("configure: tick_period 100\ntick: tick_period 0").start().unwrap();
    envoy.advance(Duration::from_secs(1));
    assert_eq!(said(&envoy), ["configure: tick_period 100 = 0", "tick: tick_period 0 = 0"]);
}

#[test]
fn only_living_contexts_become_effective() {
    let lines = "request_headers: effective 77\nrequest_headers: done
        configure: tick_period 100\ntick: effective $stream\ntick: get_property request.path
        tick: effective 0\ntick: effective 1";
    let envoy = script(lines).start().unwrap();
    let exchange = envoy.worker(0).get("/").send();
    envoy.advance(Duration::from_millis(100));
    assert_eq!(exchange.finish(), State::Finished);
    envoy.advance(Duration::from_millis(100));
    let says = [
        "request_headers: effective 77 = 2",
        "request_headers: done = 1",
        "tick: effective 2 = 0",
        "tick: get_property request.path = 1",
        "tick: effective 0 = 0",
        "tick: effective 1 = 0",
        "tick: effective 2 = 2",
        "tick: get_property request.path = 1",
        "tick: effective 0 = 0",
        "tick: effective 1 = 0",
    ];
    assert_eq!(said(&envoy)[1..], says);
}

#[test]
fn headers_that_are_continued_and_go_on_anyway_are_sent_twice() {
    let rules = |body: &str| {
        let envoy = script("request_headers: continue 0").start().unwrap();
        envoy.worker(0).post("/").body(body).send();
        envoy.violations().into_iter().map(|violation| violation.rule).collect::<Vec<_>>()
    };
    assert_eq!(rules("b"), [Rule::ContinuedTwice { stream: 2 }]);
    assert!(rules("").is_empty(), "a request without a body does not mind");
}

#[test]
fn a_held_request_is_released_on_both_workers() {
    let lines =
        "request_headers: return 1\nconfigure: tick_period 100\ntick: effective $stream\ntick: continue 0";
    let envoy = script(lines).workers(2).start().unwrap();
    let exchanges: Vec<_> = envoy.workers().iter().map(|worker| worker.get("/").send()).collect();
    assert!(exchanges.iter().all(|exchange| exchange.state() == State::Held));
    envoy.advance(Duration::from_millis(100));
    assert!(exchanges.iter().all(|exchange| exchange.state() == State::Forwarded));
    envoy.assert_clean();
}

#[test]
fn shutting_down_ends_root_contexts() {
    let envoy = script("done: log 2 bye\ndelete: log 2 gone").start().unwrap();
    envoy.shut_down();
    let words: Vec<_> = said(&envoy).into_iter().filter(|line| !line.contains('=')).collect();
    assert_eq!(words, ["bye", "gone"]);
}

#[test]
fn a_request_that_an_earlier_filter_refuses_is_only_logged() {
    let lines = "create: log 2 create\nrequest_headers: log 2 no\nresponse_headers: log 2 no
        log: get request :path\nlog: get response :status\nlog: get_property response.code_details
        log: get_property request.path\nlog: get_property response.code\nlog: replace request x y
        done: log 2 done\ndone: get_property response.code_details\ndelete: log 2 delete";
    let envoy = script(lines).start().unwrap();
    let exchange = envoy.worker(0).get("/p").refused_by_earlier_filter(403, "rbac_access_denied");
    assert_eq!((exchange.state(), exchange.reply().unwrap().status), (State::Replied, 403));
    assert_eq!(exchange.details().as_deref(), Some("rbac_access_denied"));
    let says = [
        "create",
        "create: log 2 create = 0",
        "log: get request :path = 0 \"/p\"",
        "log: get response :status = 0 \"403\"",
        "log: get_property response.code_details = 0 \"rbac_access_denied\"",
        "log: get_property request.path = 0 \"/p\"",
        "log: get_property response.code = 0 \"\\x93\\x01\\x00\\x00\\x00\\x00\\x00\\x00\"",
        "log: replace request x y = 2",
        "done",
        "done: log 2 done = 0",
        "done: get_property response.code_details = 0 \"rbac_access_denied\"",
        "delete",
        "delete: log 2 delete = 0",
    ];
    assert_eq!(said(&envoy), says);
    envoy.assert_clean();
}
