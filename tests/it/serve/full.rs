use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::{ISSUER, get, post, problem, revoke_session, setup};

#[tokio::test]
async fn a_full_log_refuses_writes_and_goes_on_serving() {
    let mut plane = setup().start().await.unwrap();
    let config = plane.dir().join("portcullis.toml");
    let unlimited = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{unlimited}\n[log]\nmax_bytes = 262144\n")).unwrap();
    plane.restart().await.unwrap();
    let reason = "x".repeat(1_000);
    let request =
        |sid: usize| json!({"kind": "session", "issuer": ISSUER, "value": sid.to_string(), "reason": reason});
    let mut stored = 0;
    let refused = loop {
        let reply = post(&plane, "/v1/revocations", request(stored)).await;
        if reply.status != 201 {
            break reply;
        }
        stored += 1;
    };
    problem(&refused, 507, "log_full");
    assert!(stored > 50, "{stored}");
    assert_eq!(get(&plane, "/readyz").await.status, 200);
    let count = async |plane: &_| {
        let listed = get(plane, "/v1/revocations?limit=1000").await.json().unwrap();
        listed["revocations"].as_array().unwrap().len()
    };
    assert_eq!(count(&plane).await, stored);
    problem(&post(&plane, "/v1/revocations", request(stored)).await, 507, "log_full");

    // What was refused has left nothing behind, and more space is taken.
    std::fs::write(&config, unlimited).unwrap();
    plane.restart().await.unwrap();
    assert_eq!(count(&plane).await, stored);
    let reply = post(&plane, "/v1/revocations", request(stored)).await.json().unwrap();
    assert_eq!(reply["version"], stored + 1);
}

/// Both say who is there; a disk on which nothing more fits must not keep it from serving what it has.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_does_not_keep_it_from_starting() {
    let mut plane = setup().start().await.unwrap();
    revoke_session(&plane, "s").await;
    plane.process().terminate(std::time::Duration::from_secs(20)).await.unwrap();
    let data = plane.dir().join("data");
    std::fs::remove_file(data.join("lock")).unwrap();
    for file in ["lock", "listen.json.new"] {
        std::os::unix::fs::symlink("/dev/full", data.join(file)).unwrap();
    }
    let mut serve = super::Serve::new().over(&data);
    let mut child = serve
        .command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    let ready = async {
        while let Some(line) = log.next_line().await.unwrap() {
            let ready = line.contains("ready");
            said.push(line);
            if ready {
                return true;
            }
        }
        false
    };
    let ready = tokio::time::timeout(std::time::Duration::from_secs(30), ready).await;
    assert_eq!(ready, Ok(true), "{said:?}");
    for warning in ["which process holds it", "where it listens"] {
        assert!(said.iter().any(|line| line.contains(warning)), "{said:?}");
    }
}
