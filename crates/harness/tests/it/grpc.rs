//! gRPC streams, with every way in which opening one can fail.

use std::time::Duration;

use proxy_wasm_harness::{Cluster, Envoy, GrpcStream, HeaderMap, Rule};

use crate::probe::{rules, said, script};

fn ticked(lines: &str) -> Envoy {
    let lines = format!("configure: tick_period 100\ntick: tick_period 0\n{lines}");
    let envoy = script(&lines).cluster("up", Cluster::healthy()).cluster("nohosts", Cluster::no_hosts());
    let envoy = envoy.start().unwrap();
    envoy.advance(Duration::from_millis(100));
    envoy
}

/// The first worker's stream.
fn stream(envoy: &Envoy) -> GrpcStream {
    envoy.worker(0).grpc_streams().remove(0)
}

#[test]
fn a_stream_lives_from_its_opening_to_its_close() {
    let envoy = ticked(
        "tick: open up\ntick: send $token hello 0
        grpc_initial: get grpc_initial x-peer
        grpc_message: body grpc 0 100
        grpc_trailing: get grpc_trailing grpc-status
        grpc_close: status\ngrpc_close: cancel $token",
    );
    let stream = stream(&envoy);
    assert!(stream.is_open());
    assert_eq!((stream.cluster().as_str(), stream.token()), ("up", 6));
    assert_eq!((stream.service().as_str(), stream.method().as_str()), ("probe.Service", "Method"));
    assert_eq!(stream.metadata(), HeaderMap::from([("x-key", "value")]));
    assert_eq!(stream.take_sent(), [b"hello"]);
    assert!(stream.take_sent().is_empty());

    stream.initial_metadata([("x-peer", "test")]);
    stream.send("news");
    stream.send("");
    stream.close(14, "going away");
    assert!(!stream.is_open());
    let says = [
        "tick: open up = 0 6",
        "tick: send 6 hello 0 = 0",
        "grpc_initial: get grpc_initial x-peer = 0 \"test\"",
        "grpc_message: body grpc 0 100 = 0 \"news\"",
        "grpc_message: body grpc 0 100 = 0 \"\"",
        "grpc_trailing: get grpc_trailing grpc-status = 0 \"14\"",
        "grpc_close: status = 0 \"going away{via_upstream}\"",
        "grpc_close: cancel 6 = 0",
    ];
    assert_eq!(said(&envoy)[2..], says);
    assert_eq!(envoy.grpc_streams().len(), 2, "the main thread has one as well");
    envoy.assert_clean();
}

#[test]
fn without_a_host_it_fails_while_it_is_being_opened() {
    let envoy = ticked(
        "tick: open nohosts
        grpc_initial: pairs grpc_initial
        grpc_trailing: get grpc_trailing grpc-status
        grpc_close: status\ngrpc_close: cancel 6",
    );
    let says = [
        "grpc_initial: pairs grpc_initial = 0 \"\"",
        "grpc_trailing: get grpc_trailing grpc-status = 0 \"14\"",
        "tick: open nohosts = 10",
        "grpc_close: status = 0 \"no healthy upstream{no_healthy_upstream}\"",
        "grpc_close: cancel 6 = 1",
    ];
    assert_eq!(said(&envoy)[2..], says);
    assert!(!stream(&envoy).is_open());
    envoy.assert_clean();
}

#[test]
fn a_missing_cluster_is_told_in_two_ways() {
    let envoy = ticked("tick: open control_plane\ntick: open_service control_plane\ngrpc_close: status");
    let says = [
        "tick: open control_plane = 4",
        "tick: open_service control_plane = 10",
        "grpc_close: status = 0 \"Cluster not available\"",
    ];
    assert_eq!(said(&envoy)[2..], says);
    envoy.assert_clean();
}

#[test]
fn a_second_failure_within_one_callback_is_a_hang() {
    for lines in ["tick: open nohosts\ntick: open nohosts", "tick: open_service nope\ntick: open nohosts"] {
        let rules = rules(&ticked(lines));
        assert!(rules.contains(&Rule::CalloutAfterFailedCallout), "{lines}: {rules:?}");
    }
    ticked("tick: open_service nope\ntick: open_service nope").assert_clean();
}

#[test]
fn a_name_that_parses_as_a_message_is_an_abort() {
    let envoy = ticked("tick: open users");
    assert_eq!(rules(&envoy), [Rule::AmbiguousGrpcTarget { target: "users".to_owned() }]);
}

#[test]
fn opening_while_configuring_is_reported() {
    let envoy = script("configure: open up").cluster("up", Cluster::healthy()).start().unwrap();
    assert_eq!(rules(&envoy), [Rule::CalloutDuringStart]);
    let vms = envoy.violations().len();
    assert_eq!(vms, 3, "the canary, the main thread and the worker");
}

#[test]
fn tokens_that_mean_nothing() {
    let envoy = ticked(
        "tick: send 2 a 0\ntick: send 3 a 0\ntick: cancel 6\ntick: cancel 1\ntick: cancel 0
        tick: half_close 6\ntick: half_close 4",
    );
    let answers: Vec<_> =
        said(&envoy)[2..].iter().map(|line| line.split_once(" = ").unwrap().1.to_owned()).collect();
    assert_eq!(answers, ["1", "2", "1", "1", "2", "1", "2"]);
}

#[test]
fn the_filter_says_its_last_word_and_still_listens() {
    let envoy = ticked(
        "tick: open up\ntick: half_close $token\ntick: send $token late 0\ngrpc_message: body grpc 0 9",
    );
    let stream = stream(&envoy);
    assert!(stream.is_half_closed() && stream.is_open());
    assert!(stream.take_sent().is_empty());
    stream.send("news");
    assert_eq!(said(&envoy).last().unwrap(), "grpc_message: body grpc 0 9 = 0 \"news\"");
    stream.close(0, "");
    envoy.assert_clean();
}

#[test]
fn a_cancelled_stream_hears_nothing_more() {
    let envoy =
        ticked("tick: open up\ntick: cancel $token\ngrpc_message: log 2 heard\ngrpc_close: log 2 closed");
    let stream = stream(&envoy);
    assert!(stream.cancelled_by_filter() && !stream.is_open());
    stream.send("news");
    stream.close(0, "");
    assert_eq!(said(&envoy)[2..], ["tick: open up = 0 6", "tick: cancel 6 = 0"]);
}

#[test]
fn a_stream_that_its_peer_has_closed_must_be_given_back_and_not_be_used() {
    let envoy = ticked("tick: open up\ngrpc_close: log 2 closed");
    stream(&envoy).reset();
    assert_eq!(rules(&envoy), [Rule::KeptClosedGrpcStream { token: 6 }]);

    let envoy = ticked("tick: open up\nrequest_headers: send $token late 0");
    stream(&envoy).close(0, "");
    envoy.worker(0).get("/").send();
    let expected = [Rule::KeptClosedGrpcStream { token: 6 }, Rule::UsedClosedGrpcStream { token: 6 }];
    assert_eq!(rules(&envoy), expected);
}

/// What the filter hears once its stream ends so: the number of its trailers, and its close.
fn heard(lines: &str, end: impl Fn(&GrpcStream)) -> [String; 3] {
    let lines = format!(
        "{lines}\ngrpc_initial: log 2 $arguments\ngrpc_trailing: log 2 $arguments
        grpc_close: log 2 $arguments\ngrpc_close: status\ngrpc_close: cancel $token"
    );
    let envoy = ticked(&lines);
    end(&stream(&envoy));
    envoy.assert_clean();
    let said: Vec<_> =
        said(&envoy).into_iter().filter(|line| line.starts_with("1,") || line.contains("status")).collect();
    let [initial, trailing, close, status]: [String; 4] = said.try_into().unwrap();
    let message = status.trim_start_matches("grpc_close: status = 0 ").trim_matches('"').to_owned();
    [format!("{initial} {trailing}"), close, message]
}

#[test]
fn how_streams_end() {
    const BROKEN: &str = "upstream_reset_after_response_started{remote_reset}";
    const BEFORE: &str = "upstream connect error or disconnect/reset before headers. reset reason:";
    let ends = |end: &dyn Fn(&GrpcStream), metadata: &str, status: u32, message: &str| {
        assert_eq!(
            heard("tick: open up", end),
            [metadata.to_owned(), format!("1,6,{status}"), message.to_owned()]
        );
    };
    // The numbers of initial and trailing metadata stand behind the token.
    ends(&|stream| stream.close(7, "no%20way"), "1,6,0 1,6,4", 7, "no%20way{via_upstream}");
    ends(&|stream| stream.respond_http(200, [("grpc-status", "0")], ""), "1,6,0 1,6,2", 0, "via_upstream");
    ends(&|stream| stream.respond_http(503, HeaderMap::new(), "busy"), "1,6,0 1,6,0", 14, "via_upstream");
    let refusal = [("grpc-status", "7"), ("grpc-message", "x")];
    ends(&|stream| stream.respond_http(503, refusal, ""), "1,6,0 1,6,3", 7, "x{via_upstream}");
    ends(&|stream| stream.respond_http(200, HeaderMap::new(), "busy"), "1,6,1 1,6,0", 13, "via_upstream");
    ends(&GrpcStream::send_compressed, "1,6,2 1,6,0", 13, "via_upstream");
    ends(&GrpcStream::end_without_trailers, "1,6,2 1,6,0", 2, "via_upstream");
    let reset = format!("{BEFORE} remote reset{{upstream_reset_before_response_started{{remote_reset}}}}");
    ends(&GrpcStream::reset, "1,6,0 1,6,4", 14, &reset);
    let refused = format!(
        "{BEFORE} remote connection failure{{upstream_reset_before_response_started\
         {{remote_connection_failure|delayed_connect_error:_Connection_refused}}}}"
    );
    ends(&GrpcStream::refuse, "1,6,0 1,6,4", 14, &refused);
    let begun = |end: fn(&GrpcStream)| {
        move |stream: &GrpcStream| {
            stream.initial_metadata([(":status", "200")]);
            end(stream);
        }
    };
    ends(&begun(GrpcStream::reset), "1,6,1 1,6,0", 13, BROKEN);
    let disconnected = "upstream_reset_after_response_started{connection_termination}";
    ends(&begun(GrpcStream::refuse), "1,6,1 1,6,0", 13, disconnected);
    ends(&begun(|stream| stream.close(0, "")), "1,6,1 1,6,1", 0, "via_upstream");
}

#[test]
fn a_message_may_be_too_large_for_the_service() {
    let [metadata, status, message] = heard("tick: open_service up 20", |stream| stream.send([b'x'; 21]));
    assert_eq!([metadata, status, message], ["1,6,2 1,6,0", "1,6,8", "via_upstream"]);
    let envoy = ticked("tick: open_service up 20\ngrpc_message: log 2 $arguments");
    stream(&envoy).send([b'x'; 20]);
    assert!(said(&envoy).contains(&"1,6,20".to_owned()));
}
