use super::*;
use crate::api::body::{Text, parse};

fn nobody() -> Result<String, Refusal> {
    Err(Refusal::IssuerMissing(Vec::new()))
}

#[track_caller]
fn check(json: &str, expect: &Target) {
    let request = parse(json.as_bytes(), Text::Body).unwrap_or_else(|_| panic!("{json}"));
    let made = new_revocation(request, nobody).unwrap_or_else(|error| panic!("{json}: {error:?}"));
    assert_eq!(&made.target, expect, "{json}");
}

#[track_caller]
fn refused(json: &str, code: &str, pointer: &str) {
    let request = parse(json.as_bytes(), Text::Body).unwrap_or_else(|_| panic!("{json}"));
    let Err(error) = new_revocation(request, nobody) else { panic!("accepted: {json}") };
    let problem = error.problem();
    let seen = problem.errors.first().map(|error| error.pointer.as_str());
    assert_eq!((problem.status, problem.code.as_str(), seen), (422, code, Some(pointer)), "{json}");
}

#[test]
fn every_kind_has_its_target() {
    let (issuer, value) = ("i".to_owned(), "v".to_owned());
    let of = |kind: &str| format!(r#"{{"kind":"{kind}","issuer":"i","value":"v"}}"#);
    check(&of("session"), &Target::Session { issuer: issuer.clone(), sid: value.clone() });
    check(&of("subject"), &Target::Subject { issuer: issuer.clone(), sub: value.clone() });
    check(&of("token"), &Target::Token { issuer: issuer.clone(), jti: value.clone() });
    check(&of("client"), &Target::Client { issuer: issuer.clone(), client_id: value.clone() });
    check(&of("key"), &Target::Key { issuer: issuer.clone(), kid: value });
    check(r#"{"kind":"issuer","issuer":"i"}"#, &Target::Issuer { issuer });
    check(r#"{"kind":"token","token":"raw"}"#, &Target::RawToken { token: "raw".into() });
    check(r#"{"kind":"token","value":"sha256:00ff"}"#, &Target::TokenSha256 { hex: "00ff".into() });
    let claims = vec![("iss".into(), "i".into()), ("n".into(), "42".into())];
    check(r#"{"kind":"claims","claims":{"iss":"i","n":42}}"#, &Target::Claims(claims));
}

#[test]
fn what_is_missing_is_named() {
    refused(r#"{"kind":"session","value":"s"}"#, "issuer_missing", "/issuer");
    refused(r#"{"kind":"session","issuer":"i"}"#, "value_missing", "/value");
    refused(r#"{"kind":"token","issuer":"i"}"#, "value_missing", "/value");
    refused(r#"{"kind":"issuer"}"#, "issuer_missing", "/issuer");
    refused(r#"{"kind":"claims"}"#, "value_missing", "/claims");
}

#[test]
fn what_would_be_ignored_is_refused() {
    let code = "field_not_applicable";
    refused(r#"{"kind":"issuer","issuer":"i","value":"v"}"#, code, "/value");
    refused(r#"{"kind":"session","issuer":"i","value":"v","claims":{"a":"b"}}"#, code, "/claims");
    refused(r#"{"kind":"session","issuer":"i","token":"raw"}"#, code, "/token");
    refused(r#"{"kind":"claims","issuer":"i","claims":{"a":"b"}}"#, code, "/issuer");
    refused(r#"{"kind":"token","token":"raw","value":"v"}"#, code, "/value");
    refused(r#"{"kind":"token","token":"raw","issuer":"i"}"#, code, "/issuer");
    refused(r#"{"kind":"token","value":"sha256:00","issuer":"i"}"#, code, "/issuer");
}

#[test]
fn a_whole_issuer_is_never_meant_by_default() {
    let by_default = || Ok("https://idp.example".to_owned());
    let made = |json: &str| new_revocation(serde_json::from_str(json).unwrap(), by_default);
    assert!(made(r#"{"kind":"session","value":"s1"}"#).is_ok());
    assert!(made(r#"{"kind":"issuer"}"#).is_err());
}
