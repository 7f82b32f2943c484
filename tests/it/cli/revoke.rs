//! `revoke`, `reinstate` and `undo`.

use std::process::Stdio;

use portcullis_testbed::{ControlPlane, Issuer};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::{ISSUER, control_plane, get, lines, run, setup, text};

async fn revoked(plane: &ControlPlane, args: &[&str]) -> Value {
    let mut all = vec!["revoke"];
    all.extend(args);
    all.push("--json");
    run(plane, &all, 0).await.json().unwrap()
}

#[tokio::test]
async fn a_person_is_told_what_was_revoked_and_how_it_ends() {
    let plane = control_plane().await;
    let args = ["revoke", "session", "s1", "--issuer", ISSUER, "--reason", "laptop stolen", "--wait"];
    let ran = run(&plane, &args, 5).await;
    assert!(ran.stdout.starts_with("revoked session s1 of https://idp.example\n"), "{}", ran.stdout);
    for line in
        ["  id       r1-", "  rejects  every token that matches", "(in 24 h)", "  reason   laptop stolen"]
    {
        assert!(ran.stdout.contains(line), "{line} in {}", ran.stdout);
    }
    assert!(ran.stdout.contains("no edge is connected: nothing enforces it yet"), "{}", ran.stdout);
    let warning = format!("warning: issuer {ISSUER} is not configured: default lifetimes apply\n");
    assert!(ran.stderr.starts_with(&warning), "{}", ran.stderr);
    for words in ["error: accepted, but not enforced everywhere in time", "durable"] {
        assert!(ran.stderr.contains(words), "{words} in {}", ran.stderr);
    }
}

#[tokio::test]
async fn json_is_exactly_what_the_control_plane_answered() {
    let plane = control_plane().await;
    let ran = run(&plane, &["--json", "revoke", "session", "s1", "--issuer", ISSUER, "--wait=1s"], 5).await;
    let problem: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(problem["code"], "not_enforced");
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["receipts"], json!({"applied": 0, "pending": 0, "edges": [], "gone": []}));
    let path = format!("/v1/revocations/{}", text(&answer, "/id"));
    assert_eq!(get(&plane, &path).await.json().unwrap()["version"], answer["version"]);
}

#[tokio::test]
async fn every_kind_can_be_revoked() {
    let plane = control_plane().await;
    for kind in ["session", "subject", "token", "client", "key"] {
        let made = revoked(&plane, &[kind, "v", "--issuer", ISSUER]).await;
        assert_eq!((text(&made, "/kind"), text(&made, "/value")), (kind, "v"));
    }
    let made = revoked(&plane, &["issuer", ISSUER]).await;
    assert_eq!((text(&made, "/kind"), text(&made, "/issuer")), ("issuer", ISSUER));
    let made = revoked(&plane, &["claims", "iss=https://i", "tenant=a=b", "/realm/role=admin"]).await;
    assert_eq!(made["claims"], json!({"iss": "https://i", "tenant": "a=b", "/realm/role": "admin"}));
}

#[tokio::test]
async fn several_values_are_several_revocations() {
    let plane = control_plane().await;
    let ran = run(&plane, &["revoke", "session", "s1", "s2", "--issuer", ISSUER, "--json"], 0).await;
    let values: Vec<String> = lines(&ran.stdout).iter().map(|made| text(made, "/value").to_owned()).collect();
    assert_eq!(values, ["s1", "s2"]);
}

#[tokio::test]
async fn times_and_ends_are_passed_on() {
    let plane = control_plane().await;
    let args = [
        "client",
        "app",
        "--issuer",
        ISSUER,
        "--cutoff",
        "1767225600",
        "--expires-at",
        "2100-01-01T00:00:00Z",
    ];
    let made = revoked(&plane, &args).await;
    let times = (text(&made, "/cutoff"), text(&made, "/expires_at"));
    assert_eq!(times, ("2026-01-01T00:00:01Z", "2100-01-01T00:00:00Z"));
    let made = revoked(&plane, &["subject", "alice", "--issuer", ISSUER, "--until-reinstated"]).await;
    assert_eq!((&made["until_reinstated"], &made["expires_at"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn a_raw_token_is_read_from_stdin() {
    let plane = control_plane().await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["revoke", "token", "--raw", "-", "--json"])
        .env("PORTCULLIS_URL", plane.url())
        .env("PORTCULLIS_KEY", plane.admin_key())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"abc\n").await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(text(&made, "/value").starts_with("sha256:ba7816bf"), "{made}");
}

#[tokio::test]
async fn values_are_read_from_the_lines_of_stdin() {
    let plane = control_plane().await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["revoke", "session", "-", "--issuer", ISSUER, "--json"])
        .env("PORTCULLIS_URL", plane.url())
        .env("PORTCULLIS_KEY", plane.admin_key())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"s1\n\n s2 \n").await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let made = lines(std::str::from_utf8(&output.stdout).unwrap());
    let values: Vec<&str> = made.iter().map(|made| text(made, "/value")).collect();
    assert_eq!(values, ["s1", "s2"]);
}

#[tokio::test]
async fn the_only_configured_issuer_need_not_be_named() {
    let issuer = Issuer::start().await.unwrap();
    let plane = setup().issuer(&issuer, "").start().await.unwrap();
    assert_eq!(text(&revoked(&plane, &["session", "s1"]).await, "/issuer"), issuer.name());
}

#[tokio::test]
async fn without_a_configured_issuer_one_must_be_named() {
    let plane = control_plane().await;
    let ran = run(&plane, &["revoke", "session", "s1"], 2).await;
    assert!(ran.stderr.contains("--issuer ISS"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_revocation_is_reinstated_and_then_undone() {
    let plane = control_plane().await;
    let id = text(&revoked(&plane, &["session", "s1", "--issuer", ISSUER]).await, "/id").to_owned();
    let ran = run(&plane, &["reinstate", &id, "--reason", "found it"], 0).await;
    assert!(ran.stdout.starts_with("reinstated session s1 of https://idp.example\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("  rejects  tokens issued until "), "{}", ran.stdout);

    let ran = run(&plane, &["undo", &id, "--wait", "--json"], 5).await;
    let undone: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(text(&undone, "/status"), "undone");
    assert_eq!(undone["receipts"]["pending"], 0);
}

#[tokio::test]
async fn undoing_twice_fails_and_says_why() {
    let plane = control_plane().await;
    let id = text(&revoked(&plane, &["session", "s1", "--issuer", ISSUER]).await, "/id").to_owned();
    run(&plane, &["undo", &id], 0).await;
    let ran = run(&plane, &["undo", &id], 1).await;
    assert_eq!(ran.stdout, "");
    assert_eq!(ran.stderr, format!("error: revocation {id} is no longer in force: it is undone\n"));
}
