use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::Serve;
use crate::support::{get, revoke_session, setup};

#[tokio::test]
async fn a_second_one_over_the_same_data_is_told_who_has_it() {
    let mut plane = setup().start().await.unwrap();
    let data = plane.dir().join("data");
    let pid = plane.process().id().unwrap().to_string();
    Serve::new().over(&data).refuses(1, &["in use", &pid]).await;
    // The first is none the worse for it.
    revoke_session(&plane, "s").await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (variable, key) in
        [("PORTCULLIS_LISTEN_HTTP", "listen.http"), ("PORTCULLIS_LISTEN_EDGE", "listen.edge")]
    {
        Serve::new().env(variable, &address).refuses(1, &[key, &address]).await;
    }
}

#[tokio::test]
async fn the_first_admin_key_is_shown_once_and_works() {
    let data = tempfile::tempdir().unwrap();
    let mut serve = Serve::new().over(data.path());
    let mut child = serve.command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let key = loop {
        let line = lines.next_line().await.unwrap().expect("a key is shown");
        if let Some((_, key)) = line.split_once("admin key: ") {
            break key.to_owned();
        }
    };
    assert!(key.starts_with("pk_"), "{key}");
    child.kill().await.unwrap();

    // It is in the log, and its secret is not.
    let database: Vec<u8> = std::fs::read_dir(data.path())
        .unwrap()
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    let secret = key.splitn(3, '_').nth(2).unwrap().as_bytes();
    assert!(!database.windows(secret.len()).any(|window| window == secret));

    let mut serve = Serve::new().over(data.path());
    let mut child = serve.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready = async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("ready") {
                return;
            }
        }
        panic!("it has ended");
    };
    tokio::time::timeout(Duration::from_secs(30), ready).await.unwrap();
    let listen = std::fs::read(data.path().join("listen.json")).unwrap();
    let listen: serde_json::Value = serde_json::from_slice(&listen).unwrap();
    let api = portcullis_testbed::Client::http1(listen["http"].as_str().unwrap().parse().unwrap());
    assert_eq!(api.get("/v1/keys").bearer(&key).send().await.unwrap().status, 200);
    child.start_kill().unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(!String::from_utf8_lossy(&output.stdout).contains("admin key"));
}

#[tokio::test]
async fn a_call_in_flight_is_answered_before_the_end() {
    let mut plane = setup().start().await.unwrap();
    let mut edge = crate::feed::edge::Edge::new("p");
    let mut link = edge.connect(&plane).await;
    edge.reach(&mut link, 0).await;
    let call = plane.api().post("/v1/revocations?wait=30s").bearer(plane.admin_key());
    let body = serde_json::json!({"kind": "session", "issuer": crate::support::ISSUER, "value": "s"});
    let call = tokio::spawn(call.json(&body).send());
    // The call is being answered: the edge has been sent what it is about.
    while edge.sync.store().unwrap().version < 1 {
        edge.take_silently(&mut link).await.unwrap();
    }
    let status = plane.process().terminate(Duration::from_secs(20)).await.unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(call.await.unwrap().unwrap().status, 201);
    plane.restart().await.unwrap();
    let listed = get(&plane, "/v1/revocations").await.json().unwrap();
    assert_eq!(listed["revocations"].as_array().unwrap().len(), 1);
}
