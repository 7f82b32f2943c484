//! Global Token Revocation: one valid call, and for each rule the call that breaks just that.

use portcullis_testbed::{ControlPlane, ControlPlaneSetup, Issuer, Reply, Token};
use serde_json::{Value, json};

use super::forgeries::{Forgery, Parties};
use super::support::{SETTINGS, events, last_received, now, refused, rejected_as};
use crate::support::setup;

const PATH: &str = "/inlets/global-token-revocation";
const URL: &str = "https://portcullis.example";

fn with_public_url() -> ControlPlaneSetup {
    setup().env("PORTCULLIS_INLETS_PUBLIC_URL", URL)
}

async fn stage(settings: &str) -> (Issuer, ControlPlane) {
    let issuer = Issuer::start().await.unwrap();
    let plane = with_public_url().issuer(&issuer, &format!("{SETTINGS}\n{settings}")).start().await.unwrap();
    (issuer, plane)
}

/// A valid credential as Okta sends it, to be spoilt.
fn credential(issuer: &Issuer, jti: &str) -> Token {
    let token = issuer.token().header("typ", "global-token-revocation+jwt").jti(jti).sub("client-1");
    token.claim("aud", format!("{URL}{PATH}")).claim("exp", now() + 300).claim("nbf", now() - 300)
}

async fn send(plane: &ControlPlane, credential: Token, body: &Value) -> Reply {
    plane.api().post(PATH).bearer(&credential.sign().unwrap()).json(body).send().await.unwrap()
}

fn iss_sub(issuer: &Issuer, sub: &str) -> Value {
    json!({"sub_id": {"format": "iss_sub", "iss": issuer.name(), "sub": sub}})
}

#[tokio::test]
async fn everything_a_user_holds_ends() {
    let (issuer, plane) = stage("").await;
    let reply = send(&plane, credential(&issuer, "m1"), &iss_sub(&issuer, "alice")).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (204, ""));
    let of = |sub: &str, iat: u64| json!({"iss": issuer.name(), "sub": sub, "iat": iat});
    assert_eq!(rejected_as(&plane, of("alice", now() - 5)).await.as_deref(), Some("subject_revoked"));
    assert_eq!(rejected_as(&plane, of("alice", now() + 60)).await, None);
    assert_eq!(rejected_as(&plane, of("bob", now() - 5)).await, None);
    let received = last_received(&plane).await;
    assert_eq!((&received["inlet"], &received["message"]), (&json!("global-token-revocation"), &json!("m1")));
    // What early drafts called it, and an audience that is configured.
    let body = json!({"subject": {"format": "iss_sub", "iss": issuer.name(), "sub": "bob"}});
    let reply = send(&plane, credential(&issuer, "m2").claim("aud", "portcullis"), &body).await;
    assert_eq!(reply.status, 204, "{}", reply.text());
    assert!(rejected_as(&plane, of("bob", now() - 5)).await.is_some());
}

/// Okta's organization signs the call, and the tokens are of its authorization servers.
#[tokio::test]
async fn it_ends_the_tokens_of_whom_its_issuer_is_configured_to_speak_for() {
    let (org, first, second) =
        (Issuer::start().await.unwrap(), Issuer::start().await.unwrap(), Issuer::start().await.unwrap());
    let settings = format!("{SETTINGS}\ntokens_of = [\"{}\", \"{}\"]", first.name(), second.name());
    let of_first = format!("{SETTINGS}\nemail_claim = \"sub\"");
    let plane = with_public_url().issuer(&org, &settings).issuer(&first, &of_first);
    let plane = plane.issuer(&second, "").start().await.unwrap();
    let rejects = async |issuer: &Issuer, sub: &str| {
        rejected_as(&plane, json!({"iss": issuer.name(), "sub": sub, "iat": now() - 5})).await.is_some()
    };
    let ends =
        async |sub: &str| (rejects(&org, sub).await, rejects(&first, sub).await, rejects(&second, sub).await);
    // The organization's name for the user is everybody's.
    assert_eq!(send(&plane, credential(&org, "m1"), &iss_sub(&org, "alice")).await.status, 204);
    assert_eq!(ends("alice").await, (false, true, true));
    assert_eq!(last_received(&plane).await["issuer"], org.name());
    assert_eq!(events(&plane, "revoked").await[0]["actor"]["name"], org.name());
    // A name of one of them is that one's user.
    assert_eq!(send(&plane, credential(&org, "m2"), &iss_sub(&second, "bob")).await.status, 204);
    assert_eq!(ends("bob").await, (false, false, true));
    // Known at one of them by an address.
    let email = json!({"sub_id": {"format": "email", "email": "carol@x.example"}});
    assert_eq!(send(&plane, credential(&org, "m3"), &email).await.status, 204);
    assert_eq!(ends("carol@x.example").await, (false, true, false));
    // They do not speak for each other, nor for the organization.
    let other = json!({"sub_id": {"format": "iss_sub", "iss": "https://other.example", "sub": "dave"}});
    let reply = send(&plane, credential(&org, "m4"), &other).await;
    refused(&plane, &reply, 403, "access_denied", "subject_issuer").await;
    let by_first = credential(&first, "m5").claim("aud", format!("{URL}{PATH}"));
    let reply = send(&plane, by_first, &iss_sub(&org, "dave")).await;
    refused(&plane, &reply, 403, "access_denied", "subject_issuer").await;
}

#[tokio::test]
async fn what_a_credential_may_have_besides_is_no_reason() {
    let (issuer, plane) = stage("").await;
    let variants: &[fn(Token) -> Token] = &[
        |token| token.header("typ", "application/global-token-revocation+jwt"),
        |token| token.header("typ", "Global-Token-Revocation+JWT"),
        |token| token.claim("aud", json!(["https://other.example", format!("{URL}{PATH}")])),
        |token| token.without("nbf"),
        |token| token.claim("unknown", json!({"a": [1]})).header("unknown", 7),
    ];
    for (index, change) in variants.iter().enumerate() {
        let token = change(credential(&issuer, &format!("m{index}")));
        assert_eq!(send(&plane, token, &iss_sub(&issuer, "alice")).await.status, 204, "{index}");
    }
    // Members that are not known, beside the subject and in it.
    let mut body = iss_sub(&issuer, "bob");
    body["reason"] = json!("left");
    body["sub_id"]["unknown"] = json!(7);
    assert_eq!(send(&plane, credential(&issuer, "m"), &body).await.status, 204);
}

/// What RFC 6750 section 3.1 has for a bearer that is not believed.
const CHALLENGE: &str = "Bearer realm=\"portcullis\", error=\"invalid_token\"";

#[tokio::test]
async fn a_forged_credential_is_none() {
    let parties = Parties::gather().await;
    let plane = parties.plane(with_public_url(), "").await;
    let body = iss_sub(&parties.issuer, "alice");
    let valid = |by: &Issuer| credential(by, "m1");
    let refuse = async |forgery: &Forgery| {
        let call = forgery.post(&plane, PATH, "application/json").bearer(&forgery.token);
        let reply = call.body(body.to_string()).send().await.unwrap();
        refused(&plane, &reply, 401, "invalid_token", forgery.check).await;
        assert_eq!(reply.header("www-authenticate"), Some(CHALLENGE));
    };
    parties.try_all(&plane, valid, None, refuse).await;
    // Another issuer speaks for its own users only.
    let reply = send(&plane, valid(&parties.other), &body).await;
    refused(&plane, &reply, 403, "access_denied", "subject_issuer").await;
    assert_eq!(send(&plane, valid(&parties.issuer), &body).await.status, 204);
}

/// How a credential differs from the valid one, and the check that refuses it.
type Case = (&'static str, fn(Token) -> Token);

#[tokio::test]
async fn a_credential_that_breaks_a_rule_is_none() {
    let cases: &[Case] = &[
        ("typ_wrong", |token| token.header("typ", "JWT")),
        ("typ_wrong", |token| token.without_header("typ")),
        ("iss_missing", |token| token.without("iss")),
        ("iss_not_configured", |token| token.claim("iss", "https://other.example")),
        ("aud_wrong", |token| token.claim("aud", format!("{URL}/elsewhere"))),
        ("claim_missing", |token| token.without("aud")),
        ("expired", |token| token.claim("exp", now() - 61)),
        ("claim_missing", |token| token.no_expiry()),
        ("claim_missing", |token| token.without("iat")),
        ("issued_in_future", |token| token.iat(now() + 90)),
        ("too_old", |token| token.iat(now() - 7_200)),
        ("not_yet_valid", |token| token.claim("nbf", now() + 90)),
        ("claim_missing", |token| token.without("jti")),
        ("claim_missing", |token| token.without("sub")),
        ("claim_type", |token| token.claim("iss", 7)),
        ("claim_type", |token| token.claim("aud", json!({}))),
        ("claim_type", |token| token.claim("exp", "never")),
        ("claim_type", |token| token.claim("iat", "now")),
        ("claim_type", |token| token.claim("nbf", json!([]))),
        ("claim_type", |token| token.claim("jti", 7)),
        ("claim_type", |token| token.claim("sub", 7)),
    ];
    for chunk in cases.chunks(10) {
        // Ten refusals of an address are written down one by one in a minute.
        let (issuer, plane) = stage("").await;
        for (check, spoil) in chunk {
            let reply = send(&plane, spoil(credential(&issuer, "m")), &iss_sub(&issuer, "alice")).await;
            refused(&plane, &reply, 401, "invalid_token", check).await;
            assert_eq!(reply.header("www-authenticate"), Some(CHALLENGE));
        }
        assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
    }
}

#[tokio::test]
async fn a_credential_is_needed_and_good_once() {
    let (issuer, plane) = stage("").await;
    let body = iss_sub(&issuer, "alice");
    let bare = plane.api().post(PATH).json(&body).send().await.unwrap();
    refused(&plane, &bare, 401, "invalid_token", "credential").await;
    // Where there was none, none was wrong.
    assert_eq!(bare.header("www-authenticate"), Some("Bearer realm=\"portcullis\""));
    let basic =
        plane.api().post(PATH).header("authorization", "Basic YTpi").json(&body).send().await.unwrap();
    refused(&plane, &basic, 401, "invalid_token", "credential").await;
    // An API key is no credential here.
    let key = plane.api().post(PATH).bearer(plane.admin_key()).json(&body).send().await.unwrap();
    refused(&plane, &key, 401, "invalid_token", "jwt_malformed").await;
    assert_eq!(send(&plane, credential(&issuer, "m1"), &body).await.status, 204);
    let again = send(&plane, credential(&issuer, "m1"), &iss_sub(&issuer, "bob")).await;
    refused(&plane, &again, 401, "invalid_token", "replayed").await;
}

#[tokio::test]
async fn the_subject_must_be_one_that_is_known() {
    let (issuer, plane) = stage("").await;
    let subject = |subject: Value| json!({ "sub_id": subject });
    let email = subject(json!({"format": "email", "email": "alice@example.com"}));
    for (status, error, check, body) in [
        (400, "invalid_request", "syntax", json!({})),
        (400, "invalid_request", "syntax", json!([])),
        (400, "invalid_request", "subject_malformed", subject(json!("alice"))),
        (400, "invalid_request", "subject_malformed", subject(json!({"iss": issuer.name(), "sub": "a"}))),
        (400, "invalid_request", "subject_malformed", subject(json!({"format": "iss_sub", "sub": "a"}))),
        (
            400,
            "invalid_request",
            "subject_format",
            subject(json!({"format": "phone_number", "phone_number": "+1"})),
        ),
        (
            403,
            "access_denied",
            "subject_issuer",
            subject(json!({"format": "iss_sub", "iss": "https://other.example", "sub": "a"})),
        ),
        (404, "unknown_subject", "subject_unknown", email.clone()),
        (
            422,
            "not_revocable",
            "control_character",
            subject(json!({"format": "iss_sub", "iss": issuer.name(), "sub": "a\u{1b}"})),
        ),
        (
            400,
            "invalid_request",
            "subject_malformed",
            subject(json!({"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": []}]})),
        ),
    ] {
        let jti = format!("{check} {body}");
        let reply = send(&plane, credential(&issuer, &jti), &body).await;
        refused(&plane, &reply, status, error, check).await;
    }
    let call = plane.api().post(PATH).bearer(&credential(&issuer, "m").sign().unwrap());
    let reply = call.header("content-type", "application/json").body("{\"sub_id\":").send().await.unwrap();
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());

    let (issuer, plane) = stage("").await;
    let phone = json!({"format": "phone_number", "phone_number": "+1"});
    let aliases = |list: Value| subject(json!({"format": "aliases", "identifiers": list}));
    for (status, error, check, body) in [
        (400, "invalid_request", "subject_malformed", aliases(json!("alice"))),
        (400, "invalid_request", "subject_malformed", aliases(json!([]))),
        (400, "invalid_request", "subject_malformed", aliases(json!(vec![phone.clone(); 21]))),
        (400, "invalid_request", "subject_malformed", aliases(json!([7]))),
        (400, "invalid_request", "subject_format", aliases(json!([phone]))),
        (404, "unknown_subject", "subject_unknown", aliases(json!([phone, email["sub_id"]]))),
    ] {
        let reply = send(&plane, credential(&issuer, &format!("{check} {body}")), &body).await;
        refused(&plane, &reply, status, error, check).await;
    }
    let text = plane.api().post(PATH).bearer(&credential(&issuer, "text").sign().unwrap());
    let text = text.header("content-type", "text/plain").body(iss_sub(&issuer, "alice").to_string());
    let reply = text.send().await.unwrap();
    refused(&plane, &reply, 415, "invalid_request", "unsupported_media_type").await;
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());

    // An address is matched where the issuer's tokens have it.
    let (issuer, plane) = stage("email_claim = \"email\"").await;
    assert_eq!(send(&plane, credential(&issuer, "m1"), &email).await.status, 204);
    let of =
        |address: &str, iat: u64| json!({"iss": issuer.name(), "sub": "a", "email": address, "iat": iat});
    assert_eq!(
        rejected_as(&plane, of("alice@example.com", now() - 5)).await.as_deref(),
        Some("claims_revoked")
    );
    assert_eq!(rejected_as(&plane, of("alice@example.com", now() + 60)).await, None);
    assert_eq!(rejected_as(&plane, of("bob@example.com", now() - 5)).await, None);
    // Of aliases, what is understood counts.
    let aliases = json!({"sub_id": {"format": "aliases", "identifiers": [
        {"format": "phone_number", "phone_number": "+1"},
        {"format": "iss_sub", "iss": issuer.name(), "sub": "carol"},
    ]}});
    assert_eq!(send(&plane, credential(&issuer, "m2"), &aliases).await.status, 204);
    let carol = json!({"iss": issuer.name(), "sub": "carol", "iat": now() - 5});
    assert!(rejected_as(&plane, carol).await.is_some());
}

#[tokio::test]
async fn a_clock_that_is_off_by_less_than_a_minute_is_no_reason() {
    let (issuer, plane) = stage("").await;
    let ahead = credential(&issuer, "m1").iat(now() + 50).claim("nbf", now() + 50);
    assert_eq!(send(&plane, ahead, &iss_sub(&issuer, "alice")).await.status, 204);
    let behind = credential(&issuer, "m2").iat(now() - 350).claim("exp", now() - 50);
    assert_eq!(send(&plane, behind, &iss_sub(&issuer, "bob")).await.status, 204);
    // The cut-off is the provider's time.
    for (sub, last) in [("alice", now() + 45), ("bob", now() - 355)] {
        let claims = |iat: u64| json!({"iss": issuer.name(), "sub": sub, "iat": iat});
        assert!(rejected_as(&plane, claims(last)).await.is_some(), "{sub}");
        assert_eq!(rejected_as(&plane, claims(last + 20)).await, None, "{sub}");
    }
}
