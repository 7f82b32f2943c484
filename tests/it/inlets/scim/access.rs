//! Who may call, and with which media types.

use serde_json::{Value, json};

use super::{Stage, USERS, refused, user, wrong};
use crate::inlets::support::events;
use crate::support::key;

#[tokio::test]
async fn every_call_wants_a_key_of_the_issuer() {
    let stage = Stage::new("").await;
    let path = format!("{USERS}/{}", stage.create("alice").await);
    let name = stage.issuer.name();
    let bearer = |key: String| vec![format!("Bearer {key}")];
    let read = bearer(key(&stage.plane, &["read"], &[name]).await);
    let unlimited = bearer(key(&stage.plane, &["revoke"], &[]).await);
    let two = bearer(key(&stage.plane, &["revoke"], &[name, "https://other.example"]).await);
    let other = bearer(key(&stage.plane, &["revoke"], &["https://other.example"]).await);
    let good = bearer(stage.key.clone()).remove(0);
    for (headers, status, check) in [
        (Vec::new(), 401, "credential"),
        (vec![String::new()], 401, "credential"),
        (vec!["Bearer pk_unknown_0123456789".into()], 401, "credential"),
        (vec!["Digest x".into()], 401, "credential"),
        (vec![good.clone(), good], 401, "credential"),
        (read, 403, "scope"),
        (unlimited, 403, "issuer_of_key"),
        (two, 403, "issuer_of_key"),
        (other, 403, "issuer_of_key"),
    ] {
        for (method, path) in
            [("GET", path.as_str()), ("POST", USERS), ("PUT", &path), ("PATCH", &path), ("DELETE", &path)]
        {
            let call = stage.bare(method, path).header("content-type", "application/scim+json");
            let call = headers.iter().fold(call, |call, value| call.header("authorization", value));
            let reply = call.body(user("bob").to_string()).send().await.unwrap();
            // A look that is not allowed is written down as well, but for what is about the path or the key's limits.
            if method == "GET" && check == "issuer_of_key" {
                wrong(&reply, status, "");
            } else {
                refused(&stage, &reply, (status, ""), check, "").await;
            }
            assert_eq!(reply.header("www-authenticate").is_some(), status == 401, "{method} {check}");
        }
    }
    assert_eq!(stage.find("").await["totalResults"], 1);
    assert_eq!(events(&stage.plane, "revoked").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_body_is_json_and_says_so() {
    let stage = Stage::new("").await;
    let scim = "application/scim+json";
    for (index, (types, accepted)) in [
        (vec![scim], true),
        (vec!["application/scim+json; charset=utf-8"], true),
        (vec!["Application/SCIM+JSON"], true),
        (vec!["application/json"], true),
        (vec!["text/plain"], false),
        (vec!["application/xml"], false),
        (vec!["application/scim+jsonp"], false),
        (vec!["*/*"], false),
        (vec![""], false),
        (vec![], false),
        (vec![scim, scim], false),
    ]
    .into_iter()
    .enumerate()
    {
        let call = stage.bare("POST", USERS).bearer(&stage.key);
        let call = types.iter().fold(call, |call, value| call.header("content-type", value));
        let reply = call.body(user(&format!("u{index}")).to_string()).send().await.unwrap();
        if accepted {
            assert_eq!(reply.status, 201, "{types:?}: {}", reply.text());
        } else {
            refused(&stage, &reply, (415, ""), "unsupported_media_type", "user created").await;
        }
    }
    assert_eq!(stage.find("").await["totalResults"], json!(4));
}
