//! Killed between receiving and answering.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::mpsc;

use super::support::{events, logout, send_logout, stage};

const ROUNDS: usize = 4;
const WRITERS: usize = 4;
/// Acknowledgements that are awaited in a round before the kill.
const ACKNOWLEDGED: usize = 15;

/// Every message is sent again after each kill, as a provider does that has got no answer: what was acknowledged
/// is there, and nothing is there twice.
#[tokio::test]
async fn no_acknowledged_message_is_lost_and_none_is_applied_twice() {
    let (issuer, mut plane) = stage("").await;
    let issuer = Arc::new(issuer);
    let mut sent: BTreeMap<String, String> = BTreeMap::new();
    let mut acknowledged = BTreeMap::new();
    let next = Arc::new(AtomicU32::new(0));
    for _ in 0..ROUNDS {
        let (tell, mut told) = mpsc::unbounded_channel();
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (next, tell, issuer, api) = (next.clone(), tell.clone(), issuer.clone(), plane.api());
                tokio::spawn(async move {
                    loop {
                        let id = format!("m{}", next.fetch_add(1, Ordering::SeqCst));
                        let token = logout(&issuer, &id).sid(&id).sign().unwrap();
                        let call = api.post("/inlets/backchannel-logout");
                        let call = call.header("content-type", "application/x-www-form-urlencoded");
                        let reply = call.body(format!("logout_token={token}")).send().await;
                        let status = reply.as_ref().ok().map(|reply| reply.status.as_u16());
                        if tell.send((id, token, status)).is_err() || status.is_none() {
                            return;
                        }
                    }
                })
            })
            .collect();
        drop(tell);
        let mut count = 0;
        while count < ACKNOWLEDGED {
            let (id, token, status) = told.recv().await.unwrap();
            assert_eq!(status, Some(200));
            count += 1;
            sent.insert(id.clone(), token.clone());
            acknowledged.insert(id, token);
        }
        plane.kill().await.unwrap();
        while let Some((id, token, status)) = told.recv().await {
            sent.insert(id.clone(), token.clone());
            if status == Some(200) {
                acknowledged.insert(id, token);
            }
        }
        for writer in writers {
            writer.await.unwrap();
        }
        plane.restart().await.unwrap();
        for (id, token) in &sent {
            let status = send_logout(&plane, token).await.status.as_u16();
            // An acknowledged one is known; one without an answer is known, or taken now.
            if acknowledged.contains_key(id) {
                assert_eq!(status, 400, "{id} was acknowledged, and is not known");
            } else {
                assert!([200, 400].contains(&status), "{id}: {status}");
            }
        }
    }
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for event in events(&plane, "revoked").await {
        *times.entry(event["value"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let once = |count: &usize| *count == 1;
    assert!(times.values().all(once), "{times:?}");
    assert_eq!(times.keys().collect::<Vec<_>>(), sent.keys().collect::<Vec<_>>());
    assert!(acknowledged.len() >= ROUNDS * ACKNOWLEDGED);
}
