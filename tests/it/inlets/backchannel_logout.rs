//! OpenID Connect Back-Channel Logout 1.0: one valid token, and for each rule the token that breaks just that.

use portcullis_testbed::{Issuer, Token};
use serde_json::{Value, json};

use super::forgeries::{Forgery, Parties};
use super::support::{
    AUDIENCE, LOGOUT_EVENT, events, last_received, logout, now, refused, rejected_as, send_form, send_logout,
    stage,
};
use crate::support::setup;

const PATH: &str = "/inlets/backchannel-logout";

#[tokio::test]
async fn a_logout_with_sid_ends_the_session() {
    let (issuer, plane) = stage("").await;
    let token = logout(&issuer, "m1").sid("s1").sub("alice").sign().unwrap();
    let reply = send_logout(&plane, &token).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, ""));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let session = json!({"iss": issuer.name(), "sid": "s1", "sub": "alice", "iat": now()});
    assert_eq!(rejected_as(&plane, session).await.as_deref(), Some("session_revoked"));
    let other = json!({"iss": issuer.name(), "sid": "s2", "sub": "alice", "iat": now() - 10});
    assert_eq!(rejected_as(&plane, other).await, None);

    let received = last_received(&plane).await;
    let revoked = events(&plane, "revoked").await.remove(0);
    assert_eq!(received["revocations"], json!([revoked["revocation"]]));
    assert_eq!(received["version"].as_u64().unwrap() + 1, revoked["version"].as_u64().unwrap());
    for (name, value) in [
        ("inlet", "backchannel-logout"),
        ("issuer", issuer.name()),
        ("message", "m1"),
        ("peer", "127.0.0.1"),
        ("signal", "logout"),
    ] {
        assert_eq!(received[name], value, "{received}");
    }
    for event in [&received, &revoked] {
        assert_eq!(event["actor"]["via"], "backchannel-logout");
        assert_eq!(event["actor"]["name"], issuer.name());
    }
}

#[tokio::test]
async fn a_logout_with_sub_alone_ends_what_was_issued_until_then() {
    let (issuer, plane) = stage("clock_skew = \"0s\"").await;
    let at = now() - 30;
    let token = logout(&issuer, "m1").sub("alice").iat(at).sign().unwrap();
    assert_eq!(send_logout(&plane, &token).await.status, 200);
    let of = |iat: u64| json!({"iss": issuer.name(), "sub": "alice", "sid": "s", "iat": iat});
    assert_eq!(rejected_as(&plane, of(at)).await.as_deref(), Some("subject_revoked"));
    assert_eq!(rejected_as(&plane, of(at + 1)).await, None);
    let other = json!({"iss": issuer.name(), "sub": "bob", "iat": at});
    assert_eq!(rejected_as(&plane, other).await, None);
}

/// How a token differs from the valid one, and the check that refuses it.
type Case = (&'static str, fn(Token) -> Token);

#[tokio::test]
async fn every_rule_refuses_the_token_that_breaks_it() {
    let (issuer, plane) = stage("").await;
    let cases: &[Case] = &[
        ("typ_wrong", |token| token.header("typ", "JWT")),
        ("typ_wrong", |token| token.header("typ", "at+jwt")),
        ("typ_wrong", |token| token.without_header("typ")),
        ("jwt_malformed", |token| token.header("kid", 7)),
        ("algorithm_not_accepted", |token| token.header("alg", "ES512")),
        // The key is published for RS256.
        ("key_unfit", |token| token.header("alg", "PS256")),
        ("jwt_malformed", |token| token.header("typ", 7)),
        ("iss_missing", |token| token.without("iss")),
        ("claim_type", |token| token.claim("iss", 7)),
        ("iss_not_configured", |token| token.claim("iss", "https://other.example")),
        ("aud_wrong", |token| token.claim("aud", "somebody-else")),
        ("aud_wrong", |token| token.claim("aud", json!(["a", "b"]))),
        ("claim_missing", |token| token.without("aud")),
        ("claim_type", |token| token.claim("aud", 7)),
        ("claim_type", |token| token.claim("aud", json!([AUDIENCE, 7]))),
        ("claim_missing", |token| token.without("iat")),
        ("claim_type", |token| token.claim("iat", "now")),
        ("issued_in_future", |token| token.iat(now() + 90)),
        ("too_old", |token| token.iat(now() - 7_200)),
        ("expired", |token| token.claim("exp", now() - 61)),
        ("claim_type", |token| token.claim("exp", "never")),
        ("claim_missing", |token| token.no_expiry()),
        ("claim_type", |token| token.claim("nbf", "soon")),
        ("not_yet_valid", |token| token.claim("nbf", now() + 90)),
        ("claim_missing", |token| token.without("jti")),
        ("claim_type", |token| token.claim("jti", "")),
        ("claim_type", |token| token.claim("jti", 7)),
        ("events_wrong", |token| token.without("events")),
        ("events_wrong", |token| token.claim("events", json!({}))),
        ("events_wrong", |token| token.claim("events", json!([LOGOUT_EVENT]))),
        ("events_wrong", |token| token.claim("events", json!({LOGOUT_EVENT: true}))),
        ("events_wrong", |token| token.claim("events", json!({LOGOUT_EVENT: null}))),
        ("claim_forbidden", |token| token.claim("nonce", "n")),
        ("claim_forbidden", |token| token.claim("nonce", Value::Null)),
        ("sub_and_sid_missing", |token| token.without("sid")),
        ("claim_type", |token| token.claim("sid", 7)),
        ("claim_type", |token| token.claim("sid", Value::Null)),
        ("claim_type", |token| token.claim("sub", json!({}))),
        ("claim_type", |token| token.claim("sub", "")),
        ("control_character", |token| token.sid("s\u{1b}[2J")),
        ("selector_invalid", |token| token.sid(&"s".repeat(3_000))),
    ];
    for (index, (check, spoil)) in cases.iter().enumerate() {
        let token = spoil(logout(&issuer, &format!("m{index}")).sid("s1")).sign().unwrap();
        let trial = super::trial::try_message(&plane, "backchannel-logout", &token).await;
        assert_eq!(trial["refused"]["code"], *check, "{index}: {trial}");
        assert_eq!(trial["status"], 400, "{trial}");
        let reply = send_logout(&plane, &token).await;
        assert_eq!(reply.status, 400, "{check}: {}", reply.text());
        assert_eq!(reply.json().unwrap()["error"], "invalid_request", "{check}");
    }
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
    let metrics = plane.api().get("/metrics").send().await.unwrap().text();
    for (check, _) in cases {
        let label = format!(r#"inlet_messages_total{{inlet="backchannel-logout",outcome="{check}"}}"#);
        assert!(metrics.contains(&label), "{label}");
    }
}

#[tokio::test]
async fn a_forged_token_is_refused() {
    let parties = Parties::gather().await;
    let plane = parties.plane(setup(), "").await;
    let valid = |by: &Issuer| logout(by, "m1").sid("s1");
    let refuse = async |forgery: &Forgery| {
        let call = forgery.post(&plane, PATH, "application/x-www-form-urlencoded");
        let reply = call.body(format!("logout_token={}", forgery.token)).send().await.unwrap();
        refused(&plane, &reply, 400, "invalid_request", forgery.check).await;
    };
    parties.try_all(&plane, valid, None, refuse).await;
    assert_eq!(send_logout(&plane, &valid(&parties.issuer).sign().unwrap()).await.status, 200);
}

#[tokio::test]
async fn what_the_rules_allow_is_taken() {
    let (issuer, plane) = stage("").await;
    let allowed: &[fn(Token) -> Token] = &[
        |token| token.header("typ", "application/logout+jwt"),
        |token| token.header("typ", "Logout+JWT"),
        |token| token.without_header("kid"),
        |token| token.claim("aud", json!(["somebody-else", AUDIENCE])),
        |token| token.claim("events", json!({LOGOUT_EVENT: {"unknown": 1}, "urn:other": {}})),
        |token| token.claim("unknown", json!({"a": [1]})),
        |token| token.sub("alice"),
    ];
    for (index, change) in allowed.iter().enumerate() {
        let token = change(logout(&issuer, &format!("m{index}")).sid(&format!("s{index}")));
        let reply = send_logout(&plane, &token.sign().unwrap()).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, ""), "{index}");
        assert_eq!(events(&plane, "revoked").await.len(), index + 1);
    }
}

#[tokio::test]
async fn a_token_is_taken_once() {
    let (issuer, plane) = stage("").await;
    let token = logout(&issuer, "m1").sid("s1").sign().unwrap();
    assert_eq!(send_logout(&plane, &token).await.status, 200);
    let reply = send_logout(&plane, &token).await;
    refused(&plane, &reply, 400, "invalid_request", "replayed").await;
    // Another token with the same id is a repetition as well; another issuer's is not.
    let again = logout(&issuer, "m1").sid("s2").sign().unwrap();
    refused(&plane, &send_logout(&plane, &again).await, 400, "invalid_request", "replayed").await;
    assert_eq!(events(&plane, "revoked").await.len(), 1);
}

#[tokio::test]
async fn the_same_token_many_times_at_once_is_taken_once() {
    let (issuer, plane) = stage("").await;
    let token = logout(&issuer, "m1").sid("s1").sign().unwrap();
    let sent = (0..20).map(|_| send_logout(&plane, &token));
    let replies = futures_util::future::join_all(sent).await;
    let accepted = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(accepted, 1);
    assert_eq!(events(&plane, "revoked").await.len(), 1);
}

#[tokio::test]
async fn what_is_no_form_with_a_token_is_refused() {
    let (issuer, plane) = stage("").await;
    let token = logout(&issuer, "m1").sid("s1").sign().unwrap();
    for form in [
        String::new(),
        "logout_token=".to_owned(),
        format!("token={token}"),
        format!("logout_token={token}&logout_token={token}"),
    ] {
        refused(&plane, &send_form(&plane, PATH, &form).await, 400, "invalid_request", "syntax").await;
    }
    let call = plane.api().post(PATH).json(&json!({ "logout_token": token }));
    let reply = call.send().await.unwrap();
    refused(&plane, &reply, 415, "invalid_request", "unsupported_media_type").await;
    // Fields that nobody knows are ignored.
    let form = format!("state=x&logout_token={token}");
    assert_eq!(send_form(&plane, PATH, &form).await.status, 200);
}

#[tokio::test]
async fn departures_are_accepted_where_they_are_allowed() {
    const SWITCHES: [&str; 3] = ["missing_exp", "generic_typ", "null_sid"];
    let cases: &[(&str, Case)] = &[
        ("missing_exp", ("claim_missing", |token| token.sid("s1").no_expiry())),
        ("generic_typ", ("typ_wrong", |token| token.sid("s1").header("typ", "JWT"))),
        ("generic_typ", ("typ_wrong", |token| token.sid("s1").without_header("typ"))),
        ("null_sid", ("claim_type", |token| token.sub("alice").claim("sid", Value::Null))),
    ];
    // Each switch allows its own departure, and the two others together do not.
    for switch in SWITCHES {
        let (own, own_plane) = stage(&format!("allow = [\"{switch}\"]")).await;
        let others: Vec<_> = SWITCHES.iter().filter(|other| **other != switch).collect();
        let (other, other_plane) = stage(&format!("allow = {others:?}")).await;
        for (index, (_, (check, depart))) in cases.iter().enumerate().filter(|(_, (of, _))| *of == switch) {
            let jti = format!("m{index}");
            let token = depart(logout(&own, &jti)).sign().unwrap();
            let reply = send_logout(&own_plane, &token).await;
            assert_eq!(reply.status, 200, "{check}: {}", reply.text());
            let token = depart(logout(&other, &jti)).sign().unwrap();
            let reply = send_logout(&other_plane, &token).await;
            refused(&other_plane, &reply, 400, "invalid_request", check).await;
        }
    }
    let (lenient_issuer, lenient) = stage("allow = [\"missing_exp\"]").await;
    // Without exp, a token is short-lived all the same.
    let old = logout(&lenient_issuer, "old").sid("s1").no_expiry().iat(now() - 200).sign().unwrap();
    refused(&lenient, &send_logout(&lenient, &old).await, 400, "invalid_request", "too_old").await;
}

#[tokio::test]
async fn keycloaks_extra_event_member_is_no_obstacle_and_its_sid_can_stand_for_the_user() {
    let (issuer, plane) = stage("logout_ends = \"subject\"").await;
    // Next to the event, as a bare value: not an event, and none of ours.
    let events = json!({LOGOUT_EVENT: {}, "revoke_offline_access": true});
    let token = logout(&issuer, "m1").sid("s1").sub("alice").claim("events", events).claim("typ", "Logout");
    assert_eq!(send_logout(&plane, &token.sign().unwrap()).await.status, 200);
    let other = json!({"iss": issuer.name(), "sid": "s2", "sub": "alice", "iat": now() - 10});
    assert_eq!(rejected_as(&plane, other).await.as_deref(), Some("subject_revoked"));
}

#[tokio::test]
async fn clocks_may_differ_by_a_minute() {
    let (issuer, plane) = stage("").await;
    // The provider's clock is ahead: tokens that it has issued until then carry its time, so the cut-off does too.
    let ahead = logout(&issuer, "m1").sub("alice").iat(now() + 55).claim("nbf", now() + 55).sign().unwrap();
    assert_eq!(send_logout(&plane, &ahead).await.status, 200);
    let of = |sub: &str, iat: u64| json!({"iss": issuer.name(), "sub": sub, "iat": iat});
    assert!(rejected_as(&plane, of("alice", now() + 50)).await.is_some());
    // It is behind: the token has just expired here.
    let behind = logout(&issuer, "m2").sub("bob").iat(now() - 170).claim("exp", now() - 50).sign().unwrap();
    assert_eq!(send_logout(&plane, &behind).await.status, 200);
    let (issuer, plane) = stage("message_skew = \"5s\"").await;
    let ahead = logout(&issuer, "m1").sub("alice").iat(now() + 30).sign().unwrap();
    refused(&plane, &send_logout(&plane, &ahead).await, 400, "invalid_request", "issued_in_future").await;
}
