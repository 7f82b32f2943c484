//! Webhooks: each scheme with the message that breaks just one rule, the mapping, and the examples.

mod entra;
mod refusals;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use portcullis_testbed::{ControlPlane, Issuer, Reply};
use serde_json::{Value, json};

use super::support::{SETTINGS, events, last_received, now, refused, rejected_as};
use super::trial::try_message;
use crate::support::{run, setup};

const SECRET: &str = "a secret of the test's own";
const STANDARD_SECRET: &[u8] = b"twenty-four bytes or more";
const PATH: &str = "/inlets/webhook/hook";

/// The HMAC of bytes.
fn hmac(algorithm: Algorithm, secret: &[u8], bytes: &[u8]) -> Vec<u8> {
    let encoded = jsonwebtoken::crypto::sign(bytes, &EncodingKey::from_secret(secret), algorithm).unwrap();
    URL_SAFE_NO_PAD.decode(encoded).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A control plane with a webhook `hook`, set up by these lines.
async fn stage(webhook: &str) -> (Issuer, ControlPlane) {
    let issuer = Issuer::start().await.unwrap();
    let lines = format!("[[webhooks]]\nname = \"hook\"\nissuer = \"{}\"\n{webhook}\n", issuer.name());
    let plane = setup()
        .issuer(&issuer, SETTINGS)
        .config(&lines)
        .env("HOOK_SECRET", SECRET)
        .env("HOOK_STANDARD", &format!("whsec_{}", STANDARD.encode(STANDARD_SECRET)))
        .start()
        .await
        .unwrap();
    (issuer, plane)
}

const TOKEN: &str = "secret_env = \"HOOK_SECRET\"\nscheme = \"token\"\nprefix = \"Token \"";
const LEAVER: &str = "[[webhooks.rules]]\naction = \"revoke_until_reinstated\"\nvalue = \"/user\"";

async fn send(plane: &ControlPlane, headers: &[(&str, &str)], body: &str) -> Reply {
    let call = plane.api().post(PATH).header("content-type", "application/json").body(body.to_owned());
    headers.iter().fold(call, |call, (name, value)| call.header(name, value)).send().await.unwrap()
}

/// Sends with the token.
async fn tell(plane: &ControlPlane, body: &Value) -> Reply {
    send(plane, &[("authorization", &format!("Token {SECRET}"))], &body.to_string()).await
}

async fn is_rejected(plane: &ControlPlane, issuer: &Issuer, sub: &str) -> bool {
    let claims = json!({"iss": issuer.name(), "sub": sub, "iat": now() + 60});
    rejected_as(plane, claims).await.is_some()
}

/// The headers of Standard Webhooks.
struct Signed {
    id: String,
    timestamp: String,
    signature: String,
}

impl Signed {
    fn new(id: &str, at: u64, body: &str) -> Self {
        let signed = format!("{id}.{at}.{body}");
        let signature = STANDARD.encode(hmac(Algorithm::HS256, STANDARD_SECRET, signed.as_bytes()));
        Self { id: id.into(), timestamp: at.to_string(), signature: format!("v1,{signature}") }
    }

    async fn send(&self, plane: &ControlPlane, body: &str) -> Reply {
        let (id, at) = ("webhook-id", "webhook-timestamp");
        let headers = [(id, &*self.id), (at, &*self.timestamp), ("webhook-signature", &*self.signature)];
        let there: Vec<_> = headers.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        send(plane, &there, body).await
    }
}

#[tokio::test]
async fn standard_webhooks_are_taken_once() {
    let (issuer, plane) =
        stage(&format!("secret_env = \"HOOK_STANDARD\"\nscheme = \"standard\"\n{LEAVER}")).await;
    let body = r#"{"user":"alice"}"#;
    let signed = Signed::new("m1", now(), body);
    let reply = signed.send(&plane, body).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (204, ""));
    assert!(is_rejected(&plane, &issuer, "alice").await && !is_rejected(&plane, &issuer, "bob").await);
    let received = last_received(&plane).await;
    assert_eq!(
        (&received["message"], &received["actor"]["via"]),
        (&json!("hook:m1"), &json!("webhook:hook"))
    );
    assert_eq!(signed.send(&plane, body).await.status, 204);
    // Tried again later, with the same id and a new timestamp.
    assert_eq!(Signed::new("m1", now() + 30, body).send(&plane, body).await.status, 204);
    assert_eq!(events(&plane, "revoked").await.len(), 1);
    // Clocks may differ by a minute, and more.
    for (id, at) in [("behind", now() - 60), ("ahead", now() + 60)] {
        assert_eq!(Signed::new(id, at, body).send(&plane, body).await.status, 204, "{id}");
    }
    // Several signatures, of which one fits: the sender's secret is being replaced.
    let mut several = Signed::new("m2", now(), body);
    several.signature = format!("v1a,AAAA v1,AAAA {}", several.signature);
    assert_eq!(several.send(&plane, body).await.status, 204);
}

/// How a message differs from the valid one.
type Spoil = fn(&mut Signed);

#[tokio::test]
async fn a_standard_webhook_that_breaks_a_rule_is_refused() {
    let cases: &[Spoil] = &[
        |signed| signed.id.clear(),
        |signed| signed.id = "other".into(),
        |signed| *signed = Signed::new("a.b", now(), r#"{"user":"alice"}"#),
        |signed| signed.timestamp.clear(),
        |signed| signed.timestamp = "soon".into(),
        |signed| signed.timestamp = format!("+{}", signed.timestamp),
        |signed| *signed = Signed::new("m", now() - 302, r#"{"user":"alice"}"#),
        |signed| *signed = Signed::new("m", now() + 330, r#"{"user":"alice"}"#),
        |signed| signed.signature.clear(),
        |signed| signed.signature = signed.signature.replace("v1,", "v2,"),
        |signed| signed.signature = signed.signature.replace("v1,", ""),
        |signed| signed.signature = "v1,!".into(),
        |signed| *signed = Signed::new("m", now(), r#"{"user":"bob"}"#),
        |signed| signed.signature = format!("{}{}", "v1,AAAA ".repeat(16), signed.signature),
    ];
    for chunk in cases.chunks(10) {
        // Ten refusals of an address are written down one by one in a minute.
        let (_issuer, plane) =
            stage(&format!("secret_env = \"HOOK_STANDARD\"\nscheme = \"standard\"\n{LEAVER}")).await;
        for spoil in chunk {
            let body = r#"{"user":"alice"}"#;
            let mut signed = Signed::new("m", now(), body);
            spoil(&mut signed);
            let reply = signed.send(&plane, body).await;
            refused(&plane, &reply, 401, "invalid_token", "credential").await;
        }
        assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
    }
}

#[tokio::test]
async fn an_hmac_is_verified_as_it_is_configured() {
    let body = r#"{"user":"alice"}"#;
    for (hash, algorithm) in
        [("sha256", Algorithm::HS256), ("sha384", Algorithm::HS384), ("sha512", Algorithm::HS512)]
    {
        for encoding in ["hex", "base64"] {
            let config = format!(
                "secret_env = \"HOOK_SECRET\"\nscheme = \"hmac\"\nheader = \"X-Signature\"\nprefix = \"{hash}=\"\nhash = \"{hash}\"\nencoding = \"{encoding}\"\n{LEAVER}"
            );
            let (issuer, plane) = stage(&config).await;
            let write = |bytes: &[u8]| match encoding {
                "hex" => format!("{hash}={}", hex(bytes)),
                _ => format!("{hash}={}", STANDARD.encode(bytes)),
            };
            let right = write(&hmac(algorithm, SECRET.as_bytes(), body.as_bytes()));
            let wrong_secret = write(&hmac(algorithm, b"another", body.as_bytes()));
            let without_prefix = right.split_once('=').unwrap().1.to_owned();
            for (signature, sent) in [
                (right.as_str(), r#"{"user":"bob"}"#),
                (&wrong_secret, body),
                (&without_prefix, body),
                (&right[..right.len() - 4], body),
                (&format!("{hash}="), body),
                (&format!("{hash}=!"), body),
            ] {
                let reply = send(&plane, &[("x-signature", signature)], sent).await;
                refused(&plane, &reply, 401, "invalid_token", "credential").await;
            }
            let twice = [("x-signature", right.as_str()), ("x-signature", right.as_str())];
            refused(&plane, &send(&plane, &twice, body).await, 401, "invalid_token", "credential").await;
            assert!(!is_rejected(&plane, &issuer, "alice").await);
            assert_eq!(send(&plane, &[("x-signature", &right)], body).await.status, 204);
            assert!(is_rejected(&plane, &issuer, "alice").await);
        }
    }
}

#[tokio::test]
async fn a_token_is_compared_whole() {
    let (_issuer, plane) = stage(&format!("{TOKEN}\n{LEAVER}")).await;
    for value in
        ["", "Token ", SECRET, "Token a secret of the test's ow", "Token a secret of the test's own!"]
    {
        let reply = send(&plane, &[("authorization", value)], r#"{"user":"alice"}"#).await;
        refused(&plane, &reply, 401, "invalid_token", "credential").await;
    }
    assert_eq!(tell(&plane, &json!({"user": "alice"})).await.status, 204);
    let log: String = plane.log().text();
    assert!(!log.contains(SECRET), "{log}");
}

#[tokio::test]
async fn rules_choose_what_follows() {
    let rules = r#"
events = "/events"
id = "/id"
[[webhooks.rules]]
when = { "/type" = ["left", "gone"], "/final" = true, "/level" = 3 }
action = "revoke_until_reinstated"
value = "/user/id"
[[webhooks.rules]]
when = { "/type" = "back" }
action = "reinstate"
value = "/user/id"
[[webhooks.rules]]
when = { "/type" = "logout" }
action = "revoke"
kind = "session"
value = "/session"
[[webhooks.rules]]
when = { "/type" = "tenant" }
action = "revoke"
kind = "claims"
claims = { tenant = "/tenant", region = "/region" }
[[webhooks.rules]]
when = { "/type" = "password" }
action = "revoke"
value = "/user/id"
time = "/at"
"#;
    let (issuer, plane) = stage(&format!("{TOKEN}\n{rules}")).await;
    let left = |id: &str| json!({"type": "gone", "final": true, "level": 3, "user": {"id": id}});
    let body = json!({"id": "m1", "events": [
        left("alice"),
        {"type": "left", "final": false, "level": 3, "user": {"id": "bob"}},
        {"type": "left", "final": true, "level": 3, "user": {"id": 4711}},
        {"type": "logout", "session": "s1"},
        {"type": "tenant", "tenant": "acme", "region": "eu"},
        {"type": "password", "at": now() - 30, "user": {"id": "carol"}},
        "nonsense",
    ]});
    let reply = tell(&plane, &body).await;
    assert_eq!(reply.status, 204, "{}", reply.text());
    assert_eq!(last_received(&plane).await["signal"], "hook: 5 of 7 events match a rule");
    for (sub, expect) in [("alice", true), ("bob", false), ("4711", true), ("carol", false)] {
        assert_eq!(is_rejected(&plane, &issuer, sub).await, expect, "{sub}");
    }
    let of = |claims: Value| {
        let mut all = json!({"iss": issuer.name(), "iat": now() - 40});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        rejected_as(&plane, all)
    };
    assert_eq!(of(json!({"sid": "s1"})).await.as_deref(), Some("session_revoked"));
    assert!(of(json!({"sub": "carol"})).await.is_some());
    assert!(of(json!({"sub": "carol", "iat": now() - 20})).await.is_none());
    assert!(of(json!({"tenant": "acme", "region": "eu"})).await.is_some());
    assert!(of(json!({"tenant": "acme", "region": "us"})).await.is_none());
    // The same id again is the same message; what this webhook has revoked comes back by another.
    assert_eq!(tell(&plane, &json!({"id": "m1", "events": [left("dave")]})).await.status, 204);
    assert!(!is_rejected(&plane, &issuer, "dave").await);
    let back = json!({"id": "m2", "events": [{"type": "back", "user": {"id": "alice"}}]});
    assert_eq!(tell(&plane, &back).await.status, 204);
    assert!(!is_rejected(&plane, &issuer, "alice").await);
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_with_its_place() {
    let rules = "events = \"/events\"\nid = \"/id\"\n[[webhooks.rules]]\nwhen = { \"/type\" = \"left\" }\naction = \"revoke\"\nvalue = \"/user\"\ntime = \"/at\"";
    let (_issuer, plane) = stage(&format!("{TOKEN}\n{rules}")).await;
    let event = |event: Value| json!({"id": "m", "events": [{"type": "other"}, event]});
    for (status, error, check, place, body) in [
        (400, "invalid_request", "webhook_id", "/id", json!({"events": []})),
        (400, "invalid_request", "webhook_id", "/id", json!({"id": 1.5, "events": []})),
        (422, "not_revocable", "events_missing", "/events", json!({"id": "m"})),
        (422, "not_revocable", "events_missing", "/events", json!({"id": "m", "events": {}})),
        (
            422,
            "not_revocable",
            "time_invalid",
            "event 2, rule 1: at '/at'",
            event(json!({"type": "left", "user": "a"})),
        ),
        (422, "not_revocable", "value_missing", "/user", event(json!({"type": "left", "at": now()}))),
        (
            422,
            "not_revocable",
            "value_missing",
            "/user",
            event(json!({"type": "left", "at": now(), "user": []})),
        ),
        (
            422,
            "not_revocable",
            "cutoff_in_future",
            "future",
            event(json!({"type": "left", "at": now() + 60, "user": "a"})),
        ),
    ] {
        let reply = tell(&plane, &body).await;
        refused(&plane, &reply, status, error, check).await;
        assert!(reply.text().contains(place), "{place}: {}", reply.text());
    }
    let token = format!("Token {SECRET}");
    let broken = send(&plane, &[("authorization", &token)], "{\"id\":").await;
    refused(&plane, &broken, 400, "invalid_request", "syntax").await;
    let form = plane.api().post(PATH).header("authorization", &token).body("a=b").send().await.unwrap();
    refused(&plane, &form, 415, "invalid_request", "unsupported_media_type").await;
    let unknown = plane.api().post("/inlets/webhook/other").body("{}").send().await.unwrap();
    assert_eq!(unknown.status, 404);
    assert_eq!(events(&plane, "revoked").await, Vec::<Value>::new());
    // Nothing matches: that is said, and no error.
    assert_eq!(tell(&plane, &json!({"id": "n", "events": [{"type": "joined"}]})).await.status, 204);
    let signal = last_received(&plane).await["signal"].clone();
    assert_eq!(signal, "hook: no rule matches: rule 1 wants another /type than `joined`");
}

#[tokio::test]
async fn a_configuration_that_makes_no_sense_is_refused() {
    let head = "[[issuers]]\nissuer = \"https://i\"\n[[webhooks]]\nname = \"hook\"\n";
    let issuer = "issuer = \"https://i\"\n";
    for (lines, expect) in [
        (format!("issuer = \"https://j\"\n{TOKEN}\n{LEAVER}"), "none of [[issuers]]"),
        (format!("{issuer}scheme = \"token\"\n{LEAVER}"), "secret_env"),
        (format!("{issuer}secret_env = \"PORTCULLIS_X\"\nscheme = \"token\"\n{LEAVER}"), "PORTCULLIS_"),
        (format!("{issuer}secret_env = \"UNSET\"\nscheme = \"token\"\n{LEAVER}"), "UNSET is not set"),
        (format!("{issuer}secret_file = \"none\"\nscheme = \"token\"\n{LEAVER}"), "cannot read"),
        (format!("{issuer}secret_env = \"SHORT\"\nscheme = \"token\"\n{LEAVER}"), "fewer than 16"),
        (
            format!("{issuer}secret_env = \"HOOK_SECRET\"\nscheme = \"sha1\"\n{LEAVER}"),
            "none of \"standard\"",
        ),
        (format!("{issuer}secret_env = \"HOOK_SECRET\"\nscheme = \"hmac\"\n{LEAVER}"), "webhooks.header"),
        (format!("{issuer}{TOKEN}\nhash = \"sha256\"\n{LEAVER}"), "means nothing"),
        (format!("{issuer}{TOKEN}\nevents = \"x\"\n{LEAVER}"), "JSON Pointer"),
        (format!("{issuer}{TOKEN}\nrules = []"), "1 to 100 rules"),
        (format!("{issuer}{TOKEN}\n[[webhooks.rules]]\naction = \"kill\"\nvalue = \"/a\""), "kill"),
        (format!("{issuer}{TOKEN}\n{LEAVER}\nwhen = {{ \"/a\" = 1.5 }}"), "float"),
        (format!("{issuer}{TOKEN}\n{LEAVER}\ntime = \"/a\""), "cut-off"),
        (
            format!("{issuer}{TOKEN}\n[[webhooks.rules]]\naction = \"revoke\"\nkind = \"claims\""),
            "needs claims",
        ),
        (
            format!(
                "{issuer}{TOKEN}\n[[webhooks.rules]]\naction = \"revoke\"\nkind = \"claims\"\nclaims = {{ iss = \"/a\" }}"
            ),
            "always the webhook's",
        ),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{head}{lines}")).unwrap();
        let environment = [("HOOK_SECRET", SECRET), ("SHORT", "short")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let error = portcullis::config::Config::load(Some(file.path()), environment).unwrap_err().to_string();
        assert!(error.contains(expect) && !error.contains(SECRET), "{expect}: {error}");
    }
}

fn example(name: &str) -> String {
    std::fs::read_to_string(format!("{}/examples/webhooks/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[tokio::test]
async fn the_example_for_auth0_works() {
    let issuer = Issuer::start().await.unwrap();
    let config = example("auth0.toml").replace("https://YOUR_TENANT.eu.auth0.com/", issuer.name());
    let plane = setup().issuer(&issuer, SETTINGS).config(&config).env("AUTH0_WEBHOOK_TOKEN", SECRET);
    let plane = plane.start().await.unwrap();
    let body = example("auth0.json");
    let call = plane.api().post("/inlets/webhook/auth0").header("authorization", SECRET);
    let reply = call.header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(reply.status, 204, "{}", reply.text());
    assert!(is_rejected(&plane, &issuer, "auth0|alice").await);
    assert!(!is_rejected(&plane, &issuer, "auth0|bob").await);
}

#[tokio::test]
async fn the_example_for_an_hr_system_works() {
    let issuer = Issuer::start().await.unwrap();
    let config = example("hr.toml").replace("https://idp.example", issuer.name());
    let settings = format!("{SETTINGS}\nemail_claim = \"email\"");
    let secret = format!("whsec_{}", STANDARD.encode(STANDARD_SECRET));
    let plane = setup().issuer(&issuer, &settings).config(&config).env("HR_WEBHOOK_SECRET", &secret);
    let plane = plane.start().await.unwrap();
    let rejected = async || {
        let claims =
            json!({"iss": issuer.name(), "sub": "a", "email": "alice@example.com", "iat": now() + 60});
        rejected_as(&plane, claims).await.is_some()
    };
    let send = async |id: &str, body: &str| {
        let signed = Signed::new(id, now(), body);
        let call = plane.api().post("/inlets/webhook/hr").header("content-type", "application/json");
        let call = call.header("webhook-id", &signed.id).header("webhook-timestamp", &signed.timestamp);
        call.header("webhook-signature", &signed.signature).body(body.to_owned()).send().await.unwrap()
    };
    let leaves = example("hr.json");
    assert_eq!(send("m1", &leaves).await.status, 204);
    assert!(rejected().await);
    assert_eq!(send("m2", &leaves.replace("false", "true")).await.status, 204);
    assert!(!rejected().await);
}

#[tokio::test]
async fn a_webhook_can_be_tried() {
    let (_issuer, plane) = stage(&format!("{TOKEN}\n{LEAVER}")).await;
    let trial = try_message(&plane, "webhook:hook", "{}").await;
    assert_eq!((&trial["accepted"], &trial["status"]), (&json!(false), &json!(401)));
    assert_eq!(trial["refused"]["code"], "credential");
    let unknown = try_message(&plane, "webhook:other", "{}").await;
    assert_eq!(unknown["refused"]["code"], "webhook_unknown");
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nAuthorization: Token {SECRET}\r\nContent-Type: application/json\r\n\r\n{{\"user\":\"alice\"}}\r\n"
    );
    let file = plane.dir().join("message");
    std::fs::write(&file, request).unwrap();
    let ran =
        run(&plane, &["inlet", "try", "webhook:hook", file.to_str().unwrap(), "--fail-if-refused"], 0).await;
    assert!(ran.stdout.contains("would revoke subject alice of"), "{}", ran.stdout);
    assert_eq!(events(&plane, "received").await.len(), 0);
}
