//! What follows from each event, and of whom it speaks.

use serde_json::{Value, json};

use super::support::*;
use crate::inlets::support::{events, last_received, now, rejected_as};

#[tokio::test]
async fn a_session_ends_or_everything_that_its_user_was_issued() {
    let (issuer, plane) = stage("", "").await;
    let uri = caep("session-revoked");
    let complex = json!({"format": "complex",
        "session": {"format": "opaque", "id": "s1"}, "user": iss_sub(&issuer, "alice"),
        "tenant": {"format": "opaque", "id": "t"}});
    accepted(&push(&plane, bare(&issuer, "m1", &uri, json!({})).claim("sub_id", complex)).await);
    let of =
        |sub: &str, sid: &str, iat: u64| json!({"iss": issuer.name(), "sub": sub, "sid": sid, "iat": iat});
    assert_eq!(rejected_as(&plane, of("alice", "s1", now())).await.as_deref(), Some("session_revoked"));
    assert_eq!(rejected_as(&plane, of("alice", "s2", now() - 50)).await, None);
    // Only the user: what was issued until the time of the event, in seconds.
    let user = json!({"format": "complex", "user": iss_sub(&issuer, "bob"), "device": {"format": "opaque", "id": "d"}});
    let event =
        json!({"event_timestamp": now() - 20, "initiating_entity": "admin", "reason_admin": {"en": "x"}});
    accepted(&push(&plane, bare(&issuer, "m2", &uri, event).claim("sub_id", user)).await);
    assert_eq!(rejected_as(&plane, of("bob", "s3", now() - 60)).await.as_deref(), Some("subject_revoked"));
    assert_eq!(rejected_as(&plane, of("bob", "s3", now())).await, None);
    // The deprecated form of RISC.
    accepted(&push(&plane, about(&issuer, "m3", &risc("sessions-revoked"), "carol")).await);
    assert!(rejected_as(&plane, of("carol", "s4", now() - 5)).await.is_some());
    // `toe` where the event has no time of its own.
    let token = about(&issuer, "m4", &uri, "dave").claim("toe", now() - 30);
    accepted(&push(&plane, token).await);
    assert_eq!(rejected_as(&plane, of("dave", "s5", now())).await, None);
    assert!(rejected_as(&plane, of("dave", "s5", now() - 60)).await.is_some());
    let received = last_received(&plane).await;
    assert_eq!((&received["signal"], &received["message"]), (&json!("session-revoked"), &json!("m4")));
}

#[tokio::test]
async fn a_disabled_account_is_rejected_until_it_is_enabled() {
    for (index, name) in ["account-disabled", "account-purged"].into_iter().enumerate() {
        let (issuer, plane) = stage("", "").await;
        let alice = || json!({"iss": issuer.name(), "sub": "alice", "iat": now() + 600});
        accepted(&push(&plane, about(&issuer, "m1", &risc(name), "alice")).await);
        assert_eq!(rejected_as(&plane, alice()).await.as_deref(), Some("subject_revoked"), "{index}");
        // Said again in another token: nothing more.
        accepted(&push(&plane, about(&issuer, "m2", &risc(name), "alice")).await);
        assert_eq!(events(&plane, "revoked").await.len(), 1);
        accepted(&push(&plane, about(&issuer, "m3", &risc("account-enabled"), "alice")).await);
        assert_eq!(rejected_as(&plane, alice()).await, None);
        assert_eq!(events(&plane, "reinstated").await.len(), 1);
    }
}

/// Whether what was issued before the event is rejected, and what is issued after it.
#[tokio::test]
async fn each_event_has_its_effect_where_nothing_is_chosen() {
    let (issuer, plane) = stage("", "").await;
    let kinds = [
        (caep("session-revoked"), true, false),
        (risc("sessions-revoked"), true, false),
        (risc("account-disabled"), true, true),
        (risc("account-purged"), true, true),
        (risc("account-enabled"), false, false),
        // Without the `credential_type` that it must have: whichever it is, what was issued with it is to end.
        (risc("credential-compromise"), true, false),
        (caep("credential-change"), false, false),
        (caep("token-claims-change"), false, false),
        (caep("device-compliance-change"), false, false),
    ];
    for (uri, before, after) in &kinds {
        let name = uri.rsplit('/').next().unwrap();
        accepted(&push(&plane, about(&issuer, name, uri, name)).await);
        let of = |iat: u64| json!({"iss": issuer.name(), "sub": name, "iat": iat});
        let rejected = async |iat: u64| rejected_as(&plane, of(iat)).await.is_some();
        assert_eq!((rejected(now() - 5).await, rejected(now() + 600).await), (*before, *after), "{name}");
        let received = last_received(&plane).await;
        assert_eq!((&received["signal"], received.get("refused")), (&json!(name), None), "{received}");
    }
    assert_eq!(events(&plane, "revoked").await.len(), 5);
    // Enabled again: what was issued before stays rejected.
    let name = "account-disabled";
    accepted(&push(&plane, about(&issuer, "enabled", &risc("account-enabled"), name)).await);
    let of = |iat: u64| json!({"iss": issuer.name(), "sub": name, "iat": iat});
    assert!(rejected_as(&plane, of(now() - 5)).await.is_some());
    assert_eq!(rejected_as(&plane, of(now() + 600)).await, None);
}

/// Polls have no order, and a push that is tried again comes late.
#[tokio::test]
async fn the_newest_word_about_an_account_counts() {
    let (issuer, plane) = stage("", "").await;
    let say = async |jti: &str, name: &str, seconds_ago: u64| {
        let event = json!({"event_timestamp": now() - seconds_ago});
        let token = bare(&issuer, jti, &risc(name), event).claim("sub_id", iss_sub(&issuer, "alice"));
        accepted(&push(&plane, token).await);
    };
    let alice = || json!({"iss": issuer.name(), "sub": "alice", "iat": now() + 600});
    say("m1", "account-enabled", 10).await;
    say("m2", "account-disabled", 20).await;
    assert_eq!(rejected_as(&plane, alice()).await, None);
    let notes = last_received(&plane).await;
    assert!(notes["detail"].as_str().unwrap().contains("a newer message"), "{notes}");
    say("m3", "account-disabled", 5).await;
    say("m4", "account-enabled", 8).await;
    assert!(rejected_as(&plane, alice()).await.is_some());
    say("m5", "account-enabled", 1).await;
    assert_eq!(rejected_as(&plane, alice()).await, None);
}

/// Two streams of one transmitter have ids of their own.
#[tokio::test]
async fn an_id_is_one_in_its_stream() {
    let issuer = portcullis_testbed::Issuer::start().await.unwrap();
    let plane = crate::support::setup().issuer(&issuer, crate::inlets::support::SETTINGS);
    let plane = plane.config(&push_stream("idp", &issuer, "")).config(&push_stream("other", &issuer, ""));
    let plane = plane.start().await.unwrap();
    for (stream, sub) in [("idp", "alice"), ("other", "bob"), ("other", "carol")] {
        let token = about(&issuer, "7", &caep("session-revoked"), sub).sign().unwrap();
        let call = plane.api().post(&format!("/inlets/ssf/push/{stream}"));
        let call = call.header("content-type", "application/secevent+jwt").body(token);
        accepted(&call.send().await.unwrap());
    }
    let rejected = async |sub: &str| {
        rejected_as(&plane, json!({"iss": issuer.name(), "sub": sub, "iat": now() - 5})).await.is_some()
    };
    assert!(rejected("alice").await && rejected("bob").await && !rejected("carol").await);
}

#[tokio::test]
async fn what_follows_from_an_event_can_be_chosen() {
    let all = [
        risc("credential-compromise"),
        caep("credential-change"),
        caep("token-claims-change"),
        caep("device-compliance-change"),
    ];
    let cut_off = async |actions: &str| {
        let (issuer, plane) = stage("", actions).await;
        let mut seen = Vec::new();
        for (index, uri) in all.iter().enumerate() {
            let sub = format!("u{index}");
            let event = json!({"credential_type": "password", "current_status": "not-compliant"});
            let token = bare(&issuer, &sub, uri, event).claim("sub_id", iss_sub(&issuer, &sub));
            accepted(&push(&plane, token).await);
            let claims = json!({"iss": issuer.name(), "sub": sub, "iat": now() - 5});
            seen.push(rejected_as(&plane, claims).await.is_some());
        }
        assert_eq!(events(&plane, "received").await.len(), all.len());
        (issuer, plane, seen)
    };
    let (_, _, seen) = cut_off("").await;
    assert_eq!(seen, [true, false, false, false]);
    let actions = "[ssf.actions]\ncredential-compromise = \"ignore\"\ncredential-change = \"cut_off\"\n\
        token-claims-change = \"cut_off\"\ndevice-compliance-change = \"cut_off\"";
    let (issuer, plane, seen) = cut_off(actions).await;
    assert_eq!(seen, [false, true, true, true]);
    // A device that complies is no reason.
    let event = json!({"previous_status": "not-compliant", "current_status": "compliant"});
    let token = bare(&issuer, "d", &caep("device-compliance-change"), event);
    accepted(&push(&plane, token.claim("sub_id", iss_sub(&issuer, "dora"))).await);
    assert_eq!(
        rejected_as(&plane, json!({"iss": issuer.name(), "sub": "dora", "iat": now() - 5})).await,
        None
    );
}

/// Okta sends this for any logout, with the user alone: whoever does not want to be logged out everywhere says so.
#[tokio::test]
async fn a_logout_without_a_session_can_be_passed_over() {
    let (issuer, plane) = stage("", "[ssf.actions]\nsession-revoked = \"sessions\"").await;
    accepted(&push(&plane, about(&issuer, "m1", &caep("session-revoked"), "alice")).await);
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
    let session = json!({"format": "complex", "session": {"format": "opaque", "id": "s1"}});
    let token = bare(&issuer, "m2", &caep("session-revoked"), json!({})).claim("sub_id", session);
    accepted(&push(&plane, token).await);
    assert_eq!(events(&plane, "revoked").await.len(), 1);
}

#[tokio::test]
async fn a_subject_has_many_names() {
    let settings = "email_claim = \"email\"\nopaque_claim = \"sub\"\naccount_claim = \"upn\"";
    let (issuer, plane) = stage(settings, "").await;
    let cases = [
        (
            json!({"format": "email", "email": "a@x.example"}),
            json!({"email": "a@x.example"}),
            "claims_revoked",
        ),
        (json!({"format": "opaque", "id": "o1"}), json!({"sub": "o1"}), "subject_revoked"),
        (
            json!({"format": "account", "uri": "acct:b@x.example"}),
            json!({"upn": "b@x.example"}),
            "claims_revoked",
        ),
        (
            json!({"format": "jwt_id", "iss": issuer.name(), "jti": "t1"}),
            json!({"jti": "t1"}),
            "token_revoked",
        ),
        (
            json!({"format": "aliases", "identifiers": [
                {"format": "did", "url": "did:example:1"}, iss_sub(&issuer, "c")]}),
            json!({"sub": "c"}),
            "subject_revoked",
        ),
        (
            json!({"format": "complex", "user": {"format": "email", "email": "d@x.example"}}),
            json!({"email": "d@x.example"}),
            "claims_revoked",
        ),
    ];
    for (index, (subject, mut claims, code)) in cases.into_iter().enumerate() {
        claims["iss"] = json!(issuer.name());
        claims["iat"] = json!(now() - 5);
        assert_eq!(rejected_as(&plane, claims.clone()).await, None);
        let token = bare(&issuer, &format!("m{index}"), &caep("session-revoked"), json!({}));
        accepted(&push(&plane, token.claim("sub_id", subject.clone())).await);
        assert_eq!(rejected_as(&plane, claims).await.as_deref(), Some(code), "{subject}");
    }
}

/// The token is valid, so it is acknowledged; the audit trail says that and why nothing followed.
#[tokio::test]
async fn a_subject_that_is_not_known_is_passed_over_with_a_reason() {
    let (issuer, plane) = stage("", "").await;
    let complex = |member: &str, subject: Value| json!({"format": "complex", member: subject});
    let opaque = json!({"format": "opaque", "id": "x"});
    for (check, subject) in [
        ("subject_unknown", json!({"format": "email", "email": "a@x.example"})),
        ("subject_unknown", opaque.clone()),
        ("subject_unknown", complex("device", opaque.clone())),
        ("subject_format", json!({"format": "phone_number", "phone_number": "+1"})),
        ("subject_format", json!({"format": "saml_assertion_id", "issuer": "i", "assertion_id": "a"})),
        ("subject_format", complex("session", json!({"format": "uri", "uri": "urn:x"}))),
        ("subject_issuer", json!({"format": "iss_sub", "iss": "https://other.example", "sub": "a"})),
        ("subject_issuer", json!({"format": "jwt_id", "iss": "https://other.example", "jti": "a"})),
    ] {
        let token = bare(&issuer, check, &caep("session-revoked"), json!({})).claim("sub_id", subject);
        passed_over(&plane, &push(&plane, token).await, check).await;
    }
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
}

#[tokio::test]
async fn several_events_all_count_and_unknown_ones_do_nothing() {
    let (issuer, plane) = stage("", "").await;
    let both = json!({risc("credential-compromise"): {}, risc("account-disabled"): {}, "urn:other": {}});
    let token = about(&issuer, "m1", "urn:x", "alice").claim("events", both);
    accepted(&push(&plane, token).await);
    assert_eq!(events(&plane, "revoked").await.len(), 2);
    accepted(&push(&plane, about(&issuer, "m2", &caep("risk-level-change"), "alice")).await);
    let received = last_received(&plane).await;
    assert_eq!((&received["signal"], received.get("refused")), (&json!("risk-level-change"), None));
    assert_eq!(events(&plane, "revoked").await.len(), 2);
}

#[tokio::test]
async fn a_verification_that_nobody_asked_for_has_no_state() {
    let (issuer, plane) = stage("", "").await;
    let stream = json!({"format": "opaque", "id": "stream-1"});
    let verification =
        |jti: &str, event: Value| bare(&issuer, jti, VERIFICATION, event).claim("sub_id", stream.clone());
    accepted(&push(&plane, verification("m1", json!({}))).await);
    let reply = push(&plane, verification("m2", json!({"state": "forged"}))).await;
    refused(&plane, &reply, 400, "invalid_state", "state_wrong").await;
    let reply = push(&plane, verification("m3", json!({"state": 7}))).await;
    refused(&plane, &reply, 400, "invalid_request", "claim_type").await;
    // Without a stream, and about something else than one.
    for uri in [VERIFICATION, STREAM_UPDATED] {
        let event = || bare(&issuer, "m", uri, json!({"status": "paused"}));
        refused(&plane, &push(&plane, event()).await, 400, "invalid_request", "claim_missing").await;
        for subject in [iss_sub(&issuer, "alice"), json!({"format": "opaque"}), json!("stream-1")] {
            let reply = push(&plane, event().claim("sub_id", subject)).await;
            refused(&plane, &reply, 400, "invalid_request", "claim_type").await;
        }
    }
    let (issuer, plane) = stage("", "").await;
    let updated =
        |jti: &str, event: Value| bare(&issuer, jti, STREAM_UPDATED, event).claim("sub_id", stream.clone());
    accepted(&push(&plane, updated("m4", json!({"status": "paused", "reason": "maintenance"}))).await);
    let reply = push(&plane, updated("m5", json!({"status": "gone"}))).await;
    refused(&plane, &reply, 400, "invalid_request", "claim_type").await;
    let reply = push(&plane, updated("m6", json!({}))).await;
    refused(&plane, &reply, 400, "invalid_request", "claim_missing").await;
}
