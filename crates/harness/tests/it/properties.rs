//! Properties and filter state.

use proxy_wasm_harness::{State, json};

use crate::probe::{check, said, script};

#[test]
fn claims_are_typed_as_envoy_types_them() {
    let lines = "request_headers: get_property metadata.filter_metadata.jwt.payload.iat
        request_headers: get_property metadata.filter_metadata.jwt.payload.sub
        request_headers: get_property metadata.filter_metadata.jwt.payload.admin
        request_headers: get_property metadata.filter_metadata.jwt.payload.none
        request_headers: get_property metadata.filter_metadata.jwt.payload.roles
        request_headers: get_property metadata.filter_metadata.jwt.payload.roles.1
        request_headers: get_property metadata.filter_metadata.jwt.payload.roles.2
        request_headers: get_property metadata.filter_metadata.jwt.payload.nope
        request_headers: get_property source.port";
    let envoy = script(lines).start().unwrap();
    let claims = json!({"iat": 1.0, "sub": "ann", "admin": true, "none": null, "roles": ["a", "b"]});
    let request =
        envoy.worker(0).get("/").property(&["metadata", "filter_metadata", "jwt", "payload"], claims);
    request.property(&["source", "port"], 80i64).send();
    let answers: Vec<_> =
        said(&envoy).iter().map(|line| line.split_once(" = ").unwrap().1.to_owned()).collect();
    let expected = [
        r#"0 "\x00\x00\x00\x00\x00\x00\xf0?""#,
        r#"0 "ann""#,
        r#"0 "\x01""#,
        "3",
        r#"0 "\x02\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00a\x00\x00b\x00\x00""#,
        r#"0 "b""#,
        "1",
        "1",
        r#"0 "P\x00\x00\x00\x00\x00\x00\x00""#,
    ];
    assert_eq!(answers, expected);
}

#[test]
fn the_request_tells_of_itself_while_its_headers_are_there() {
    let (envoy, exchange) = check(
        "request_headers: get_property request.path
         request_headers: get_property request.url_path
         request_headers: get_property request.query
         request_headers: get_property request.host
         request_headers: get_property request.headers.x-no
         request_headers: get_property plugin_name
         request_headers: get_property ~
         response_headers: get_property request.path
         response_headers: get_property response.code",
        &[
            "request_headers: get_property request.path = 0 \"/path?q=1\"",
            "request_headers: get_property request.url_path = 0 \"/path\"",
            "request_headers: get_property request.query = 0 \"q=1\"",
            "request_headers: get_property request.host = 0 \"example.com\"",
            "request_headers: get_property request.headers.x-no = 1",
            "request_headers: get_property plugin_name = 0 \"\"",
            "request_headers: get_property  = 3",
        ],
    );
    assert_eq!(exchange.finish(), State::Finished);
    let says = [
        "response_headers: get_property request.path = 1",
        "response_headers: get_property response.code = 0 \"\\xc8\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"",
    ];
    assert_eq!(said(&envoy)[7..], says);
}

#[test]
fn envoy_1_40_has_the_node_under_xds_and_nowhere_else() {
    let lines = "configure: get_property node.id\nconfigure: get_property xds.node.id\nconfigure: get_property request.path";
    let envoy = script(lines).property(&["node", "id"], json!("edge-1")).start().unwrap();
    let says = [
        "configure: get_property node.id = 1",
        "configure: get_property xds.node.id = 0 \"edge-1\"",
        "configure: get_property request.path = 1",
    ];
    assert_eq!(said(&envoy), says);
}

#[test]
fn filter_state_belongs_to_a_stream() {
    let (_, exchange) = check(
        "configure: set_property x y
         request_headers: get_property x
         request_headers: set_property x y
         request_headers: get_property x",
        &[
            "configure: set_property x y = 1",
            "request_headers: get_property x = 1",
            "request_headers: set_property x y = 0",
            "request_headers: get_property x = 0 \"y\"",
        ],
    );
    assert_eq!(exchange.filter_state("wasm.x").as_deref(), Some("y"));
    assert_eq!(exchange.filter_state("x"), None);
}
