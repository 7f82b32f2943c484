//! A filter made with the SDK, from configuration to a stream that is cut.

use std::time::Duration;

use proxy_wasm_harness::{Cluster, Envoy, HeaderMap, Module, StartError, State, Thread, artifact};

fn module() -> Module {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/filters/hello");
    Module::from_bytes(&artifact::build(dir).unwrap()).unwrap()
}

fn envoy() -> Envoy {
    let envoy = Envoy::builder(&module()).plugin_config("hi").workers(2);
    envoy.cluster("controlplane", Cluster::healthy()).start().unwrap()
}

#[test]
fn a_request_passes_with_the_filters_changes() {
    let envoy = envoy();
    let exchange = envoy.worker(0).get("/").header("X-User", "ann").send();
    assert_eq!(exchange.state(), State::Forwarded);
    assert_eq!(exchange.forwarded_headers().unwrap().get("x-greeting"), Some("hi, ann"));
    assert_eq!(exchange.filter_state("wasm.hello").as_deref(), Some("ann"));

    exchange.respond(200, HeaderMap::from([("x-from", "upstream")]));
    exchange.respond_data("body");
    assert_eq!(exchange.finish(), State::Finished);
    let response = exchange.response().unwrap();
    assert_eq!((response.status, response.headers.get("x-from")), (200, Some("upstream")));
    assert_eq!(response.body, b"body");
    assert_eq!(envoy.metric("hello_requests"), Some(1));
    envoy.assert_clean();
}

#[test]
fn a_message_cuts_what_is_open_and_bans_what_comes() {
    let envoy = envoy();
    envoy.advance(Duration::from_secs(1));
    let streams = envoy.grpc_streams();
    let threads: Vec<_> = streams.iter().map(|stream| stream.vm()).collect();
    assert_eq!(threads, [Thread::Main, Thread::Worker(0), Thread::Worker(1)]);
    assert_eq!((streams[1].service().as_str(), streams[1].method().as_str()), ("hello.Bans", "Watch"));
    assert_eq!(streams[1].metadata().get("x-who"), Some("hello"));

    let worker = envoy.worker(0);
    let [ann, bob] = ["ann", "bob"].map(|user| worker.get("/").header("x-user", user).send());
    let _ = ann.respond(200, HeaderMap::new());
    streams[1].send("ann");
    assert_eq!((ann.state(), bob.state()), (State::Reset, State::Forwarded));

    let again = worker.get("/").header("x-user", "ann").send();
    assert_eq!(again.state(), State::Replied);
    let reply = again.reply().unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (403, "banned"));
    assert_eq!(reply.headers.get("x-reason"), Some("banned"));
    let elsewhere = envoy.worker(1).get("/").header("x-user", "ann").send();
    assert_eq!(elsewhere.state(), State::Forwarded, "each VM has its own set");

    streams[1].close(14, "restarting");
    envoy.advance(Duration::from_secs(1));
    let open = envoy.grpc_streams().iter().filter(|stream| stream.is_open()).count();
    assert_eq!(open, 3, "it has opened another one");
    envoy.assert_clean();
}

#[test]
fn a_panic_is_told_with_its_message_and_kills_that_worker_only() {
    let envoy = envoy();
    let exchange = envoy.worker(0).get("/").header("x-user", "panic").send();
    let reply = exchange.reply().unwrap();
    assert_eq!((reply.status, reply.details.as_str()), (503, "wasm_fail_stream"));
    let failure = envoy.worker(0).failure().unwrap();
    assert!(failure.message.contains("asked to"), "{failure}");
    assert!(failure.backtrace.iter().any(|name| name.contains("proxy_on_request_headers")), "{failure:?}");

    assert_eq!(envoy.worker(0).get("/").send().state(), State::Replied);
    assert_eq!(envoy.worker(1).get("/").send().state(), State::Forwarded);
}

#[test]
fn a_configuration_that_the_filter_refuses_is_an_error_with_its_reasons() {
    let error = Envoy::builder(&module()).start().unwrap_err();
    assert!(matches!(&error, StartError::Configure { vm: Thread::Canary, .. }), "{error}");
    assert!(error.to_string().contains("there is no configuration"), "{error}");
}
