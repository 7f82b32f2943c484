use std::time::Duration;

use proxy_wasm_harness::{Answer, Cluster, Envoy, HeaderMap, Module, State, artifact};

#[test]
fn a_key_is_asked_about_once() {
    let module = Module::from_bytes(&artifact::build("examples/gate").unwrap()).unwrap();
    let keys = Cluster::scripted([Answer::nothing().respond(200, HeaderMap::new(), "ann")]);
    let envoy =
        Envoy::builder(&module).plugin_config("keys").cluster("keys", keys).workers(2).start().unwrap();

    // The first request waits until the service has said whose key it is.
    let first = envoy.worker(0).get("/").header("x-api-key", "k1").send();
    assert_eq!(first.state(), State::Held);
    envoy.advance(Duration::from_millis(1));
    let headers = first.forwarded_headers().unwrap();
    assert_eq!((headers.get("x-owner"), headers.get("x-api-key")), (Some("ann"), None));

    // The second one, on another thread, passes at once.
    let second = envoy.worker(1).get("/").header("x-api-key", "k1").send();
    assert_eq!(second.state(), State::Forwarded);
    assert_eq!(envoy.http_calls().len(), 1);
    assert!(second.cost().data_calls() <= 2, "{}", second.trace());
    envoy.assert_clean();
}
