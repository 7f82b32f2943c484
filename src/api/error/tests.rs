use super::*;
use crate::auth::Scope;

fn document(error: ApiError) -> serde_json::Value {
    serde_json::to_value(error.problem()).unwrap()
}

#[track_caller]
fn check(error: impl Into<ControlError>, status: u16, code: &str) {
    let error = error.into();
    let problem = ApiError::from(error.clone()).problem();
    assert_eq!((problem.status, problem.code.as_str()), (status, code), "{error:?}");
}

#[test]
fn every_cause_has_its_status_and_code() {
    let id = "r1-0000".parse().unwrap();
    check(ControlError::NotReady, 503, "not_ready");
    check(ControlError::Scope(Scope::Revoke), 403, "scope");
    check(ControlError::Issuer(None), 403, "issuer");
    check(Refusal::CutoffInFuture, 422, "cutoff_in_future");
    check(ControlError::NoRevocation(id), 404, "not_found");
    check(ControlError::NoKey("k".into()), 404, "not_found");
    check(ControlError::LastAdminKey("k".into()), 409, "last_admin_key");
    check(ControlError::AlreadyReinstated(id), 409, "already_reinstated");
    check(ControlError::Ended { id, status: crate::control::Status::Undone }, 409, "not_in_force");
    check(LogError::Full, 507, "log_full");
    check(LogError::Closed, 503, "not_ready");
    check(LogError::Io("disk".into()), 503, "log_unavailable");
}

#[test]
fn a_document_has_the_members_of_rfc_9457_and_names_the_field() {
    let document = document(ApiError::of_revocation(Kind::Subject, Refusal::CutoffInFuture.into()));
    assert_eq!(document["type"], "about:blank");
    assert_eq!(document["title"], "Unprocessable Entity");
    assert_eq!(document["status"], 422);
    assert_eq!(document["errors"][0]["pointer"], "/cutoff");
}

#[test]
fn a_claim_is_named_by_an_escaped_pointer() {
    let refusal = || Refusal::Selector(SelectorError::EmptyValue("/a/b".into()));
    let claims = ApiError::of_revocation(Kind::Claims, refusal().into());
    assert_eq!(document(claims)["errors"][0]["pointer"], "/claims/~1a~1b");

    let issuer = Refusal::Selector(SelectorError::EmptyValue("iss".into()));
    let session = ApiError::of_revocation(Kind::Session, issuer.into());
    assert_eq!(document(session)["errors"][0]["pointer"], "/issuer");
}

#[test]
fn what_only_the_operator_should_know_is_not_in_the_document() {
    let problem = ApiError::from(ControlError::Log(LogError::Io("/var/secret".into()))).problem();
    assert!(!problem.detail.contains("/var/secret"));
}

#[test]
fn what_a_caller_sent_does_not_come_back_whole() {
    assert!(ApiError::no_revocation(&"x".repeat(10_000)).problem().detail.len() < 500);
    assert_eq!(bounded("é"), "é");
}
