//! An issuer's public keys (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use portcullis_core::json::Json;

use super::{Jws, JwtError};
use crate::config::ALGORITHMS;

/// Most keys of a set; more are not looked at.
const MAX_KEYS: usize = 100;
/// RSA keys with fewer bits can be broken, those with more take too long and no provider has them.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// The keys of an issuer that are good for verifying.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<PublicKey>,
    unusable: Vec<String>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct PublicKey {
    kid: Option<String>,
    /// What it may be used with.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl KeySet {
    /// Reads a JWK Set. Keys that are not for signatures, or too weak, are left out; the others count.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let json = Json::parse(text).map_err(|_| "not JSON without duplicate members")?;
        let Some(Json::List(list)) = json.get("keys") else { return Err("no list `keys` in it") };
        let mut set = Self::default();
        for jwk in list.iter().take(MAX_KEYS) {
            match public_key(jwk) {
                Ok(Some(key)) => set.keys.push(key),
                Ok(None) => {}
                Err(why) => {
                    let kid: String = text_of(jwk, "kid").unwrap_or("without kid").chars().take(64).collect();
                    set.unusable.push(format!("key {kid} cannot be used: {why}"));
                }
            }
        }
        Ok(set)
    }

    /// The ids of its keys.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.kid.as_deref().unwrap_or_default())
    }

    /// Keys for signatures that cannot be used, and why.
    #[must_use]
    pub fn unusable(&self) -> &[String] {
        &self.unusable
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of that id for that algorithm; without an id, the only one for the algorithm.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&PublicKey, JwtError> {
        let fits = |key: &&PublicKey| key.algorithms.contains(&algorithm);
        match kid {
            None => {
                let mut fitting = self.keys.iter().filter(fits);
                match (fitting.next(), fitting.next()) {
                    (Some(only), None) => Ok(only),
                    _ => Err(JwtError::KeyMissing),
                }
            }
            Some(kid) => {
                let shown = || kid.chars().take(64).collect();
                let of_id = || self.keys.iter().filter(|key| key.kid.as_deref() == Some(kid));
                if of_id().next().is_none() {
                    return Err(JwtError::UnknownKey(shown()));
                }
                of_id().find(fits).ok_or_else(|| JwtError::KeyUnfit(shown()))
            }
        }
    }
}

impl PublicKey {
    /// Whether it has signed this.
    pub(super) fn verify(&self, jws: &Jws<'_>, algorithm: Algorithm) -> Result<(), JwtError> {
        match jsonwebtoken::crypto::verify(jws.signature, jws.signed.as_bytes(), &self.key, algorithm) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(JwtError::Signature),
        }
    }
}

/// A key for verifying; `None` when it is for something else.
fn public_key(jwk: &Json<'_>) -> Result<Option<PublicKey>, &'static str> {
    if jwk.get("use").is_some_and(|usage| usage.as_text() != Some("sig")) {
        return Ok(None);
    }
    if let Some(Json::List(operations)) = jwk.get("key_ops")
        && !operations.iter().any(|operation| operation.as_text() == Some("verify"))
    {
        return Ok(None);
    }
    let member = |name| text_of(jwk, name).ok_or("a parameter is missing");
    let (key, mut algorithms) = match (text_of(jwk, "kty"), text_of(jwk, "crv")) {
        (Some("RSA"), _) => {
            let (modulus, exponent) = (member("n")?, member("e")?);
            if !RSA_BITS.contains(&bits(modulus)?) {
                return Err("an RSA key must have 2048 to 4096 bits");
            }
            (DecodingKey::from_rsa_components(modulus, exponent), family(AlgorithmFamily::Rsa))
        }
        (Some("EC"), Some("P-256")) => {
            (DecodingKey::from_ec_components(member("x")?, member("y")?), vec![Algorithm::ES256])
        }
        (Some("EC"), Some("P-384")) => {
            (DecodingKey::from_ec_components(member("x")?, member("y")?), vec![Algorithm::ES384])
        }
        (Some("OKP"), Some("Ed25519")) => {
            (DecodingKey::from_ed_components(member("x")?), vec![Algorithm::EdDSA])
        }
        // A shared secret in a public document, encryption, or a curve that is not verified here.
        (Some("oct"), _) => return Err("a shared secret is not a public key"),
        _ => return Err("its type is not known"),
    };
    if let Some(alg) = text_of(jwk, "alg") {
        let named = ALGORITHMS.iter().find(|(name, _)| *name == alg).map(|(_, algorithm)| *algorithm);
        algorithms.retain(|algorithm| Some(*algorithm) == named);
        if algorithms.is_empty() {
            return Err("its alg does not fit its type, or is not for signatures that are known");
        }
    }
    let kid = text_of(jwk, "kid").map(str::to_owned);
    Ok(Some(PublicKey { kid, algorithms, key: key.map_err(|_| "its parameters are no key")? }))
}

fn family(family: AlgorithmFamily) -> Vec<Algorithm> {
    let known = ALGORITHMS.iter().map(|(_, algorithm)| *algorithm);
    known.filter(|algorithm| algorithm.family() == family).collect()
}

fn text_of<'a>(jwk: &'a Json<'_>, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Json::as_text)
}

/// The bits of a number in base64url.
fn bits(number: &str) -> Result<usize, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(number).map_err(|_| "n is not base64url")?;
    let significant = bytes.iter().skip_while(|byte| **byte == 0);
    let (len, first) = (significant.clone().count(), significant.clone().next().copied().unwrap_or_default());
    Ok((len * 8).saturating_sub(usize::try_from(first.leading_zeros()).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rsa(bits: usize, rest: &str) -> String {
        let modulus = URL_SAFE_NO_PAD.encode(vec![0xff_u8; bits / 8]);
        format!(r#"{{"kty":"RSA","kid":"k","n":"{modulus}","e":"AQAB"{rest}}}"#)
    }

    fn set(keys: &[String]) -> KeySet {
        KeySet::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes()).unwrap()
    }

    #[test]
    fn weak_foreign_and_secret_keys_are_left_out() {
        let check = |key: &str, usable: usize, unusable: usize| {
            let set = set(&[key.to_owned()]);
            assert_eq!((set.len(), set.unusable().len()), (usable, unusable), "{key}");
        };
        check(&rsa(2_048, ""), 1, 0);
        check(&rsa(1_024, ""), 0, 1);
        check(&rsa(8_192, ""), 0, 1);
        check(&rsa(2_048, r#","use":"enc""#), 0, 0);
        check(&rsa(2_048, r#","key_ops":["sign"]"#), 0, 0);
        check(&rsa(2_048, r#","alg":"ES256""#), 0, 1);
        check(&rsa(2_048, r#","alg":"RSA-OAEP""#), 0, 1);
        check(r#"{"kty":"oct","k":"c2VjcmV0","alg":"HS256"}"#, 0, 1);
        check(r#"{"kty":"EC","crv":"P-256","x":"!","y":"AA"}"#, 0, 1);
        check(r#"{"kty":"RSA"}"#, 0, 1);
        check("7", 0, 1);
    }

    #[test]
    fn a_key_is_found_by_id_and_algorithm() {
        let set = set(&[rsa(2_048, r#","alg":"RS256""#)]);
        let find = |kid, algorithm| set.find(kid, algorithm).map(|_| ()).map_err(|error| error.code());
        assert_eq!(find(Some("k"), Algorithm::RS256), Ok(()));
        assert_eq!(find(None, Algorithm::RS256), Ok(()));
        assert_eq!(find(Some("other"), Algorithm::RS256), Err("kid_unknown"));
        assert_eq!(find(Some("k"), Algorithm::PS256), Err("key_unfit"));
        assert_eq!(find(None, Algorithm::ES256), Err("kid_missing"));
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
            assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
