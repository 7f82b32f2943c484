//! What holds for every inlet whose messages an issuer signs: two issuers, and one without audiences.

use portcullis_testbed::{ControlPlane, Issuer, Reply, Token};
use serde_json::{Value, json};

use super::support::{LOGOUT_EVENT, events, last_received, now};
use crate::support::setup;

/// A message to be signed, and how its inlet takes it.
struct Inlet {
    name: &'static str,
    token: fn(&Issuer) -> Token,
    /// Its path, for the issuer of that name in the configuration.
    path: fn(&str) -> String,
    media_type: &'static str,
    accepted: u16,
    /// What it answers where the issuer has no audiences: status, and what of the body says why.
    without_audiences: (u16, &'static str, &'static str),
}

/// All of them have the same id, and all end what `alice` holds, but Keycloak's, which ends the client `portcullis`.
const INLETS: [Inlet; 4] = [
    Inlet {
        name: "backchannel-logout",
        token: |issuer| {
            let token = message(issuer, "logout+jwt").sub("alice").claim("exp", now() + 60);
            token.claim("events", json!({LOGOUT_EVENT: {}}))
        },
        path: |_| "/inlets/backchannel-logout".into(),
        media_type: "application/x-www-form-urlencoded",
        accepted: 200,
        without_audiences: (400, "error", "invalid_request"),
    },
    Inlet {
        name: "ssf",
        token: |issuer| {
            let uri = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
            let token = message(issuer, "secevent+jwt").claim("events", json!({ uri: {} }));
            token.claim("sub_id", alice(issuer))
        },
        path: |name| format!("/inlets/ssf/push/{name}"),
        media_type: "application/secevent+jwt",
        accepted: 202,
        without_audiences: (400, "err", "invalid_audience"),
    },
    Inlet {
        name: "global-token-revocation",
        token: |issuer| message(issuer, "global-token-revocation+jwt").sub("client").claim("exp", now() + 60),
        path: |_| "/inlets/global-token-revocation".into(),
        media_type: "application/json",
        accepted: 204,
        without_audiences: (401, "error", "invalid_token"),
    },
    Inlet {
        name: "keycloak",
        token: |issuer| {
            let token = message(issuer, "JWT").claim("id", "m").claim("expiration", now() + 30);
            token
                .claim("resource", "portcullis")
                .claim("action", "PUSH_NOT_BEFORE")
                .claim("notBefore", now() - 10)
        },
        path: |name| format!("/inlets/keycloak/{name}/realm/k_push_not_before"),
        media_type: "text/plain",
        accepted: 204,
        without_audiences: (400, "error", "invalid_request"),
    },
];

fn message(issuer: &Issuer, typ: &str) -> Token {
    issuer.token().header("typ", typ).claim("aud", "portcullis").jti("m").no_expiry()
}

fn alice(issuer: &Issuer) -> Value {
    json!({"format": "iss_sub", "iss": issuer.name(), "sub": "alice"})
}

/// A control plane with a stream for each issuer, each named by its place.
async fn plane(issuers: &[&Issuer], settings: &str) -> ControlPlane {
    let mut setup = setup();
    for (index, issuer) in issuers.iter().enumerate() {
        let (name, lines) = (issuer.name(), format!("allow_private_addresses = true\n{settings}"));
        setup = setup.issuer(issuer, &format!("name = \"i{index}\"\n{lines}")).config(&format!(
            "[[ssf]]\nname = \"i{index}\"\ntransmitter = \"{name}\"\ndelivery = \"push\"\n"
        ));
    }
    setup.start().await.unwrap()
}

async fn send(plane: &ControlPlane, inlet: &Inlet, issuer: &Issuer, name: &str) -> Reply {
    let token = (inlet.token)(issuer).sign().unwrap();
    let call = plane.api().post(&(inlet.path)(name)).header("content-type", inlet.media_type);
    let call = match inlet.name {
        "backchannel-logout" => call.body(format!("logout_token={token}")),
        "global-token-revocation" => call.bearer(&token).body(json!({"sub_id": alice(issuer)}).to_string()),
        _ => call.body(token),
    };
    call.send().await.unwrap()
}

#[tokio::test]
async fn two_issuers_may_use_the_same_id() {
    let issuers = [&Issuer::start().await.unwrap(), &Issuer::start().await.unwrap()];
    let plane = plane(&issuers, "audiences = [\"portcullis\"]").await;
    let mut done = 0;
    for inlet in &INLETS {
        for (index, issuer) in issuers.into_iter().enumerate() {
            let reply = send(&plane, inlet, issuer, &format!("i{index}")).await;
            assert_eq!(reply.status, inlet.accepted, "{} {index}: {}", inlet.name, reply.text());
            let received = last_received(&plane).await;
            assert_eq!((&received["inlet"], &received["message"]), (&json!(inlet.name), &json!("m")));
            assert_eq!((&received["issuer"], received.get("refused")), (&json!(issuer.name()), None));
            done += 1;
            assert_eq!(events(&plane, "revoked").await.len(), done, "{} {index}", inlet.name);
        }
    }
}

#[tokio::test]
async fn an_issuer_without_audiences_is_not_listened_to() {
    let issuer = Issuer::start().await.unwrap();
    let plane = plane(&[&issuer], "").await;
    for inlet in &INLETS {
        let (status, member, error) = inlet.without_audiences;
        let reply = send(&plane, inlet, &issuer, "i0").await;
        assert_eq!(reply.status, status, "{}: {}", inlet.name, reply.text());
        assert_eq!(reply.json().unwrap()[member], error, "{}", inlet.name);
        // Keycloak's actions have no audience but the client that they are for.
        let check = if inlet.name == "keycloak" { "resource_wrong" } else { "aud_not_configured" };
        let received = last_received(&plane).await;
        assert_eq!((&received["inlet"], &received["refused"]), (&json!(inlet.name), &json!(check)));
    }
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
}
