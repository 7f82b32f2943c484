//! `import`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use portcullis_testbed::ControlPlane;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::support::{ISSUER, control_plane, get, lines, run, run_as};

fn file(plane: &ControlPlane, text: &str) -> String {
    let path = plane.dir().join("import.ndjson");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn sessions(count: usize) -> String {
    let mut text = String::new();
    for sid in 0..count {
        writeln!(text, "{}", json!({"kind": "session", "issuer": ISSUER, "value": format!("s{sid}")}))
            .unwrap();
    }
    text
}

#[tokio::test]
async fn every_line_of_a_file_is_revoked() {
    let plane = control_plane().await;
    // More than one part, and without an end of the last line.
    let path = file(&plane, sessions(2_100).trim_end());
    let ran = run(&plane, &["import", &path], 0).await;
    assert_eq!(ran.stdout, "imported: 2100, refused: 0\n");
    assert_eq!(get(&plane, "/readyz").await.json().unwrap()["version"], 2_100);
}

#[tokio::test]
async fn bad_lines_are_reported_by_number_and_the_others_imported() {
    let plane = control_plane().await;
    let text = sessions(1_500) + "not json\n\n{\"kind\":\"session\"}\n" + &sessions(1);
    let path = file(&plane, &text);
    let ran = run(&plane, &["import", &path], 1).await;
    assert_eq!(ran.stdout, "imported: 1501, refused: 2\n");
    assert!(
        ran.stderr.contains("line 1501: the line is not JSON: expected ident at column 2"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("line 1503: the issuer is missing (/issuer)\n"), "{}", ran.stderr);
}

#[tokio::test]
async fn json_is_a_result_per_line_with_the_numbers_of_the_file() {
    let plane = control_plane().await;
    let path = file(&plane, &(sessions(1_001) + "{}\n"));
    let ran = run(&plane, &["import", &path, "--json"], 1).await;
    let results = lines(&ran.stdout);
    let numbers: Vec<u64> = results.iter().map(|result| result["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=1_002).collect::<Vec<u64>>());
    assert_eq!(results[1_001]["error"]["code"], "invalid_field");
}

#[tokio::test]
async fn an_import_goes_on_from_a_line() {
    let plane = control_plane().await;
    let path = file(&plane, &sessions(10));
    let ran = run(&plane, &["import", &path, "--from", "8"], 0).await;
    assert_eq!(ran.stdout, "imported: 3, refused: 0\n");
    run(&plane, &["import", &path, "--from", "12"], 2).await;
}

#[tokio::test]
async fn an_import_that_is_interrupted_says_where_to_go_on() {
    // Answers what it is sent, but of the second part only three lines.
    let parts = Arc::new(AtomicUsize::new(0));
    let answer = async move |lines: String| {
        let part = parts.fetch_add(1, Ordering::SeqCst);
        let count = if part == 0 { lines.lines().count() } else { 3 };
        (1..=count)
            .map(|line| json!({"line": line, "id": "r1-0000", "version": 1}).to_string() + "\n")
            .collect::<String>()
    };
    let router = Router::new().route("/v1/revocations/batch", axum::routing::post(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("import.ndjson");
    std::fs::write(&path, sessions(1_500)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let output = command.arg("import").arg(&path).args(["--url", &url]).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("accepted before that: 1003") && stderr.contains("--from 1004"), "{stderr}");
    server.abort();
}

#[tokio::test]
async fn a_key_that_may_not_revoke_imports_nothing() {
    let plane = control_plane().await;
    let path = file(&plane, &sessions(2_000));
    let ran = run_as(&plane, "wrong", &["import", &path], 4).await;
    assert!(ran.stderr.contains("PORTCULLIS_KEY"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_wrong_usage() {
    let plane = control_plane().await;
    let ran = run(&plane, &["import", "/nonexistent.ndjson"], 2).await;
    assert!(ran.stderr.contains("cannot read /nonexistent.ndjson: No such file"), "{}", ran.stderr);
    let ran = run(&plane, &["import", "/"], 2).await;
    assert!(ran.stderr.contains("cannot read /: it is a directory"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_file_that_is_something_else_is_told_what_a_line_is() {
    let plane = control_plane().await;
    let ran = run(&plane, &["import", &file(&plane, "kind,value\n[]\n")], 1).await;
    assert!(
        ran.stderr.contains("line 2: the line is JSON, but no object (expected an object)"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("no line was accepted"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: a line is one JSON object, such as {\"kind\""), "{}", ran.stderr);
}

#[tokio::test]
async fn what_an_editor_has_put_before_the_text_is_passed_over() {
    let plane = control_plane().await;
    let path = file(&plane, &format!("\u{feff}{}", sessions(2)));
    assert_eq!(run(&plane, &["import", &path], 0).await.stdout, "imported: 2, refused: 0\n");
}

#[tokio::test]
async fn nothing_to_import_is_no_failure() {
    let plane = control_plane().await;
    let path = file(&plane, "");
    assert_eq!(run(&plane, &["import", &path], 0).await.stdout, "imported: 0, refused: 0\n");
}
