//! Killed between receiving and answering, at each kind of inlet: those that know a message by its id, and those whose
//! messages say what is so, however often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use portcullis_testbed::{Call, Client, ControlPlane, Issuer};
use serde_json::json;
use tokio::sync::mpsc;

use super::support::{SETTINGS, events, logout, now, stage};
use crate::support::{key, setup};

const ROUNDS: usize = 3;
const WRITERS: usize = 4;
/// Acknowledgements that are awaited in a round before the kill.
const ACKNOWLEDGED: usize = 15;

/// How a message with an id is sent, and sent again.
type Send = dyn Fn(Client, &str) -> Call + std::marker::Send + Sync;

/// Every message is sent again after each kill, as a provider does that has got no answer: what was acknowledged
/// is there, and nothing is there twice. `accepted` are the answers of a first time, `again` those of a second.
async fn survives(mut plane: ControlPlane, send: Arc<Send>, accepted: &[u16], again: &[u16]) {
    let (mut sent, mut acknowledged) = (BTreeSet::new(), BTreeSet::new());
    let next = Arc::new(AtomicU32::new(0));
    for _ in 0..ROUNDS {
        let (tell, mut told) = mpsc::unbounded_channel();
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (next, tell, send, api) = (next.clone(), tell.clone(), Arc::clone(&send), plane.api());
                tokio::spawn(async move {
                    loop {
                        let id = format!("m{}", next.fetch_add(1, Ordering::SeqCst));
                        let reply = send(api, &id).send().await;
                        let status = reply.as_ref().ok().map(|reply| reply.status.as_u16());
                        if tell.send((id, status)).is_err() || status.is_none() {
                            return;
                        }
                    }
                })
            })
            .collect();
        drop(tell);
        for _ in 0..ACKNOWLEDGED {
            let (id, status) = told.recv().await.unwrap();
            assert!(accepted.contains(&status.unwrap()), "{id}: {status:?}");
            sent.insert(id.clone());
            acknowledged.insert(id);
        }
        plane.kill().await.unwrap();
        while let Some((id, status)) = told.recv().await {
            sent.insert(id.clone());
            if status.is_some_and(|status| accepted.contains(&status)) {
                acknowledged.insert(id);
            }
        }
        for writer in writers {
            writer.await.unwrap();
        }
        plane.restart().await.unwrap();
        for id in &sent {
            let status = send(plane.api(), id).send().await.unwrap().status.as_u16();
            // An acknowledged one is known; one without an answer is known, or taken now.
            let known = again.contains(&status);
            assert!(known || (accepted.contains(&status) && !acknowledged.contains(id)), "{id}: {status}");
        }
    }
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for event in events(&plane, "revoked").await {
        *times.entry(event["value"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let once = |count: &usize| *count == 1;
    assert!(times.values().all(once), "{times:?}");
    assert_eq!(times.keys().collect::<BTreeSet<_>>(), sent.iter().collect());
    assert!(acknowledged.len() >= ROUNDS * ACKNOWLEDGED);
}

#[tokio::test]
async fn back_channel_logout() {
    let (issuer, plane) = stage("").await;
    let send = move |api: Client, id: &str| {
        let token = logout(&issuer, id).sid(id).sign().unwrap();
        let call = api.post("/inlets/backchannel-logout");
        let call = call.header("content-type", "application/x-www-form-urlencoded");
        call.body(format!("logout_token={token}"))
    };
    survives(plane, Arc::new(send), &[200], &[400]).await;
}

#[tokio::test]
async fn pushed_security_events() {
    use super::ssf::support::{AUTHORIZATION, about, caep, stage};

    let (issuer, plane) = stage("", "").await;
    let send = move |api: Client, id: &str| {
        let token = about(&issuer, id, &caep("session-revoked"), id).sign().unwrap();
        let call = api.post("/inlets/ssf/push/idp").header("authorization", AUTHORIZATION);
        call.header("content-type", "application/secevent+jwt").body(token)
    };
    // RFC 8935 section 2.2: a repetition is acknowledged.
    survives(plane, Arc::new(send), &[202], &[202]).await;
}

#[tokio::test]
async fn revoked_tokens() {
    let (issuer, plane) = stage("").await;
    let admin = plane.admin_key();
    let send = move |api: Client, id: &str| {
        let token = issuer.token().jti(id).sign().unwrap();
        let call = api.post("/inlets/revoke").bearer(admin);
        call.header("content-type", "application/x-www-form-urlencoded").body(format!("token={token}"))
    };
    survives(plane, Arc::new(send), &[200], &[200]).await;
}

#[tokio::test]
async fn global_token_revocations() {
    const PATH: &str = "/inlets/global-token-revocation";
    let issuer = Issuer::start().await.unwrap();
    let url = "https://portcullis.example";
    let plane =
        setup().env("PORTCULLIS_INLETS_PUBLIC_URL", url).issuer(&issuer, SETTINGS).start().await.unwrap();
    let send = move |api: Client, id: &str| {
        let token = issuer.token().header("typ", "global-token-revocation+jwt").jti(id).sub("client");
        let token = token.claim("aud", format!("{url}{PATH}")).sign().unwrap();
        let subject = json!({"format": "iss_sub", "iss": issuer.name(), "sub": id});
        api.post(PATH).bearer(&token).json(&json!({ "sub_id": subject }))
    };
    survives(plane, Arc::new(send), &[204], &[401]).await;
}

#[tokio::test]
async fn keycloaks_logouts() {
    let issuer = Issuer::start().await.unwrap();
    let settings = format!("{SETTINGS}\nname = \"acme\"");
    let plane = setup().issuer(&issuer, &settings).start().await.unwrap();
    let send = move |api: Client, id: &str| {
        let token = issuer.token().claim("id", id).claim("resource", "app").claim("action", "LOGOUT");
        let token = token.claim("expiration", now() + 60).claim("keycloakSessionIds", json!([id]));
        api.post("/inlets/keycloak/acme/k_logout").body(token.sign().unwrap())
    };
    survives(plane, Arc::new(send), &[204], &[403]).await;
}

#[tokio::test]
async fn webhooks() {
    let issuer = Issuer::start().await.unwrap();
    let hook = format!(
        "[[webhooks]]\nname = \"hr\"\nissuer = \"{}\"\nsecret_env = \"HR_SECRET\"\nscheme = \"token\"\n\
         header = \"x-token\"\nid = \"/id\"\n[[webhooks.rules]]\naction = \"revoke\"\nkind = \"subject\"\nvalue = \"/id\"\n",
        issuer.name()
    );
    let plane = setup()
        .issuer(&issuer, "")
        .config(&hook)
        .env("HR_SECRET", "a-secret-of-the-hr-system")
        .start()
        .await
        .unwrap();
    let send = |api: Client, id: &str| {
        api.post("/inlets/webhook/hr")
            .header("x-token", "a-secret-of-the-hr-system")
            .json(&json!({ "id": id }))
    };
    survives(plane, Arc::new(send), &[204], &[204]).await;
}

#[tokio::test]
async fn users_that_are_created_inactive() {
    let (issuer, plane): (Issuer, ControlPlane) = stage("").await;
    let scim = key(&plane, &["revoke"], &[issuer.name()]).await;
    let send = move |api: Client, id: &str| {
        let user = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": id, "externalId": id, "active": false
        });
        let call = api.post("/inlets/scim/v2/Users").bearer(&scim);
        call.header("content-type", "application/scim+json").body(user.to_string())
    };
    // A user that is there already is a conflict (RFC 7644 section 3.3).
    survives(plane, Arc::new(send), &[201], &[409]).await;
}
