//! `check`.

use crate::support::{ISSUER, control_plane, revoke_session, run, text};

#[tokio::test]
async fn a_revoked_token_is_explained() {
    let plane = control_plane().await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    let claims = format!(r#"{{"iss":"{ISSUER}","sid":"s1","iat":1700000000}}"#);
    let ran = run(&plane, &["check", "--claims", &claims], 0).await;
    let first = ran.stdout.lines().next().unwrap();
    assert!(first.starts_with("revoked since ") && first.ends_with(": session_revoked"), "{}", ran.stdout);
    assert!(ran.stdout.contains(&id), "{}", ran.stdout);
}

#[tokio::test]
async fn a_token_that_is_not_revoked_is_said_to_be_that() {
    let plane = control_plane().await;
    let ran = run(&plane, &["check", "opaque-token"], 0).await;
    assert_eq!(ran.stdout, "not revoked: nothing in force matches it\n");
    let answer = run(&plane, &["check", "opaque-token", "--json"], 0).await.json().unwrap();
    assert_eq!(answer["revoked"], false);
}

#[tokio::test]
async fn what_is_no_jwt_is_said_to_be_that() {
    let plane = control_plane().await;
    let says = "the token is no signed JWT: only revocations of this very token";
    let ran = run(&plane, &["check", "foo"], 0).await;
    assert!(ran.stderr.contains(&format!("warning: {says}")), "{}", ran.stderr);
    let ran = run(&plane, &["check", "foo", "--json"], 0).await;
    let answer = ran.json().unwrap();
    assert!(text(&answer, "/warnings/0").starts_with(says) && ran.stderr.is_empty(), "{answer}");
    // Not where it is rejected, nor where there are claims.
    run(&plane, &["revoke", "token", "--raw", "foo"], 0).await;
    assert_eq!(run(&plane, &["check", "foo"], 0).await.stderr, "");
    assert_eq!(run(&plane, &["check", "--claims", "{}"], 0).await.stderr, "");
}

#[tokio::test]
async fn a_script_may_fail_on_a_revoked_token() {
    let plane = control_plane().await;
    run(&plane, &["revoke", "token", "--raw", "opaque-token"], 0).await;
    run(&plane, &["check", "opaque-token"], 0).await;
    let ran = run(&plane, &["check", "opaque-token", "--fail-if-revoked"], 1).await;
    assert!(ran.stderr.contains("the token is revoked"), "{}", ran.stderr);
    run(&plane, &["check", "another-token", "--fail-if-revoked"], 0).await;
}

#[tokio::test]
async fn a_token_that_cannot_be_read_is_explained() {
    let plane = control_plane().await;
    let ran = run(&plane, &["check", "two words"], 0).await;
    assert!(ran.stdout.starts_with("malformed: the token has characters"), "{}", ran.stdout);
}

#[tokio::test]
async fn a_token_or_claims_are_needed() {
    let plane = control_plane().await;
    run(&plane, &["check"], 2).await;
    run(&plane, &["check", "t", "--claims", "{}"], 2).await;
    run(&plane, &["check", "--claims", "not json"], 2).await;
    run(&plane, &["check", "--claims", "[]"], 1).await;
}
