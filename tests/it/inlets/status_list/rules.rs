//! Every check of a status list token, by the message that breaks just that one.

use portcullis_testbed::{Issuer, Token};
use serde_json::json;

use super::support::*;
use crate::inlets::forgeries::{Forgery, Parties};
use crate::inlets::support::{events, now};
use crate::inlets::trial::try_message;
use crate::support::{run, setup};

#[tokio::test]
async fn each_rule_refuses_what_breaks_it() {
    let (issuer, shelf) = Shelf::start().await;
    let plane = plane_of(&issuer, "", "max_revoked = 3").start().await.unwrap();
    let valid = || token(&issuer, &[0, 1, 2, 1]);
    let check = async |message: String, code: Option<&str>| {
        let trial = try_message(&plane, "status-list", &message).await;
        assert_eq!(trial["refused"]["code"].as_str(), code, "{trial}");
        assert_eq!(trial["accepted"], code.is_none(), "{trial}");
        assert_eq!(trial["status"], if code.is_some() { 400 } else { 200 }, "{trial}");
        trial
    };
    let trial = check(valid().sign().unwrap(), None).await;
    assert_eq!(trial["revocations"].as_array().unwrap().len(), 3);
    assert_eq!(trial["revocations"][1]["claims"]["/status/status_list/idx"], "2");

    let refused = async |token: Token, code: &str| check(token.sign().unwrap(), Some(code)).await;
    // The draft, sections 5.1 and 8.3.
    refused(valid().header("typ", "JWT"), "typ_wrong").await;
    refused(valid().without_header("typ"), "typ_wrong").await;
    check(valid().header("typ", "application/statuslist+jwt").sign().unwrap(), None).await;
    refused(valid().without("sub"), "list_unknown").await;
    refused(valid().claim("sub", "https://other.example/lists/1"), "list_unknown").await;
    refused(valid().without("iat"), "claim_missing").await;
    refused(valid().iat(now() + 120), "issued_in_future").await;
    refused(valid().claim("exp", now() - 120), "expired").await;
    refused(valid().claim("nbf", now() + 120), "not_yet_valid").await;
    check(valid().no_expiry().sign().unwrap(), None).await;
    // A clock that is off by less than a minute.
    check(valid().iat(now() + 50).claim("exp", now() - 50).sign().unwrap(), None).await;
    for ttl in [json!(0), json!(-1), json!("60")] {
        refused(valid().claim("ttl", ttl), "claim_type").await;
    }
    check(valid().without("ttl").sign().unwrap(), None).await;
    refused(valid().without("status_list"), "claim_missing").await;
    refused(valid().claim("status_list", json!([])), "claim_type").await;
    let list = |bits: serde_json::Value, lst: serde_json::Value| {
        valid().claim("status_list", json!({"bits": bits, "lst": lst}))
    };
    for bits in [json!(0), json!(3), json!(16), json!("1")] {
        refused(list(bits, json!(lst(&[1]))), "claim_type").await;
    }
    check(list(json!(8), json!(lst(&[1]))).sign().unwrap(), None).await;
    refused(list(json!(1), json!(7)), "claim_type").await;
    refused(list(json!(1), json!(format!("{}=", lst(&[1])))), "claim_type").await;
    refused(list(json!(1), json!("AAAA")), "list_compression").await;
    refused(list(json!(1), json!(lst(&vec![0; 2 * 1024 * 1024]))), "list_too_large").await;
    refused(token(&issuer, &[1, 1, 1, 2]), "too_many_revoked").await;
    // Who has signed it.
    check(valid().claim("iss", issuer.name()).sign().unwrap(), None).await;
    refused(valid().claim("iss", "https://other.example"), "iss_wrong").await;
    check("no token".into(), Some("jwt_malformed")).await;
    check("x".repeat(100), Some("jwt_malformed")).await;
    // Nothing of all this was more than a trial.
    shelf.asked_twice().await;
    assert_eq!(events(&plane, "revoked").await.len(), 0);
}

#[tokio::test]
async fn a_forged_list_is_refused() {
    let parties = Parties::gather().await;
    let plane = parties.plane(setup().config(&config(&parties.issuer, "")), "").await;
    let valid = |by: &Issuer| token(by, &[1]).claim("sub", uri(&parties.issuer));
    let refuse = async |forgery: &Forgery| {
        let trial = try_message(&plane, "status-list", &forgery.token).await;
        assert_eq!(trial["refused"]["code"], forgery.check, "{trial}");
        assert_eq!(trial["status"], 400, "{trial}");
    };
    parties.try_all(&plane, valid, Some("kid_unknown"), refuse).await;
    let trial = try_message(&plane, "status-list", &valid(&parties.issuer).sign().unwrap()).await;
    assert_eq!(trial["revocations"].as_array().unwrap().len(), 1, "{trial}");
}

#[tokio::test]
async fn a_list_that_is_older_than_the_one_in_force_is_refused() {
    let (issuer, shelf, plane) = stage(&[0, 1]).await;
    let old = token(&issuer, &[0, 0]).iat(now() - 600).sign().unwrap();
    let trial = try_message(&plane, "status-list", &old).await;
    assert_eq!(trial["refused"]["code"], "list_older", "{trial}");
    shelf.put(answer(token(&issuer, &[0, 0]).iat(now() - 600)));
    plane.log().wait_for("a newer list is in force", std::time::Duration::from_secs(30)).await.unwrap();
    assert_eq!(rejected(&plane, &issuer, 2).await, [1]);
}

#[tokio::test]
async fn a_trial_shows_what_is_new_and_what_would_be_undone() {
    let (issuer, _shelf, plane) = stage(&[1, 2, 0]).await;
    let file = plane.dir().join("list");
    std::fs::write(&file, token(&issuer, &[1, 0, 1]).sign().unwrap()).unwrap();
    let path = file.to_str().unwrap();
    let ran = run(&plane, &["inlet", "try", "status-list", path], 0).await;
    assert_eq!(ran.stdout.matches("would revoke claims").count(), 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("/status/status_list/idx=2"), "{}", ran.stdout);
    assert_eq!(ran.stdout.matches("would undo r").count(), 1, "{}", ran.stdout);
    assert_eq!(rejected(&plane, &issuer, 3).await, [0, 1]);
}
