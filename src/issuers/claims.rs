//! What a JWT says, read one claim at a time.

use std::time::Duration;

use portcullis_core::UnixSeconds;
use portcullis_core::json::Json;

use super::JwtError;
use crate::clock::UnixMillis;

/// The end of the year 9999.
const LAST_SECOND: UnixSeconds = 253_402_300_799;

/// The claims of a JWT: an object.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a>(pub &'a Json<'a>);

impl<'a> Claims<'a> {
    /// A claim of any type.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a Json<'a>> {
        self.0.get(name)
    }

    /// A text that is not empty, if it is there.
    ///
    /// # Errors
    /// When it is of another type, or empty.
    pub fn text(&self, name: &'static str) -> Result<Option<&'a str>, JwtError> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(JwtError::ClaimType(name, "a text")),
        }
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// When it is not, or is of another type, or empty.
    pub fn required_text(&self, name: &'static str) -> Result<&'a str, JwtError> {
        self.text(name)?.ok_or(JwtError::ClaimMissing(name))
    }

    /// A NumericDate in whole seconds, if it is there.
    ///
    /// # Errors
    /// When it is no number of seconds from 1970 to 9999.
    pub fn seconds(&self, name: &'static str) -> Result<Option<UnixSeconds>, JwtError> {
        match self.get(name) {
            None => Ok(None),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range")]
            #[expect(clippy::cast_precision_loss, reason = "the bound is far below 2^53")]
            Some(Json::Number(number)) if (0.0..=LAST_SECOND as f64).contains(number) => {
                Ok(Some(*number as UnixSeconds))
            }
            Some(_) => Err(JwtError::ClaimType(name, "a time in seconds")),
        }
    }

    /// A NumericDate that must be there.
    ///
    /// # Errors
    /// When it is not, or is none.
    pub fn required_seconds(&self, name: &'static str) -> Result<UnixSeconds, JwtError> {
        self.seconds(name)?.ok_or(JwtError::ClaimMissing(name))
    }

    /// `iss`.
    ///
    /// # Errors
    /// When it is not there.
    pub fn issuer(&self) -> Result<&'a str, JwtError> {
        self.text("iss")?.ok_or(JwtError::IssuerMissing)
    }

    /// Whether `aud`, a text or a list of them, names one of these.
    ///
    /// # Errors
    /// When it does not, or there are none.
    pub fn expect_audience(&self, accepted: &[String]) -> Result<(), JwtError> {
        if accepted.is_empty() {
            return Err(JwtError::NoAudiences);
        }
        let is_accepted = |audience: &str| accepted.iter().any(|accepted| accepted == audience);
        let named = match self.get("aud") {
            None => return Err(JwtError::ClaimMissing("aud")),
            Some(Json::Text(audience)) => is_accepted(audience),
            Some(Json::List(audiences)) => {
                let mut named = false;
                for audience in audiences {
                    let audience = audience.as_text().ok_or(JwtError::ClaimType("aud", "a list of texts"))?;
                    named |= is_accepted(audience);
                }
                named
            }
            Some(_) => return Err(JwtError::ClaimType("aud", "a text or a list of texts")),
        };
        if named { Ok(()) } else { Err(JwtError::Audience) }
    }

    /// Whether `exp`, `nbf` and `iat`, those that are there, allow it to be used at that time, by clocks that
    /// differ by at most `skew`.
    ///
    /// # Errors
    /// When they do not, or are no times.
    pub fn expect_valid_at(&self, now_ms: UnixMillis, skew: Duration) -> Result<(), JwtError> {
        self.expect_unexpired(now_ms, skew)?;
        let (now, skew) = (now_ms / 1_000, skew.as_secs());
        if let Some(nbf) = self.seconds("nbf")?
            && nbf > now.saturating_add(skew)
        {
            return Err(JwtError::NotYet(nbf.saturating_sub(now)));
        }
        match self.seconds("iat")? {
            Some(iat) if iat > now.saturating_add(skew) => {
                Err(JwtError::IssuedInFuture(iat.saturating_sub(now)))
            }
            _ => Ok(()),
        }
    }

    /// Whether `exp`, if it is there, has not come by that time.
    ///
    /// # Errors
    /// When it has, or is no time.
    pub fn expect_unexpired(&self, now_ms: UnixMillis, skew: Duration) -> Result<(), JwtError> {
        let now = now_ms / 1_000;
        match self.seconds("exp")? {
            Some(exp) if now >= exp.saturating_add(skew.as_secs()) => {
                Err(JwtError::Expired(now.saturating_sub(exp)))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(claims: &str, look: impl Fn(Claims<'_>) -> Result<(), JwtError>, expect: Result<(), &str>) {
        let json = Json::parse(claims.as_bytes()).unwrap();
        assert_eq!(look(Claims(&json)).map_err(|error| error.code()), expect, "{claims}");
    }

    #[test]
    fn times_allow_for_the_skew_and_no_more() {
        let at = |claims: Claims<'_>| claims.expect_valid_at(1_000_500, Duration::from_secs(60));
        check("{}", at, Ok(()));
        check(r#"{"exp":941,"nbf":1060,"iat":1060.9}"#, at, Ok(()));
        check(r#"{"exp":940}"#, at, Err("expired"));
        check(r#"{"nbf":1061}"#, at, Err("not_yet_valid"));
        check(r#"{"iat":1061}"#, at, Err("issued_in_future"));
        for time in [r#""1000""#, "-1", "1e300", "null", "[]"] {
            check(&format!(r#"{{"exp":{time}}}"#), at, Err("claim_type"));
        }
    }

    #[test]
    fn one_of_the_audiences_must_be_ours() {
        let ours = ["a".to_owned(), "b".to_owned()];
        let look = |claims: Claims<'_>| claims.expect_audience(&ours);
        check(r#"{"aud":"b"}"#, look, Ok(()));
        check(r#"{"aud":["x","a"]}"#, look, Ok(()));
        check(r#"{"aud":["x"]}"#, look, Err("aud_wrong"));
        check(r#"{"aud":[]}"#, look, Err("aud_wrong"));
        check(r#"{"aud":["a",7]}"#, look, Err("claim_type"));
        check("{}", look, Err("claim_missing"));
        check(r#"{"aud":"a"}"#, |claims| claims.expect_audience(&[]), Err("aud_not_configured"));
    }

    #[test]
    fn a_text_is_one_and_not_empty() {
        let look = |claims: Claims<'_>| claims.required_text("sub").map(|_| ());
        check(r#"{"sub":"a"}"#, look, Ok(()));
        check("{}", look, Err("claim_missing"));
        for wrong in [r#""""#, "7", "null", "{}"] {
            check(&format!(r#"{{"sub":{wrong}}}"#), look, Err("claim_type"));
        }
    }
}
