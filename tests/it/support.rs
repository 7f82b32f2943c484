//! A real control plane for a test, and how to talk to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_testbed::{ControlPlane, ControlPlaneSetup, Issuer, Ran, Reply};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://idp.example";

/// A control plane that is about to be started.
pub(crate) fn setup() -> ControlPlaneSetup {
    ControlPlaneSetup::new(env!("CARGO_BIN_EXE_portcullis"))
}

/// A control plane of the test's own, with no issuer configured.
pub(crate) async fn control_plane() -> ControlPlane {
    setup().start().await.unwrap()
}

/// A control plane that hands out a filter, and knows an issuer of this machine.
pub(crate) async fn handing_out(filter: &Path, issuer: &Issuer) -> ControlPlane {
    let setup = setup().issuer(issuer, "allow_private_addresses = true");
    setup.env("PORTCULLIS_FILTER_FILES", filter.to_str().unwrap()).start().await.unwrap()
}

/// GET with the admin key.
pub(crate) async fn get(plane: &ControlPlane, path: &str) -> Reply {
    plane.api().get(path).bearer(plane.admin_key()).send().await.unwrap()
}

/// POST of JSON with the admin key.
pub(crate) async fn post(plane: &ControlPlane, path: &str, body: Value) -> Reply {
    plane.api().post(path).bearer(plane.admin_key()).json(&body).send().await.unwrap()
}

/// A revocation of a session that is in force.
pub(crate) async fn revoke_session(plane: &ControlPlane, sid: &str) -> Value {
    let request = json!({"kind": "session", "issuer": ISSUER, "value": sid, "reason": "test"});
    let reply = post(plane, "/v1/revocations", request).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json().unwrap()
}

/// The text of a new key with these scopes and issuers.
pub(crate) async fn key(plane: &ControlPlane, scopes: &[&str], issuers: &[&str]) -> String {
    let request = json!({"name": "test", "scopes": scopes, "issuers": issuers});
    let reply = post(plane, "/v1/keys", request).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    text(&reply.json().unwrap(), "/key").to_owned()
}

/// The problem document of an answer, which must have that status and code.
#[track_caller]
pub(crate) fn problem(reply: &Reply, status: u16, code: &str) -> Value {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    let problem = reply.json().unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&json!(status), &json!(code)), "{problem}");
    assert_eq!(problem["type"], "about:blank");
    assert!(!text(&problem, "/title").is_empty() && !text(&problem, "/detail").is_empty(), "{problem}");
    problem
}

/// As [`problem`], about the field at that pointer.
#[track_caller]
pub(crate) fn problem_at(reply: &Reply, status: u16, code: &str, pointer: &str) {
    let problem = problem(reply, status, code);
    assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
}

/// The text at a JSON Pointer.
#[track_caller]
pub(crate) fn text<'a>(json: &'a Value, pointer: &str) -> &'a str {
    let found = json.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no text at {pointer} in {json}"))
}

/// The time in Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A program that `cargo xtask test` has found or unpacked.
pub(crate) fn program(variable: &str) -> PathBuf {
    std::env::var_os(variable)
        .unwrap_or_else(|| panic!("${variable} is not set: use `cargo xtask test`"))
        .into()
}

/// The documents of a YAML stream.
pub(crate) fn documents(yaml: &str) -> Vec<Value> {
    let parse = |text: &str| serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    yaml.split("\n---\n").map(parse).collect()
}

/// The lines of NDJSON.
pub(crate) fn lines(ndjson: &str) -> Vec<Value> {
    ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs a verb, which must exit with that code.
pub(crate) async fn run(plane: &ControlPlane, args: &[&str], exit: i32) -> Ran {
    run_as(plane, plane.admin_key(), args, exit).await
}

/// As [`run`], with another key.
pub(crate) async fn run_as(plane: &ControlPlane, key: &str, args: &[&str], exit: i32) -> Ran {
    let ran = plane.run_as(key, args).await.unwrap();
    assert_eq!(ran.status.code(), Some(exit), "{args:?}: {}{}", ran.stdout, ran.stderr);
    ran
}

/// The rows of a printed table, each by its headings.
#[track_caller]
pub(crate) fn rows(table: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = table.lines();
    let header = lines.next().unwrap_or_default();
    let mut starts = Vec::new();
    let mut before = ' ';
    for (at, char) in header.char_indices() {
        // Two spaces separate columns; one is part of a heading.
        if char != ' ' && before == ' ' && (at < 2 || header[..at].ends_with("  ")) {
            starts.push(at);
        }
        before = char;
    }
    let cell = |line: &str, index: usize| {
        let end = starts.get(index + 1).copied().unwrap_or(usize::MAX).min(line.len());
        let start = starts[index].min(end);
        line.get(start..end).unwrap_or_default().trim().to_owned()
    };
    lines
        .take_while(|line| !line.is_empty())
        .map(|line| (0..starts.len()).map(|index| (cell(header, index), cell(line, index))).collect())
        .collect()
}
