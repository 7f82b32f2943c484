//! Metrics, shared data, logs, and what things cost.

use proxy_wasm_harness::{Level, State};

use crate::probe::{check, said, script};

#[test]
fn metrics_are_process_wide() {
    let lines =
        "configure: counter c 5\nconfigure: counter c 0\nconfigure: gauge g 7\nconfigure: gauge_by g -2
        configure: get_gauge g\nconfigure: histogram h 5\nconfigure: get_histogram h
        configure: get_metric_id 400\nconfigure: get_metric_id 3";
    let envoy = script(lines).start().unwrap();
    let answers: Vec<_> =
        said(&envoy).iter().map(|line| line.split_once(" = ").unwrap().1.to_owned()).collect();
    assert_eq!(answers, ["0", "2", "0", "0", "0 5", "0", "2", "1", "2"]);
    assert_eq!(envoy.metric("c"), Some(15), "the canary counts, the main thread and the worker");
    assert_eq!((envoy.metric("g"), envoy.metric("nope")), (Some(5), None));
    assert_eq!(envoy.histogram("h"), Some(vec![5, 5, 5]));
    assert_eq!(envoy.metrics(), [("c".to_owned(), 15), ("g".to_owned(), 5)]);
}

#[test]
fn shared_data_has_its_quirks() {
    let envoy = script(
        "request_headers: get_shared k\nrequest_headers: set_shared k a 77\nrequest_headers: get_cas k
        request_headers: set_shared k b 99\nrequest_headers: set_shared k ~ 0\nrequest_headers: get_shared k",
    );
    let envoy = envoy.start().unwrap();
    envoy.worker(0).get("/").send();
    let answers: Vec<_> =
        said(&envoy).iter().map(|line| line.split_once(" = ").unwrap().1.to_owned()).collect();
    assert_eq!(answers, ["1", "0", "0 1", "8", "0", "0 \"\""]);
    assert_eq!(envoy.shared_data("k"), Some(Vec::new()));
}

#[test]
fn logs_have_levels_and_the_filter_can_ask_for_them() {
    let lines = "request_headers: log 0 trace\nrequest_headers: log 4 error\nrequest_headers: log 6 what
        request_headers: log_level";
    let envoy = script(lines).log_level(Level::Warn).start().unwrap();
    envoy.worker(0).get("/").send();
    let logs: Vec<_> = envoy.logs().into_iter().map(|log| (log.level, log.context, log.message)).collect();
    assert_eq!(logs, [(Level::Error, 2, "error".to_owned())]);

    let (_, exchange) = check("request_headers: log_level", &["request_headers: log_level = 0 2"]);
    assert_eq!(exchange.state(), State::Forwarded);
}

#[test]
fn what_a_request_costs_is_the_same_every_time() {
    let envoy = script("request_headers: get request x-a\nrequest_headers: get_property request.path")
        .start()
        .unwrap();
    let costs: Vec<_> = (0..3).map(|_| envoy.worker(0).get("/").header("x-a", "1").send().cost()).collect();
    assert_eq!(costs[1], costs[2]);
    assert!(costs[1].fuel > 100, "{costs:?}");
    assert_eq!((costs[1].host_calls(), costs[1].data_calls()), (4, 2));
    assert_eq!((costs[1].count("proxy_get_property"), costs[1].count("proxy_log")), (1, 2));
    let worker = envoy.worker(0);
    assert_eq!((worker.fuel_used(), worker.host_calls()), (costs[2].fuel, 4));
    assert!(worker.cost().fuel > costs.iter().map(|cost| cost.fuel).sum());
}
