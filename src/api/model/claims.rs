//! Claim values in requests.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use portcullis_core::selector::number_text;

/// Claim name (or JSON Pointer to a nested claim) to the text of its value.
///
/// Text stands for itself, a whole number below 2^53 and a boolean for how JSON writes them. Other numbers
/// are refused: JSON implementations do not agree on them (RFC 8259 section 6), so an edge might read another
/// value than was meant. A name given twice is refused.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(value_type = std::collections::BTreeMap<String, String>)]
pub struct ClaimValues(pub BTreeMap<String, String>);

impl fmt::Display for ClaimValues {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        self.0.iter().try_for_each(|(name, value)| {
            let before = std::mem::replace(&mut separator, " ");
            write!(out, "{before}{name}={value}")
        })
    }
}

impl<'de> Deserialize<'de> for ClaimValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ClaimsVisitor).map(Self)
    }
}

struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object of claim names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut claims = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry::<String, ClaimText>()? {
            if claims.contains_key(&name) {
                return Err(de::Error::custom(format_args!("claim `{name}` is given twice")));
            }
            claims.insert(name, value.0);
        }
        Ok(claims)
    }
}

struct ClaimText(String);

impl<'de> Deserialize<'de> for ClaimText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor).map(Self)
    }
}

struct TextVisitor;

impl TextVisitor {
    fn number<E: de::Error>(self, number: f64, unexpected: Unexpected<'_>) -> Result<String, E> {
        number_text(number).ok_or_else(|| E::invalid_value(unexpected, &self))
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 and above become numbers that number_text refuses")]
impl Visitor<'_> for TextVisitor {
    type Value = String;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("text, a boolean, or a whole number below 2^53")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<String, E> {
        Ok(flag.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        self.number(number as f64, Unexpected::Signed(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        self.number(number as f64, Unexpected::Unsigned(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
        self.number(number, Unexpected::Float(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expect: Option<&[(&str, &str)]>) {
        let read = serde_json::from_str::<ClaimValues>(json).ok();
        let expect = expect.map(|pairs| {
            ClaimValues(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        });
        assert_eq!(read, expect, "{json}");
    }

    #[test]
    fn scalars_become_the_text_that_edges_compare() {
        check(r#"{"sub":"a","n":42,"b":true}"#, Some(&[("b", "true"), ("n", "42"), ("sub", "a")]));
        check(r#"{"n":9007199254740991}"#, Some(&[("n", "9007199254740991")]));
        check(r#"{"n":-7}"#, Some(&[("n", "-7")]));
        check("{}", Some(&[]));
    }

    #[test]
    fn numbers_that_implementations_disagree_on_are_refused() {
        for number in [
            "9007199254740992",
            "9007199254740993",
            "-9007199254740992",
            "18446744073709551616",
            "0.5",
            "1e300",
        ] {
            check(&format!(r#"{{"n":{number}}}"#), None);
        }
    }

    #[test]
    fn what_is_no_scalar_is_refused() {
        for json in
            [r#"{"a":null}"#, r#"{"a":["x"]}"#, r#"{"a":{"b":1}}"#, r#"{"a":"x","a":"y"}"#, "[]", "\"x\""]
        {
            check(json, None);
        }
    }
}
