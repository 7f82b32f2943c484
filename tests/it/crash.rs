//! Killed in the middle of writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use portcullis_testbed::Client;
use serde_json::json;
use tokio::sync::mpsc;

use crate::support::{ISSUER, get, setup};

const ROUNDS: u64 = 5;
const WRITERS: u64 = 4;
/// Acknowledgements that are awaited in a round before the kill.
const ACKNOWLEDGED: usize = 40;

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let mut plane = setup().start().await.unwrap();
    let mut acknowledged = BTreeMap::new();
    let next = Arc::new(AtomicU32::new(0));
    for _ in 0..ROUNDS {
        let (tell, mut told) = mpsc::unbounded_channel();
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (next, tell, stop) = (Arc::clone(&next), tell.clone(), Arc::clone(&stop));
                tokio::spawn(write(plane.api(), plane.admin_key(), next, tell, stop))
            })
            .collect();
        drop(tell);
        for _ in 0..ACKNOWLEDGED {
            let (version, sid) = told.recv().await.unwrap();
            acknowledged.insert(version, sid);
        }
        plane.kill().await.unwrap();
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.unwrap();
        }
        // Answers that were on their way when it was killed.
        while let Ok((version, sid)) = told.try_recv() {
            acknowledged.insert(version, sid);
        }
        plane.restart().await.unwrap();
    }
    let mut stored = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = get(&plane, &format!("/v1/events?after={after}&limit=500")).await.json().unwrap();
        let events = page["events"].as_array().unwrap().clone();
        for event in &events {
            after += 1;
            assert_eq!(event["version"], after, "a gap in the versions");
            stored.insert(after, event["value"].as_str().unwrap_or_default().to_owned());
        }
        if page["next_cursor"].is_null() {
            break;
        }
    }
    assert!(acknowledged.len() >= usize::try_from(ROUNDS).unwrap() * ACKNOWLEDGED);
    for (version, sid) in &acknowledged {
        assert_eq!(stored.get(version), Some(sid), "acknowledged as version {version}");
        let listed = get(&plane, &format!("/v1/revocations?kind=session&issuer={ISSUER}&value={sid}")).await;
        assert_eq!(listed.json().unwrap()["revocations"][0]["version"], *version, "{sid} is in force");
    }
}

async fn write(
    api: Client,
    key: &'static str,
    next: Arc<AtomicU32>,
    tell: mpsc::UnboundedSender<(u64, String)>,
    stop: Arc<AtomicBool>,
) {
    while !stop.load(Ordering::SeqCst) {
        let sid = format!("s{}", next.fetch_add(1, Ordering::SeqCst));
        let body = json!({"kind": "session", "issuer": ISSUER, "value": sid});
        // Once it is killed, nothing is answered.
        let Ok(reply) = api.post("/v1/revocations").bearer(key).json(&body).send().await else { continue };
        if reply.status == 201 {
            let version = reply.json().unwrap()["version"].as_u64().unwrap();
            let _ = tell.send((version, sid));
        }
    }
}
