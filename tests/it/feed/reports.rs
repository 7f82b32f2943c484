//! Reports: what edges say of a revocation, joined to it.

use std::time::Duration;

use portcullis_core::wire::edge::edge_message::Message;
use portcullis_core::wire::edge::{Receipt, Tried};
use portcullis_core::{HashKey, Selector};
use portcullis_testbed::ControlPlane;
use serde_json::{Value, json};

use super::edge::{Edge, Link};
use crate::support::{ISSUER, control_plane, get, key, post, problem, revoke_session, run, run_as, text};

/// The key of a session's revocation, as the worker hashes it.
fn key_of(edge: &Edge, sid: &str) -> Vec<u8> {
    let hash_key: HashKey = edge.sync.store().unwrap().hash_key.clone();
    Selector::session(ISSUER, sid).unwrap().hash(&hash_key).to_bytes().to_vec()
}

fn tried(key: &[u8], path: &str, count: u64) -> Tried {
    let (path, key) = (path.into(), key.to_vec());
    Tried { key, path, count, passed: false, first_ms_ago: 500, last_ms_ago: 100 }
}

async fn tell(edge: &Edge, link: &Link, tried: Vec<Tried>) {
    link.say(Message::Receipt(Receipt { tried, ..edge.receipt() })).await;
}

/// A revocation with what is reported of it, once that many requests are.
async fn reported(plane: &ControlPlane, id: &str, count: u64) -> Value {
    let there = async {
        loop {
            let revocation = get(plane, &format!("/v1/revocations/{id}")).await.json().unwrap();
            if revocation["tried"]["count"] == count {
                return revocation;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let last = async || get(plane, &format!("/v1/revocations/{id}")).await.text();
    match tokio::time::timeout(Duration::from_secs(20), there).await {
        Ok(revocation) => revocation,
        Err(_) => panic!("not tried {count} times: {}", last().await),
    }
}

async fn report(plane: &ControlPlane, key: &str, query: &str) -> Value {
    let reply = plane.api().get(&format!("/v1/report?{query}")).bearer(key).send().await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json().unwrap()
}

#[tokio::test]
async fn what_edges_say_is_joined_to_the_revocation_and_survives_a_restart() {
    let mut plane = control_plane().await;
    let (mut one, mut two) = (Edge::new("a"), Edge::new("b"));
    let (mut to_one, mut to_two) = (one.connect(&plane).await, two.connect(&plane).await);
    one.reach(&mut to_one, 0).await;
    two.reach(&mut to_two, 0).await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    one.reach(&mut to_one, 1).await;
    two.reach(&mut to_two, 1).await;

    let key = key_of(&one, "s1");
    tell(&one, &to_one, vec![tried(&key, "/payments", 10), tried(&key, "/orders", 2)]).await;
    tell(&two, &to_two, vec![Tried { passed: true, ..tried(&key, "/payments", 4) }]).await;
    // Of a revocation that nobody has made.
    tell(&two, &to_two, vec![tried(&[9; 11], "/payments", 5)]).await;
    let check = |revocation: &Value| {
        let (enforced, tried) = (&revocation["enforced"], &revocation["tried"]);
        assert_eq!((&enforced["edges"], &enforced["applied"]), (&json!(2), &json!(2)), "{revocation}");
        assert!(enforced["ms"].is_u64() && enforced.get("missing").is_none(), "{revocation}");
        assert_eq!((&tried["count"], &tried["passed"]), (&json!(16), &json!(4)), "{revocation}");
        let places = tried["places"].as_array().unwrap();
        let place = |place: &Value| (place["edge"].clone(), place["path"].clone(), place["count"].clone());
        let expect = [("node-a", "/payments", 10), ("node-b", "/payments", 4), ("node-a", "/orders", 2)];
        assert_eq!(
            places.iter().map(place).collect::<Vec<_>>(),
            expect.map(|(edge, path, count)| (json!(edge), json!(path), json!(count)))
        );
        assert!(text(tried, "/first") <= text(tried, "/last"), "{revocation}");
    };
    check(&reported(&plane, &id, 16).await);
    plane.restart().await.unwrap();
    check(&reported(&plane, &id, 16).await);
    let page = report(&plane, plane.admin_key(), "from=2020-01-01T00:00:00Z").await;
    check(&page["revocations"][0]);
    assert_eq!(page["next_cursor"], Value::Null);

    // A later report adds to it.
    let mut link = one.connect(&plane).await;
    one.reach(&mut link, 1).await;
    tell(&one, &link, vec![tried(&key, "/payments", 1)]).await;
    assert_eq!(reported(&plane, &id, 17).await["tried"]["places"][0]["count"], 11);
    let metrics = get(&plane, "/metrics").await.text();
    assert!(metrics.contains("portcullis_control_unassigned_tries_total 0"), "{metrics}");
}

#[tokio::test]
async fn what_no_revocation_stands_for_is_counted() {
    let plane = control_plane().await;
    let mut edge = Edge::new("a");
    let mut link = edge.connect(&plane).await;
    edge.reach(&mut link, 0).await;
    link.say(Message::Receipt(Receipt {
        tried: vec![tried(&[9; 11], "/", 5)],
        tried_more: 2,
        ..edge.receipt()
    }))
    .await;
    let counted = async {
        while !get(&plane, "/metrics").await.text().contains("portcullis_control_unassigned_tries_total 7") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), counted).await.unwrap();
}

#[tokio::test]
async fn an_edge_that_talks_nonsense_is_dismissed() {
    let plane = control_plane().await;
    let key = [1; 11];
    for wrong in [
        tried(&[1; 16], "/", 1),
        tried(&key, "/", 0),
        tried(&key, "/a b", 1),
        tried(&key, &"x".repeat(300), 1),
        Tried { first_ms_ago: 0, ..tried(&key, "/", 1) },
    ] {
        let mut edge = Edge::new("a");
        let mut link = edge.connect(&plane).await;
        edge.reach(&mut link, 0).await;
        tell(&edge, &link, vec![wrong.clone()]).await;
        assert_eq!(link.end().await.code(), tonic::Code::InvalidArgument, "{wrong:?}");
    }
}

#[tokio::test]
async fn edges_that_lack_it_are_named() {
    let plane = control_plane().await;
    let (mut quick, mut slow) = (Edge::new("quick"), Edge::new("slow"));
    let (mut to_quick, mut to_slow) = (quick.connect(&plane).await, slow.connect(&plane).await);
    quick.reach(&mut to_quick, 0).await;
    slow.reach(&mut to_slow, 0).await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    quick.reach(&mut to_quick, 1).await;
    let key = key_of(&quick, "s1");
    tell(&quick, &to_quick, vec![tried(&key, "/", 1)]).await;
    let enforced = reported(&plane, &id, 1).await["enforced"].clone();
    assert_eq!(enforced, json!({"edges": 2, "applied": 1, "ms": null, "missing": ["node-slow"]}));
    let said = run(&plane, &["list", &id], 0).await.stdout;
    assert!(
        said.contains("\nenforced by 1 of 2 edges, not by node-slow, tried once more at / at "),
        "{said}"
    );

    slow.reach(&mut to_slow, 1).await;
    tell(&slow, &to_slow, vec![tried(&key, "/", 1)]).await;
    let enforced = reported(&plane, &id, 2).await["enforced"].clone();
    assert_eq!((&enforced["applied"], enforced["ms"].is_u64()), (&json!(2), true), "{enforced}");
}

#[tokio::test]
async fn a_report_is_of_a_span_of_time_and_of_the_callers_issuers() {
    let plane = control_plane().await;
    for (issuer, sid) in [(ISSUER, "s1"), ("https://other.example", "s2"), (ISSUER, "s3")] {
        post(&plane, "/v1/revocations", json!({"kind": "session", "issuer": issuer, "value": sid})).await;
    }
    let values = |page: &Value| -> Vec<String> {
        let revocations = page["revocations"].as_array().unwrap().iter();
        revocations.map(|revocation| text(revocation, "/value").to_owned()).collect()
    };
    let all = report(&plane, plane.admin_key(), "from=0").await;
    assert_eq!(values(&all), ["s1", "s2", "s3"]);
    // Nobody was there to enforce them, and that is no secret.
    assert_eq!(all["revocations"][0]["enforced"], json!({"edges": 0, "applied": 0, "ms": null}));
    assert_eq!(all["revocations"][0]["tried"], json!({"count": 0, "passed": 0}));
    let since = text(&all["revocations"][2], "/created_at").to_owned();
    assert!(
        values(&report(&plane, plane.admin_key(), &format!("from={since}")).await).contains(&"s3".to_owned())
    );
    assert!(
        !values(&report(&plane, plane.admin_key(), &format!("from=0&to={since}")).await)
            .contains(&"s3".to_owned())
    );

    let limited = key(&plane, &["read"], &[ISSUER]).await;
    assert_eq!(values(&report(&plane, &limited, "from=0").await), ["s1", "s3"]);
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let page = report(&plane, &limited, &format!("from=0&limit=1{cursor}")).await;
        seen.extend(values(&page));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ["s1", "s3"]);
    let other = text(&all["revocations"][1], "/id").to_owned();
    let reply = plane.api().get(&format!("/v1/revocations/{other}")).bearer(&limited).send().await.unwrap();
    problem(&reply, 404, "not_found");
    let revoker = key(&plane, &["revoke"], &[]).await;
    let refused = plane.api().get("/v1/report?from=0").bearer(&revoker).send().await.unwrap();
    problem(&refused, 403, "scope");
    for wrong in ["", "from=tomorrow", "from=2&to=1", "from=0&cursor=x", "from=0&limit=0", "from=0&since=1"] {
        problem(&get(&plane, &format!("/v1/report?{wrong}")).await, 400, "invalid_query");
    }
    let ran = run_as(&plane, &limited, &["report", "--from", "2020-01-01"], 0).await;
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    assert!(ran.stderr.starts_with("2 revocations from 2020-01-01 00:00:00.000Z to "), "{}", ran.stderr);
}

#[tokio::test]
async fn a_report_is_sentences_json_or_a_sheet_that_runs_nothing() {
    let plane = control_plane().await;
    let mut edge = Edge::new("a");
    let mut link = edge.connect(&plane).await;
    edge.reach(&mut link, 0).await;
    let body = json!({"kind": "session", "issuer": ISSUER, "value": "=1+1", "reason": "left, \"for good\""});
    let id = text(&post(&plane, "/v1/revocations", body).await.json().unwrap(), "/id").to_owned();
    edge.reach(&mut link, 1).await;
    let key = key_of(&edge, "=1+1");
    tell(&edge, &link, vec![tried(&key, "/payments", 13), tried(&key, "@SUM(A1)", 1)]).await;
    let revocation = reported(&plane, &id, 14).await;
    let ms = revocation["enforced"]["ms"].to_string();

    let ran = run(&plane, &["report", "--from", "2020-01-01", "--to", "2100-01-01T00:00:00Z"], 0).await;
    let until = ran.stdout.trim_end().rsplit(" until ").next().unwrap();
    let at = ran.stdout.split(" was revoked at ").nth(1).unwrap().split(" by ").next().unwrap();
    assert_eq!(
        ran.stdout,
        format!(
            "{id}: session =1+1 of {ISSUER} was revoked at {at} by env-admin (left, \"for good\"), enforced by 1 of 1 \
             edges within {ms} ms, tried 14 more times (13 at /payments, 1 at @SUM(A1)) until {until}\n"
        )
    );
    assert!([at, until].iter().all(|time| time.len() == "2026-11-26 10:02:03.120Z".len()), "{at} {until}");

    let json =
        run(&plane, &["report", "--from", "0", "--to", "4102444800", "--json"], 0).await.json().unwrap();
    assert_eq!(json["revocations"][0]["tried"]["count"], 14);
    let sheet = run(&plane, &["report", "--from", "0", "--csv"], 0).await.stdout;
    let lines: Vec<&str> = sheet.lines().collect();
    assert!(lines[0].starts_with("id,revoked_at,kind,issuer,value,reason,by,"), "{sheet}");
    assert!(lines[1].starts_with(&format!("{id},")), "{sheet}");
    assert!(
        lines[1].contains(&format!(",session,{ISSUER},'=1+1,\"left, \"\"for good\"\"\",env-admin,")),
        "{sheet}"
    );
    assert!(lines[1].contains(&format!(",1,1,{ms},,14,0,")), "{sheet}");
    assert!(lines[1].ends_with(",/payments 13; @SUM(A1) 1"), "{sheet}");
    run(&plane, &["report", "--from", "0", "--csv", "--json"], 2).await;
    run(&plane, &["report", "--from", "yesterday"], 2).await;
    let trail = run(&plane, &["events", "--revocation", &id], 0).await.stdout;
    assert_eq!(trail.lines().count(), 2, "{trail}");
}
