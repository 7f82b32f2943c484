use std::time::Duration;

use portcullis_core::Kind;

use super::*;
use crate::config::Issuer;

/// 2023-11-14 22:13:20.5 UTC.
const NOW_MS: UnixMillis = 1_700_000_000_500;
const NOW: UnixSeconds = 1_700_000_000;
const IAT: &str = "https://iat.example";
const AUTH: &str = "https://auth.example";

/// Tokens live 10 minutes, sessions 10 hours, clocks are 2 s apart.
fn issuers() -> Issuers {
    let settings = IssuerSettings {
        max_token_lifetime: Duration::from_secs(600),
        max_session_lifetime: Duration::from_secs(36_000),
        clock_skew: Duration::from_secs(2),
        cutoff_claim: CutoffClaim::Iat,
    };
    let issuer = |issuer: &str, cutoff_claim| Issuer {
        issuer: issuer.into(),
        jwks_uri: None,
        audiences: Vec::new(),
        settings: IssuerSettings { cutoff_claim, ..settings },
        messages: crate::config::MessageSettings::default(),
    };
    Issuers {
        strict: true,
        configured: vec![issuer(IAT, CutoffClaim::Iat), issuer(AUTH, CutoffClaim::AuthTime)],
    }
}

fn session(issuer: &str) -> Target {
    Target::Session { issuer: issuer.into(), sid: "s".into() }
}

fn subject(issuer: &str) -> Target {
    Target::Subject { issuer: issuer.into(), sub: "u".into() }
}

fn claims(pairs: &[(&str, &str)]) -> Target {
    Target::Claims(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
}

#[track_caller]
fn decided(request: &NewRevocation) -> Intake {
    decide(request, &issuers(), NOW_MS).unwrap()
}

#[track_caller]
fn check(target: &Target, kind: Kind, cutoff: Option<UnixSeconds>, expires_at: Option<UnixSeconds>) {
    let intake = decided(&NewRevocation::new(target.clone()));
    let seen = (intake.selector.kind(), intake.revoked.cutoff, intake.revoked.expires_at);
    assert_eq!(seen, (kind, cutoff, expires_at), "{target:?}");
}

#[track_caller]
fn refused(request: &NewRevocation, expect: &Refusal) {
    assert_eq!(decide(request, &issuers(), NOW_MS).unwrap_err(), *expect, "{request:?}");
}

#[test]
fn every_kind_has_its_defaults() {
    // Half a second past and two of skew, rounded up; every end a minute later than the last token's.
    let cutoff = NOW + 3;
    let iss = || IAT.to_owned();
    check(&session(IAT), Kind::Session, None, Some(NOW + 36_060));
    check(&subject(IAT), Kind::Subject, Some(cutoff), Some(cutoff + 660));
    check(&subject(AUTH), Kind::Subject, Some(cutoff), Some(cutoff + 36_060));
    check(&Target::Token { issuer: iss(), jti: "j".into() }, Kind::Token, None, Some(NOW + 660));
    check(&Target::TokenSha256 { hex: "AB".repeat(32) }, Kind::Token, None, Some(NOW + 660));
    check(&Target::RawToken { token: "opaque".into() }, Kind::Token, None, Some(NOW + 660));
    check(
        &Target::Client { issuer: iss(), client_id: "c".into() },
        Kind::Client,
        Some(cutoff),
        Some(cutoff + 660),
    );
    check(&Target::Issuer { issuer: iss() }, Kind::Issuer, Some(cutoff), Some(cutoff + 660));
    check(&Target::Key { issuer: iss(), kid: "k".into() }, Kind::Key, None, None);
    check(&claims(&[("iss", IAT), ("tenant", "t")]), Kind::Claims, None, Some(NOW + 36_060));
}

#[test]
fn a_jwt_lives_as_long_as_it_says() {
    use base64::Engine as _;
    let check = |payload: &str, expect| {
        let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let token = format!("{}.{}.sig", encode(r#"{"alg":"RS256"}"#), encode(payload));
        let intake = decided(&NewRevocation::new(Target::RawToken { token }));
        assert_eq!(intake.revoked.expires_at, Some(expect), "{payload}");
    };
    check(r#"{"exp":1700009999}"#, 1_700_010_059);
    check(r#"{"exp":1700000099.5}"#, 1_700_000_160);
    check(r#"{"exp":5}"#, NOW + 60);
    check(r#"{"exp":"soon"}"#, NOW + 660);
    check(r#"{"exp":1e300}"#, NOW + 660);
    check("{}", NOW + 660);
}

#[test]
fn the_compared_claim_is_the_issuers_where_there_is_something_to_compare() {
    let claim = |request: &NewRevocation| decided(request).selector.shape().cutoff_claim();
    let with_cutoff = |target| NewRevocation { cutoff_ms: Some(NOW_MS), ..NewRevocation::new(target) };
    assert_eq!(claim(&NewRevocation::new(subject(AUTH))), CutoffClaim::AuthTime);
    assert_eq!(claim(&NewRevocation::new(session(AUTH))), CutoffClaim::Iat);
    assert_eq!(claim(&with_cutoff(session(AUTH))), CutoffClaim::AuthTime);
    assert_eq!(claim(&with_cutoff(session(IAT))), CutoffClaim::Iat);
    // So that reinstating an account is compared with it.
    let disabled = NewRevocation { until_reinstated: true, ..NewRevocation::new(subject(AUTH)) };
    assert_eq!(claim(&disabled), CutoffClaim::AuthTime);
}

#[test]
fn until_reinstated_has_no_cutoff_and_no_end() {
    let request = NewRevocation { until_reinstated: true, ..NewRevocation::new(subject(IAT)) };
    let revoked = decided(&request).revoked;
    assert_eq!((revoked.cutoff, revoked.expires_at), (None, None));
    refused(&NewRevocation { cutoff_ms: Some(1), ..request.clone() }, &Refusal::CutoffUntilReinstated);
    refused(&NewRevocation { expires_at: Some(NOW + 9), ..request }, &Refusal::ExpiryUntilReinstated);
}

#[test]
fn times_that_make_no_sense_are_refused() {
    let cutoff = |ms| NewRevocation { cutoff_ms: Some(ms), ..NewRevocation::new(subject(IAT)) };
    let expiry = |at| NewRevocation { expires_at: Some(at), ..NewRevocation::new(subject(IAT)) };
    decided(&cutoff(NOW_MS + FUTURE_TOLERANCE_MS));
    refused(&cutoff(NOW_MS + FUTURE_TOLERANCE_MS + 1), &Refusal::CutoffInFuture);
    refused(&cutoff(u64::MAX), &Refusal::CutoffInFuture);
    decided(&cutoff(NOW_MS - 657_000));
    refused(&cutoff(NOW_MS - 663_000), &Refusal::CutoffTooOld);
    refused(&cutoff(0), &Refusal::CutoffTooOld);
    decided(&expiry(NOW + 4));
    refused(&expiry(NOW + 3), &Refusal::ExpiryBeforeCutoff);
    refused(&expiry(NOW), &Refusal::ExpiryPast);
    refused(&expiry(LAST_SECOND + 1), &Refusal::Time("expires_at"));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let target = |target| NewRevocation::new(target);
    refused(&target(Target::Issuer { issuer: String::new() }), &Refusal::IssuerMissing(Vec::new()));
    let unknown = "https://other.example";
    refused(&target(session(unknown)), &Refusal::UnknownIssuer(unknown.into()));
    refused(&target(Target::Session { issuer: IAT.into(), sid: String::new() }), &Refusal::ValueMissing);
    refused(&target(Target::TokenSha256 { hex: "ab".into() }), &Refusal::TokenSha256);
    refused(
        &target(Target::RawToken { token: "a b".into() }),
        &Refusal::Token(portcullis_core::token::Malformed::Characters),
    );
    let empty = portcullis_core::selector::SelectorError::Empty;
    refused(&target(claims(&[])), &Refusal::Selector(empty));
    let error = portcullis_core::field::ClaimPathError::Escape;
    refused(&target(claims(&[("/a~2", "x")])), &Refusal::Claim { name: "/a~2".into(), error });
    let reason = "x".repeat(MAX_REASON_BYTES + 1);
    refused(
        &NewRevocation { reason, ..target(session(IAT)) },
        &Refusal::ReasonTooLong { max: MAX_REASON_BYTES },
    );
}

#[test]
fn an_unknown_issuer_gets_defaults_and_a_warning_unless_strict() {
    let lenient = Issuers { strict: false, ..issuers() };
    let request = NewRevocation::new(session("https://other.example"));
    let intake = decide(&request, &lenient, NOW_MS).unwrap();
    let none = Warning::IssuerMatchesNone {
        issuer: "https://other.example".into(),
        configured: vec![IAT.into(), AUTH.into()],
        similar: None,
    };
    assert_eq!(intake.warnings, [none]);
    assert_eq!(intake.revoked.expires_at, Some(NOW + 86_460));
    let nobody = Issuers { strict: true, configured: Vec::new() };
    let intake = decide(&request, &nobody, NOW_MS).unwrap();
    assert_eq!(intake.warnings, [Warning::IssuerNotConfigured("https://other.example".into())]);
}

#[test]
fn an_issuer_that_is_nearly_a_configured_one_is_recognized() {
    for near in [
        "https://iat.example/",
        "http://iat.example",
        "HTTPS://Iat.Example",
        "iat.example",
        " https://iat.example",
    ] {
        let warning = not_configured(&issuers(), near).to_string();
        assert!(warning.contains("did you mean https://iat.example?"), "{warning}");
        assert!(warning.contains("(https://iat.example, https://auth.example)"), "{warning}");
    }
    for far in ["https://iat.example.org", "https://iat.example/realm", "https://other.example"] {
        let warning = not_configured(&issuers(), far).to_string();
        assert!(!warning.contains("did you mean"), "{warning}");
        assert!(warning.contains("no token of the configured issuers"), "{warning}");
    }
}

#[test]
fn reinstating_takes_effect_with_the_next_second() {
    let revoked = decided(&NewRevocation::new(session(IAT))).revoked;
    let event = reinstate(7, &revoked, "back", NOW_MS + 5_000);
    assert_eq!((event.revocation, event.cutoff, event.expires_at), (7, NOW + 5, NOW + 665));
}
