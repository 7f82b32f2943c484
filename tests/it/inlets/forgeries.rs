//! Every way to forge a JWT, made of a valid one: whatever an inlet believes, it believes none of these.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use portcullis_testbed::{Call, ControlPlane, ControlPlaneSetup, Issuer, Token};
use serde_json::{Value, json};

use super::support::{SETTINGS, events};

/// Two issuers that a control plane knows, and one that it does not. The first one has two keys and signs with the
/// second; the others have a third one.
pub(super) struct Parties {
    pub(super) issuer: Issuer,
    pub(super) other: Issuer,
    attacker: Issuer,
}

/// A token that nobody may believe.
pub(super) struct Forgery {
    name: String,
    pub(super) token: String,
    /// The check that refuses it.
    pub(super) check: &'static str,
    /// Who sends it: refusals of one address are written down one by one only up to a bound.
    peer: String,
}

impl Parties {
    pub(super) async fn gather() -> Self {
        let issuer = Issuer::start().await.unwrap();
        issuer.rotate().await.unwrap();
        let (other, attacker) = (Issuer::stranger().await.unwrap(), Issuer::stranger().await.unwrap());
        Self { issuer, other, attacker }
    }

    /// A control plane that has the keys of both issuers, and further settings of the first.
    pub(super) async fn plane(&self, setup: ControlPlaneSetup, settings: &str) -> ControlPlane {
        let setup =
            setup.issuer(&self.issuer, &format!("{SETTINGS}\n{settings}")).issuer(&self.other, SETTINGS);
        let plane = setup.env("PORTCULLIS_INLETS_TRUSTED_PROXIES", "127.0.0.0/8").start().await.unwrap();
        for issuer in [&self.issuer, &self.other] {
            let there = format!("the keys of the issuer are there issuer=\"{}\"", issuer.name());
            plane.log().wait_for(&there, Duration::from_secs(30)).await.unwrap();
        }
        plane
    }

    /// Sends every forgery of a valid token, and sees that nothing follows from any. `of_other` is the check that
    /// refuses the other issuer's own token where only the first one's is expected.
    pub(super) async fn try_all(
        &self,
        plane: &ControlPlane,
        valid: impl Fn(&Issuer) -> Token,
        of_other: Option<&'static str>,
        refuse: impl AsyncFn(&Forgery),
    ) {
        let mut forgeries = self.forge(&valid(&self.issuer).sign().unwrap());
        if let Some(check) = of_other {
            let token = valid(&self.other).sign().unwrap();
            forgeries.push(("a token of another issuer".into(), token, check));
        }
        for (index, (name, token, check)) in forgeries.into_iter().enumerate() {
            let forgery = Forgery { name, token, check, peer: format!("10.0.0.{index}") };
            refuse(&forgery).await;
            assert_eq!(events(plane, "revoked").await, Vec::<Value>::new(), "{}", forgery.name);
        }
        assert_eq!(
            self.attacker.fetched(),
            0,
            "a message says where its keys are, and somebody looked there"
        );
    }

    /// What it is, the token, and the check that refuses it. A key that is not known has the issuer's keys fetched
    /// again, at most six times a minute; so often one is named here, or less.
    fn forge(&self, valid: &str) -> Vec<(String, String, &'static str)> {
        let mut parts = valid.split('.');
        let [header, payload, signature] = [(); 3].map(|()| parts.next().unwrap());
        let signed = format!("{header}.{payload}");
        // Its header with other members; null takes one out.
        let with = |changes: Value| {
            let mut members = decode(header);
            for (name, value) in changes.as_object().unwrap() {
                match value {
                    Value::Null => drop(members.as_object_mut().unwrap().remove(name)),
                    value => members[name] = value.clone(),
                }
            }
            members
        };
        let by = |signer: &Issuer, changes: Value| {
            signer.token_raw(&with(changes).to_string(), &decode(payload).to_string()).unwrap()
        };
        let by_attacker = |changes: Value| by(&self.attacker, changes);
        let unsigned = |alg: &str| format!("{}.{payload}.", encode(&with(json!({ "alg": alg }))));
        let hmac = |secret: &[u8]| {
            let signed = format!("{}.{payload}", encode(&with(json!({"alg": "HS256"}))));
            let secret = EncodingKey::from_secret(secret);
            let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &secret, Algorithm::HS256).unwrap();
            format!("{signed}.{signature}")
        };
        let mut other_payload = decode(payload);
        other_payload["forged"] = json!(true);
        let public = &self.issuer.jwks()["keys"][1];
        let modulus = URL_SAFE_NO_PAD.decode(public["n"].as_str().unwrap()).unwrap();
        let kid = self.attacker.kid();
        let (jwk, uri) = (self.attacker.jwks()["keys"][0].clone(), self.attacker.jwks_uri());

        let row = |name: &str, token: String, check: &'static str| (name.to_owned(), token, check);
        let mut rows = vec![
            row("no signature, by its word", unsigned("none"), "jwt_unsigned"),
            row("the same in other letters", unsigned("None"), "jwt_unsigned"),
            row("the same in others", unsigned("nOnE"), "jwt_unsigned"),
            row(
                "no signature, under a signature",
                format!("{}{signature}", unsigned("none")),
                "jwt_unsigned",
            ),
            row("a guessed secret", hmac(b"secret"), "algorithm_not_accepted"),
            row("the public key as a secret", hmac(&modulus), "algorithm_not_accepted"),
            row("the public JWK as a secret", hmac(public.to_string().as_bytes()), "algorithm_not_accepted"),
            row("an unknown key", by_attacker(json!({ "kid": kid })), "kid_unknown"),
            row("no kid, where there are two keys", by_attacker(json!({"kid": null})), "kid_missing"),
            row("a foreign key under ours", by_attacker(json!({})), "signature_wrong"),
            row(
                "another payload",
                format!("{header}.{}.{signature}", encode(&other_payload)),
                "signature_wrong",
            ),
            row("a cut signature", format!("{signed}.{}", &signature[4..]), "signature_wrong"),
            row("a signature of nothing", format!("{signed}."), "signature_wrong"),
            row("a critical parameter", by(&self.issuer, json!({"crit": ["exp"]})), "crit_not_understood"),
            row("an encrypted one", format!("{signed}.{payload}.{signature}.{signature}"), "jwt_encrypted"),
            row(
                "its own key",
                by_attacker(json!({"kid": kid, "jwk": jwk, "x5c": [jwk["n"]]})),
                "kid_unknown",
            ),
            row(
                "where its own key is",
                by_attacker(json!({"kid": kid, "jku": uri, "x5u": uri})),
                "kid_unknown",
            ),
        ];
        let brought =
            [("jwk", jwk.clone()), ("jku", json!(uri)), ("x5u", json!(uri)), ("x5c", json!([jwk["n"]]))];
        for (name, value) in brought {
            let token = by_attacker(json!({ name: value }));
            rows.push((format!("its own key under ours, in {name}"), token, "signature_wrong"));
        }
        rows
    }
}

impl Forgery {
    /// A call of its sender's.
    pub(super) fn post(&self, plane: &ControlPlane, path: &str, media_type: &str) -> Call {
        plane.api().post(path).header("x-forwarded-for", &self.peer).header("content-type", media_type)
    }
}

fn encode(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
