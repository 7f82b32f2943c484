//! Faults that are injected into host calls.

use std::time::Duration;

use proxy_wasm_harness::{Cause, Fault, StartError, State, Status, Thread, What};

use crate::probe::{said, script};

#[test]
fn the_nth_call_answers_what_it_is_told_and_does_nothing() {
    let lines = "request_headers: add request x 1\nrequest_headers: add request x 2\nrequest_headers: add request x 3";
    let fault = Fault::on("proxy_add_header_map_value").nth(2).answers(Status::BadArgument);
    let envoy = script(lines).fault(fault).start().unwrap();
    let first = envoy.worker(0).get("/").send();
    assert_eq!(first.forwarded_headers().unwrap().all("x"), ["1", "3"]);
    assert_eq!(said(&envoy)[1], "request_headers: add request x 2 = 2");
    let note = What::Note("FAULT: proxy_add_header_map_value answers 2".to_owned());
    assert!(envoy.trace().iter().any(|event| event.what == note), "{}", first.trace());

    let second = envoy.worker(0).get("/").send();
    assert_eq!(second.forwarded_headers().unwrap().all("x"), ["1", "2", "3"]);
}

#[test]
fn every_call_of_one_thread_within_one_callback() {
    let lines = "configure: tick_period 100\ntick: time\nrequest_headers: time";
    let fault =
        Fault::on("proxy_get_current_time_nanoseconds").thread(Thread::Worker(0)).during("proxy_on_tick");
    let envoy = script(lines).workers(2).fault(fault).start().unwrap();
    envoy.worker(0).get("/").send();
    envoy.advance(Duration::from_millis(200));
    let count = |thread, ending: &str| {
        let logs = envoy.logs().into_iter().filter(|log| log.vm == thread);
        logs.filter(|log| log.message.starts_with("tick: time") && log.message.ends_with(ending)).count()
    };
    assert_eq!((count(Thread::Worker(0), "= 10"), count(Thread::Worker(0), "000")), (2, 0));
    assert_eq!((count(Thread::Worker(1), "= 10"), count(Thread::Worker(1), "000")), (0, 2));
    assert!(said(&envoy).contains(&"request_headers: time = 0 1767225600000000000".to_owned()));
}

#[test]
fn a_call_can_trap() {
    let envoy = script("request_headers: time").start().unwrap();
    envoy.inject(Fault::on("proxy_get_current_time_nanoseconds").nth(2).traps()).unwrap();
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Forwarded);
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Replied);
    let failure = envoy.worker(0).failure().unwrap();
    assert_eq!((failure.cause, failure.callback), (Cause::Fault, "proxy_on_request_headers"));
    assert!(failure.to_string().contains("an injected fault\n  in "), "{failure}");
    assert_eq!(envoy.main_thread().failure(), None);
}

#[test]
fn the_allocator_can_have_no_memory_or_trap() {
    let lines = "request_headers: get request :path\nrequest_headers: get request :path";
    let envoy = script(lines).start().unwrap();
    envoy.inject(Fault::on("malloc").nth(1)).unwrap();
    envoy.worker(0).get("/").send();
    let says = ["request_headers: get request :path = 6", "request_headers: get request :path = 0 \"/\""];
    assert_eq!(said(&envoy), says);

    let envoy = script(lines).start().unwrap();
    envoy.inject(Fault::on("malloc").traps()).unwrap();
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Replied);
    let failure = envoy.worker(0).failure().unwrap();
    assert_eq!((failure.cause, failure.callback), (Cause::Fault, "malloc"));
}

#[test]
fn wasi_can_fail_as_well() {
    const BADF: u32 = 8;
    let fault = Fault::on("fd_write").answers_code(BADF);
    let envoy =
        script("request_headers: log 2 before\nrequest_headers: print hello").fault(fault).start().unwrap();
    envoy.worker(0).get("/").send();
    assert!(!said(&envoy).iter().any(|line| line == "hello"), "{:?}", said(&envoy));
    assert!(
        envoy.trace().iter().any(|event| event.what == What::Note("FAULT: fd_write answers 8".to_owned()))
    );
}

#[test]
fn starting_can_fail() {
    let fault = Fault::on("proxy_get_buffer_bytes").thread(Thread::Canary).traps();
    let error = script("").fault(fault).start().unwrap_err();
    assert!(matches!(&error, StartError::Trap(failure) if failure.cause == Cause::Fault), "{error}");
    assert!(
        error.to_string().starts_with("canary: proxy_on_configure trapped: an injected fault"),
        "{error}"
    );
}

#[test]
fn a_fault_that_can_never_strike_is_an_error() {
    let error = script("").fault(Fault::on("proxy_teleport")).start().unwrap_err();
    assert_eq!(error.to_string(), "there is no host call `proxy_teleport` to inject a fault into");
    let envoy = script("").start().unwrap();
    assert!(matches!(envoy.inject(Fault::on("")), Err(StartError::Fault(_))));
}
