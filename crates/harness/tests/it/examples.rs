//! The examples, as the README shows them, and what they cost.

use std::time::{Duration, Instant};

use proxy_wasm_harness::{Answer, Cluster, Envoy, HeaderMap, Module, artifact};

#[path = "../../examples/gate/test.rs"]
mod gate;

fn module() -> Module {
    Module::from_bytes(&artifact::build("examples/gate").unwrap()).unwrap()
}

fn answering(answer: fn() -> Answer) -> Envoy {
    let builder = Envoy::builder(&module()).plugin_config("keys");
    builder.cluster("keys", Cluster::answering(move |_| answer())).start().unwrap()
}

/// Status and text of the reply to a request with a key.
#[track_caller]
fn replied(envoy: &Envoy) -> (u32, String) {
    let exchange = envoy.worker(0).get("/").header("x-api-key", "k1").send();
    envoy.advance(Duration::from_secs(1));
    envoy.assert_clean();
    exchange.reply().map(|reply| (reply.status, reply.text())).unwrap()
}

#[test]
fn the_gate_refuses_what_it_cannot_check() {
    let envoy = answering(|| Answer::nothing().respond(404, HeaderMap::new(), ""));
    assert_eq!(envoy.worker(0).get("/").send().reply().unwrap().status, 401);
    assert_eq!(replied(&envoy), (403, "this key is not known".to_owned()));
    let answers: [fn() -> Answer; 4] =
        [Answer::nothing, Answer::no_host, || Answer::nothing().reset(), || Answer::nothing().break_off()];
    for answer in answers {
        assert_eq!(replied(&answering(answer)), (503, "keys cannot be checked at the moment".to_owned()));
    }
    assert!(Envoy::builder(&module()).start().unwrap_err().to_string().contains("the name of a cluster"));
}

#[test]
fn a_filter_in_text_stamps_every_response() {
    let text = std::fs::read_to_string("examples/stamp.wat").unwrap();
    let module = Module::from_bytes(&wat::parse_str(text).unwrap()).unwrap();
    let envoy = Envoy::builder(&module).start().unwrap();
    let exchange = envoy.worker(0).get("/").send();
    exchange.finish();
    assert_eq!(exchange.response().unwrap().headers.get("x-stamp"), Some("hello"));
    assert_eq!(exchange.cost().count("proxy_add_header_map_value"), 1);
    envoy.assert_clean();
}

#[test]
fn the_same_test_costs_the_same_every_time() {
    let run = || {
        let envoy = answering(|| Answer::nothing().respond(200, HeaderMap::new(), "ann"));
        let exchange = envoy.worker(0).get("/").header("x-api-key", "k1").send();
        envoy.advance(Duration::from_millis(1));
        assert_eq!(exchange.forwarded_headers().unwrap().get("x-owner"), Some("ann"));
        (exchange.cost(), envoy.worker(0).cost())
    };
    let first = run();
    let (begin, times) = (Instant::now(), 200);
    for _ in 0..times {
        assert_eq!(run(), first);
    }
    println!("one test takes {:?}", begin.elapsed() / times);
    let (of_request, of_vm) = first;
    assert_eq!((of_request.count("proxy_http_call"), of_vm.count("proxy_set_shared_data")), (1, 1));
    assert!(of_request.fuel > 0 && of_request.fuel < of_vm.fuel);
}
