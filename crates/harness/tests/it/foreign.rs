//! Foreign functions.

use miniz_oxide::deflate::compress_to_vec_zlib;
use proxy_wasm_harness::{Cause, Fault, Rule, State, Status};

use crate::probe::{check, rules, said, script};

fn answers(envoy: &proxy_wasm_harness::Envoy) -> Vec<String> {
    said(envoy).iter().map(|line| line.rsplit_once(" = ").unwrap().1.to_owned()).collect()
}

#[test]
fn a_test_can_add_functions_and_take_the_place_of_others() {
    let lines = "request_headers: foreign upper abc\nrequest_headers: foreign fail x
        request_headers: foreign clear_route_cache ~\nrequest_headers: foreign nope x
        request_headers: foreign sign x";
    let envoy = script(lines)
        .foreign_function("upper", |bytes| Ok(bytes.to_ascii_uppercase()))
        .foreign_function("fail", |_| Err(Status::ParseFailure))
        .foreign_function("clear_route_cache", |_| Ok(b"mine".to_vec()));
    let envoy = envoy.start().unwrap();
    let exchange = envoy.worker(0).get("/").send();
    assert_eq!(answers(&envoy), ["0 \"ABC\"", "4", "0 \"mine\"", "1", "1"]);
    assert!(exchange.trace().contains("Envoy has sign, the harness has not"), "{}", exchange.trace());
}

#[test]
fn declared_properties_may_be_read_only() {
    let (envoy, exchange) = check_answers(
        "configure: foreign declare_property %0A%02ro%10%01%18%01
         configure: foreign declare_property %0A%02ro%10%01%18%01
         request_headers: set_property ro 1
         request_headers: set_property ro 2
         request_headers: get_property ro
         request_headers: foreign declare_property %0A%02rr%10%01%18%01
         request_headers: set_property rr 1
         request_headers: set_property rr 2
         request_headers: foreign declare_property ~
         request_headers: foreign declare_property garbage",
    );
    assert_eq!(answers(&envoy), ["0 \"\"", "2", "0", "2", "0 \"1\"", "0 \"\"", "0", "0", "0 \"\"", "2"]);
    assert_eq!(exchange.filter_state("wasm.rr").as_deref(), Some("2"), "declared by a stream: of no effect");
}

#[test]
fn envoys_own_filter_state_takes_the_keys_that_it_knows() {
    let (envoy, exchange) = check_answers(
        "configure: foreign set_envoy_filter_state %0A%17envoy.tcp_proxy.cluster%12%01v
         request_headers: foreign set_envoy_filter_state %0A%17envoy.tcp_proxy.cluster%12%01v
         request_headers: foreign set_envoy_filter_state %0A%03abc%12%01v
         request_headers: foreign set_envoy_filter_state garbage
         request_headers: foreign clear_route_cache ~",
    );
    assert_eq!(answers(&envoy), ["1", "0 \"\"", "1", "2", "0 \"\""]);
    assert_eq!(exchange.filter_state("envoy.tcp_proxy.cluster").as_deref(), Some("v"));
}

#[test]
fn what_there_is_no_room_for_would_crash_envoy() {
    let of = |function: &str| vec![Rule::NoRoomForResult { function: function.to_owned() }];
    let envoy = script("request_headers: foreign compress x").start().unwrap();
    envoy.inject(Fault::on("malloc")).unwrap();
    envoy.worker(0).get("/").send();
    assert_eq!((answers(&envoy), rules(&envoy)), (vec!["6".to_owned()], of("compress")));

    // A kilobyte that becomes a megabyte.
    let bomb = compress_to_vec_zlib(&vec![0; 1 << 20], 9);
    assert!(bomb.len() < 2_000, "{}", bomb.len());
    let hex: String = bomb.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines = format!("request_headers: foreign_hex uncompress {hex}");
    let envoy = script(&lines).memory_limit(1_500_000).start().unwrap();
    assert_eq!(envoy.worker(0).get("/").send().state(), State::Replied);
    assert_eq!(rules(&envoy), of("uncompress"));
    assert_eq!(envoy.worker(0).failure().unwrap().cause, Cause::Memory);
}

#[test]
fn the_host_can_call_a_function_of_the_filter() {
    let envoy =
        script("foreign_function: log 2 called\nforeign_function: body call_data 0 10").start().unwrap();
    envoy.worker(0).call_foreign_function(7, "data");
    let says = [
        "called",
        "foreign_function: log 2 called = 0",
        "foreign_function: body call_data 0 10 = 0 \"data\"",
    ];
    assert_eq!(said(&envoy), says);
    assert!(envoy.trace().iter().any(|e| e.to_string().contains("> proxy_on_foreign_function[1, 7, 4]")));
    check("request_headers: body call_data 0 10", &["request_headers: body call_data 0 10 = 0 \"\""]);
}

fn check_answers(lines: &str) -> (proxy_wasm_harness::Envoy, proxy_wasm_harness::Exchange) {
    let envoy = script(lines).start().unwrap();
    let exchange = envoy.worker(0).get("/").send();
    (envoy, exchange)
}
