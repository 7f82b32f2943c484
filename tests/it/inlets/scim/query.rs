//! Filters that are none, and the bounds of pages.

use serde_json::json;

use super::{Stage, USERS, wrong};
use crate::inlets::support::events;

fn query(name: &str, value: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

#[tokio::test]
async fn a_filter_that_cannot_be_used_is_refused() {
    let stage = Stage::new("").await;
    stage.create("alice").await;
    let received = events(&stage.plane, "received").await.len();
    let long = format!("userName eq \"{}\"", "a".repeat(2_048));
    let many = vec!["id pr"; 33].join(" or ");
    let deep = format!("{}id pr{}", "(".repeat(9), ")".repeat(9));
    for filter in [
        "",
        " ",
        "userName",
        "userName eq",
        "userName eq alice",
        "userName eq 'alice'",
        "userName eq \"alice",
        "userName eq 7",
        "userName gt \"a\"",
        "userName eq \"alice\" and",
        "userName eq \"alice\" externalId pr",
        "not userName pr",
        "(userName pr",
        "userName pr)",
        "userName[value pr]",
        "displayName pr",
        "meta.lastModified pr",
        "emails[type eq \"work\"",
        "emails[display pr]",
        "emails[emails[type pr]]",
        &long,
        &many,
        &deep,
    ] {
        let reply = stage.call("GET", &format!("{USERS}?{}", query("filter", filter)), None).await;
        wrong(&reply, 400, "invalidFilter");
    }
    // Who only looks has sent no message.
    assert_eq!(events(&stage.plane, "received").await.len(), received);
}

#[tokio::test]
async fn no_more_of_a_user_is_answered_than_is_asked_for() {
    let stage = Stage::new("").await;
    let id = stage.create("alice").await;
    let names = |value: &serde_json::Value| {
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names.join(" ")
    };
    let user = format!("{USERS}/{id}");
    for (query, expect) in [
        ("", "active emails externalId id meta schemas userName"),
        ("?attributes=userName", "id schemas userName"),
        ("?attributes=USERNAME%2Cactive", "active id schemas userName"),
        ("?attributes=urn:ietf:params:scim:schemas:core:2.0:User:emails.value", "emails id schemas"),
        ("?attributes=displayName", "id schemas"),
        ("?excludedAttributes=emails,meta,id", "active externalId id schemas userName"),
    ] {
        let read = stage.call("GET", &format!("{user}{query}"), None).await;
        assert_eq!((read.status.as_u16(), names(&read.json().unwrap()).as_str()), (200, expect), "{query}");
        let page = stage.find(query.trim_start_matches('?')).await;
        assert_eq!(names(&page["Resources"][0]), expect, "{query}");
    }
    let made = stage.call("POST", &format!("{USERS}?attributes=userName"), Some(&super::user("bob"))).await;
    assert_eq!((made.status.as_u16(), names(&made.json().unwrap()).as_str()), (201, "id schemas userName"));
    let location = made.header("location").unwrap().to_owned();
    assert!(location.ends_with(made.json().unwrap()["id"].as_str().unwrap()), "{location}");
    for (method, body) in [("GET", None), ("PUT", Some(super::user("carol")))] {
        let both = format!("{user}?attributes=id&excludedAttributes=id");
        wrong(&stage.call(method, &both, body.as_ref()).await, 400, "invalidValue");
    }
    // What is refused has changed nothing.
    assert_eq!(stage.find("filter=userName%20eq%20%22carol%22").await["totalResults"], 0);
}

#[tokio::test]
async fn a_page_has_bounds() {
    let stage = Stage::new("").await;
    let users = 201;
    for index in 0..users {
        stage.create(&format!("u{index}")).await;
    }
    let greatest = i64::MAX.to_string();
    for (query, start, items) in [
        (String::new(), 1, 100),
        ("startIndex=0&count=2".into(), 1, 2),
        ("startIndex=-7&count=2".into(), 1, 2),
        ("startIndex=201".into(), 201, 1),
        ("startIndex=202".into(), 202, 0),
        (format!("startIndex={greatest}"), i64::MAX, 0),
        ("count=0".into(), 1, 0),
        ("count=-1".into(), 1, 0),
        ("count=201".into(), 1, 200),
        (format!("count={greatest}"), 1, 200),
        ("startIndex=150&count=1000".into(), 150, 52),
    ] {
        let page = stage.find(&query).await;
        let seen = (&page["totalResults"], &page["startIndex"], &page["itemsPerPage"]);
        assert_eq!(seen, (&json!(users), &json!(start), &json!(items)), "{query}");
        assert_eq!(page["Resources"].as_array().unwrap().len(), items, "{query}");
    }
    for name in ["startIndex", "count"] {
        for value in ["", "many", "1.5", "1e3", " 1", "9223372036854775808"] {
            let reply = stage.call("GET", &format!("{USERS}?{}", query(name, value)), None).await;
            wrong(&reply, 400, "invalidValue");
        }
    }
}
