//! VMs that die, and what becomes of the requests.

use std::time::Duration;

use proxy_wasm_harness::{Cause, FailurePolicy, HeaderMap, StartError, State, Thread};

use crate::probe::{said, script};

#[test]
fn the_stack_has_readable_names() {
    let envoy = script("request_headers: trap").start().unwrap();
    envoy.worker(0).get("/").send();
    let backtrace = envoy.worker(0).failure().unwrap().backtrace;
    assert_eq!(backtrace.last().map(String::as_str), Some("proxy_on_request_headers"), "{backtrace:?}");
    assert!(backtrace.iter().any(|name| name == "probe::run"), "{backtrace:?}");
}

#[test]
fn a_dead_vm_is_answered_for_and_called_no_more() {
    let envoy =
        script("request_headers: panic ouch\nresponse_headers: log 2 no\nlog: log 2 no").start().unwrap();
    for _ in 0..2 {
        let reply = envoy.worker(0).get("/").send().reply().unwrap();
        assert_eq!((reply.status, reply.details.as_str()), (503, "wasm_fail_stream"));
        assert_eq!(reply.headers, HeaderMap::from([(":status", "503")]));
    }
    assert!(!said(&envoy).contains(&"no".to_owned()));
    let failure = envoy.worker(0).failure().unwrap();
    assert_eq!((failure.vm, failure.callback), (Thread::Worker(0), "proxy_on_request_headers"));
    assert!(failure.message.contains("ouch"), "{failure}");
    assert_eq!(envoy.main_thread().failure(), None);
}

#[test]
fn failing_open_lets_new_requests_pass_and_answers_those_under_way() {
    let envoy = script("request_headers: panic ouch").failure_policy(FailurePolicy::Open).start().unwrap();
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Replied);
    let exchange = envoy.worker(0).get("/").body("b").send();
    assert_eq!((exchange.state(), exchange.forwarded_body()), (State::Forwarded, b"b".to_vec()));
    assert_eq!(exchange.finish(), State::Finished);
}

#[test]
fn reloading_makes_a_new_vm_for_the_next_request_but_not_too_soon() {
    let lines = "configure: log 2 fresh\nrequest_body: panic ouch";
    let envoy = script(lines).failure_policy(FailurePolicy::Reload).start().unwrap();
    let die = || envoy.worker(0).post("/").body("b").send().state();
    let fresh = || said(&envoy).iter().filter(|line| *line == "fresh").count();
    envoy.advance(Duration::from_secs(5));
    assert_eq!((die(), fresh()), (State::Replied, 1));
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Forwarded);
    assert_eq!((envoy.worker(0).failure(), fresh()), (None, 2));

    assert_eq!(die(), State::Replied);
    envoy.advance(Duration::from_millis(999));
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Replied, "too soon");
    envoy.advance(Duration::from_millis(501));
    assert_eq!((envoy.worker(0).get("/").send().state(), fresh()), (State::Forwarded, 3));
    let stats =
        ["success", "failure", "backoff"].map(|event| envoy.metric(&format!("wasm..vm_reload_{event}")));
    assert_eq!(stats, [Some(2), None, Some(1)]);
}

#[test]
fn the_wait_between_reloads_is_drawn_anew_for_each_request() {
    let waits = |seed| {
        let envoy = script("request_body: panic ouch").failure_policy(FailurePolicy::Reload).seed(seed);
        let envoy = envoy.reload_interval(Duration::from_millis(400)).start().unwrap();
        let wait = |_| {
            envoy.worker(0).post("/").body("b").send();
            let begin = envoy.now();
            while envoy.worker(0).get("/").send().state() == State::Replied {
                envoy.advance(Duration::from_millis(10));
            }
            envoy.now() - begin
        };
        (0..8).map(wait).collect::<Vec<_>>()
    };
    let first = waits(1);
    assert!(first.iter().all(|wait| (400..600).contains(&wait.as_millis())), "{first:?}");
    assert_eq!(first, waits(1), "the same seed, the same waits");
    assert_ne!(first, waits(2));
}

#[test]
fn a_reload_that_fails_is_counted_and_tried_again_later() {
    let envoy =
        script("configure: die_once_set k\nrequest_headers: set_shared k v 0\nrequest_headers: panic ouch")
            .failure_policy(FailurePolicy::Reload)
            .start()
            .unwrap();
    envoy.advance(Duration::from_secs(2));
    for _ in 0..3 {
        assert_eq!(envoy.worker(0).get("/").send().state(), State::Replied);
        envoy.advance(Duration::from_secs(2));
    }
    assert_eq!(envoy.metric("wasm..vm_reload_failure"), Some(2));
    assert_eq!(envoy.metric("wasm..vm_reload_success"), None);
}

#[test]
fn every_phase_fails_as_the_policy_says() {
    let phases = ["request_headers", "request_body", "response_headers", "response_body"];
    for phase in phases {
        let run = |policy| {
            let envoy = script(&format!("{phase}: panic ouch\nlog: log 2 no"))
                .failure_policy(policy)
                .start()
                .unwrap();
            let states = [0, 1].map(|_| {
                let exchange = envoy.worker(0).post("/").body("abc").send();
                let _ = exchange.respond(200, [("x", "y")]);
                exchange.respond_data("abc");
                exchange.finish()
            });
            assert!(!said(&envoy).contains(&"no".to_owned()), "a dead VM logs nothing");
            states
        };
        let dies = if phase == "response_body" { State::Reset } else { State::Replied };
        assert_eq!(run(FailurePolicy::Closed), [dies, State::Replied], "{phase}");
        assert_eq!(run(FailurePolicy::Open), [dies, State::Finished], "{phase}");
        assert_eq!(run(FailurePolicy::LegacyOpen), [State::Finished, State::Finished], "{phase}");
    }
}

#[test]
fn a_trap_in_a_tick_ends_open_streams_at_their_next_event() {
    let envoy = script("configure: tick_period 100\ntick: panic ouch").start().unwrap();
    let [held, idle] = [0, 1].map(|_| envoy.worker(0).get("/").send());
    envoy.advance(Duration::from_secs(1));
    assert_eq!(
        envoy.logs().iter().filter(|log| log.message.contains("ouch")).count(),
        2,
        "no tick after that"
    );
    assert_eq!(held.state(), State::Forwarded);
    assert_eq!(held.respond(200, HeaderMap::new()), State::Replied);
    assert_eq!(held.reply().unwrap().status, 503);
    assert_eq!(idle.state(), State::Forwarded);
}

#[test]
fn a_trap_after_the_response_has_begun_resets_the_stream() {
    let envoy = script("response_body: panic ouch").start().unwrap();
    let exchange = envoy.worker(0).get("/").send();
    let _ = exchange.respond(200, HeaderMap::new());
    exchange.respond_data("abc");
    assert_eq!((exchange.state(), exchange.details().as_deref()), (State::Reset, Some("wasm_fail_stream")));
}

#[test]
fn a_reply_before_a_trap_leaves_nothing_but_its_details() {
    let envoy = script("request_headers: reply 401 mine b\nrequest_headers: panic ouch").start().unwrap();
    let exchange = envoy.worker(0).get("/").send();
    assert_eq!(exchange.reply().unwrap().status, 503);
    assert_eq!(exchange.details().as_deref(), Some("mine"));
}

#[test]
fn an_endless_loop_is_an_error_and_not_a_hang() {
    let envoy = script("request_headers: loop").fuel_per_callback(1_000_000).start().unwrap();
    assert_eq!(envoy.worker(0).get("/").send().reply().unwrap().status, 503);
    let failure = envoy.worker(0).failure().unwrap();
    assert_eq!(failure.cause, Cause::Fuel);
    assert_eq!(failure.message, "it used more than 1000000 units of fuel");

    let error = script("configure: loop").fuel_per_callback(1_000_000).start().unwrap_err();
    assert!(matches!(&error, StartError::Trap(failure) if failure.cause == Cause::Fuel), "{error}");
}

#[test]
fn memory_grows_to_its_limit_and_then_the_filter_dies() {
    let lines = "request_headers: hoard 1000000\nrequest_body: hoard 100000000";
    let envoy = script(lines).memory_limit(10_000_000).start().unwrap();
    let before = envoy.worker(0).memory_size();
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Forwarded);
    let after = envoy.worker(0).memory_size();
    assert!(after > before && after <= 10_000_000, "{before} to {after}");
    assert_eq!(envoy.worker(0).post("/").body("b").send().state(), State::Replied);
    assert!(envoy.worker(0).failure().is_some());
}

#[test]
fn a_refused_configuration_names_the_vm() {
    let error = script("configure: return 0").start().unwrap_err();
    assert_eq!(error.to_string(), "canary: proxy_on_configure answered false");
    // The configuration comes after the start, so this script is for nothing before it.
    assert!(script("vm_start: return 0").start().is_ok());
}

#[test]
#[should_panic(expected = "panicked at")]
fn asserting_that_all_is_clean_tells_of_dead_vms() {
    let envoy = script("request_headers: panic ouch").start().unwrap();
    envoy.worker(0).get("/").send();
    envoy.assert_clean();
}
