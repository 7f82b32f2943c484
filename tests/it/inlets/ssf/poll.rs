//! Delivery by poll, long and short.

use std::time::Duration;

use portcullis_testbed::ControlPlane;
use serde_json::{Value, json};

use super::support::*;
use super::transmitter::{TOKEN, Transmitter};
use crate::inlets::support::{SETTINGS, events, last_received, now, rejected_as};
use crate::support::{run, setup};

const PATIENCE: Duration = Duration::from_secs(30);

/// A stream that is polled, and a control plane that polls it once it is added.
async fn start(transmitter: &Transmitter, lines: &str) -> ControlPlane {
    let issuer = transmitter.issuer();
    let stream = format!(
        "[[ssf]]\nname = \"idp\"\ntransmitter = \"{}\"\ntoken_env = \"SSF_TOKEN\"\n{lines}\n",
        issuer.name()
    );
    let setup = setup().issuer(issuer, SETTINGS).config(&stream).env("SSF_TOKEN", TOKEN);
    setup.start().await.unwrap()
}

async fn added(lines: &str) -> (Transmitter, ControlPlane) {
    let transmitter = Transmitter::start().await;
    let plane = start(&transmitter, lines).await;
    run(&plane, &["ssf", "add", "idp"], 0).await;
    (transmitter, plane)
}

#[tokio::test]
async fn a_stream_that_is_polled_is_verified_as_well() {
    for lines in ["delivery = \"poll\"", "delivery = \"short_poll\"\npoll_interval = \"20ms\""] {
        let (transmitter, plane) = added(lines).await;
        let ran = run(&plane, &["ssf", "verify", "idp"], 0).await;
        assert!(ran.stdout.contains("verified"), "{}", ran.stdout);
        transmitter.until(|inner| inner.acks.len() == 1 && inner.queue.is_empty()).await;
        let status = run(&plane, &["ssf", "status", "idp", "--json"], 0).await.json().unwrap();
        assert!(status["verified_at"].is_string(), "{status}");
        // One with another state is told to be wrong, and verifies nothing.
        transmitter.with(|inner| inner.forged_state = Some("guess".into()));
        run(&plane, &["ssf", "verify", "idp"], 1).await;
        transmitter.until(|inner| inner.queue.is_empty()).await;
        let errors = transmitter.with(|inner| inner.errors.clone());
        assert_eq!(errors.values().map(|error| &error["err"]).collect::<Vec<_>>(), ["invalid_state"]);
    }
}

/// Signed with a key that is gone: they are told to be wrong, and hold nobody up.
#[tokio::test]
async fn many_events_with_a_key_that_is_gone_do_not_stop_the_stream() {
    let (transmitter, plane) = added("delivery = \"poll\"").await;
    let gone: Vec<(String, String)> = (0..12)
        .map(|index| format!("a{index:02}"))
        .map(|jti| (jti.clone(), revoked(&transmitter, &jti)))
        .collect();
    transmitter.issuer().replace().await.unwrap();
    // Has the new key fetched, and the old one forgotten.
    transmitter.queue("z", revoked(&transmitter, "z"));
    transmitter.until(|inner| inner.queue.is_empty()).await;
    for (jti, set) in gone {
        transmitter.queue(&jti, set);
    }
    transmitter.until(|inner| inner.queue.is_empty()).await;
    let (acks, errors) = transmitter.with(|inner| (inner.acks.clone(), inner.errors.clone()));
    assert_eq!((acks, errors.len()), (vec!["z".to_owned()], 12));
    assert!(errors.values().all(|error| error["err"] == "invalid_key"), "{errors:?}");
    assert!(is_rejected(&plane, &transmitter, "z").await);
}

fn revoked(transmitter: &Transmitter, jti: &str) -> String {
    about(transmitter.issuer(), jti, &caep("session-revoked"), jti).sign().unwrap()
}

async fn is_rejected(plane: &ControlPlane, transmitter: &Transmitter, sub: &str) -> bool {
    let claims = json!({"iss": transmitter.issuer().name(), "sub": sub, "iat": now() - 5});
    rejected_as(plane, claims).await.is_some()
}

#[tokio::test]
async fn events_are_acknowledged_once_they_are_in_force_and_errors_are_told() {
    for lines in ["delivery = \"poll\"", "delivery = \"short_poll\"\npoll_interval = \"20ms\""] {
        let (transmitter, plane) = added(lines).await;
        for jti in ["a", "b"] {
            transmitter.queue(jti, revoked(&transmitter, jti));
        }
        transmitter
            .queue("c", about(transmitter.issuer(), "c", "urn:x", "c").claim("aud", "other").sign().unwrap());
        transmitter.queue("d", revoked(&transmitter, "other"));
        transmitter.queue("e", "no token".into());
        let unknown = about(transmitter.issuer(), "f", &caep("session-revoked"), "f");
        let unknown = unknown.claim("sub_id", json!({"format": "email", "email": "f@x.example"}));
        transmitter.queue("f", unknown.sign().unwrap());
        transmitter.until(|inner| inner.queue.is_empty()).await;
        let (acks, errors) = transmitter.with(|inner| (inner.acks.clone(), inner.errors.clone()));
        assert_eq!(acks, ["a", "b", "f"], "{lines}");
        let codes: Vec<(&str, &Value)> =
            errors.iter().map(|(jti, error)| (jti.as_str(), &error["err"])).collect();
        assert_eq!(
            codes,
            [
                ("c", &json!("invalid_audience")),
                ("d", &json!("invalid_request")),
                ("e", &json!("invalid_request"))
            ]
        );
        assert!(errors.values().all(|error| error["description"].is_string()), "{errors:?}");
        assert_eq!(transmitter.with(|inner| inner.languages.clone()), ["en"; 3]);
        for (sub, expect) in [("a", true), ("b", true), ("other", false)] {
            assert_eq!(is_rejected(&plane, &transmitter, sub).await, expect, "{sub}");
        }
        let refused: Vec<Value> =
            events(&plane, "received").await.iter().map(|event| event["refused"].clone()).collect();
        for check in ["aud_wrong", "jti_wrong", "jwt_malformed", "subject_unknown"] {
            assert!(refused.contains(&json!(check)), "{check}: {refused:?}");
        }
        let short = lines.contains("short");
        let polls = transmitter.with(|inner| inner.polls.clone());
        assert!(
            polls.iter().all(|poll| poll["returnImmediately"] == short && poll["maxEvents"] == 50),
            "{polls:?}"
        );
        // Again, as a transmitter does that has not understood the acknowledgement.
        transmitter.with(|inner| inner.acks.clear());
        transmitter.queue("a", revoked(&transmitter, "a"));
        transmitter.until(|inner| inner.acks == ["a"]).await;
        assert_eq!(events(&plane, "revoked").await.len(), 2);
    }
}

#[tokio::test]
async fn a_transmitter_that_is_down_at_the_start_is_asked_again() {
    let transmitter = Transmitter::start().await;
    transmitter.with(|inner| inner.down = true);
    let plane = start(&transmitter, "delivery = \"poll\"").await;
    plane.log().wait_for("the transmitter cannot be used", PATIENCE).await.unwrap();
    let ran = run(&plane, &["ssf", "add", "idp"], 1).await;
    assert!(ran.stderr.contains("503"), "{}", ran.stderr);
    transmitter.with(|inner| inner.down = false);
    run(&plane, &["ssf", "add", "idp"], 0).await;
    transmitter.queue("a", revoked(&transmitter, "a"));
    transmitter.until(|inner| inner.acks == ["a"]).await;
    assert!(is_rejected(&plane, &transmitter, "a").await);
}

#[tokio::test]
async fn what_was_stored_and_not_acknowledged_before_a_kill_is_applied_once() {
    let (transmitter, mut plane) = added("delivery = \"poll\"").await;
    transmitter.with(|inner| inner.swallow_acks = true);
    transmitter.queue("a", revoked(&transmitter, "a"));
    // It is asked with the acknowledgement, so the event is stored; nobody answers.
    transmitter.until(|inner| inner.swallowed == 1).await;
    plane.kill().await.unwrap();
    transmitter.with(|inner| inner.swallow_acks = false);
    plane.restart().await.unwrap();
    transmitter.until(|inner| inner.acks == ["a"]).await;
    assert!(is_rejected(&plane, &transmitter, "a").await);
    assert_eq!((events(&plane, "revoked").await.len(), events(&plane, "received").await.len()), (1, 1));
}

#[tokio::test]
async fn what_cannot_be_taken_in_now_is_left_with_the_transmitter() {
    let transmitter = Transmitter::start().await;
    transmitter.issuer().break_keys(Some(portcullis_testbed::BrokenKeys::Unavailable));
    let plane = start(&transmitter, "delivery = \"poll\"").await;
    run(&plane, &["ssf", "add", "idp"], 0).await;
    transmitter.queue("a", revoked(&transmitter, "a"));
    plane.log().wait_for("an event is left for later", PATIENCE).await.unwrap();
    plane.log().wait_for("events cannot be taken in now", PATIENCE).await.unwrap();
    // Neither acknowledged nor called wrong, and no refusal in the audit trail.
    let (acks, errors) = transmitter.with(|inner| (inner.acks.len(), inner.errors.len()));
    assert_eq!((acks, errors, events(&plane, "received").await.len()), (0, 0, 0));
    transmitter.issuer().break_keys(None);
    transmitter.until(|inner| inner.acks == ["a"]).await;
    assert!(is_rejected(&plane, &transmitter, "a").await);
}

/// What is answered to a poll, and what is said of it.
#[tokio::test]
async fn an_answer_that_is_none_is_told_and_asked_for_again() {
    let (transmitter, plane) = added("delivery = \"short_poll\"\npoll_interval = \"20ms\"").await;
    let one = revoked(&transmitter, "other");
    for (index, (status, body, says)) in [
        (400, json!({"err": "invalid_request"}), "answers 400: {\"err\":\"invalid_request\"}"),
        (401, json!({}), "answers 401"),
        (200, json!({"sets": []}), "`sets` is not an object"),
        (200, json!({"sets": one}), "`sets` is not an object"),
    ]
    .into_iter()
    .enumerate()
    {
        let mark = plane.log().mark();
        transmitter.with(|inner| inner.instead.insert("POST poll", (status, body)));
        plane.log().wait_for_after(mark, says, PATIENCE).await.unwrap();
        let shown = run(&plane, &["ssf", "status", "idp", "--json"], 0).await.json().unwrap();
        assert!(shown["failure"].as_str().unwrap().contains(says), "{shown}");
        // What was not delivered meanwhile is.
        let jti = format!("m{index}");
        transmitter.queue(&jti, revoked(&transmitter, &jti));
        transmitter.with(|inner| inner.instead.clear());
        transmitter.until(|inner| inner.acks.contains(&jti)).await;
    }
    assert_eq!(events(&plane, "revoked").await.len(), 4);
    // What is no text is no token.
    let sets = json!({"sets": {"x": 7}});
    transmitter.with(|inner| inner.instead.insert("POST poll", (200, sets)));
    transmitter.until_called("POST poll", 2).await;
    assert_eq!(last_received(&plane).await["refused"], "jwt_malformed");
}

#[tokio::test]
async fn polling_ends_with_the_process() {
    let (transmitter, mut plane) = added("delivery = \"poll\"").await;
    transmitter.until(|inner| !inner.polls.is_empty()).await;
    // A question is open, and is not waited for.
    let status = plane.process().terminate(PATIENCE).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(!plane.log().text().contains("not finished in time"), "{}", plane.log().text());
}
