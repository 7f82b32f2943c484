//! `key`.

use crate::support::{control_plane, rows, run, run_as, text};

#[tokio::test]
async fn a_key_is_made_used_and_deleted() {
    let plane = control_plane().await;
    let ran = run(&plane, &["key", "create", "ci", "--scope", "read,revoke", "--json"], 0).await;
    let made = ran.json().unwrap();
    let (id, key) = (text(&made, "/id").to_owned(), text(&made, "/key").to_owned());
    run_as(&plane, &key, &["list"], 0).await;
    run_as(&plane, &key, &["key", "list"], 4).await;

    let list = run(&plane, &["key", "list"], 0).await;
    let rows = rows(&list.stdout);
    let row = rows.iter().find(|row| row["ID"] == id).unwrap();
    assert_eq!((row["NAME"].as_str(), row["ISSUERS"].as_str()), ("ci", "all"));

    run(&plane, &["key", "delete", &id], 0).await;
    let ran = run_as(&plane, &key, &["list"], 4).await;
    assert!(ran.stderr.contains("PORTCULLIS_KEY"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_person_is_shown_the_key_once_and_told_so() {
    let plane = control_plane().await;
    let args = ["key", "create", "hr", "--scope", "revoke", "--issuer", "https://a.example"];
    let ran = run(&plane, &args, 0).await;
    assert!(ran.stdout.contains("it is shown this once"), "{}", ran.stdout);
    assert!(ran.stdout.contains("which may revoke for https://a.example"), "{}", ran.stdout);
    let key = ran.stdout.lines().last().unwrap().trim();
    assert!(key.starts_with("pk_"), "{}", ran.stdout);
    let list = run(&plane, &["key", "list"], 0).await;
    assert!(!list.stdout.contains(key));
}

#[tokio::test]
async fn a_key_is_read_from_a_file() {
    let plane = control_plane().await;
    let path = plane.dir().join("key.txt");
    std::fs::write(&path, format!("{}\n", plane.admin_key())).unwrap();
    let path = path.to_str().unwrap();
    run_as(&plane, "wrong", &["list", "--key-file", path], 0).await;
    run_as(&plane, "wrong", &["list"], 4).await;
    run_as(&plane, "wrong", &["list", "--key-file", "/nonexistent"], 2).await;
}

#[tokio::test]
async fn a_key_without_a_scope_is_wrong_usage_and_an_unknown_one_a_failure() {
    let plane = control_plane().await;
    run(&plane, &["key", "create", "ci"], 2).await;
    run(&plane, &["key", "create", "ci", "--scope", "rule"], 2).await;
    run(&plane, &["key", "delete", "nonsense"], 1).await;
}
