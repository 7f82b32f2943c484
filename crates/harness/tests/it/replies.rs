//! Local replies and closed streams, in every phase.

use std::time::Duration;

use proxy_wasm_harness::{HeaderMap, Rule, State};

use crate::probe::{check, said, script};

#[test]
fn a_reply_passes_the_filter_and_ends_the_exchange() {
    let (_, exchange) = check(
        "request_headers: reply 401 some_details hello x-r=1
         response_headers: get response content-type
         response_headers: add response x-own 1
         response_body: body response 0 100
         log: get_property response.code_details
         done: log 2 bye",
        &[
            "request_headers: reply 401 some_details hello x-r=1 = 0",
            "response_headers: get response content-type = 0 \"text/plain\"",
            "response_headers: add response x-own 1 = 0",
            "response_body: body response 0 100 = 0 \"hello\"",
            "log: get_property response.code_details = 0 \"some_details\"",
            "bye",
            "done: log 2 bye = 0",
        ],
    );
    assert_eq!(exchange.state(), State::Replied);
    let reply = exchange.reply().unwrap();
    let headers = [
        (":status", "401"),
        ("x-r", "1"),
        ("content-length", "5"),
        ("content-type", "text/plain"),
        ("x-own", "1"),
    ];
    assert_eq!(reply.headers, HeaderMap::from(headers));
    assert_eq!((reply.status, reply.text().as_str(), reply.details.as_str()), (401, "hello", "some_details"));
    assert_eq!(reply.grpc_status, None);
}

#[test]
fn an_empty_body_has_neither_length_nor_type() {
    let lines = "request_headers: reply 403 d ~ content-type=a/b content-length=7";
    let (_, exchange) =
        check(lines, &["request_headers: reply 403 d  content-type=a/b content-length=7 = 0"]);
    assert_eq!(exchange.reply().unwrap().headers, HeaderMap::from([(":status", "403")]));
}

#[test]
fn a_grpc_client_gets_a_status_and_a_message() {
    let envoy = script("request_headers: reply 401 det msg%é x=y").start().unwrap();
    let exchange = envoy.worker(0).post("/").header("content-type", "application/grpc").send();
    let reply = exchange.reply().unwrap();
    assert_eq!((reply.status, reply.grpc_status), (401, Some(16)));
    let headers = [
        (":status", "200"),
        ("x", "y"),
        ("content-type", "application/grpc"),
        ("grpc-status", "16"),
        ("grpc-message", "msg%25%C3%A9"),
    ];
    assert_eq!(reply.headers, HeaderMap::from(headers));
}

#[test]
fn a_reply_instead_of_a_response_does_not_pass_the_filter_again() {
    let lines = "response_headers: reply 418 det tea
        response_headers: log 2 headers
        response_body: log 2 body";
    let envoy = script(lines).start().unwrap();
    let exchange = envoy.worker(0).get("/").send();
    assert_eq!(exchange.respond(200, [("x-up", "1")]), State::Replied);
    assert_eq!(said(&envoy).iter().filter(|line| *line == "headers").count(), 1);
    assert!(!said(&envoy).contains(&"body".to_owned()));
    let reply = exchange.reply().unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (418, "tea"));
    assert!(!reply.headers.contains("x-up"));
}

#[test]
fn a_reply_to_ones_own_reply_takes_its_place() {
    let lines = "request_headers: reply 401 det1 one
        response_headers: reply 418 det2 two
        response_headers: log 2 headers";
    let envoy = script(lines).start().unwrap();
    let reply = envoy.worker(0).get("/").send().reply().unwrap();
    assert_eq!((reply.status, reply.text().as_str(), reply.details.as_str()), (418, "two", "det2"));
    assert_eq!(said(&envoy).iter().filter(|line| *line == "headers").count(), 1);
}

#[test]
fn of_two_replies_the_first_is_sent_and_the_seconds_details_are_logged() {
    let envoy =
        script("request_headers: reply 401 det1 ~\nrequest_headers: reply 402 det2 ~").start().unwrap();
    let exchange = envoy.worker(0).get("/").send();
    assert_eq!(exchange.reply().unwrap().status, 401);
    assert_eq!(exchange.details().as_deref(), Some("det2"));
}

#[test]
fn a_stream_is_cut_from_the_root_context_with_its_reason() {
    let lines = "configure: tick_period 100
        tick: effective $stream
        tick: set_property x cut
        tick: reply 401 my_details ~
        log: get_property response.code_details";
    let envoy = script(lines).start().unwrap();
    let exchange = envoy.worker(0).get("/").send();
    let _ = exchange.respond(200, HeaderMap::new());
    exchange.respond_data("abc");
    envoy.advance(Duration::from_millis(100));

    assert_eq!(exchange.state(), State::Reset);
    assert_eq!(exchange.details().as_deref(), Some("my_details"));
    assert_eq!(exchange.filter_state("wasm.x").as_deref(), Some("cut"));
    assert_eq!(exchange.reply(), None);
    assert_eq!(exchange.response().unwrap().body, b"abc");
    assert_eq!(said(&envoy).last().unwrap(), "log: get_property response.code_details = 0 \"my_details\"");
    envoy.assert_clean();
}

#[test]
fn a_closed_stream_keeps_the_details_that_it_has() {
    let (_, exchange) = check("request_headers: close 0", &["request_headers: close 0 = 0"]);
    assert_eq!((exchange.state(), exchange.details().as_deref()), (State::Reset, Some("wasm_close_stream")));

    let envoy = script("response_headers: close 1").start().unwrap();
    let exchange = envoy.worker(0).get("/").send();
    assert_eq!(exchange.respond(200, HeaderMap::new()), State::Reset);
    assert_eq!(exchange.details().as_deref(), Some("via_upstream"));
}

#[test]
fn replying_and_closing_is_a_crash() {
    for lines in [
        "request_headers: reply 401 d ~\nrequest_headers: close 0",
        "request_headers: close 0\nrequest_headers: reply 401 d ~",
    ] {
        let envoy = script(lines).start().unwrap();
        let exchange = envoy.worker(0).get("/").send();
        let rules: Vec<_> = envoy.violations().into_iter().map(|violation| violation.rule).collect();
        assert_eq!(rules, [Rule::RepliedAndClosed { stream: exchange.context_id() }]);
    }
}

#[test]
fn closing_twice_and_continuing_what_is_not_there_are_crashes() {
    let rules = |lines: &str, respond: bool| {
        let envoy = script(lines).start().unwrap();
        let exchange = envoy.worker(0).get("/").send();
        if respond {
            let _ = exchange.respond(200, HeaderMap::new());
        }
        envoy.advance(Duration::from_millis(100));
        envoy.violations().into_iter().map(|violation| violation.rule).collect::<Vec<_>>()
    };
    let stream = 2;
    assert_eq!(
        rules("request_headers: close 0\nrequest_headers: close 1", false),
        [Rule::ClosedTwice { stream }]
    );
    let missing = [Rule::ContinuedMissingResponse { stream }];
    assert_eq!(rules("request_headers: continue 1", false), missing);
    let tick = "request_headers: return 1\nconfigure: tick_period 100\ntick: effective 2\ntick: continue 1\ntick: tick_period 0";
    assert_eq!(rules(tick, false), missing);
    assert_eq!(rules("response_headers: continue 1", true), [Rule::ContinuedTwice { stream }]);
    assert_eq!(rules("request_headers: reply 401 d b\nrequest_headers: continue 0", false), []);
    assert_eq!(rules("request_headers: close 0\nrequest_headers: continue 0", false), []);
}

#[test]
fn what_a_callback_leaves_is_done_in_order() {
    for (lines, state) in [
        ("request_headers: reply 401 d b\nrequest_headers: continue 0", State::Replied),
        (
            "request_headers: return 1\nrequest_headers: continue 0\nrequest_headers: reply 401 d b",
            State::Replied,
        ),
        ("request_headers: return 1\nrequest_headers: continue 0\nrequest_headers: close 0", State::Reset),
        ("request_headers: close 0\nrequest_headers: continue 0", State::Reset),
    ] {
        let envoy = script(lines).start().unwrap();
        assert_eq!(envoy.worker(0).get("/").send().state(), state, "{lines}");
        let lines = lines.replace("request_headers: return 1", "").replace("request_headers", "tick");
        let lines = format!(
            "request_headers: return 1\nconfigure: tick_period 100\ntick: effective $stream\n{lines}"
        );
        let envoy = script(&lines).start().unwrap();
        let exchange = envoy.worker(0).get("/").send();
        envoy.advance(Duration::from_millis(100));
        assert_eq!(exchange.state(), state, "{lines}");
        envoy.assert_clean();
    }
}

#[test]
fn the_root_context_has_nothing_to_answer_and_is_not_told() {
    let lines = "configure: tick_period 100\ntick: reply 401 d ~\ntick: close 0\ntick: continue 0\ntick: set_property x y";
    let envoy = script(lines).start().unwrap();
    envoy.advance(Duration::from_millis(100));
    let says =
        ["tick: reply 401 d  = 0", "tick: close 0 = 0", "tick: continue 0 = 0", "tick: set_property x y = 1"];
    assert_eq!(said(&envoy)[1..], says);
}

#[test]
fn the_kinds_of_streams() {
    check(
        "request_headers: close 2\nrequest_headers: close 3\nrequest_headers: close 4
         request_headers: continue 2\nrequest_headers: continue 3\nrequest_headers: continue 4",
        &[
            "request_headers: close 2 = 0",
            "request_headers: close 3 = 0",
            "request_headers: close 4 = 2",
            "request_headers: continue 2 = 0",
            "request_headers: continue 3 = 12",
            "request_headers: continue 4 = 2",
        ],
    );
}

#[test]
fn a_client_may_go_away_while_its_request_is_held() {
    let envoy = script("request_headers: return 1\nlog: get_property response.code_details").start().unwrap();
    let exchange = envoy.worker(0).get("/").send();
    exchange.disconnect();
    assert_eq!(exchange.state(), State::Disconnected);
    let expected = "log: get_property response.code_details = 0 \"downstream_remote_disconnect\"";
    assert_eq!(said(&envoy), [expected]);
}
