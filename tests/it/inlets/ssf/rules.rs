//! One valid token, and for each rule the token that breaks just that.

use portcullis_testbed::{Issuer, Token};
use serde_json::{Value, json};

use super::support::*;
use crate::inlets::forgeries::{Forgery, Parties};
use crate::inlets::support::{AUDIENCE, SETTINGS, events, last_received, now, rejected_as};
use crate::inlets::trial::try_message;
use crate::support::setup;

fn valid(issuer: &Issuer) -> Token {
    about(issuer, "m", &caep("session-revoked"), "alice")
}

/// How a token differs from the valid one, RFC 8935's code and the check that refuses it.
type Case = (&'static str, &'static str, fn(Token) -> Token);

async fn check_all(settings: &str, cases: &[Case]) {
    for chunk in cases.chunks(10) {
        // Ten refusals of an address are written down one by one in a minute.
        let (issuer, plane) = stage(settings, "").await;
        for (err, check, spoil) in chunk {
            let reply = push(&plane, spoil(valid(&issuer))).await;
            refused(&plane, &reply, 400, err, check).await;
        }
        assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
        accepted(&push(&plane, valid(&issuer)).await);
        assert_eq!(events(&plane, "revoked").await.len(), 1);
    }
}

#[tokio::test]
async fn a_token_that_breaks_a_rule_is_refused() {
    let cases: &[Case] = &[
        ("invalid_request", "typ_wrong", |token| token.header("typ", "JWT")),
        ("invalid_request", "typ_wrong", |token| token.without_header("typ")),
        ("invalid_request", "typ_wrong", |token| token.header("typ", "logout+jwt")),
        ("invalid_key", "key_unfit", |token| token.header("alg", "PS256")),
        ("invalid_issuer", "iss_missing", |token| token.without("iss")),
        ("invalid_issuer", "iss_wrong", |token| token.claim("iss", "https://other.example")),
        ("invalid_issuer", "claim_type", |token| token.claim("iss", 7)),
        ("invalid_issuer", "claim_type", |token| token.claim("iss", json!(["https://other.example"]))),
        ("invalid_audience", "aud_wrong", |token| token.claim("aud", "other")),
        ("invalid_audience", "aud_wrong", |token| token.claim("aud", json!([]))),
        ("invalid_audience", "claim_missing", |token| token.without("aud")),
        ("invalid_audience", "claim_type", |token| token.claim("aud", 7)),
        ("invalid_request", "claim_missing", |token| token.without("iat")),
        ("invalid_request", "claim_type", |token| token.claim("iat", "now")),
        ("invalid_request", "issued_in_future", |token| token.iat(now() + 90)),
        ("invalid_request", "too_old", |token| token.iat(now() - 31 * 86_400)),
        ("invalid_request", "claim_missing", |token| token.without("jti")),
        ("invalid_request", "claim_type", |token| token.claim("jti", 7)),
        ("invalid_request", "claim_type", |token| token.claim("toe", "now")),
        ("invalid_request", "cutoff_in_future", |token| token.claim("toe", now() + 90)),
        ("invalid_request", "cutoff_in_future", |token| {
            token.claim("events", json!({caep("session-revoked"): {"event_timestamp": now() + 90}}))
        }),
        ("invalid_request", "cutoff_in_future", |token| {
            token.claim("events", json!({caep("session-revoked"): {"event_timestamp": (now() + 90) * 1_000}}))
        }),
        ("invalid_request", "claim_forbidden", |token| token.sub("alice")),
        ("invalid_request", "claim_forbidden", |token| token.claim("exp", now() + 60)),
        ("invalid_request", "claim_missing", |token| token.without("sub_id")),
        ("invalid_request", "claim_missing", |token| {
            token.without("sub_id").claim("events", json!({"https://schemas.example/unknown": {}}))
        }),
        ("invalid_request", "claim_missing", |token| token.without("events")),
        ("invalid_request", "events_wrong", |token| token.claim("events", json!({}))),
        ("invalid_request", "events_wrong", |token| token.claim("events", json!([]))),
        ("invalid_request", "events_wrong", |token| token.claim("events", json!({ "urn:x": 7 }))),
        ("invalid_request", "claim_type", |token| {
            token.claim("events", json!({caep("session-revoked"): {"event_timestamp": "now"}}))
        }),
        ("invalid_request", "claim_type", |token| {
            token.claim("events", json!({caep("session-revoked"): {"event_timestamp": -1}}))
        }),
        ("invalid_request", "subject_malformed", |token| token.claim("sub_id", "alice")),
        ("invalid_request", "subject_malformed", |token| token.claim("sub_id", json!({"format": "iss_sub"}))),
        ("invalid_request", "subject_malformed", |token| {
            token.claim("sub_id", json!({"format": "complex", "session": {"format": "opaque"}}))
        }),
        ("invalid_request", "control_character", |token| {
            let subject = json!({"format": "complex", "session": {"format": "opaque", "id": "s\u{1b}"}});
            token.claim("sub_id", subject)
        }),
    ];
    check_all("", cases).await;
}

#[tokio::test]
async fn what_a_token_may_have_besides_is_no_reason() {
    let (issuer, plane) = stage("", "").await;
    let variants: &[fn(Token) -> Token] = &[
        |token| token.header("typ", "application/secevent+jwt"),
        |token| token.header("typ", "SecEvent+JWT"),
        |token| token.claim("aud", json!(["https://other.example", AUDIENCE])),
        |token| token.claim("txn", "8675309").claim("toe", now() - 5),
        |token| token.claim("unknown", json!([7])).header("unknown", "x"),
        |token| {
            token.claim("events", json!({caep("session-revoked"): {"unknown": 7, "reason_user": {"en": ""}}}))
        },
    ];
    for (index, change) in variants.iter().enumerate() {
        accepted(&push(&plane, change(valid(&issuer)).jti(&format!("m{index}"))).await);
        assert_eq!(events(&plane, "revoked").await.len(), index + 1);
    }
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let (_issuer, plane) = stage("", "").await;
    for body in ["", "token", "e30.e30", "e30.e30.e30.e30", "{\"iss\":7}"] {
        let reply = push_raw(&plane, body.to_owned()).await;
        refused(&plane, &reply, 400, "invalid_request", "jwt_malformed").await;
    }
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_forged_token_is_refused() {
    let parties = Parties::gather().await;
    let plane = parties.plane(setup().config(&push_stream("idp", &parties.issuer, "")), "").await;
    let refuse = async |forgery: &Forgery| {
        let call = forgery.post(&plane, "/inlets/ssf/push/idp", "application/secevent+jwt");
        let reply = call.body(forgery.token.clone()).send().await.unwrap();
        let err = match forgery.check {
            "crit_not_understood" => "invalid_request",
            "iss_wrong" => "invalid_issuer",
            _ => "invalid_key",
        };
        refused(&plane, &reply, 400, err, forgery.check).await;
    };
    parties.try_all(&plane, valid, Some("iss_wrong"), refuse).await;
    accepted(&push(&plane, valid(&parties.issuer)).await);
}

#[tokio::test]
async fn a_credential_that_cannot_be_read_is_nobodys_fault() {
    let issuer = Issuer::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("authorization");
    let lines = format!("authorization_file = \"{}\"", file.display());
    let plane = setup().issuer(&issuer, SETTINGS).config(&push_stream("idp", &issuer, &lines));
    let plane = plane.start().await.unwrap();
    let reply = push(&plane, valid(&issuer)).await;
    refused(&plane, &reply, 503, "temporarily_unavailable", "authorization_unavailable").await;
    assert_eq!(reply.header("retry-after"), Some("5"));
    // Nobody outside learns where it is.
    assert!(!reply.text().contains("file") && !reply.text().contains(file.to_str().unwrap()));
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
    std::fs::write(&file, AUTHORIZATION).unwrap();
    accepted(&push(&plane, valid(&issuer)).await);
}

#[tokio::test]
async fn the_way_in_is_guarded() {
    let (issuer, plane) = stage("", "").await;
    let body = valid(&issuer).sign().unwrap();
    let send = async |path: &str, authorization: Option<&str>, media_type: &str| {
        let mut call = plane.api().post(path).header("content-type", media_type).body(body.clone());
        if let Some(authorization) = authorization {
            call = call.header("authorization", authorization);
        }
        call.send().await.unwrap()
    };
    let (path, set) = ("/inlets/ssf/push/idp", "application/secevent+jwt");
    for wrong in [None, Some("Bearer other"), Some("of-the-stream"), Some("")] {
        let reply = send(path, wrong, set).await;
        refused(&plane, &reply, 400, "authentication_failed", "credential").await;
    }
    let twice = plane.api().post(path).header("content-type", set).body(body.clone());
    let twice = twice.header("authorization", AUTHORIZATION).header("authorization", AUTHORIZATION);
    refused(&plane, &twice.send().await.unwrap(), 400, "authentication_failed", "credential").await;
    let reply = send("/inlets/ssf/push/other", Some(AUTHORIZATION), set).await;
    refused(&plane, &reply, 404, "invalid_request", "stream_unknown").await;
    let reply = send(path, Some(AUTHORIZATION), "application/json").await;
    refused(&plane, &reply, 415, "invalid_request", "unsupported_media_type").await;
    let large = plane.api().post(path).header("content-type", set).body("x".repeat(70_000));
    let large = large.header("authorization", AUTHORIZATION).send().await.unwrap();
    refused(&plane, &large, 413, "invalid_request", "too_large").await;
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
    accepted(&send(path, Some(AUTHORIZATION), "Application/SecEvent+JWT; charset=utf-8").await);
}

#[tokio::test]
async fn a_repetition_is_acknowledged_and_applied_once() {
    let (issuer, plane) = stage("", "").await;
    for _ in 0..3 {
        accepted(&push(&plane, valid(&issuer)).await);
    }
    assert_eq!((events(&plane, "revoked").await.len(), events(&plane, "received").await.len()), (1, 1));
    let metrics = plane.api().get("/metrics").send().await.unwrap().text();
    assert!(metrics.contains("inlet=\"ssf\",outcome=\"repeated\"} 2"), "{metrics}");
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_worth_sending_again() {
    let issuer = Issuer::start().await.unwrap();
    issuer.break_keys(Some(portcullis_testbed::BrokenKeys::Unavailable));
    let stream = push_stream("idp", &issuer, "");
    let plane = setup().issuer(&issuer, SETTINGS).config(&stream).start().await.unwrap();
    let reply = push(&plane, valid(&issuer)).await;
    refused(&plane, &reply, 503, "temporarily_unavailable", "keys_unavailable").await;
    assert_eq!(reply.header("retry-after"), Some("5"));
    issuer.break_keys(None);
    // The same token: what was refused for a while only is not a repetition.
    accepted(&push(&plane, valid(&issuer)).await);
    assert_eq!(events(&plane, "revoked").await.len(), 1);
    // Rotated, and unreachable again: the old keys are kept, the new one is not known, and after six questions in a
    // minute nobody is asked any more.
    issuer.break_keys(Some(portcullis_testbed::BrokenKeys::Unavailable));
    accepted(&push(&plane, valid(&issuer).jti("old key")).await);
    issuer.replace().await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.push(push(&plane, valid(&issuer).jti("new key")).await.status.as_u16());
    }
    let first_503 = seen.iter().position(|status| *status == 503).unwrap();
    assert!(seen[..first_503].iter().all(|status| *status == 400), "{seen:?}");
    assert!(seen[first_503..].iter().all(|status| *status == 503) && first_503 <= 6, "{seen:?}");
    assert_eq!(last_received(&plane).await["refused"], "keys_asked_too_often");
}

/// What Okta sends for a user that logs out.
fn okta(issuer: &Issuer, jti: &str) -> Token {
    let event = json!({"event_timestamp": (now() - 5) * 1_000, "subject": iss_sub(issuer, "alice")});
    bare(issuer, jti, &caep("session-revoked"), event)
}

/// What Google sends: a subject with `subject_type`, and no `typ`.
fn google(issuer: &Issuer, jti: &str) -> Token {
    let subject = json!({"subject_type": "iss-sub", "iss": issuer.name(), "sub": "alice"});
    let event = json!({"subject": subject, "reason": "hijacking"});
    bare(issuer, jti, &risc("account-disabled"), event).without_header("typ")
}

/// What is allowed, the check that refuses a message where it is not, and that message.
type Departure = (&'static str, &'static str, fn(&Issuer, &str) -> Token);

#[tokio::test]
async fn departures_are_accepted_where_they_are_allowed() {
    let cases: [Departure; 6] = [
        ("\"subject_in_event\"", "claim_missing", okta),
        ("\"subject_in_event\", \"untyped_subject\", \"generic_typ\"", "typ_wrong", google),
        ("\"set_sub\"", "claim_forbidden", |issuer, jti| valid(issuer).jti(jti).sub("alice")),
        ("\"set_exp\"", "claim_forbidden", |issuer, jti| valid(issuer).jti(jti).claim("exp", now() + 60)),
        ("\"generic_typ\"", "typ_wrong", |issuer, jti| valid(issuer).jti(jti).header("typ", "JWT")),
        ("\"untyped_subject\"", "subject_malformed", |issuer, jti| {
            valid(issuer).jti(jti).claim("sub_id", json!({"user": iss_sub(issuer, "alice")}))
        }),
    ];
    for (allow, check, token) in cases {
        let (issuer, plane) = stage("", "").await;
        refused(&plane, &push(&plane, token(&issuer, "m1")).await, 400, "invalid_request", check).await;
        let (issuer, plane) = stage(&format!("allow = [{allow}]"), "").await;
        accepted(&push(&plane, token(&issuer, "m1")).await);
        let alice = json!({"iss": issuer.name(), "sub": "alice", "iat": now() - 10});
        assert_eq!(rejected_as(&plane, alice).await.as_deref(), Some("subject_revoked"), "{allow}");
    }
    // Google's is spelled in its own way in two more places: allowing the others is not enough.
    let (issuer, plane) = stage("allow = [\"subject_in_event\", \"generic_typ\"]", "").await;
    let reply = push(&plane, google(&issuer, "m1")).await;
    refused(&plane, &reply, 400, "invalid_request", "subject_malformed").await;
    // An `exp` that is allowed holds.
    let (issuer, plane) = stage("allow = [\"set_exp\"]", "").await;
    let expired = valid(&issuer).claim("exp", now() - 90);
    refused(&plane, &push(&plane, expired).await, 400, "invalid_request", "expired").await;
    // Milliseconds are understood as such, not as a time in the far future.
    let (issuer, plane) = stage("allow = [\"subject_in_event\"]", "").await;
    accepted(&push(&plane, okta(&issuer, "m1")).await);
    let of = |iat: u64| json!({"iss": issuer.name(), "sub": "alice", "iat": iat});
    assert_eq!(rejected_as(&plane, of(now() + 30)).await, None);
}

#[tokio::test]
async fn a_trial_takes_a_token_by_itself_and_a_whole_request() {
    let (issuer, plane) = stage("", "").await;
    let token = valid(&issuer).sign().unwrap();
    let trial = try_message(&plane, "ssf", &token).await;
    assert_eq!((&trial["accepted"], &trial["status"]), (&json!(true), &json!(202)), "{trial}");
    assert_eq!(trial["revocations"][0]["value"], "alice");
    let file = plane.dir().join("message");
    let request = format!("POST /inlets/ssf/push/idp HTTP/1.1\nAuthorization: {AUTHORIZATION}\n\n{token}");
    std::fs::write(&file, request).unwrap();
    let path = file.to_str().unwrap();
    let ran = crate::support::run(&plane, &["inlet", "try", "ssf", path, "--fail-if-refused"], 0).await;
    assert!(ran.stdout.contains("would revoke subject alice"), "{}", ran.stdout);
    let unknown = try_message(&plane, "ssf", &valid(&issuer).claim("iss", "https://x").sign().unwrap()).await;
    assert_eq!((&unknown["status"], &unknown["refused"]["code"]), (&json!(404), &json!("stream_unknown")));
    assert_eq!(events(&plane, "received").await.len(), 0);
}

#[tokio::test]
async fn a_transmitter_speaks_for_no_other_issuer_but_the_one_that_it_is_configured_for() {
    let (transmitter, tokens) = (Issuer::start().await.unwrap(), Issuer::start().await.unwrap());
    let lines = format!("tokens_of = \"{}\"", tokens.name());
    let plane = setup()
        .issuer(&transmitter, SETTINGS)
        .issuer(&tokens, "")
        .config(&push_stream("idp", &transmitter, &lines))
        .start()
        .await
        .unwrap();
    // The transmitter's name for the user is the tokens' name.
    accepted(&push(&plane, about(&transmitter, "m1", &caep("session-revoked"), "alice")).await);
    let of = |issuer: &Issuer| json!({"iss": issuer.name(), "sub": "alice", "iat": now() - 5});
    assert_eq!(rejected_as(&plane, of(&tokens)).await.as_deref(), Some("subject_revoked"));
    assert_eq!(rejected_as(&plane, of(&transmitter)).await, None);
    let stranger = json!({"format": "iss_sub", "iss": "https://other.example", "sub": "bob"});
    let token = about(&transmitter, "m2", &caep("session-revoked"), "bob").claim("sub_id", stranger);
    passed_over(&plane, &push(&plane, token).await, "subject_issuer").await;
    // Signed by the issuer of the tokens, who is not the transmitter.
    let token = about(&tokens, "m3", &caep("session-revoked"), "bob");
    refused(&plane, &push(&plane, token).await, 400, "invalid_issuer", "iss_wrong").await;
    assert_eq!(last_received(&plane).await["issuer"], transmitter.name());
}

#[tokio::test]
async fn a_clock_that_is_off_by_less_than_a_minute_is_no_reason() {
    let (issuer, plane) = stage("allow = [\"set_exp\"]", "").await;
    let of = |sub: &str, iat: u64| json!({"iss": issuer.name(), "sub": sub, "iat": iat});
    // Ahead: the cut-off is the transmitter's time.
    accepted(&push(&plane, about(&issuer, "m1", &caep("session-revoked"), "alice").iat(now() + 55)).await);
    assert!(rejected_as(&plane, of("alice", now() + 50)).await.is_some());
    // Behind.
    let behind = about(&issuer, "m2", &caep("session-revoked"), "bob").iat(now() - 55);
    accepted(&push(&plane, behind.claim("exp", now() - 50)).await);
    assert!(rejected_as(&plane, of("bob", now() - 60)).await.is_some());
    assert_eq!(rejected_as(&plane, of("bob", now() - 40)).await, None);
}
