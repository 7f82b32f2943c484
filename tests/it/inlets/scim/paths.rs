//! What is no call: SCIM's own errors for whatever stands below its root.

use serde_json::{Value, json};

use super::{Stage, USER, USERS, refused, user, wrong};
use crate::inlets::support::events;

const ROOT: &str = "/inlets/scim/v2";

#[tokio::test]
async fn a_path_or_method_that_is_none_is_answered_in_scims_words() {
    let stage = Stage::new("").await;
    let id = stage.create("alice").await;
    let one = format!("/Users/{id}");
    let below_one = format!("{one}/emails");
    for (method, below, status, check) in [
        ("GET", "/Groups", 404, ""),
        ("GET", "/Groups/1", 404, ""),
        ("POST", "/Groups", 404, "not_found"),
        ("PATCH", "/Groups/1", 404, "not_found"),
        ("GET", "/Nothing", 404, ""),
        ("DELETE", "/Nothing", 404, "not_found"),
        ("GET", "/users", 404, ""),
        ("GET", "/Users/", 404, ""),
        ("POST", "/Users/", 404, "not_found"),
        ("GET", below_one.as_str(), 404, ""),
        ("DELETE", &below_one, 404, "not_found"),
        ("GET", "", 501, ""),
        ("GET", "/", 501, ""),
        ("POST", "/", 501, "not_implemented"),
        ("GET", "/Me", 501, ""),
        ("DELETE", "/Me", 501, "not_implemented"),
        ("POST", "/Bulk", 501, "not_implemented"),
        ("POST", "/.search", 501, "not_implemented"),
        ("POST", "/Users/.search", 501, "not_implemented"),
        ("DELETE", "/Users", 405, "method_not_allowed"),
        ("PUT", "/Users", 405, "method_not_allowed"),
        ("PATCH", "/Users", 405, "method_not_allowed"),
        ("OPTIONS", "/Users", 405, "method_not_allowed"),
        ("POST", &one, 405, "method_not_allowed"),
        ("POST", "/ServiceProviderConfig", 405, "method_not_allowed"),
        ("PUT", "/ResourceTypes/User", 405, "method_not_allowed"),
        ("DELETE", "/Schemas", 405, "method_not_allowed"),
    ] {
        let path = format!("{ROOT}{below}");
        // Who may not call learns nothing of what there is.
        wrong(&stage.bare(method, &path).send().await.unwrap(), 401, "");
        let received = events(&stage.plane, "received").await.len();
        let reply = stage.call(method, &path, Some(&user("bob"))).await;
        if check.is_empty() {
            // Who only looks has sent no message.
            wrong(&reply, status, "");
            assert_eq!(events(&stage.plane, "received").await.len(), received, "{method} {below}");
        } else {
            refused(&stage, &reply, (status, ""), check, "").await;
        }
        if status != 405 {
            continue;
        }
        let mut allowed: Vec<&str> = reply.header("allow").unwrap().split(',').collect();
        allowed.sort_unstable();
        let expected: &[&str] = match below {
            "/Users" => &["GET", "HEAD", "POST"],
            below if below == one => &["DELETE", "GET", "HEAD", "PATCH", "PUT"],
            _ => &["GET", "HEAD"],
        };
        assert_eq!(allowed, expected, "{method} {below}");
    }
    assert_eq!(stage.find("").await["totalResults"], 1);
    assert_eq!(events(&stage.plane, "revoked").await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_is_read_can_be_asked_for_without_the_body() {
    let stage = Stage::new("").await;
    let path = format!("{USERS}/{}", stage.create("alice").await);
    for (path, status) in [(path.as_str(), 200), (USERS, 200), ("/inlets/scim/v2/Users/none", 404)] {
        let reply = stage.call("HEAD", path, None).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (status, ""), "{path}");
        assert_eq!(reply.header("content-type"), Some("application/scim+json"), "{path}");
    }
}

#[tokio::test]
async fn what_the_service_says_of_itself_has_names() {
    let stage = Stage::new("").await;
    for (below, status, scim_type) in [
        ("ServiceProviderConfig", 200, ""),
        ("ServiceProviderConfig/1", 404, ""),
        ("ResourceTypes/User", 200, ""),
        ("ResourceTypes/user", 404, ""),
        ("ResourceTypes/Group", 404, ""),
        (&format!("Schemas/{USER}"), 200, ""),
        (&format!("Schemas/{}", USER.to_uppercase()), 200, ""),
        ("Schemas/urn:ietf:params:scim:schemas:core:2.0:Group", 404, ""),
        ("Schemas/User", 404, ""),
        ("ServiceProviderConfig?filter=id%20pr", 403, ""),
        ("ResourceTypes?filter=id%20pr", 403, ""),
        ("Schemas?filter=id%20pr", 403, ""),
        ("%ff", 400, "invalidSyntax"),
    ] {
        let reply = stage.call("GET", &format!("{ROOT}/{below}"), None).await;
        if status == 200 {
            assert_eq!(reply.status, 200, "{below}: {}", reply.text());
            assert!(reply.json().unwrap()["schemas"].is_array(), "{below}");
        } else {
            wrong(&reply, status, scim_type);
        }
    }
    // What it does not have: a client that sends `If-Match` all the same is not held up.
    let config = stage.call("GET", &format!("{ROOT}/ServiceProviderConfig"), None).await.json().unwrap();
    for name in ["bulk", "changePassword", "sort", "etag"] {
        assert_eq!(config[name]["supported"], json!(false), "{name}");
    }
    let path = format!("{USERS}/{}", stage.create("alice").await);
    let call = stage.bare("DELETE", &path).bearer(&stage.key).header("if-match", "W/\"other\"");
    assert_eq!(call.send().await.unwrap().status, 204);
    assert!(stage.is_rejected("x-alice").await);
}
