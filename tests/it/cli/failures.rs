//! What goes wrong before or instead of an answer: exit codes, and words that say what to do.

use std::process::Output;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::support::{ISSUER, control_plane, run, run_as};

async fn portcullis(url: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(args).env("PORTCULLIS_URL", url).env_remove("PORTCULLIS_KEY");
    command.output().await.unwrap()
}

#[track_caller]
fn check(output: &Output, exit: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word} in {stderr}");
    }
    assert!(output.stdout.is_empty());
}

/// A port on which nothing listens.
async fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn what_the_environment_says_is_not_asked_for() {
    for (args, usage) in [
        (&["report"][..], "Usage: portcullis report --from <TIME>\n"),
        (&["key", "create", "x"], "Usage: portcullis key create --scope <SCOPE> <NAME>\n"),
        (&["revoke"], "Usage: portcullis revoke <KIND> [VALUE]...\n"),
    ] {
        let output = portcullis("http://127.0.0.1:1", args).await;
        check(&output, 2, &["were not provided", usage]);
    }
}

#[tokio::test]
async fn nobody_there() {
    let url = closed().await;
    let output = portcullis(&url, &["list"]).await;
    check(&output, 3, &[&url, "connection refused", "portcullis serve", "PORTCULLIS_URL"]);
}

#[tokio::test]
async fn nobody_there_for_a_program() {
    let output = portcullis(&closed().await, &["list", "--json"]).await;
    check(&output, 3, &[]);
    let problem: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(problem["code"], "unreachable");
}

#[tokio::test]
async fn a_connection_that_is_closed_without_an_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hang_up = async { drop(listener.accept().await) };
    let (output, ()) = tokio::join!(portcullis(&url, &["undo", "r1-0000"]), hang_up);
    check(&output, 3, &["connection was lost", "portcullis list"]);
}

#[tokio::test]
async fn a_host_that_is_none_was_sent_nothing() {
    let output = portcullis("http://nonexistent.invalid:8470", &["undo", "r1-0000"]).await;
    check(&output, 3, &["no such host"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("may have been made"));
}

#[tokio::test]
async fn the_port_for_edges() {
    let plane = control_plane().await;
    let output = portcullis(&format!("http://{}", plane.edge_address()), &["list"]).await;
    check(&output, 1, &["port for edges"]);
}

#[tokio::test]
async fn somebody_else_is_there() {
    let router = axum::Router::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let output = portcullis(&url, &["list"]).await;
    check(&output, 1, &["404", "not as a control plane"]);
    server.abort();
}

#[tokio::test]
async fn https_where_plain_http_is_spoken() {
    let plane = control_plane().await;
    let output = portcullis(&plane.url().replace("http:", "https:"), &["list"]).await;
    check(&output, 3, &["no secure connection", "is not TLS", "is this the right port?"]);
    let output = portcullis(&plane.url().replace("http:", "https:"), &["doctor"]).await;
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("is this the right port?") && !stdout.contains("portcullis serve"), "{stdout}");
}

#[tokio::test]
async fn what_is_no_url() {
    for url in ["", "localhost:8470", "ftp://localhost", "http://localhost/?q=1"] {
        check(&portcullis(url, &["list"]).await, 2, &["is not the URL of a control plane", "PORTCULLIS_URL"]);
    }
}

#[tokio::test]
async fn no_key() {
    let plane = control_plane().await;
    check(&portcullis(&plane.url(), &["list"]).await, 4, &["set PORTCULLIS_KEY"]);
}

#[tokio::test]
async fn a_key_without_the_scope() {
    let plane = control_plane().await;
    let ran = run_as(&plane, plane.edge_key(), &["revoke", "session", "s1", "--issuer", ISSUER], 4).await;
    assert!(ran.stderr.contains("scope `revoke`") && ran.stderr.contains("key create"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_refusal_names_the_field_and_is_a_problem_document_with_json() {
    let plane = control_plane().await;
    let args = ["revoke", "subject", "alice", "--issuer", ISSUER, "--cutoff", "2100-01-01T00:00:00Z"];
    let ran = run(&plane, &args, 1).await;
    // Said once: what is wrong, and where.
    assert!(ran.stderr.contains("the cut-off is in the future"), "{}", ran.stderr);
    assert!(ran.stderr.contains("/cutoff"), "{}", ran.stderr);
    let mut json = args.to_vec();
    json.push("--json");
    let ran = run(&plane, &json, 1).await;
    let problem: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!((&problem["code"], ran.stdout.as_str()), (&"cutoff_in_future".into(), ""));
}

#[tokio::test]
async fn a_refusal_is_told_once() {
    let plane = control_plane().await;
    let ran = run(&plane, &["revoke", "session", "", "--issuer", ISSUER], 1).await;
    let told = ran.stderr.lines().next().unwrap().trim_start_matches("error: ");
    assert_eq!(ran.stderr.matches(told).count(), 1, "{}", ran.stderr);
}

#[tokio::test]
async fn wrong_usage() {
    let plane = control_plane().await;
    for args in [
        &["revoke"][..],
        &["revoke", "session"],
        &["revoke", "user", "alice"],
        &["revoke", "claims", "sub"],
        &["revoke", "claims", "sub=a", "sub=b"],
        &["revoke", "session", "s1", "--raw", "t"],
        &["revoke", "session", "s1", "--cutoff", "tomorrow"],
        &["undo", "r1-0000", "--wait=61s"],
        &["list", "--limit", "0"],
        &["list", "--nonsense"],
        &["nonsense"],
    ] {
        run(&plane, args, 2).await;
    }
}

#[tokio::test]
async fn a_reader_that_stops_reading_is_no_failure() {
    let command = format!("{} completions bash | head -n 1", env!("CARGO_BIN_EXE_portcullis"));
    let output = Command::new("sh").args(["-c", &command]).output().await.unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
