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
