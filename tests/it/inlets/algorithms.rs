//! Every algorithm that a message may be signed with, and keys that are too weak.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, PublicKeyData as _, SignatureAlgorithm};
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};

use super::keys::{failure, provider};
use super::support::{AUDIENCE, SETTINGS, now, rejected_as, send_logout};
use crate::support::setup;

/// A key, and what is published of it.
struct Key {
    kid: &'static str,
    private: EncodingKey,
    jwk: Value,
}

fn rsa(kid: &'static str, bits: usize) -> Key {
    let key = RsaPrivateKey::new(&mut OsRng, bits).unwrap();
    let [n, e] = [key.n(), key.e()].map(|number| URL_SAFE_NO_PAD.encode(number.to_bytes_be()));
    // No `alg`: it is good for all of its family.
    let jwk = json!({"kty": "RSA", "kid": kid, "n": n, "e": e});
    Key { kid, private: EncodingKey::from_rsa_der(key.to_pkcs1_der().unwrap().as_bytes()), jwk }
}

fn curve(kid: &'static str, crv: &str, algorithm: &'static SignatureAlgorithm) -> Key {
    let pair = KeyPair::generate_for(algorithm).unwrap();
    let (pkcs8, public) = (pair.serialize_der(), pair.der_bytes().to_vec());
    match crv {
        "Ed25519" => {
            let jwk = json!({"kty": "OKP", "kid": kid, "crv": crv, "x": URL_SAFE_NO_PAD.encode(public)});
            Key { kid, private: EncodingKey::from_ed_der(&pkcs8), jwk }
        }
        _ => {
            // Uncompressed: 4, then both coordinates.
            let (x, y) = public[1..].split_at(public.len() / 2);
            let [x, y] = [x, y].map(|number| URL_SAFE_NO_PAD.encode(number));
            let jwk = json!({"kty": "EC", "kid": kid, "crv": crv, "x": x, "y": y});
            Key { kid, private: EncodingKey::from_ec_der(&pkcs8), jwk }
        }
    }
}

/// A logout token of a user, with the algorithm's name in its header.
fn logout(issuer: &str, sub: &str, (alg, algorithm): (&str, Algorithm), key: &Key) -> String {
    let header = json!({"typ": "logout+jwt", "alg": alg, "kid": key.kid});
    let claims = json!({
        "iss": issuer, "aud": AUDIENCE, "iat": now(), "exp": now() + 60, "jti": sub, "sub": sub,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key.private, algorithm).unwrap();
    format!("{signed}.{signature}")
}

fn documents(keys: &[&Key]) -> Vec<(&'static str, String)> {
    let keys: Vec<&Value> = keys.iter().map(|key| &key.jwk).collect();
    vec![
        ("/.well-known/openid-configuration", r#"{"issuer":"HOST","jwks_uri":"HOST/jwks"}"#.to_owned()),
        ("/jwks", json!({ "keys": keys }).to_string()),
    ]
}

#[tokio::test]
async fn every_algorithm_that_is_accepted_is_verified() {
    let rsa = rsa("rsa", 2048);
    let p256 = curve("p256", "P-256", &rcgen::PKCS_ECDSA_P256_SHA256);
    let p384 = curve("p384", "P-384", &rcgen::PKCS_ECDSA_P384_SHA384);
    let ed = curve("ed", "Ed25519", &rcgen::PKCS_ED25519);
    let issuer = provider(&documents(&[&rsa, &p256, &p384, &ed])).await;
    let config = format!("[[issuers]]\nissuer = \"{issuer}\"\n{SETTINGS}\n");
    let plane = setup().config(&config).start().await.unwrap();
    let cases = [
        ("RS256", Algorithm::RS256, &rsa),
        ("RS384", Algorithm::RS384, &rsa),
        ("RS512", Algorithm::RS512, &rsa),
        ("PS256", Algorithm::PS256, &rsa),
        ("PS384", Algorithm::PS384, &rsa),
        ("PS512", Algorithm::PS512, &rsa),
        ("ES256", Algorithm::ES256, &p256),
        ("ES384", Algorithm::ES384, &p384),
        ("EdDSA", Algorithm::EdDSA, &ed),
    ];
    for (alg, algorithm, key) in cases {
        let reply = send_logout(&plane, &logout(&issuer, alg, (alg, algorithm), key)).await;
        assert_eq!(reply.status, 200, "{alg}: {}", reply.text());
        let claims = json!({"iss": issuer, "sub": alg, "iat": now() - 5});
        assert_eq!(rejected_as(&plane, claims).await.as_deref(), Some("subject_revoked"), "{alg}");
    }
    // Under the name of another algorithm of the same key, and under that of another key's.
    for (alg, algorithm, key) in [
        ("PS256", Algorithm::RS256, &rsa),
        ("RS512", Algorithm::RS256, &rsa),
        ("ES256", Algorithm::ES384, &p384),
    ] {
        let reply = send_logout(&plane, &logout(&issuer, "mallory", (alg, algorithm), key)).await;
        assert_eq!(reply.status, 400, "{alg}: {}", reply.text());
    }
    assert_eq!(rejected_as(&plane, json!({"iss": issuer, "sub": "mallory", "iat": now()})).await, None);
}

/// RFC 7518 section 3.3, and the interoperability profile of CAEP: 2048 bits or more.
#[tokio::test]
async fn a_key_that_is_too_weak_is_none() {
    let weak = rsa("weak", 1024);
    let issuer = provider(&documents(&[&weak])).await;
    let config = format!("[[issuers]]\nissuer = \"{issuer}\"\n{SETTINGS}\n");
    let token = logout(&issuer, "alice", ("RS256", Algorithm::RS256), &weak);
    let failure = failure(&token, &config).await;
    assert!(failure.contains("2048 to 4096 bits"), "{failure}");
}
