//! SCIM: users come, change, go, and so does their access.

mod access;
mod paths;
mod query;
mod refusals;
mod spellings;

use std::sync::atomic::{AtomicU16, Ordering};

use portcullis_testbed::{Call, ControlPlane, Issuer, Reply};
use serde_json::{Value, json};

use super::support::{SETTINGS, events, last_received, now, rejected_as};
use crate::support::{get, key, post, run_as, setup};

const USERS: &str = "/inlets/scim/v2/Users";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// A control plane with one issuer, and a key for its directory.
struct Stage {
    issuer: Issuer,
    plane: ControlPlane,
    key: String,
    calls: AtomicU16,
}

impl Stage {
    async fn new(settings: &str) -> Self {
        let issuer = Issuer::start().await.unwrap();
        let setup = setup().issuer(&issuer, &format!("{SETTINGS}\n{settings}"));
        let setup = setup.env("PORTCULLIS_INLETS_TRUSTED_PROXIES", "127.0.0.0/8");
        let plane = setup.start().await.unwrap();
        let key = key(&plane, &["revoke"], &[issuer.name()]).await;
        Self { issuer, plane, key, calls: AtomicU16::new(0) }
    }

    /// A call that nobody authenticates, each of another address: of one, not every refusal is written down by itself.
    fn bare(&self, method: &str, path: &str) -> Call {
        let [high, low] = self.calls.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let call = self.plane.api().call(method.parse().unwrap(), path);
        call.header("x-forwarded-for", format!("10.9.{high}.{low}"))
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let call = self.bare(method, path).bearer(&self.key);
        let call = match body {
            Some(body) => call.header("content-type", "application/scim+json").body(body.to_string()),
            None => call,
        };
        call.send().await.unwrap()
    }

    async fn create(&self, name: &str) -> String {
        let reply = self.call("POST", USERS, Some(&user(name))).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json().unwrap()["id"].as_str().unwrap().to_owned()
    }

    async fn patch(&self, id: &str, operations: Value) -> Reply {
        let body = json!({"schemas": [PATCH], "Operations": operations});
        self.call("PATCH", &format!("{USERS}/{id}"), Some(&body)).await
    }

    async fn is_rejected(&self, sub: &str) -> bool {
        let claims = json!({"iss": self.issuer.name(), "sub": sub, "iat": now() + 60});
        rejected_as(&self.plane, claims).await.is_some()
    }

    async fn find(&self, query: &str) -> Value {
        let reply = self.call("GET", &format!("{USERS}?{query}"), None).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json().unwrap()
    }
}

fn user(name: &str) -> Value {
    json!({
        "schemas": [USER, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "userName": name,
        "externalId": format!("x-{name}"),
        "name": {"givenName": "A", "familyName": "B"},
        "emails": [{"value": format!("{name}@example.com"), "type": "work", "primary": true}],
        "password": "never kept",
    })
}

/// A SCIM error with that status and `scimType`.
#[track_caller]
fn wrong(reply: &Reply, status: u16, scim_type: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/scim+json"));
    let body = reply.json().unwrap();
    assert_eq!(body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
    assert_eq!(body["status"], status.to_string());
    assert_eq!(body["scimType"].as_str().unwrap_or_default(), scim_type, "{body}");
    assert!(!body["detail"].as_str().unwrap().is_empty());
}

/// As [`wrong`], and in the audit trail by that code, with what was asked for.
async fn refused(stage: &Stage, reply: &Reply, (status, scim_type): (u16, &str), check: &str, signal: &str) {
    wrong(reply, status, scim_type);
    let received = last_received(&stage.plane).await;
    assert_eq!((&received["inlet"], &received["refused"]), (&json!("scim"), &json!(check)), "{received}");
    assert_eq!(received["signal"].as_str().unwrap_or_default(), signal, "{received}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_user_comes_and_goes_and_so_does_its_access() {
    let stage = Stage::new("").await;
    let reply = stage.call("POST", USERS, Some(&user("alice"))).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/scim+json"));
    let made = reply.json().unwrap();
    let id = made["id"].as_str().unwrap();
    assert_eq!(reply.header("location"), made["meta"]["location"].as_str());
    assert_eq!((&made["userName"], &made["active"]), (&json!("alice"), &json!(true)));
    assert!(made["name"].is_null() && made["password"].is_null(), "{made}");
    let path = format!("{USERS}/{id}");
    assert_eq!(stage.call("GET", &path, None).await.json().unwrap(), made);
    assert!(!stage.is_rejected("x-alice").await);

    // As Okta deactivates, and activates again.
    let reply = stage.patch(id, json!([{"op": "replace", "value": {"active": false}}])).await;
    assert_eq!((reply.status.as_u16(), &reply.json().unwrap()["active"]), (200, &json!(false)));
    assert!(stage.is_rejected("x-alice").await && !stage.is_rejected("x-bob").await);
    let received = last_received(&stage.plane).await;
    assert_eq!((&received["inlet"], &received["signal"]), (&json!("scim"), &json!("user changed")));
    assert_eq!(received["revocations"].as_array().unwrap().len(), 1, "{received}");
    // Again: nothing changes, and nothing is written.
    let before = events(&stage.plane, "received").await.len();
    stage.patch(id, json!([{"op": "Replace", "path": "active", "value": "False"}])).await;
    assert_eq!(events(&stage.plane, "received").await.len(), before);
    stage.patch(id, json!([{"op": "Replace", "path": "active", "value": "True"}])).await;
    assert!(!stage.is_rejected("x-alice").await);

    // By PUT; without `active` it stays as it is.
    let mut put = user("alice");
    put["active"] = json!(false);
    assert_eq!(stage.call("PUT", &path, Some(&put)).await.status, 200);
    assert!(stage.is_rejected("x-alice").await);
    let reply = stage.call("PUT", &path, Some(&user("alice"))).await;
    assert_eq!(reply.json().unwrap()["active"], false);
    put["active"] = json!(true);
    assert_eq!(stage.call("PUT", &path, Some(&put)).await.status, 200);
    assert!(!stage.is_rejected("x-alice").await);

    // Deleted: gone for every call, not in the way of another, and let in again when it comes back.
    let reply = stage.call("DELETE", &path, None).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (204, ""));
    assert!(stage.is_rejected("x-alice").await);
    for (method, body) in [("GET", None), ("PUT", Some(&put)), ("PATCH", Some(&put)), ("DELETE", None)] {
        wrong(&stage.call(method, &path, body).await, 404, "");
    }
    assert_eq!(stage.find("").await["totalResults"], 0);
    assert_ne!(stage.create("alice").await, id);
    assert!(!stage.is_rejected("x-alice").await);
}

#[tokio::test]
async fn users_and_their_state_survive_a_crash() {
    let mut stage = Stage::new("").await;
    let id = stage.create("alice").await;
    stage.create("bob").await;
    stage.patch(&id, json!([{"op": "replace", "path": "active", "value": false}])).await;
    let before = stage.find("").await;
    stage.plane.kill().await.unwrap();
    stage.plane.restart().await.unwrap();
    assert_eq!(stage.find("").await, before);
    assert!(stage.is_rejected("x-alice").await);
    stage.patch(&id, json!([{"op": "replace", "path": "active", "value": true}])).await;
    assert!(!stage.is_rejected("x-alice").await);
}

#[tokio::test]
async fn only_what_scim_has_revoked_is_reinstated() {
    let stage = Stage::new("").await;
    let id = stage.create("alice").await;
    let by_operator = json!({"kind": "subject", "issuer": stage.issuer.name(), "value": "x-alice", "until_reinstated": true});
    assert_eq!(post(&stage.plane, "/v1/revocations", by_operator).await.status, 201);
    for active in [false, true] {
        stage.patch(&id, json!([{"op": "replace", "path": "active", "value": active}])).await;
        assert!(stage.is_rejected("x-alice").await);
    }
    assert_eq!(
        (events(&stage.plane, "revoked").await.len(), events(&stage.plane, "reinstated").await.len()),
        (2, 1)
    );
}

#[tokio::test]
async fn a_change_of_the_name_moves_the_revocation() {
    let stage = Stage::new("scim_user = \"userName\"\nscim_claim = \"preferred_username\"").await;
    let id = stage.create("alice").await;
    let rejected = async |name: &str| {
        let claims =
            json!({"iss": stage.issuer.name(), "sub": "s", "preferred_username": name, "iat": now() + 60});
        rejected_as(&stage.plane, claims).await.is_some()
    };
    stage.patch(&id, json!([{"op": "replace", "value": {"active": false}}])).await;
    assert!(rejected("alice").await && !rejected("carol").await);
    stage.patch(&id, json!([{"op": "replace", "path": "userName", "value": "carol"}])).await;
    assert!(!rejected("alice").await && rejected("carol").await);
}

#[tokio::test]
async fn users_are_found_by_filter_and_page() {
    let stage = Stage::new("").await;
    for name in ["alice", "bob", "carol"] {
        stage.create(name).await;
    }
    let found = stage.find("filter=userName%20eq%20%22ALICE%22").await;
    assert_eq!((&found["totalResults"], &found["Resources"][0]["userName"]), (&json!(1), &json!("alice")));
    for (filter, total) in [
        ("externalId eq \"x-bob\"", 1),
        ("emails.value eq \"carol@example.com\" or userName eq \"bob\"", 2),
        ("emails[type eq \"work\" and value ew \"@example.com\"]", 3),
        ("userName eq \"dave\"", 0),
    ] {
        let query: String =
            form_urlencoded::Serializer::new(String::new()).append_pair("filter", filter).finish();
        assert_eq!(stage.find(&query).await["totalResults"], total, "{filter}");
    }
    for (query, start, items) in [
        ("count=2", 1, 2),
        ("startIndex=3&count=2", 3, 1),
        ("startIndex=9", 9, 0),
        ("startIndex=-1&count=-5", 1, 0),
        ("count=0", 1, 0),
    ] {
        let page = stage.find(query).await;
        assert_eq!(
            (&page["totalResults"], &page["startIndex"], &page["itemsPerPage"]),
            (&json!(3), &json!(start), &json!(items)),
            "{query}"
        );
        assert_eq!(page["Resources"].as_array().unwrap().len(), items);
    }
    wrong(&stage.call("GET", &format!("{USERS}?filter=displayName%20pr"), None).await, 400, "invalidFilter");
    wrong(&stage.call("GET", &format!("{USERS}?count=many"), None).await, 400, "invalidValue");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_scims_own_error() {
    let stage = Stage::new("").await;
    let id = stage.create("alice").await;
    let with = |name: &str, value: Value| {
        let mut body = user("bob");
        body[name] = value;
        body
    };
    for (status, scim_type, body) in [
        (400, "invalidSyntax", json!([])),
        (400, "invalidSyntax", with("schemas", json!([PATCH]))),
        (400, "invalidSyntax", with("USERNAME", json!("x"))),
        (400, "invalidValue", with("userName", json!(""))),
        (400, "invalidValue", with("userName", json!(7))),
        (400, "invalidValue", with("userName", json!("a\u{1b}"))),
        (400, "invalidValue", with("externalId", json!(null))),
        (400, "invalidValue", with("active", json!("perhaps"))),
        (400, "invalidValue", with("emails", json!([{"type": "work"}]))),
        (409, "uniqueness", with("userName", json!("ALICE"))),
        (409, "uniqueness", with("externalId", json!("x-alice"))),
    ] {
        wrong(&stage.call("POST", USERS, Some(&body)).await, status, scim_type);
    }
    wrong(&stage.patch(&id, json!([{"op": "remove", "path": "active"}])).await, 400, "mutability");
    wrong(&stage.patch(&id, json!([{"op": "remove", "path": "externalId"}])).await, 400, "invalidValue");
    wrong(&stage.patch("none", json!([{"op": "remove", "path": "active"}])).await, 404, "");
    let call = stage.plane.api().post(USERS).bearer(&stage.key).header("content-type", "text/plain");
    wrong(&call.body("{}").send().await.unwrap(), 415, "");
    let call = stage.plane.api().post(USERS).bearer(&stage.key).header("content-type", "application/json");
    wrong(&call.body("{").send().await.unwrap(), 400, "invalidSyntax");
    let call = stage.plane.api().post(USERS).bearer(&stage.key).header("content-type", "application/json");
    wrong(&call.body(vec![b' '; 70_000]).send().await.unwrap(), 413, "");
    assert_eq!(stage.find("").await["totalResults"], 1);
}

#[tokio::test]
async fn a_key_speaks_for_its_issuer_only() {
    let stage = Stage::new("").await;
    let id = stage.create("alice").await;
    let path = format!("{USERS}/{id}");
    let name = stage.issuer.name();
    for (key, status) in [
        ("pk_unknown_0123456789".to_owned(), 401),
        (key(&stage.plane, &["read"], &[name]).await, 403),
        (key(&stage.plane, &["revoke"], &[]).await, 403),
        (key(&stage.plane, &["revoke"], &[name, "https://other.example"]).await, 403),
        (key(&stage.plane, &["revoke"], &["https://other.example"]).await, 403),
    ] {
        for method in ["GET", "DELETE"] {
            let call = stage.plane.api().call(method.parse().unwrap(), &path).bearer(&key);
            wrong(&call.send().await.unwrap(), status, "");
        }
    }
    let bare = stage.plane.api().get(&path).send().await.unwrap();
    wrong(&bare, 401, "");
    assert!(bare.header("www-authenticate").is_some());
    assert_eq!(stage.call("GET", &path, None).await.status, 200);
}

#[tokio::test]
async fn the_service_says_what_it_can() {
    let stage = Stage::new("").await;
    let read = async |path: &str| {
        let reply = stage.call("GET", &format!("/inlets/scim/v2/{path}"), None).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json().unwrap()
    };
    let config = read("ServiceProviderConfig").await;
    assert_eq!((&config["patch"]["supported"], &config["bulk"]["supported"]), (&json!(true), &json!(false)));
    assert_eq!(read("ResourceTypes").await["Resources"][0], read("ResourceTypes/User").await);
    let schema = read(&format!("Schemas/{USER}")).await;
    assert_eq!(read("Schemas").await["Resources"][0], schema);
    assert_eq!(schema["attributes"][0]["name"], "userName");
    wrong(&stage.call("GET", "/inlets/scim/v2/Schemas/other", None).await, 404, "");
    wrong(&stage.call("GET", "/inlets/scim/v2/Schemas?filter=id%20pr", None).await, 403, "");
}

#[tokio::test]
async fn subjects_are_found_by_address_and_requests_can_be_tried() {
    let stage = Stage::new("").await;
    let id = stage.create("alice").await;
    let file = stage.plane.dir().join("message");
    let body =
        json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": false}]});
    let request =
        format!("PATCH {USERS}/{id} HTTP/1.1\r\nAuthorization: Bearer {}\r\n\r\n{body}\r\n", stage.key);
    std::fs::write(&file, request).unwrap();
    let args = ["inlet", "try", "scim", file.to_str().unwrap(), "--fail-if-refused"];
    let ran = run_as(&stage.plane, stage.plane.admin_key(), &args, 0).await;
    assert!(ran.stdout.contains("would revoke subject x-alice of"), "{}", ran.stdout);
    assert!(ran.stdout.contains("the sender gets: 200") && !stage.is_rejected("x-alice").await);
    // A provider that speaks of an address: here by global token revocation.
    let token = stage.issuer.token().header("typ", "global-token-revocation+jwt").jti("m1").sub("c");
    let token = token.claim("aud", "portcullis").claim("exp", now() + 300).sign().unwrap();
    let subject = json!({"sub_id": {"format": "email", "email": "ALICE@example.com"}});
    let call = stage.plane.api().post("/inlets/global-token-revocation").bearer(&token);
    let reply = call.json(&subject).send().await.unwrap();
    assert_eq!(reply.status, 204, "{}", reply.text());
    let old = json!({"iss": stage.issuer.name(), "sub": "x-alice", "iat": now() - 5});
    assert!(rejected_as(&stage.plane, old).await.is_some());
    let kept = get(&stage.plane, "/v1/events?limit=1000").await.text();
    assert!(kept.contains("user_kept") && !kept.contains("never kept"), "{kept}");
}
