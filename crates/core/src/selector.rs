//! Selectors: what a revocation matches.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cutoff::CutoffClaim;
use crate::field::{Field, Kind, MAX_FIELDS, Shape};
use crate::json::Json;
use crate::key::{HashKey, Key};

/// Longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 2048;

/// Claim = value requirements, all of which a token must meet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Selector {
    shape: Shape,
    // One per field of the shape, in its order.
    values: Vec<String>,
}

/// Why a selector cannot be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SelectorError {
    /// Nothing is required: it would match every token of every issuer.
    #[error("a selector needs at least one claim")]
    Empty,
    /// More than [`MAX_FIELDS`].
    #[error("a selector has at most {MAX_FIELDS} claims")]
    TooMany,
    /// The same field twice.
    #[error("claim `{0}` is given twice")]
    Twice(String),
    /// A value is the empty text.
    #[error("the value of `{0}` is empty")]
    EmptyValue(String),
    /// A value is over [`MAX_VALUE_BYTES`].
    #[error("the value of `{0}` is longer than {MAX_VALUE_BYTES} bytes")]
    LongValue(String),
}

impl Selector {
    /// A selector from its requirements, in any order.
    ///
    /// # Errors
    /// When there is none, too many, one twice, or a value is empty or too long.
    pub fn new(
        mut requirements: Vec<(Field, String)>,
        cutoff_claim: CutoffClaim,
    ) -> Result<Self, SelectorError> {
        use alloc::string::ToString;
        if requirements.is_empty() {
            return Err(SelectorError::Empty);
        }
        if requirements.len() > MAX_FIELDS {
            return Err(SelectorError::TooMany);
        }
        if let Some((field, _)) = requirements.iter().find(|(_, value)| value.is_empty()) {
            return Err(SelectorError::EmptyValue(field.to_string()));
        }
        if let Some((field, _)) = requirements.iter().find(|(_, value)| value.len() > MAX_VALUE_BYTES) {
            return Err(SelectorError::LongValue(field.to_string()));
        }
        requirements.sort_unstable();
        if let Some([(field, _), _]) = requirements.array_windows().find(|[(one, _), (next, _)]| one == next)
        {
            return Err(SelectorError::Twice(field.to_string()));
        }
        let (fields, values) = requirements.into_iter().unzip();
        let shape = Shape::new(fields, cutoff_claim).ok_or(SelectorError::TooMany)?;
        Ok(Self { shape, values })
    }

    /// The session `sid` of an issuer.
    ///
    /// # Errors
    /// As [`Selector::new`]; so for the other named kinds.
    pub fn session(issuer: &str, sid: &str) -> Result<Self, SelectorError> {
        Self::of_issuer(issuer, Field::claim("sid"), sid, CutoffClaim::Iat)
    }

    /// The user `sub` of an issuer.
    pub fn subject(issuer: &str, sub: &str, cutoff_claim: CutoffClaim) -> Result<Self, SelectorError> {
        Self::of_issuer(issuer, Field::claim("sub"), sub, cutoff_claim)
    }

    /// The token `jti` of an issuer.
    pub fn token(issuer: &str, jti: &str) -> Result<Self, SelectorError> {
        Self::of_issuer(issuer, Field::claim("jti"), jti, CutoffClaim::Iat)
    }

    /// The raw token with this SHA-256, in lower-case hexadecimal.
    pub fn raw_token(sha256: &str) -> Result<Self, SelectorError> {
        Self::new(alloc::vec![(Field::TokenSha256, sha256.into())], CutoffClaim::Iat)
    }

    /// The application of an issuer, by `client_id` or `azp`.
    pub fn client(issuer: &str, client: &str, cutoff_claim: CutoffClaim) -> Result<Self, SelectorError> {
        Self::of_issuer(issuer, Field::Client, client, cutoff_claim)
    }

    /// Everything of an issuer.
    pub fn issuer(issuer: &str, cutoff_claim: CutoffClaim) -> Result<Self, SelectorError> {
        Self::new(alloc::vec![(Field::claim("iss"), issuer.into())], cutoff_claim)
    }

    /// Everything that an issuer has signed with the key `kid`.
    pub fn key(issuer: &str, kid: &str) -> Result<Self, SelectorError> {
        Self::of_issuer(issuer, Field::KeyId, kid, CutoffClaim::Iat)
    }

    fn of_issuer(issuer: &str, field: Field, value: &str, claim: CutoffClaim) -> Result<Self, SelectorError> {
        Self::new(alloc::vec![(Field::claim("iss"), issuer.into()), (field, value.into())], claim)
    }

    /// Its fields and the claim that its cut-off is compared with.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What it stops.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.shape.kind()
    }

    /// The requirements, sorted by field.
    pub fn requirements(&self) -> impl Iterator<Item = (&Field, &str)> {
        self.shape.fields().iter().zip(self.values.iter().map(String::as_str))
    }

    /// The required value of the top-level claim of that name.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&str> {
        self.requirements().find(|(field, _)| field.is_claim(name)).map(|(_, value)| value)
    }

    /// Its hash under a store's secret.
    #[must_use]
    pub fn hash(&self, hash_key: &HashKey) -> Key {
        Key::of(hash_key, &self.shape, self.values.iter().map(String::as_str))
    }
}

/// The text that stands for a JSON scalar in comparisons: a string as it is, a whole number in decimal, a
/// boolean as `true` or `false`. So the number 42 and the string "42" are the same value.
///
/// `None` for everything else, and for numbers that JSON implementations do not agree on (RFC 8259 section
/// 6): fractions, and integers of more than 64 bits.
#[must_use]
pub fn scalar_text<'t>(value: &'t Json<'_>) -> Option<Cow<'t, str>> {
    use alloc::string::ToString;
    match value {
        Json::Text(text) => Some(text.as_ref().into()),
        Json::Bool(flag) => Some(if *flag { "true" } else { "false" }.into()),
        Json::Number(number) => number_text(*number).map(Into::into),
        Json::Whole(number) => Some(number.to_string().into()),
        Json::Null | Json::List(_) | Json::Object(_) => None,
    }
}

/// [`scalar_text`] of a double: of 2^53 or more it does not say which integer it was.
#[must_use]
pub fn number_text(number: f64) -> Option<String> {
    use alloc::string::ToString;
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole, below, and within 2^53")]
    let whole = number as i64;
    #[expect(clippy::cast_precision_loss, reason = "within 2^53")]
    let exact = number.abs() < EXACT && whole as f64 == number;
    exact.then(|| whole.to_string())
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn order_does_not_matter() {
        let one = vec![(Field::claim("sub"), "a".into()), (Field::claim("iss"), "i".into())];
        let two = vec![(Field::claim("iss"), "i".into()), (Field::claim("sub"), "a".into())];
        assert_eq!(Selector::new(one, CutoffClaim::Iat), Selector::new(two, CutoffClaim::Iat));
    }

    #[test]
    fn what_matches_too_much_or_nothing_is_refused() {
        let check = |requirements, expect| {
            assert_eq!(Selector::new(requirements, CutoffClaim::Iat).unwrap_err(), expect);
        };
        check(vec![], SelectorError::Empty);
        check(vec![(Field::claim("sub"), String::new())], SelectorError::EmptyValue("sub".into()));
        check(vec![(Field::KeyId, "x".repeat(2049))], SelectorError::LongValue("header kid".into()));
        let twice = vec![(Field::claim("sub"), "a".into()), (Field::claim("sub"), "b".into())];
        check(twice, SelectorError::Twice("sub".into()));
    }

    #[test]
    fn numbers_are_text_where_json_agrees_on_them() {
        let check = |number: f64, expect: Option<&str>| assert_eq!(number_text(number).as_deref(), expect);
        check(42.0, Some("42"));
        check(-7.0, Some("-7"));
        check(-0.0, Some("0"));
        check(9_007_199_254_740_991.0, Some("9007199254740991"));
        check(9_007_199_254_740_992.0, None);
        check(0.5, None);
        check(f64::NAN, None);
        check(1e300, None);
    }
}
