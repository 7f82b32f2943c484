//! Change notifications of Microsoft Graph: the handshake, the state, and the example.

use portcullis_testbed::{ControlPlane, Issuer, Reply};
use serde_json::{Value, json};

use super::{SECRET, SETTINGS, example};
use crate::inlets::support::{events, now, refused, rejected_as};
use crate::support::setup;

const PATH: &str = "/inlets/webhook/entra";

async fn stage() -> (Issuer, ControlPlane) {
    let issuer = Issuer::start().await.unwrap();
    let config =
        example("entra.toml").replace("https://login.microsoftonline.com/YOUR_TENANT/v2.0", issuer.name());
    let setup = setup().issuer(&issuer, SETTINGS).config(&config).env("ENTRA_CLIENT_STATE", SECRET);
    let other = format!(
        "[[webhooks]]\nname = \"other\"\nissuer = \"{}\"\nsecret_env = \"ENTRA_CLIENT_STATE\"\nscheme = \"token\"\n\
         [[webhooks.rules]]\naction = \"revoke\"\nvalue = \"/user\"\n",
        issuer.name()
    );
    (issuer, setup.config(&other).start().await.unwrap())
}

async fn notify(plane: &ControlPlane, body: &Value) -> Reply {
    plane.api().post(PATH).json(body).send().await.unwrap()
}

fn notification() -> Value {
    let mut body: Value = serde_json::from_str(&example("entra.json")).unwrap();
    body["value"][0]["clientState"] = json!(SECRET);
    body
}

#[tokio::test]
async fn the_validation_token_is_answered_as_it_is() {
    let (_issuer, plane) = stage().await;
    let send = async |path: &str| {
        let call = plane.api().post(path).header("content-type", "text/plain; charset=utf-8");
        call.send().await.unwrap()
    };
    let reply = send(&format!("{PATH}?validationToken=Validation%3a+Testing+%3Cb%3E%26")).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "Validation: Testing <b>&"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    // Nobody else's texts are answered.
    let reply = send("/inlets/webhook/other?validationToken=x").await;
    refused(&plane, &reply, 401, "invalid_token", "credential").await;
    let reply = send("/inlets/webhook/nobody?validationToken=x").await;
    refused(&plane, &reply, 404, "not_found", "webhook_unknown").await;
}

#[tokio::test]
async fn the_example_for_entra_works() {
    let (issuer, plane) = stage().await;
    assert_eq!(notify(&plane, &notification()).await.status, 204);
    let of = |oid: &str| json!({"iss": issuer.name(), "sub": "pairwise", "oid": oid, "iat": now() + 60});
    let deleted = rejected_as(&plane, of("87d349ed-44d7-43e1-9a83-5f2406dee5bd")).await;
    assert_eq!(deleted.as_deref(), Some("claims_revoked"));
    assert_eq!(rejected_as(&plane, of("other")).await, None);
    // Sent again, as Graph does that has got no answer.
    assert_eq!(notify(&plane, &notification()).await.status, 204);
    assert_eq!(events(&plane, "revoked").await.len(), 1);
}

#[tokio::test]
async fn every_event_must_have_the_state() {
    let (_issuer, plane) = stage().await;
    let spoilt = |spoil: fn(&mut Value)| {
        let mut body = notification();
        spoil(&mut body);
        body
    };
    for body in [
        spoilt(|body| body["value"][0]["clientState"] = json!("other")),
        spoilt(|body| body["value"][0]["clientState"] = json!(null)),
        spoilt(|body| body["value"][0] = json!({"changeType": "deleted", "resourceData": {"id": "x"}})),
        spoilt(|body| body["value"] = json!([])),
        spoilt(|body| {
            let mut second = body["value"][0].clone();
            second["clientState"] = json!("");
            body["value"].as_array_mut().unwrap().push(second);
        }),
    ] {
        refused(&plane, &notify(&plane, &body).await, 401, "invalid_token", "credential").await;
    }
    let missing = spoilt(|body| body["value"] = json!("x"));
    refused(&plane, &notify(&plane, &missing).await, 422, "not_revocable", "events_missing").await;
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
}
