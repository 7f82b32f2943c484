//! Unary gRPC calls. What the probe says was taken from Envoy 1.40.0.

use std::time::Duration;

use proxy_wasm_harness::{Cluster, Envoy, GrpcCall, HeaderMap, Rule};

use crate::probe::{rules, said, script};

const ANSWER: &str =
    "grpc_message: body grpc 0 60\ngrpc_message: status\ngrpc_close: log 2 $arguments\ngrpc_close: status\n";

fn ticked(lines: &str) -> Envoy {
    let lines = format!("configure: tick_period 100\ntick: tick_period 0\n{lines}\n{ANSWER}");
    let envoy = script(&lines).cluster("up", Cluster::healthy()).cluster("nohosts", Cluster::no_hosts());
    let envoy = envoy.start().unwrap();
    envoy.advance(Duration::from_millis(100));
    envoy
}

fn call(envoy: &Envoy) -> GrpcCall {
    envoy.worker(0).grpc_calls().remove(0)
}

/// What the filter says after the lines about its ticks.
fn says(envoy: &Envoy) -> Vec<String> {
    said(envoy).into_iter().skip(2).filter(|line| !line.starts_with("grpc_close: log")).collect()
}

/// What the filter hears once its call ends so.
fn heard(end: impl Fn(&GrpcCall)) -> Vec<String> {
    let envoy = ticked("tick: unary up 300 hi");
    end(&call(&envoy));
    assert!(!call(&envoy).is_open());
    says(&envoy).split_off(1)
}

#[test]
fn a_call_is_made_and_answered() {
    let envoy = ticked(
        "tick: unary up 300 hi\ntick: send $token a 0\ngrpc_initial: log 2 no\ngrpc_trailing: log 2 no",
    );
    let call = call(&envoy);
    assert_eq!((call.cluster().as_str(), call.token(), call.is_open()), ("up", 5, true));
    assert_eq!((call.service().as_str(), call.method().as_str()), ("probe.Service", "Method"));
    assert_eq!((call.metadata(), call.message()), (HeaderMap::from([("x-key", "value")]), b"hi".to_vec()));
    assert_eq!(call.timeout(), Some(Duration::from_millis(300)));
    call.respond("hello");
    call.respond("again");
    let expected = [
        "tick: unary up 300 hi = 0 5",
        "tick: send 5 a 0 = 2",
        "grpc_message: body grpc 0 60 = 0 \"hello\"",
        "grpc_message: status = 0 \"\"",
    ];
    assert_eq!(says(&envoy), expected);
    envoy.assert_clean();
    assert_eq!(envoy.grpc_calls().len(), 2);
}

#[test]
fn an_empty_answer_is_one() {
    assert_eq!(heard(|call| call.respond(""))[0], "grpc_message: body grpc 0 60 = 0 \"\"");
}

#[test]
fn how_calls_fail() {
    let failed = |end: fn(&GrpcCall), status: u32, message: &str| {
        assert_eq!(heard(end), [format!("1,5,{status}"), format!("grpc_close: status = 0 \"{message}\"")]);
    };
    failed(|call| call.fail(7, "no%20way"), 7, "no%20way{via_upstream}");
    failed(|call| call.fail(7, ""), 7, "via_upstream");
    failed(|call| call.fail(0, ""), 13, "");
    failed(GrpcCall::respond_compressed, 13, "via_upstream");
    failed(|call| call.respond_http(503, HeaderMap::new(), "busy"), 14, "via_upstream");
    failed(
        |call| call.respond_http(503, [("grpc-status", "7"), ("grpc-message", "x")], ""),
        7,
        "x{via_upstream}",
    );
    failed(|call| call.respond_http(200, HeaderMap::new(), "busy"), 13, "via_upstream");
    failed(GrpcCall::break_off, 13, "upstream_reset_after_response_started{remote_reset}");
    let before = "upstream connect error or disconnect/reset before headers. reset reason:";
    let reset = format!("{before} remote reset{{upstream_reset_before_response_started{{remote_reset}}}}");
    failed(GrpcCall::reset, 14, &reset);
    let refused = format!(
        "{before} remote connection failure{{upstream_reset_before_response_started\
         {{remote_connection_failure|delayed_connect_error:_Connection_refused}}}}"
    );
    failed(GrpcCall::refuse, 14, &refused);
}

#[test]
fn a_timeout_is_a_failure() {
    let envoy = ticked("tick: unary up 300 hi");
    envoy.advance(Duration::from_millis(299));
    assert!(call(&envoy).is_open());
    envoy.advance(Duration::from_millis(1));
    let expected = ["1,5,14", "grpc_close: status = 0 \"upstream request timeout{response_timeout}\""];
    assert_eq!(says(&envoy)[1..], expected);
}

#[test]
fn calls_that_fail_while_they_are_made_are_told_of_afterwards() {
    let envoy = ticked(
        "tick: unary nohosts 9 m\ntick: unary_service nope 9 m\ntick: unary nope-but 9 m\ntick: unary up 9 m",
    );
    let expected = [
        "tick: unary nohosts 9 m = 10",
        "tick: unary_service nope 9 m = 10",
        "tick: unary nope-but 9 m = 4",
        "tick: unary up 9 m = 0 13",
        "1,5,14",
        "grpc_close: status = 0 \"no healthy upstream{no_healthy_upstream}\"",
        "1,9,14",
        "grpc_close: status = 0 \"Cluster not available\"",
    ];
    assert_eq!(says(&envoy), expected);
    envoy.assert_clean();
}

#[test]
fn a_failed_call_and_a_stream_that_fails_are_a_hang() {
    let hang = Rule::CalloutAfterFailedCallout;
    assert!(rules(&ticked("tick: unary nohosts 9 m\ntick: open nohosts")).contains(&hang));
    assert!(rules(&ticked("tick: unary_service nope 9 m\ntick: open nohosts")).contains(&hang));
    ticked("tick: open nohosts\ntick: unary nohosts 9 m\ngrpc_close: cancel 6").assert_clean();
}

#[test]
fn a_call_can_be_given_up() {
    for lines in ["tick: half_close 5\ntick: cancel 5", "tick: cancel 5\ntick: half_close 5"] {
        let envoy = ticked(&format!("tick: unary up 300 m\n{lines}"));
        let answers: Vec<_> =
            says(&envoy).iter().map(|line| line.split_once(" = ").unwrap().1.to_owned()).collect();
        assert_eq!(answers, ["0 5", "0", "1"]);
        let call = call(&envoy);
        assert!(call.cancelled_by_filter() && !call.is_open());
        call.respond("late");
        envoy.advance(Duration::from_secs(1));
        assert_eq!(says(&envoy).len(), 3);
    }
    // The token means something until the answer has been heard.
    let envoy = ticked("tick: unary up 300 m\ngrpc_message: cancel 5\ngrpc_message: cancel 5");
    call(&envoy).respond("hello");
    assert_eq!(says(&envoy)[1..3], ["grpc_message: cancel 5 = 0", "grpc_message: cancel 5 = 1"]);
    envoy.assert_clean();
}

#[test]
fn no_timeout_tells_the_peer_that_there_is_no_time() {
    let envoy = ticked("tick: unary up 0 m");
    assert_eq!(call(&envoy).timeout(), None);
    assert_eq!(rules(&envoy), [Rule::GrpcCallWithoutTime { token: 5 }]);
}

#[test]
fn a_name_that_parses_as_a_message_is_an_abort() {
    let envoy = ticked("tick: unary users 9 m");
    assert_eq!(rules(&envoy), [Rule::AmbiguousGrpcTarget { target: "users".to_owned() }]);
}

#[test]
fn calls_while_configuring_are_reported() {
    for call in ["unary up 9 m", "http_call up 9 ~"] {
        let envoy = script(&format!("configure: {call}")).cluster("up", Cluster::healthy()).start().unwrap();
        assert_eq!(rules(&envoy), [Rule::CalloutDuringStart]);
        assert_eq!(envoy.violations().len(), 3, "the canary, the main thread and the worker");
    }
}

#[test]
fn what_is_open_when_its_root_context_goes_away_is_lost() {
    let envoy = ticked("tick: unary up 900 m\ntick: http_call up 900 ~\ntick: open up\ndone: cancel 6");
    envoy.shut_down();
    let leaked = [Rule::LeakedCallout { token: 4 }, Rule::LeakedCallout { token: 5 }];
    assert_eq!(rules(&envoy), leaked);
    assert!(!call(&envoy).is_open());

    // A filter that waits for its answers when its configuration changes loses none.
    let envoy = ticked("tick: unary up 900 m\ndone: return 0\ngrpc_message: done");
    envoy.update_config("configure: count").unwrap();
    envoy.grpc_calls().iter().for_each(|call| call.respond("hello"));
    assert_eq!(said(&envoy).last().unwrap(), "grpc_message: status = 0 \"\"");
    assert_eq!(rules(&envoy), []);
}
