//! Header maps: which values a filter sees, and when.

use proxy_wasm_harness::{HeaderMap, State};

use crate::probe::{check, said, script};

#[test]
fn envoy_joins_some_names_and_shows_the_first_value_of_the_others() {
    let lines = "request_headers: get request authorization
        request_headers: get request x-a
        request_headers: get request nope";
    let envoy = script(lines).start().unwrap();
    let mut request = envoy.worker(0).get("/");
    for (name, value) in [("authorization", "a"), ("authorization", "b"), ("x-a", "1"), ("x-a", "2")] {
        request = request.header(name, value);
    }
    let exchange = request.send();
    let says = [
        "request_headers: get request authorization = 0 \"a,b\"",
        "request_headers: get request x-a = 0 \"1\"",
        "request_headers: get request nope = 1",
    ];
    assert_eq!(said(&envoy), says);
    assert_eq!(exchange.forwarded_headers().unwrap().all("x-a"), ["1", "2"]);
}

#[test]
fn a_filter_adds_replaces_removes_and_sets() {
    let (_, exchange) = check(
        "request_headers: add request x-a 1
         request_headers: add request x-a 2
         request_headers: replace request :path /y
         request_headers: add request x-b 1
         request_headers: remove request x-b
         request_headers: map_size request",
        &[
            "request_headers: add request x-a 1 = 0",
            "request_headers: add request x-a 2 = 0",
            "request_headers: replace request :path /y = 0",
            "request_headers: add request x-b 1 = 0",
            "request_headers: remove request x-b = 0",
            "request_headers: map_size request = 0 57",
        ],
    );
    let expected = HeaderMap::from([
        (":authority", "example.com"),
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/y"),
        ("x-a", "1"),
        ("x-a", "2"),
    ]);
    assert_eq!(exchange.forwarded_headers(), Some(expected));

    let lines = "request_headers: set_pairs request :path=/x :authority=q b=1 B=2";
    let (_, exchange) = check(lines, &[&format!("{lines} = 0")]);
    let expected = HeaderMap::from([(":path", "/x"), (":authority", "q"), ("b", "1"), ("b", "2")]);
    assert_eq!(exchange.forwarded_headers(), Some(expected));
}

#[test]
fn a_map_that_the_phase_does_not_have_is_a_bad_argument() {
    let (envoy, exchange) = check(
        "request_headers: get request_trailers x
         request_headers: get response :status
         request_headers: get call x
         request_headers: get nonsense x
         response_headers: get request :path
         response_headers: pairs request
         response_headers: add request x y
         response_headers: get response :status
         response_body: get response x-up
         log: get request :path
         log: get response :status
         log: add request x y",
        &[
            "request_headers: get request_trailers x = 2",
            "request_headers: get response :status = 2",
            "request_headers: get call x = 2",
            "request_headers: get nonsense x = 2",
        ],
    );
    assert_eq!(exchange.respond(200, [("x-up", "1")]), State::Forwarded);
    assert_eq!(exchange.finish(), State::Finished);
    let says = [
        "response_headers: get request :path = 2",
        "response_headers: pairs request = 0 \"\"",
        "response_headers: add request x y = 2",
        "response_headers: get response :status = 0 \"200\"",
        "response_body: get response x-up = 2",
        "log: get request :path = 0 \"/path?q=1\"",
        "log: get response :status = 0 \"200\"",
        "log: add request x y = 2",
    ];
    assert_eq!(said(&envoy)[4..], says);
}

#[test]
fn response_headers_stay_readable_after_a_pause_and_request_headers_do_not() {
    let lines = "request_headers: return 1
        response_headers: return 1
        configure: tick_period 100
        tick: effective 2
        tick: continue 0
        tick: get request :path
        tick: continue 1
        tick: get response :status";
    let envoy = script(lines).start().unwrap();
    let exchange = envoy.worker(0).get("/").send();
    assert_eq!(exchange.state(), State::Held);
    envoy.advance(std::time::Duration::from_millis(100));
    let _ = exchange.respond(204, HeaderMap::new());
    assert!(exchange.is_response_held());
    envoy.advance(std::time::Duration::from_millis(100));
    assert_eq!(exchange.response().unwrap().status, 204);
    let says = said(&envoy);
    assert!(says.contains(&"tick: get request :path = 2".to_owned()), "{says:#?}");
    assert_eq!(says.last().unwrap(), "tick: get response :status = 0 \"204\"");
}
