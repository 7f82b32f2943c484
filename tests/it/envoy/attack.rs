//! What jwt_authn accepts of a revoked session, however it is presented, the filter rejects.

use std::collections::BTreeSet;

use super::support::{World, outcome, peers, unix_now, world};
use crate::attacks::{Attack, Attacker};

/// What becomes of a request: passed, rejected by the filter, or by somebody else.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Outcome {
    Passed,
    Filter(String),
    Other(u16),
}

async fn send(world: &World, attack: &Attack) -> Outcome {
    let call = world.client().get("/");
    let call = attack.headers.iter().fold(call, |call, (name, value)| call.header(name, value));
    let reply = call.send().await.unwrap();
    match outcome(&reply) {
        (200, _) => Outcome::Passed,
        (_, Some(code)) => Outcome::Filter(code),
        (status, None) => Outcome::Other(status),
    }
}

#[tokio::test]
async fn no_way_to_present_a_revoked_token_gets_past() {
    let world = world().await;
    let sign = |header: &str, payload: &str| world.issuer.token_raw(header, payload).unwrap();
    let attacker = Attacker {
        sign: &sign,
        issuer: world.issuer.name(),
        kid: world.issuer.kid(),
        expires_at: unix_now() + 3_600,
    };
    let attacks = attacker.attacks("s1", "s2");
    let (mut accepted, mut caught) = (BTreeSet::new(), BTreeSet::new());
    for attack in &attacks {
        match send(&world, attack).await {
            Outcome::Passed => drop(accepted.insert(attack.name.clone())),
            Outcome::Filter(code) => {
                assert_eq!(code, "token_malformed", "{}", attack.name);
                caught.insert(attack.name.clone());
            }
            Outcome::Other(status) => assert!(matches!(status, 400 | 401 | 431), "{}: {status}", attack.name),
        }
    }
    // What is merely unusual does get through, or the rest would show nothing.
    for name in
        ["plain", "two spaces", "padding", "payload: an escaped value", "payload: a list of thousands"]
    {
        assert!(accepted.contains(name), "{name} does not pass: {accepted:?}");
    }
    // jwt_authn stands before the filter and takes these for the token.
    for name in [
        "a plus before",
        "a tilde before",
        "a slash before",
        "an empty part before",
        "an empty part after",
        "empty parts between",
        "another scheme before",
        "glued to a word",
        "payload: single quotes",
        "payload: a comma too many",
    ] {
        assert!(caught.contains(name), "{name} does not come to the filter: {caught:?}");
    }

    world.revoke("session", "s1").await;
    for attack in &attacks {
        let outcome = send(&world, attack).await;
        assert_ne!(outcome, Outcome::Passed, "{} gets past", attack.name);
        if accepted.contains(&attack.name) {
            assert_eq!(outcome, Outcome::Filter("session_revoked".into()), "{}", attack.name);
        }
    }
    // And the same of another session are what they were.
    for attack in attacker.attacks("s3", "s2") {
        let passed = send(&world, &attack).await == Outcome::Passed;
        assert_eq!(passed, accepted.contains(&attack.name), "{}", attack.name);
    }
}

#[tokio::test]
async fn no_time_of_issue_gets_around_a_cutoff() {
    let peers = peers().await;
    let bootstrap = peers.bootstrap();
    let world = peers.with(bootstrap).await;
    world.synced().await;
    let sign = |header: &str, payload: &str| world.issuer.token_raw(header, payload).unwrap();
    let now = unix_now();
    let attacker = Attacker {
        sign: &sign,
        issuer: world.issuer.name(),
        kid: world.issuer.kid(),
        expires_at: now + 3_600,
    };
    world.revoke("subject", "alice").await;
    let past = now - 60;
    for iat in [
        format!("{past}"),
        format!("{past}.5"),
        format!("{past}e0"),
        format!("{}e-3", past * 1_000),
        "0".into(),
        "-1".into(),
        "1e300".into(),
        format!("{}000", now + 60),
        "null".into(),
        format!("\"{}\"", now + 60),
        format!("[{}]", now + 60),
        format!("{past},\"iat\":{}", now + 60),
        format!("{},\"\\u0069at\":{past}", now + 60),
    ] {
        let (status, _) = world.outcome(&attacker.issued("alice", &iat)).await;
        assert_eq!(status, 401, "{iat}");
    }
    let soon = format!("{}", now + 30);
    assert_eq!(world.outcome(&attacker.issued("alice", &soon)).await, (200, None));
    assert_eq!(world.outcome(&attacker.issued("bob", &format!("{past}"))).await, (200, None));
}
