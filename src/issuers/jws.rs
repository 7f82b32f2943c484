//! A signed JWT in compact form (RFC 7515 section 7.1), read strictly and not yet believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use portcullis_core::json::Json;

use super::{Claims, JwtError};
use crate::config::ALGORITHMS;

/// Longest JWT, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// A JWT whose signature is still to be checked.
#[derive(Clone, Debug)]
pub struct Jws<'a> {
    /// Header and payload as they were signed.
    pub(super) signed: &'a str,
    /// In base64url.
    pub(super) signature: &'a str,
    header: Json<'static>,
    claims: Json<'static>,
}

impl<'a> Jws<'a> {
    /// Reads one. A member that stands twice, padding, or deep nesting is an error.
    ///
    /// # Errors
    /// When it is none, or has critical parameters: none is understood here.
    pub fn parse(raw: &'a str) -> Result<Self, JwtError> {
        Self::parse_long(raw, MAX_BYTES)
    }

    /// The same, of at most so many bytes.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_long(raw: &'a str, max: usize) -> Result<Self, JwtError> {
        if raw.len() > max {
            return Err(JwtError::Malformed("it is too long"));
        }
        let mut parts = raw.split('.');
        let (Some(header), Some(payload), Some(signature)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(JwtError::Malformed("it has not three parts"));
        };
        match parts.count() {
            0 => {}
            2 => return Err(JwtError::Encrypted),
            _ => return Err(JwtError::Malformed("it has not three parts")),
        }
        let header =
            object(header).ok_or(JwtError::Malformed("its header is not a JSON object in base64url"))?;
        let claims =
            object(payload).ok_or(JwtError::Malformed("its payload is not a JSON object in base64url"))?;
        if URL_SAFE_NO_PAD.decode(signature).is_err() {
            return Err(JwtError::Malformed("its signature is not base64url"));
        }
        if header.get("crit").is_some() {
            return Err(JwtError::Critical);
        }
        let signed = raw.get(..raw.len() - signature.len() - 1).unwrap_or_default();
        Ok(Self { signed, signature, header, claims })
    }

    /// What it says, believed or not.
    #[must_use]
    pub fn claims(&self) -> Claims<'_> {
        Claims(&self.claims)
    }

    /// Its `alg`, if it is one of these.
    ///
    /// # Errors
    /// When it is not.
    pub fn algorithm(&self, accepted: &[Algorithm]) -> Result<Algorithm, JwtError> {
        let name = self.header.get("alg").and_then(Json::as_text).unwrap_or_default();
        if name.eq_ignore_ascii_case("none") {
            return Err(JwtError::Unsigned);
        }
        let known = ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm);
        known
            .filter(|algorithm| accepted.contains(algorithm))
            .ok_or_else(|| JwtError::Algorithm(name.chars().take(32).collect()))
    }

    /// Its `kid`.
    ///
    /// # Errors
    /// When it is not a string (RFC 7515 section 4.1.4).
    pub fn key_id(&self) -> Result<Option<&str>, JwtError> {
        match self.header.get("kid") {
            None => Ok(None),
            Some(Json::Text(kid)) => Ok(Some(kid)),
            Some(_) => Err(JwtError::Malformed("kid is not a string")),
        }
    }

    /// Whether `typ` is this media type, with or without `application/` before it and in any case (RFC 7515
    /// section 4.1.9). With `generic`, `JWT` and nothing will do.
    ///
    /// # Errors
    /// When it is not.
    pub fn expect_type(&self, expected: &'static str, generic: bool) -> Result<(), JwtError> {
        match self.media_type()? {
            None if generic => Ok(()),
            Some(typ) if typ == expected || (generic && typ == "jwt") => Ok(()),
            found => Err(wrong_type(found, expected)),
        }
    }

    /// Whether `typ` allows it to be an access token: issuers say `at+jwt` (RFC 9068), `JWT`, nothing, or a word of
    /// their own. Another type of JWT says that it is something else (RFC 8725 section 3.11), a logout token say.
    ///
    /// # Errors
    /// When it does not.
    pub fn expect_access_token(&self) -> Result<(), JwtError> {
        const ACCESS_TOKEN: &str = "at+jwt";
        match self.media_type()? {
            Some(typ) if typ.ends_with("+jwt") && typ != ACCESS_TOKEN => {
                Err(wrong_type(Some(typ), ACCESS_TOKEN))
            }
            _ => Ok(()),
        }
    }

    /// `typ` in lower case, without `application/` before it.
    fn media_type(&self) -> Result<Option<String>, JwtError> {
        match self.header.get("typ") {
            None => Ok(None),
            Some(Json::Text(typ)) => {
                let lower = typ.to_ascii_lowercase();
                Ok(Some(lower.strip_prefix("application/").map_or(lower.clone(), str::to_owned)))
            }
            Some(_) => Err(JwtError::Malformed("typ is not a string")),
        }
    }
}

fn wrong_type(found: Option<String>, expected: &'static str) -> JwtError {
    JwtError::Type { found: found.map(|typ| typ.chars().take(64).collect()), expected }
}

fn object(part: &str) -> Option<Json<'static>> {
    let text = URL_SAFE_NO_PAD.decode(part).ok()?;
    Json::parse(&text).ok().filter(|value| matches!(value, Json::Object(_))).map(Json::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compact(header: &str, payload: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", encode(header), encode(payload))
    }

    #[track_caller]
    fn refused(raw: &str, code: &str) {
        assert_eq!(Jws::parse(raw).expect_err(raw).code(), code, "{raw}");
    }

    #[test]
    fn what_is_no_signed_jwt_is_refused() {
        refused("", "jwt_malformed");
        refused("a.b", "jwt_malformed");
        refused("a.b.c.d", "jwt_malformed");
        refused("a.b.c.d.e", "jwt_encrypted");
        refused(&compact(r#"{"alg":"RS256","alg":"none"}"#, "{}"), "jwt_malformed");
        refused(&compact(r#"{"alg":"RS256"}"#, r#"{"sub":"a","sub":"b"}"#), "jwt_malformed");
        refused(&compact(r#"{"alg":"RS256"}"#, &"[".repeat(10_000)), "jwt_malformed");
        refused(&compact("{}", "[]"), "jwt_malformed");
        refused(&format!("{}=", compact("{}", "{}")), "jwt_malformed");
        refused(&compact(r#"{"crit":["b64"],"b64":false}"#, "{}"), "crit_not_understood");
        refused(&"a".repeat(100_000), "jwt_malformed");
    }

    #[test]
    fn only_accepted_algorithms_are() {
        let check = |alg: &str, expect: Result<Algorithm, &str>| {
            let raw = compact(&format!(r#"{{"alg":{alg}}}"#), "{}");
            let jws = Jws::parse(&raw).unwrap();
            let seen = jws.algorithm(&[Algorithm::RS256]).map_err(|error| error.code());
            assert_eq!(seen, expect, "{alg}");
        };
        check(r#""RS256""#, Ok(Algorithm::RS256));
        check(r#""none""#, Err("jwt_unsigned"));
        check(r#""NonE""#, Err("jwt_unsigned"));
        for other in [r#""HS256""#, r#""RS512""#, r#""rs256""#, "7", "null"] {
            check(other, Err("algorithm_not_accepted"));
        }
    }

    #[test]
    fn types_are_media_types() {
        let check = |typ: &str, generic, expect: bool| {
            let raw = compact(&format!(r#"{{"typ":{typ}}}"#), "{}");
            assert_eq!(Jws::parse(&raw).unwrap().expect_type("logout+jwt", generic).is_ok(), expect, "{typ}");
        };
        for same in [r#""logout+jwt""#, r#""application/logout+jwt""#, r#""Logout+JWT""#] {
            check(same, false, true);
        }
        check(r#""JWT""#, false, false);
        check(r#""JWT""#, true, true);
        check(r#""at+jwt""#, true, false);
        check("7", true, false);
        let access = |typ: &str| {
            let raw = compact(&format!(r#"{{"typ":{typ}}}"#), "{}");
            Jws::parse(&raw).unwrap().expect_access_token().map_err(|error| error.code())
        };
        for plain in [r#""JWT""#, r#""at+jwt""#, r#""application/AT+JWT""#, r#""Bearer""#] {
            assert_eq!(access(plain), Ok(()), "{plain}");
        }
        for other in [r#""logout+jwt""#, r#""application/secevent+jwt""#, r#""StatusList+JWT""#] {
            assert_eq!(access(other), Err("typ_wrong"), "{other}");
        }
        assert_eq!(access("7"), Err("jwt_malformed"));
        let untyped = compact("{}", "{}");
        assert!(Jws::parse(&untyped).unwrap().expect_type("logout+jwt", false).is_err());
        assert!(Jws::parse(&untyped).unwrap().expect_type("logout+jwt", true).is_ok());
    }
}
