//! `list`, `events`, `edges` and `issuers`.

use portcullis_testbed::Issuer;
use serde_json::json;

use crate::support::{ISSUER, control_plane, get, lines, revoke_session, rows, run, setup, text};

#[tokio::test]
async fn revocations_are_an_aligned_table_without_colours() {
    let plane = control_plane().await;
    revoke_session(&plane, "s1").await;
    run(&plane, &["revoke", "subject", "alice", "--issuer", ISSUER], 0).await;
    let ran = run(&plane, &["list"], 0).await;
    assert!(!ran.stdout.contains('\u{1b}'), "{:?}", ran.stdout);
    let rows = rows(&ran.stdout);
    assert_eq!(rows.len(), 2, "{}", ran.stdout);
    assert_eq!(rows[0]["REVOKED"], format!("subject alice of {ISSUER}"));
    assert_eq!(rows[1]["REVOKED"], format!("session s1 of {ISSUER}"));
    assert_eq!((rows[1]["STATUS"].as_str(), rows[1]["CUT-OFF"].as_str()), ("active", "every token"));
    assert_eq!((rows[1]["ENDS"].as_str(), rows[1]["REASON"].as_str()), ("in 24 h", "test"));
    assert!(ran.stdout.lines().all(|line| line == line.trim_end()), "{:?}", ran.stdout);
}

#[tokio::test]
async fn what_could_steer_a_terminal_is_shown_escaped() {
    let plane = control_plane().await;
    let args = ["revoke", "session", "s\u{202e}1", "--issuer", ISSUER, "--reason", "a\u{2066}2Jb"];
    let ran = run(&plane, &args, 0).await;
    assert!(ran.stdout.contains("s\\u{202e}1") && ran.stdout.contains("a\\u{2066}2Jb"), "{}", ran.stdout);
    for verb in ["list", "events"] {
        let shown = run(&plane, &[verb], 0).await.stdout;
        assert!(shown.contains("s\\u{202e}1") && shown.contains("a\\u{2066}2Jb"), "{shown}");
    }
    let json = run(&plane, &["list", "--json"], 0).await.json().unwrap();
    assert_eq!(json["revocations"][0]["reason"], "a\u{2066}2Jb");
}

#[tokio::test]
async fn an_empty_list_says_so_and_not_on_stdout() {
    let plane = control_plane().await;
    let ran = run(&plane, &["list"], 0).await;
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", "no revocations\n"));
}

#[tokio::test]
async fn json_is_the_page_as_the_control_plane_gave_it() {
    let plane = control_plane().await;
    revoke_session(&plane, "s1").await;
    let ran = run(&plane, &["list", "--json"], 0).await;
    assert_eq!(ran.stdout.trim_end(), get(&plane, "/v1/revocations?status=active&limit=50").await.text());
}

#[tokio::test]
async fn pages_go_on_with_the_cursor_or_all_at_once() {
    let plane = control_plane().await;
    for sid in ["s1", "s2", "s3"] {
        revoke_session(&plane, sid).await;
    }
    let first = run(&plane, &["list", "--limit", "2"], 0).await;
    assert_eq!(rows(&first.stdout).len(), 2);
    let cursor = first.stderr.split("--cursor ").nth(1).unwrap().split(',').next().unwrap();
    let rest = run(&plane, &["list", "--limit", "2", "--cursor", cursor], 0).await;
    assert_eq!(rows(&rest.stdout)[0]["REVOKED"], format!("session s1 of {ISSUER}"));

    let all = run(&plane, &["list", "--limit", "2", "--all", "--json"], 0).await;
    let pages = lines(&all.stdout);
    let count: usize = pages.iter().map(|page| page["revocations"].as_array().unwrap().len()).sum();
    assert_eq!(count, 3);
}

#[tokio::test]
async fn one_revocation_is_shown_with_all_that_is_known() {
    let plane = control_plane().await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    run(&plane, &["undo", &id], 0).await;
    let ran = run(&plane, &["list", &id], 0).await;
    assert!(ran.stdout.starts_with("session s1 of https://idp.example\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("  status   undone, ") && ran.stdout.contains("via api"), "{}", ran.stdout);
    run(&plane, &["list", "r9-0000"], 1).await;
}

#[tokio::test]
async fn what_is_undone_rejects_nothing_and_what_still_does_is_named() {
    let plane = control_plane().await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    let other = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    let ran = run(&plane, &["undo", &id], 0).await;
    assert!(!ran.stdout.contains("rejects"), "{}", ran.stdout);
    assert_eq!(ran.stderr, format!("warning: still in force for the same: {other}\n"));
    assert_eq!(run(&plane, &["undo", &other], 0).await.stderr, "");
}

#[tokio::test]
async fn ended_revocations_are_listed_on_request() {
    let plane = control_plane().await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    run(&plane, &["undo", &id], 0).await;
    assert_eq!(run(&plane, &["list"], 0).await.stdout, "");
    let ended = run(&plane, &["list", "--status", "ended"], 0).await;
    assert_eq!(rows(&ended.stdout)[0]["STATUS"], "undone");
}

#[tokio::test]
async fn the_audit_trail_is_a_table() {
    let plane = control_plane().await;
    let id = text(&revoke_session(&plane, "s1").await, "/id").to_owned();
    run(&plane, &["undo", &id, "--reason", "mistake"], 0).await;
    let ran = run(&plane, &["events"], 0).await;
    let rows = rows(&ran.stdout);
    assert_eq!((rows[0]["EVENT"].as_str(), rows[1]["EVENT"].as_str()), ("revoked", "undone"));
    assert!(rows[0]["WHAT"].starts_with(&format!("{id} session s1 of {ISSUER} ")), "{}", ran.stdout);
    assert_eq!(rows[1]["WHAT"], format!("{id} reason=mistake"));

    let page = run(&plane, &["events", "--after", "1", "--json"], 0).await.json().unwrap();
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
    let last = run(&plane, &["events", "--last", "1", "--json"], 0).await.json().unwrap();
    assert_eq!(last["events"], page["events"]);
    let all = run(&plane, &["events", "--last", "1000", "--json"], 0).await.json().unwrap();
    assert_eq!(all["events"].as_array().unwrap().len(), 2);
    let limited = run(&plane, &["events", "--limit", "1"], 0).await;
    assert_eq!(limited.stderr, "more: --after 1\n");
}

#[tokio::test]
async fn without_edges_that_is_said() {
    let plane = control_plane().await;
    let ran = run(&plane, &["edges"], 0).await;
    assert_eq!(ran.stdout, "no edge has connected\n");
    assert_eq!(
        run(&plane, &["edges", "--json"], 0).await.json().unwrap(),
        json!({"version": 0, "edges": []})
    );
}

#[tokio::test]
async fn issuers_are_a_table() {
    let issuer = Issuer::start().await.unwrap();
    let plane = setup().issuer(&issuer, "max_token_lifetime = \"15m\"").start().await.unwrap();
    let rows = rows(&run(&plane, &["issuers"], 0).await.stdout);
    assert_eq!(rows[0]["ISSUER"], issuer.name());
    assert_eq!((rows[0]["TOKENS LIVE"].as_str(), rows[0]["SESSIONS LIVE"].as_str()), ("15 min", "24 h"));
}
