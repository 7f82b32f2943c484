use alloc::format;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::selector::Selector;
use crate::token::{Decoded, sha256_hex};

const SECRET: HashKey = HashKey::new([9; 16]);
const ISSUER: &str = "https://idp.example";

fn jwt(payload: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.c2ln", encode(r#"{"alg":"RS256","kid":"k1"}"#), encode(payload))
}

fn claims(pairs: &[(&str, &str)]) -> Selector {
    let requirements =
        pairs.iter().map(|(name, value)| (Field::Claim(name.parse().unwrap()), (*value).into())).collect();
    Selector::new(requirements, CutoffClaim::Iat).unwrap()
}

/// Whether a token with that payload has the selector's key.
#[track_caller]
fn check(selector: &Selector, payload: &str, expect: bool) {
    let raw = jwt(payload);
    let mut decoded = Decoded::default();
    let token = Token::read(&raw, &mut decoded).unwrap();
    let keys = keys_of_token(&SECRET, &Shapes::new(vec![selector.shape().clone()]), &token).unwrap();
    let found = keys.keys.iter().any(|(key, _)| *key == selector.hash(&SECRET));
    assert_eq!(found, expect, "{selector:?} against {payload}");
}

#[test]
fn the_named_kinds_find_their_claims() {
    let all = r#"{"iss":"https://idp.example","sid":"s","sub":"u","jti":"j","azp":"c"}"#;
    check(&Selector::session(ISSUER, "s").unwrap(), all, true);
    check(&Selector::subject(ISSUER, "u", CutoffClaim::Iat).unwrap(), all, true);
    check(&Selector::token(ISSUER, "j").unwrap(), all, true);
    check(&Selector::client(ISSUER, "c", CutoffClaim::Iat).unwrap(), all, true);
    check(&Selector::key(ISSUER, "k1").unwrap(), all, true);
    check(&Selector::issuer(ISSUER, CutoffClaim::Iat).unwrap(), all, true);
    check(&Selector::raw_token(&sha256_hex(&jwt(all))).unwrap(), all, true);
    check(&Selector::session(ISSUER, "u").unwrap(), all, false);
    check(&Selector::key(ISSUER, "k2").unwrap(), all, false);
}

#[test]
fn a_client_is_named_by_either_claim() {
    let client = Selector::client(ISSUER, "c", CutoffClaim::Iat).unwrap();
    check(&client, r#"{"iss":"https://idp.example","client_id":"c"}"#, true);
    check(&client, r#"{"iss":"https://idp.example","client_id":"x","azp":"c"}"#, true);
    check(&client, r#"{"iss":"https://idp.example","client_id":"x","azp":"y"}"#, false);
}

#[test]
fn the_same_value_in_another_claim_or_of_another_issuer_does_not_match() {
    let alice = Selector::subject(ISSUER, "x", CutoffClaim::Iat).unwrap();
    check(&alice, r#"{"iss":"https://idp.example","azp":"x"}"#, false);
    check(&alice, r#"{"iss":"https://other.example","sub":"x"}"#, false);
    check(&alice, r#"{"sub":"x"}"#, false);
    check(&alice, r#"{"iss":"https://idp.example","sub":"x"}"#, true);
}

#[test]
fn numbers_booleans_and_lists() {
    check(&claims(&[("tenant", "42")]), r#"{"tenant":42}"#, true);
    check(&claims(&[("tenant", "42")]), r#"{"tenant":"42"}"#, true);
    check(&claims(&[("tenant", "42")]), r#"{"tenant":42.0}"#, true);
    check(&claims(&[("tenant", "42")]), r#"{"tenant":42.5}"#, false);
    check(&claims(&[("tenant", "9007199254740993")]), r#"{"tenant":9007199254740993}"#, true);
    check(&claims(&[("tenant", "9007199254740993")]), r#"{"tenant":9007199254740992}"#, false);
    check(&claims(&[("tenant", "18446744073709551616")]), r#"{"tenant":18446744073709551616}"#, false);
    check(&claims(&[("admin", "true")]), r#"{"admin":true}"#, true);
    check(&claims(&[("groups", "b")]), r#"{"groups":["a","b"]}"#, true);
    check(&claims(&[("groups", "b"), ("aud", "y")]), r#"{"groups":["a","b"],"aud":["x","y"]}"#, true);
    check(&claims(&[("groups", "b"), ("aud", "z")]), r#"{"groups":["a","b"],"aud":["x","y"]}"#, false);
    check(&claims(&[("groups", "a")]), r#"{"groups":[["a"]]}"#, false);
    check(&claims(&[("sub", "null")]), r#"{"sub":null}"#, false);
}

#[test]
fn nested_claims() {
    let roles = claims(&[("/realm_access/roles", "admin")]);
    check(&roles, r#"{"realm_access":{"roles":["user","admin"]}}"#, true);
    check(&roles, r#"{"realm_access":{"roles":"admin"}}"#, true);
    check(&roles, r#"{"realm_access/roles":"admin"}"#, false);
    check(&roles, r#"{"realm_access":["admin"]}"#, false);
    check(&claims(&[("/a/1/b", "x")]), r#"{"a":[0,{"b":"x"}]}"#, true);
}

#[test]
fn a_long_list_is_looked_up_whole() {
    let shapes = Shapes::new(vec![claims(&[("groups", "g")]).shape().clone()]);
    let list: Vec<String> = (0..5_000).map(|n| format!("\"g{n}\"")).collect();
    let raw = jwt(&format!("{{\"groups\":[{}]}}", list.join(",")));
    let keys = keys_of_token(&SECRET, &shapes, &Token::read(&raw, &mut Decoded::default()).unwrap()).unwrap();
    assert_eq!(keys.keys.len(), 5_000);
}

#[test]
fn too_many_combinations_are_refused_and_not_cut() {
    let check = |names: &[&str], count: usize, expect: Option<usize>| {
        let pairs: Vec<(&str, &str)> = names.iter().map(|name| (*name, "x")).collect();
        let shapes = Shapes::new(vec![claims(&pairs).shape().clone()]);
        let list: Vec<String> = (0..count).map(|n| format!("{n}")).collect();
        let members: Vec<String> =
            names.iter().map(|name| format!("\"{name}\":[{}]", list.join(","))).collect();
        let raw = jwt(&format!("{{{}}}", members.join(",")));
        let keys = keys_of_token(&SECRET, &shapes, &Token::read(&raw, &mut Decoded::default()).unwrap());
        assert_eq!(keys.map(|keys| keys.keys.len()).ok(), expect, "{names:?} of {count}");
    };
    check(&["a", "b"], 64, Some(4_096));
    check(&["a", "b"], 65, None);
    // 64^6 is a multiple of 2^32, and 256^8 one of 2^64.
    check(&["a", "b", "c", "d", "e", "f"], 64, None);
    check(&["a", "b", "c", "d", "e", "f", "g", "h"], 256, None);
}

#[test]
fn an_opaque_token_says_what_it_does_not_cover() {
    let session = Shapes::new(vec![Selector::session(ISSUER, "s").unwrap().shape().clone()]);
    let raw = Shapes::new(vec![Selector::raw_token("00").unwrap().shape().clone()]);
    let mut decoded = Decoded::default();
    let opaque = Token::read("opaque", &mut decoded).unwrap();
    assert!(keys_of_token(&SECRET, &session, &opaque).unwrap().not_covered);
    assert!(!keys_of_token(&SECRET, &raw, &opaque).unwrap().not_covered);
}

#[test]
fn times_are_numbers_of_seconds() {
    let shapes = Shapes::default();
    let time = |payload: &str| {
        keys_of_token(&SECRET, &shapes, &Token::read(&jwt(payload), &mut Decoded::default()).unwrap())
            .unwrap()
    };
    assert_eq!(time(r#"{"iat":17}"#).issued_at, IssuedAt::from_seconds(17.0));
    assert_eq!(time(r#"{"iat":1.5,"auth_time":3}"#).auth_time, IssuedAt::from_seconds(3.0));
    for payload in ["{}", r#"{"iat":"17"}"#, r#"{"iat":-1}"#, r#"{"iat":1700000000000}"#, r#"{"iat":[1]}"#] {
        assert_eq!(time(payload).issued_at, IssuedAt::UNKNOWN, "{payload}");
    }
}

/// A list as Envoy serializes it: pairs with the elements as names and empty values.
fn envoy_list(elements: &[&str]) -> Vec<u8> {
    let pairs: Vec<(&str, &str)> = elements.iter().map(|element| (*element, "")).collect();
    pairs::encode(&pairs)
}

#[test]
fn verified_claims_give_the_keys_of_the_same_token() {
    let shapes = [
        Selector::session(ISSUER, "s").unwrap(),
        Selector::client(ISSUER, "c", CutoffClaim::Iat).unwrap(),
        claims(&[("tenant", "42"), ("admin", "true")]),
        claims(&[("/realm_access/roles", "x")]),
    ]
    .map(|selector| selector.shape().clone());
    let shapes = Shapes::new(shapes.into());
    let payload = r#"{"iss":"https://idp.example","sid":"s","azp":"c","tenant":42,"admin":true,
        "realm_access":{"roles":["user","admin"]},"iat":1700000000}"#;
    let verified = Verified::gather(&shapes, |path| match path.names() {
        [name] => Some(match name.as_str() {
            "iss" => ISSUER.as_bytes().to_vec(),
            "sid" => b"s".to_vec(),
            "azp" => b"c".to_vec(),
            "tenant" => 42_f64.to_le_bytes().to_vec(),
            "iat" => 1_700_000_000_f64.to_le_bytes().to_vec(),
            "admin" => vec![1],
            _ => return None,
        }),
        _ => Some(envoy_list(&["user", "admin"])),
    })
    .unwrap();
    let raw = jwt(payload);
    let token =
        keys_of_token(&SECRET, &shapes, &Token::read(&raw, &mut Decoded::default()).unwrap()).unwrap();
    assert_eq!(keys_of_verified(&SECRET, &shapes, &verified).unwrap(), token);
}

#[test]
fn verified_claims_say_what_they_do_not_cover() {
    let shapes = Shapes::new(vec![Selector::key(ISSUER, "k1").unwrap().shape().clone()]);
    let keys = keys_of_verified(&SECRET, &shapes, &Verified::default()).unwrap();
    assert!(keys.not_covered && keys.keys.is_empty());
}

#[test]
fn a_verified_map_is_no_list_and_an_endless_claim_is_malformed() {
    let shapes = Shapes::new(vec![claims(&[("account", "account")]).shape().clone()]);
    let read = |value: Vec<u8>| {
        Verified::gather(&shapes, |path| (path.names() == ["account"]).then(|| value.clone()))
    };
    let map = read(pairs::encode(&[("account", "x")])).unwrap();
    let key = claims(&[("account", "account")]).hash(&SECRET);
    assert!(keys_of_verified(&SECRET, &shapes, &map).unwrap().keys.iter().all(|(one, _)| *one != key));
    assert_eq!(read(vec![b'x'; MAX_VERIFIED_BYTES + 1]).err(), Some(Malformed::TooLong));
}
