//! Several plugins in one Envoy, configuration updates, and the end of root contexts.

use std::time::Duration;

use proxy_wasm_harness::{Envoy, FailurePolicy, Rule, StartError, State, Thread};

use crate::probe::{said, script};

/// What was said besides the results of host calls, by thread.
fn words(envoy: &Envoy, vm: Thread) -> Vec<String> {
    let logs = envoy.logs().into_iter().filter(|log| log.vm == vm && !log.message.contains('='));
    logs.map(|log| log.message).collect()
}

const LIFE: &str = "configure: log 2 A\nconfigure: count\ndone: log 2 doneA\ndelete: log 2 deleteA";

#[test]
fn plugins_of_one_vm_key_share_their_vms_and_not_their_root_contexts() {
    let envoy = script("configure: count\nrequest_headers: log 2 one").start().unwrap();
    let other = envoy.plugin().config().plugin_config("configure: count\nrequest_headers: log 2 two");
    let other = envoy.add_plugin(other).unwrap();
    let counts = said(&envoy);
    assert_eq!(counts, ["configure: count = 0 1", "configure: count = 0 2"], "a static, counted twice");

    let first = envoy.worker(0).get("/").send();
    let second = other.worker(0).get("/").send();
    assert_eq!(words(&envoy, Thread::Worker(0)), ["one", "two"]);
    assert_eq!((first.context_id(), second.context_id()), (3, 4), "two root contexts came before");
    assert!(second.trace().contains("> proxy_on_context_create[4, 2]"), "{}", second.trace());
    assert_eq!(envoy.worker(0).cost(), other.worker(0).cost());
}

#[test]
fn another_vm_key_is_another_vm() {
    let envoy = script("configure: count").start().unwrap();
    envoy.add_plugin(envoy.plugin().config().vm_config("x")).unwrap();
    assert_eq!(said(&envoy), ["configure: count = 0 1", "configure: count = 0 1"]);
}

#[test]
fn an_equal_plugin_shares_the_root_context_and_is_not_tried_again() {
    let envoy = script("configure: count").start().unwrap();
    let logs = envoy.logs().len();
    let twin = envoy.add_plugin(envoy.plugin().config()).unwrap();
    envoy.update_config("configure: count").unwrap();
    assert_eq!(envoy.logs().len(), logs);
    twin.remove();
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Forwarded);
    assert_eq!(envoy.logs().len(), logs, "the root context is still in use");
}

#[test]
fn an_update_makes_a_new_root_context_and_ends_the_old_one() {
    let envoy = script(LIFE).workers(2).start().unwrap();
    envoy.update_config(LIFE.replace('A', "B")).unwrap();
    for vm in [Thread::Main, Thread::Worker(0), Thread::Worker(1)] {
        assert_eq!(words(&envoy, vm), ["A", "B", "doneA", "deleteA"]);
    }
    assert_eq!(words(&envoy, Thread::Canary), ["A", "B"]);
    assert!(said(&envoy).contains(&"configure: count = 0 2".to_owned()), "the VM stays");
}

#[test]
fn the_old_root_context_stays_until_its_last_request_has_ended() {
    let envoy = script(&format!("{LIFE}\nresponse_headers: log 2 old")).start().unwrap();
    let old = envoy.worker(0).get("/").send();
    envoy.update_config("response_headers: log 2 new").unwrap();
    let new = envoy.worker(0).get("/").send();
    assert_eq!((new.finish(), old.finish()), (State::Finished, State::Finished));
    assert_eq!(words(&envoy, Thread::Worker(0)), ["A", "new", "old", "doneA", "deleteA", "doneA", "deleteA"]);
}

#[test]
fn a_root_context_that_wants_to_wait_ticks_on_until_it_says_so() {
    let lines = format!("{LIFE}\ndone: return 0\nconfigure: tick_period 100\ntick: done");
    let envoy = script(&lines).start().unwrap();
    envoy.advance(Duration::from_millis(100));
    envoy.update_config("configure: log 2 B").unwrap();
    assert_eq!(words(&envoy, Thread::Worker(0)), ["A", "B", "doneA"]);
    envoy.advance(Duration::from_secs(1));
    assert_eq!(words(&envoy, Thread::Worker(0)), ["A", "B", "doneA", "deleteA"]);
    let dones: Vec<_> = said(&envoy).into_iter().filter(|line| line.starts_with("tick: done")).collect();
    assert_eq!(dones, ["tick: done = 1", "tick: done = 0"], "and then it ticks no more");
}

#[test]
fn nobody_waits_for_a_filter_when_the_process_ends() {
    let lines = format!("{LIFE}\ndone: return 0\nconfigure: tick_period 100\ntick: done");
    let envoy = script(&lines).start().unwrap();
    let open = envoy.worker(0).get("/").send();
    envoy.shut_down();
    assert_eq!(open.state(), State::Reset);
    envoy.advance(Duration::from_secs(1));
    assert_eq!(words(&envoy, Thread::Worker(0)), ["A", "doneA", "deleteA", "doneA"], "the stream, the root");
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Reset, "nobody listens");
}

#[test]
fn a_refused_update_changes_nothing_and_is_not_tried_again() {
    let envoy = script(LIFE).start().unwrap();
    for tried in [2, 2] {
        let error = envoy.update_config("configure: log 3 why\nconfigure: return 0").unwrap_err();
        assert!(matches!(error, StartError::Configure { vm: Thread::Canary, .. }), "{error}");
        let why = envoy.logs().iter().filter(|log| log.message.contains("why")).count();
        assert_eq!(why, tried, "one message and its result");
    }
    assert_eq!(words(&envoy, Thread::Worker(0)), ["A"]);
    assert_eq!(envoy.plugin().config().plugin_config(LIFE), envoy.plugin().config());
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Forwarded);
}

#[test]
fn an_update_resets_the_call_outs_of_the_old_root_context() {
    let lines = "configure: tick_period 100\ntick: open cp\ntick: tick_period 0";
    let envoy = script(lines).cluster("cp", proxy_wasm_harness::Cluster::healthy()).start().unwrap();
    envoy.advance(Duration::from_millis(100));
    let old = envoy.worker(0).grpc_streams().remove(0);
    assert!(old.is_open());
    envoy.update_config(format!("{lines}\nrequest_headers: log 2 x")).unwrap();
    assert!(!old.is_open() && old.cancelled_by_filter());
    envoy.advance(Duration::from_millis(100));
    let open: Vec<_> = envoy.worker(0).grpc_streams().into_iter().filter(|s| s.is_open()).collect();
    assert_eq!(open.len(), 1);
    let leaks = envoy.violations().into_iter().filter(|v| matches!(v.rule, Rule::LeakedCallout { .. }));
    assert_eq!(leaks.count(), 2, "the main thread's and the worker's");
}

#[test]
fn another_vm_configuration_replaces_the_vm_and_what_it_has_shared() {
    let envoy = script("configure: set_shared k v 0\nconfigure: register q").vm_id("a").start().unwrap();
    let plugin = envoy.plugin();
    assert_eq!(plugin.shared_data("k").as_deref(), Some(b"v".as_slice()));
    plugin.update(plugin.config().vm_id("b")).unwrap();
    assert!(plugin.shared_data("k").is_some() && plugin.queue("q").is_some());
    plugin.update(plugin.config().vm_id("a").plugin_config("configure: count")).unwrap();
    assert!(plugin.shared_data("k").is_none(), "the last VM of that id was gone");
    assert!(plugin.queue("q").is_none());
}

#[test]
fn contexts_of_other_plugins_of_the_vm_can_be_made_effective() {
    let envoy = script("request_headers: set_property x first").start().unwrap();
    let lines = "configure: tick_period 100\ntick: effective $stream\ntick: get_property x\ntick: get_property plugin_root_id";
    envoy.add_plugin(envoy.plugin().config().root_id("other").plugin_config(lines)).unwrap();
    let exchange = envoy.worker(0).get("/").send();
    envoy.advance(Duration::from_millis(100));
    let id = exchange.context_id();
    let says = [
        format!("tick: effective {id} = 0"),
        "tick: get_property x = 0 \"first\"".to_owned(),
        "tick: get_property plugin_root_id = 0 \"\"".to_owned(),
    ];
    assert_eq!(said(&envoy)[2..], says);
}

#[test]
fn plugins_that_share_a_vm_die_together_and_reload_one_by_one() {
    let envoy = script("request_headers: panic ouch").plugin_name("a").failure_policy(FailurePolicy::Reload);
    let envoy = envoy.reload_interval(Duration::from_millis(500)).start().unwrap();
    let other = envoy.plugin().config().plugin_name("b").plugin_config("configure: count");
    let other = envoy.add_plugin(other).unwrap();
    envoy.advance(Duration::from_secs(1));
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Replied);
    assert!(other.worker(0).failure().is_some());
    assert_eq!(other.worker(0).get("/").send().state(), State::Forwarded);
    assert!(other.worker(0).failure().is_none() && envoy.worker(0).failure().is_some());
    assert_eq!(said(&envoy).last().unwrap(), "configure: count = 0 1", "a new VM");
    assert_eq!(envoy.metric("wasm.b.vm_reload_success"), Some(1));
    assert_eq!(envoy.metric("wasm.a.vm_reload_success"), None);
}

#[test]
fn a_removed_plugin_ends_with_its_last_request() {
    let envoy = script("configure: count").start().unwrap();
    let other = envoy.add_plugin(envoy.plugin().config().plugin_config(LIFE)).unwrap();
    let open = other.worker(0).get("/").send();
    other.remove();
    assert_eq!(words(&envoy, Thread::Main), ["A", "doneA", "deleteA"]);
    assert_eq!(words(&envoy, Thread::Worker(0)), ["A"]);
    assert_eq!(open.finish(), State::Finished);
    assert_eq!(words(&envoy, Thread::Worker(0)), ["A", "doneA", "deleteA", "doneA", "deleteA"]);
    assert_eq!(other.worker(0).get("/").send().state(), State::Reset, "nobody listens");
}
