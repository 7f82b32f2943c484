//! Requests that are meant to be read in two ways, without a verifier in front.

use proxy_wasm_harness::{Exchange, State, Worker};

use super::support::{Authorized, IAT, ISSUER, Plane, code, session, synced};
use crate::attacks::{Attack, Attacker, unsigned};

const ATTACKER: Attacker<'_> =
    Attacker { sign: &unsigned, issuer: ISSUER, kid: "k1", expires_at: IAT + 3_600 };

/// What is no token for any reader, so that nothing is to be checked: the scheme is missing, or the text opaque.
const NO_TOKEN: [&str; 5] = ["no space", "four parts", "five parts", "two parts", "header: a list"];

fn get(worker: &Worker, attack: &Attack) -> Exchange {
    let request = worker.get("/");
    attack.headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send()
}

#[test]
fn no_other_way_to_present_a_revoked_token_passes() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, _stream) = synced("", &plane);
    let attacks = ATTACKER.attacks("s1", "s2");
    assert!(attacks.len() > 80);
    for attack in &attacks {
        let exchange = get(&envoy.worker(0), attack);
        if NO_TOKEN.contains(&attack.name.as_str()) {
            assert_eq!(exchange.state(), State::Forwarded, "{}", attack.name);
            continue;
        }
        let code = code(&exchange);
        let rejected = matches!(code.as_deref(), Some("session_revoked" | "token_malformed"));
        assert!(rejected, "{}: {:?} {code:?}", attack.name, exchange.state());
    }
    assert_eq!(envoy.worker(0).failure(), None);
    envoy.assert_clean();
}

#[test]
fn what_is_only_unusual_and_not_revoked_passes() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, _stream) = synced("", &plane);
    let unusual = [
        "plain",
        "lower case",
        "upper case",
        "two spaces",
        "a tab",
        "white space around",
        "padding",
        "payload: an escaped name",
        "payload: an escaped value",
        "payload: a list of thousands",
        "payload: white space",
        "payload: NUL in a claim",
        "payload: a huge number",
        "payload: proto",
        "header: no kid",
        "header: an escaped kid",
        "header: white space before",
    ];
    let attacks = ATTACKER.attacks("s2", "s3");
    for name in unusual {
        let attack = attacks.iter().find(|attack| attack.name == name).unwrap();
        let exchange = get(&envoy.worker(0), attack);
        assert_eq!(exchange.state(), State::Forwarded, "{name}: {:?}", code(&exchange));
    }
}

#[test]
fn no_time_of_issue_gets_around_a_cutoff() {
    let mut plane = Plane::new();
    let selector =
        portcullis_core::Selector::subject(ISSUER, "alice", portcullis_core::CutoffClaim::Iat).unwrap();
    plane.revoke(&selector, portcullis_core::Cutoff::At(IAT));
    let (envoy, _stream) = synced("", &plane);
    let code = |iat: &str| code(&envoy.worker(0).get("/").bearer(&ATTACKER.issued("alice", iat)).send());
    for iat in [
        "1800000000",
        "1799999999.999",
        "1800000000.0",
        "18e8",
        "1.8E+9",
        "0",
        "-0",
        "-1",
        "-1e300",
        "1e300",
        "253402300800",
        "1800000001000",
        "99999999999999999999999999999999",
        "null",
        "true",
        r#""1900000000""#,
        "[1900000000]",
        r#"{"x":1900000000}"#,
    ] {
        assert_eq!(code(iat).as_deref(), Some("subject_revoked"), "{iat}");
    }
    for iat in
        ["1e999", "01900000000", "+1900000000", "1900000000.", "0x7fffffff", "NaN", "Infinity", "1_900"]
    {
        assert_eq!(code(iat).as_deref(), Some("token_malformed"), "{iat}");
    }
    assert_eq!(code(r#"1900000000,"iat":1900000000"#).as_deref(), Some("token_malformed"));
    for iat in ["1800000001", "1800000000.001", "1.8000000010e9", "253402300799"] {
        assert_eq!(code(iat), None, "{iat}");
    }
}

#[test]
fn every_place_is_looked_at_and_none_hides_another() {
    let places = r#","tokens":[{"header":"authorization","scheme":"Bearer"},{"cookie":"at"},{"query":"at"}]"#;
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, _stream) = synced(places, &plane);
    let (revoked, innocent) = (session("s1"), session("s2"));
    let escaped: String = revoked.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let bearer = |token: &str| format!("Bearer {token}");
    let cookie = |token: &str| format!("at={token}");
    let query = |token: &str| format!("/?at={token}");
    let passes = |path: &str, headers: &[(&str, String)]| {
        let request = envoy.worker(0).get(path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        request.send().state() == State::Forwarded
    };
    let (header, cookie_header) = ("authorization", "cookie");
    assert!(!passes("/", &[(header, bearer(&innocent)), (cookie_header, cookie(&revoked))]));
    assert!(!passes("/", &[(header, bearer(&revoked)), (cookie_header, cookie(&innocent))]));
    assert!(!passes(&query(&revoked), &[(header, bearer(&innocent))]));
    assert!(!passes(&query(&innocent), &[(header, bearer(&revoked))]));
    assert!(!passes(&query(&escaped), &[]));
    assert!(!passes(&format!("/?%61t={revoked}"), &[]));
    assert!(!passes(&format!("/?at={innocent}&at={revoked}"), &[]));
    assert!(!passes(&format!("/?x=1;at={revoked}"), &[]));
    assert!(!passes("/", &[(cookie_header, format!("at={innocent}; at={revoked}"))]));
    assert!(!passes("/", &[(cookie_header, format!("x={innocent};at=\"{revoked}\""))]));
    assert!(!passes("/", &[(cookie_header, cookie(&innocent)), (cookie_header, cookie(&revoked))]));
    assert!(passes(&query(&innocent), &[(header, bearer(&innocent)), (cookie_header, cookie(&innocent))]));
}

#[test]
fn tokens_of_any_length_and_depth_are_answered() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, _stream) = synced("", &plane);
    let header = r#"{"alg":"RS256"}"#;
    let tokens = [
        ("a megabyte", "x".repeat(1 << 20)),
        ("a megabyte of dots", ".".repeat(1 << 20)),
        ("a megabyte of equals signs", "=".repeat(1 << 20)),
        ("a hundred thousand lists", unsigned(header, &"[".repeat(40_000))),
        (
            "a hundred thousand lists in an object",
            unsigned(header, &format!(r#"{{"x":{}"#, "[".repeat(100_000))),
        ),
        ("as many objects", unsigned(header, &r#"{"x":"#.repeat(8_000))),
        ("lists in the header", unsigned(&format!(r#"{{"x":{}"#, "[".repeat(40_000)), "{}")),
        ("a name of tens of thousands", unsigned(header, &format!(r#"{{"{}":1}}"#, "n".repeat(40_000)))),
    ];
    for (name, token) in tokens {
        let exchange = envoy.worker(0).get("/").bearer(&token).send();
        let expect = if name.starts_with("a name") { None } else { Some("token_malformed") };
        assert_eq!(code(&exchange).as_deref(), expect, "{name}");
        assert_eq!(envoy.worker(0).failure(), None, "{name}");
    }
    // One that a JWT may have makes another token, which no verifier accepts.
    let foreign = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"-_.".contains(byte);
    for byte in (0..=255_u8).filter(foreign) {
        let value = [b"Bearer ".as_slice(), &[byte], session("s1").as_bytes()].concat();
        let exchange = envoy.worker(0).get("/").header("authorization", value).send();
        assert_ne!(exchange.state(), State::Forwarded, "{byte}");
    }
    envoy.assert_clean();
}
