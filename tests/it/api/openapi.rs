//! The OpenAPI document against the running control plane.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{control_plane, get, text};

/// Every call of the contract.
const CALLS: [&str; 47] = [
    "DELETE /inlets/scim/v2/Users/{id}",
    "DELETE /v1/keys/{id}",
    "DELETE /v1/ssf/{id}",
    "GET /filter",
    "GET /filter/{name}",
    "GET /inlets/scim/v2/ResourceTypes",
    "GET /inlets/scim/v2/ResourceTypes/{id}",
    "GET /inlets/scim/v2/Schemas",
    "GET /inlets/scim/v2/Schemas/{id}",
    "GET /inlets/scim/v2/ServiceProviderConfig",
    "GET /inlets/scim/v2/Users",
    "GET /inlets/scim/v2/Users/{id}",
    "GET /livez",
    "GET /metrics",
    "GET /readyz",
    "GET /v1/edges",
    "GET /v1/events",
    "GET /v1/issuers",
    "GET /v1/keys",
    "GET /v1/openapi.json",
    "GET /v1/report",
    "GET /v1/revocations",
    "GET /v1/revocations/{id}",
    "GET /v1/ssf/{id}",
    "GET /v1/status",
    "PATCH /inlets/scim/v2/Users/{id}",
    "POST /inlets/backchannel-logout",
    "POST /inlets/global-token-revocation",
    "POST /inlets/introspect",
    "POST /inlets/keycloak/{issuer}/realm/{action}",
    "POST /inlets/keycloak/{issuer}/{action}",
    "POST /inlets/revoke",
    "POST /inlets/scim/v2/Users",
    "POST /inlets/ssf/push/{stream}",
    "POST /inlets/webhook/{name}",
    "POST /v1/check",
    "POST /v1/events/verify",
    "POST /v1/inlets/{id}/try",
    "POST /v1/keys",
    "POST /v1/revocations",
    "POST /v1/revocations/batch",
    "POST /v1/revocations/{id}/reinstate",
    "POST /v1/revocations/{id}/undo",
    "POST /v1/ssf/{id}",
    "POST /v1/ssf/{id}/status",
    "POST /v1/ssf/{id}/verify",
    "PUT /inlets/scim/v2/Users/{id}",
];

/// Method, path and description of each call in the document.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let calls = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
    });
    calls.collect()
}

#[tokio::test]
async fn the_document_has_every_call_of_the_contract_and_no_other() {
    let plane = control_plane().await;
    let document = get(&plane, "/v1/openapi.json").await.json().unwrap();
    let seen: BTreeSet<String> =
        operations(&document).iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(seen, CALLS.iter().map(|call| (*call).to_owned()).collect());
}

#[tokio::test]
async fn every_call_in_the_document_is_routed_and_wants_the_key_that_it_says() {
    let plane = control_plane().await;
    let document = get(&plane, "/v1/openapi.json").await.json().unwrap();
    assert_eq!(document["components"]["securitySchemes"]["key"]["scheme"], "bearer");
    for (method, path, operation) in operations(&document) {
        let path = ["{id}", "{issuer}", "{action}", "{stream}", "{name}"]
            .iter()
            .fold(path, |path, part| path.replace(part, "r1-0000"));
        let status = plane.api().call(method.parse().unwrap(), &path).send().await.unwrap().status.as_u16();
        let expect: &[u16] = match operation["security"] == serde_json::json!([{}]) {
            false => &[401],
            // Messages of providers carry their own proof, and here there is none.
            true if path.starts_with("/inlets") => &[400, 401, 404, 415],
            // There is none beside the binary.
            true if path.starts_with("/filter/") => &[404],
            true => &[200],
        };
        assert!(expect.contains(&status), "{method} {path}: {status}");
    }
}

#[tokio::test]
async fn every_call_documents_its_problems_under_a_name_of_its_own() {
    let plane = control_plane().await;
    let document = get(&plane, "/v1/openapi.json").await.json().unwrap();
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        assert!(operation["summary"].is_string(), "{method} {path} has no summary");
        assert!(names.insert(text(&operation, "/operationId").to_owned()), "{method} {path}");
        for (status, response) in responses {
            // Inlets answer as their protocols have it.
            let (media_type, name) = match path.starts_with("/inlets") {
                true if path.starts_with("/inlets/ssf") => ("application/json", "SetError"),
                true if path.starts_with("/inlets/scim") => ("application/scim+json", "ScimError"),
                true => ("application/json", "OauthError"),
                false => ("application/problem+json", "Problem"),
            };
            let problem = &response["content"][media_type]["schema"]["$ref"];
            let expect = status.starts_with(['4', '5']);
            assert_eq!(
                *problem == format!("#/components/schemas/{name}"),
                expect,
                "{method} {path} {status}: {response}"
            );
        }
        if path.starts_with("/inlets") {
            continue;
        }
        let open = operation["security"] == serde_json::json!([{}]);
        assert_eq!(responses.contains_key("401"), !open, "{method} {path}");
    }
}

#[tokio::test]
async fn every_reference_in_the_document_leads_somewhere() {
    let plane = control_plane().await;
    let document = get(&plane, "/v1/openapi.json").await.json().unwrap();
    let mut todo = vec![&document];
    while let Some(value) = todo.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.trim_start_matches('#');
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                }
                todo.extend(members.values());
            }
            Value::Array(items) => todo.extend(items),
            _ => {}
        }
    }
}
