//! HTTP calls. What the probe says was taken from Envoy 1.40.0.

use std::time::Duration;

use proxy_wasm_harness::{Cluster, Envoy, HeaderMap, HttpCall, Rule};

use crate::probe::{rules, said, script};

const ANSWER: &str = "http_call_response: log 2 $arguments\nhttp_call_response: get call :status
    http_call_response: body call 0 30\nhttp_call_response: pairs call_trailers
    http_call_response: get call_trailers t\nhttp_call_response: status\n";

/// A filter that does this on one tick, and shows what answers it gets.
fn ticked(lines: &str) -> Envoy {
    let lines = format!("configure: tick_period 100\ntick: tick_period 0\n{lines}\n{ANSWER}");
    let envoy = script(&lines).cluster("up", Cluster::healthy()).cluster("nohosts", Cluster::no_hosts());
    let envoy = envoy.start().unwrap();
    envoy.advance(Duration::from_millis(100));
    envoy
}

fn call(envoy: &Envoy) -> HttpCall {
    envoy.worker(0).http_calls().remove(0)
}

/// What the filter says after the lines about its ticks.
fn says(envoy: &Envoy) -> Vec<String> {
    let says = said(envoy).into_iter().skip(2);
    says.filter(|line| !line.starts_with("http_call_response: log")).collect()
}

#[test]
fn a_call_is_made_and_answered() {
    let envoy = ticked(
        "tick: http_call up 1000 body :method=POST :path=/p host=peer x=1 X=2 accept=a accept=b -- t=1
        tick: body call 0 9\ntick: pairs call\ntick: get call a",
    );
    let call = call(&envoy);
    assert_eq!((call.cluster().as_str(), call.token(), call.is_open()), ("up", 4, true));
    assert_eq!(call.timeout(), Some(Duration::from_secs(1)));
    assert_eq!((call.body(), call.trailers()), (b"body".to_vec(), HeaderMap::from([("t", "1")])));
    let headers = [(":method", "POST"), (":path", "/p"), (":authority", "peer"), ("x", "1"), ("x", "2")];
    let headers = [headers.as_slice(), &[("accept", "a,b"), ("content-length", "4")]].concat();
    assert_eq!(call.headers(), HeaderMap::from(headers.as_slice()));

    call.respond_with_trailers(200, [("x-peer", "1")], "hello", [("t", "1")]);
    assert!(!call.is_open());
    call.respond(500, HeaderMap::new(), "again");
    let expected = [
        "tick: http_call up 1000 body :method=POST :path=/p host=peer x=1 X=2 accept=a accept=b -- t=1 = 0 4",
        "tick: body call 0 9 = 1",
        "tick: pairs call = 0 \"\"",
        "tick: get call a = 2",
        "1,4,3,5,1",
        "http_call_response: get call :status = 0 \"200\"",
        "http_call_response: body call 0 30 = 0 \"hello\"",
        "http_call_response: pairs call_trailers = 0 \"\\x01\\x00\\x00\\x00\\x01\\x00\\x00\\x00\\x01\\x00\\x00\\x00t\\x001\\x00\"",
        "http_call_response: get call_trailers t = 0 \"1\"",
        "http_call_response: status = 0 \"\"",
    ];
    assert_eq!(says(&envoy), expected);
    assert_eq!(envoy.http_calls().len(), 2, "the main thread has made one as well");
    envoy.assert_clean();
}

#[test]
fn the_answer_can_be_read_and_not_changed_and_only_in_its_callback() {
    let lines = "tick: http_call up 0 ~\nhttp_call_response: add call a b\nhttp_call_response: remove call a
        http_call_response: map_size call\nhttp_call_response: body_status call
        http_call_response: half_close 4\nhttp_call_response: cancel 4\nhttp_call_response: send 4 a 0
        request_headers: body call 0 9\nrequest_headers: get call :status";
    let envoy = ticked(lines);
    assert_eq!(call(&envoy).timeout(), None);
    call(&envoy).respond(200, HeaderMap::new(), "ok");
    envoy.worker(0).get("/").send();
    let answers: Vec<_> =
        says(&envoy).iter().filter_map(|line| Some(line.split_once(" = ")?.1.to_owned())).collect();
    let of_call = ["2", "2", "2", "0 2", "2", "2", "2", "0 \"200\"", "0 \"ok\"", "0 \"\"", "2", "0 \"\""];
    assert_eq!(answers, [["0 4"].as_slice(), &of_call, &["1", "2"]].concat());
}

#[test]
fn what_is_wrong_with_a_call_is_told_at_once_and_costs_no_token() {
    let envoy = ticked(
        "tick: http_call up 0 ~ :method=GET :path=/\ntick: http_call up 0 ~ :method=GET :authority=a
        tick: http_call up 0 ~ :path=/ :authority=a\ntick: http_call nope 0 ~
        tick: http_call up 4294967295 ~\ntick: http_call up 2147483647 ~",
    );
    let answers: Vec<_> =
        says(&envoy).iter().map(|line| line.split_once(" = ").unwrap().1.to_owned()).collect();
    assert_eq!(answers, ["2", "2", "2", "2", "2", "0 4"]);
}

#[test]
fn without_a_host_the_call_fails_and_nothing_more_is_heard_of_it() {
    let envoy = ticked("tick: http_call nohosts 9 ~\ntick: http_call nohosts 9 ~\ntick: http_call up 9 ~");
    let expected = [
        "tick: http_call nohosts 9  = 10",
        "tick: http_call nohosts 9  = 10",
        "tick: http_call up 9  = 0 12",
    ];
    assert_eq!(says(&envoy), expected);
    let open: Vec<_> = envoy.worker(0).http_calls().iter().map(HttpCall::is_open).collect();
    assert_eq!(open, [false, false, true]);
    envoy.assert_clean();

    let rules = rules(&ticked("tick: http_call nohosts 9 ~\ntick: open nohosts"));
    assert!(rules.contains(&Rule::CalloutAfterFailedCallout), "{rules:?}");
}

#[test]
fn a_timeout_is_an_answer() {
    let envoy = ticked("tick: http_call up 300 ~");
    envoy.advance(Duration::from_millis(299));
    assert!(call(&envoy).is_open());
    envoy.advance(Duration::from_millis(1));
    assert!(!call(&envoy).is_open());
    let expected = [
        "tick: http_call up 300  = 0 4",
        "1,4,3,24,0",
        "http_call_response: get call :status = 0 \"504\"",
        "http_call_response: body call 0 30 = 0 \"upstream request timeout\"",
        "http_call_response: pairs call_trailers = 0 \"\"",
        "http_call_response: get call_trailers t = 2",
        "http_call_response: status = 0 \"\"",
    ];
    assert_eq!(says(&envoy), expected);
    call(&envoy).respond(200, HeaderMap::new(), "late");
    assert_eq!(says(&envoy).len(), expected.len());

    let envoy = ticked("tick: http_call up 300 ~");
    call(&envoy).respond(200, HeaderMap::new(), "in time");
    envoy.advance(Duration::from_secs(1));
    assert_eq!(says(&envoy).iter().filter(|line| line.starts_with("1,4")).count(), 1);
}

#[test]
fn an_answer_that_breaks_off_or_is_too_long_is_a_failure() {
    let too_long: fn(&HttpCall) = |call| call.respond(200, HeaderMap::new(), vec![b'x'; (32 << 20) + 1]);
    for fail in [HttpCall::fail, too_long] {
        let envoy = ticked("tick: http_call up 0 ~\nrequest_headers: status");
        fail(&call(&envoy));
        envoy.worker(0).get("/").send();
        let expected = [
            "1,4,0,0,0",
            "http_call_response: get call :status = 2",
            "http_call_response: body call 0 30 = 1",
            "http_call_response: pairs call_trailers = 0 \"\"",
            "http_call_response: get call_trailers t = 2",
            "http_call_response: status = 0 \"reset\"",
            "request_headers: status = 0 \"\"",
        ];
        assert_eq!(says(&envoy)[1..], expected);
    }
}

#[test]
fn a_peer_that_is_not_there_is_answered_for() {
    let answer = |fail: fn(&HttpCall)| {
        let envoy = ticked("tick: http_call up 0 ~");
        fail(&call(&envoy));
        says(&envoy)[1..3].to_vec()
    };
    let status = "http_call_response: get call :status = 0 \"503\"";
    assert_eq!(answer(HttpCall::reset), ["1,4,3,85,0", status]);
    assert_eq!(answer(HttpCall::refuse), ["1,4,3,98,0", status]);
}

#[test]
fn a_call_belongs_to_the_root_context_and_outlives_its_stream() {
    let lines = "request_headers: http_call up 0 ~\nhttp_call_response: effective $stream";
    let envoy = ticked(lines);
    let exchange = envoy.worker(0).get("/").send();
    assert_eq!(exchange.finish(), proxy_wasm_harness::State::Finished);
    call(&envoy).respond(200, HeaderMap::new(), "ok");
    assert_eq!(says(&envoy)[1..3], ["http_call_response: effective 2 = 2", "1,4,2,2,0"]);
}

#[test]
fn a_held_request_waits_for_an_answer() {
    let lines = "request_headers: http_call up 0 ~\nrequest_headers: return 1
        http_call_response: effective $stream\nhttp_call_response: reply 403 no ~";
    let envoy = ticked(lines);
    let exchange = envoy.worker(0).get("/").send();
    assert_eq!(exchange.state(), proxy_wasm_harness::State::Held);
    call(&envoy).respond(403, HeaderMap::new(), "");
    assert_eq!(exchange.reply().unwrap().status, 403);
    envoy.assert_clean();
}

#[test]
fn a_dead_vm_hears_nothing() {
    let envoy = ticked("tick: http_call up 100 ~\ntick: panic ouch");
    call(&envoy).respond(200, HeaderMap::new(), "ok");
    envoy.advance(Duration::from_secs(1));
    assert!(!said(&envoy).iter().any(|line| line.starts_with("1,4")));
}
