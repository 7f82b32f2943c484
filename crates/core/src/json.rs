//! JSON as it must be read where it decides who gets in: an object that names a member twice is an error,
//! because two readers could take different ones (RFC 8259 section 4), and depth is bounded.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of objects and arrays.
pub const MAX_DEPTH: usize = 32;

/// A JSON value. Numbers are doubles, as JSON's users agree on (RFC 8259 section 6), and whole ones that no
/// double holds exactly are kept beside them: identifiers of 64 bits are in use.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the variants are JSON's own")]
pub enum Json {
    Null,
    Bool(bool),
    Number(f64),
    /// 2^53 or more in size.
    Whole(i128),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

/// Why a text is not acceptable JSON.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(String);

impl Json {
    /// Reads a whole text.
    ///
    /// # Errors
    /// When it is not JSON, a member stands twice, it is deeper than [`MAX_DEPTH`], or something follows.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        use alloc::string::ToString;
        let mut reader = serde_json::Deserializer::from_slice(text);
        let value = Value { depth: 0 }.deserialize(&mut reader);
        value.and_then(|value| reader.end().map(|()| value)).map_err(|error| JsonError(error.to_string()))
    }

    /// The member of that name, when this is an object that has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    /// The text, when this is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The type's name in messages to a person.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) | Self::Whole(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a double holds every integer below 2^53")]
fn whole(value: i128) -> Json {
    if value.unsigned_abs() < 1 << 53 { Json::Number(value as f64) } else { Json::Whole(value) }
}

#[derive(Clone, Copy)]
struct Value {
    depth: usize,
}

impl Value {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.saturating_add(1);
        if depth > MAX_DEPTH { Err(E::custom("nested too deeply")) } else { Ok(Self { depth }) }
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Json, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Json;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(whole(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(whole(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut members = BTreeMap::new();
        while let Some(name) = object.next_key::<String>()? {
            match members.entry(name) {
                Entry::Vacant(place) => place.insert(object.next_value_seed(inner)?),
                Entry::Occupied(twice) => {
                    return Err(A::Error::custom(format_args!("`{}` stands twice", twice.key())));
                }
            };
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    #[track_caller]
    fn refused(text: &str, why: &str) {
        let error = Json::parse(text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn ambiguous_or_unbounded_input_is_refused() {
        refused(r#"{"sub":"a","sub":"b"}"#, "`sub` stands twice");
        refused(r#"{"sub":"a","\u0073ub":"b"}"#, "`sub` stands twice");
        refused(r#"{"a":{"b":1,"b":2}}"#, "`b` stands twice");
        refused(r#"{} {}"#, "trailing");
        refused(&"[".repeat(100_000), "too deeply");
        refused(&format!("{}1{}", "[".repeat(33), "]".repeat(33)), "too deeply");
        refused("\u{feff}{}", "expected value");
        refused(r#"{"a":NaN}"#, "expected value");
        refused(r#"{"a":01}"#, "invalid number");
        refused("", "EOF");
    }

    #[test]
    fn whole_numbers_stay_exact() {
        let check = |text: &str, expect| assert_eq!(Json::parse(text.as_bytes()), Ok(expect), "{text}");
        check("9007199254740991", Json::Number(9_007_199_254_740_991.0));
        check("9007199254740993", Json::Whole(9_007_199_254_740_993));
        check("-9223372036854775808", Json::Whole(i64::MIN.into()));
        check("18446744073709551615", Json::Whole(u64::MAX.into()));
        check("18446744073709551616", Json::Number(18_446_744_073_709_551_616.0));
    }

    #[test]
    fn what_is_within_the_bounds_is_read() {
        assert!(Json::parse(format!("{}1{}", "[".repeat(32), "]".repeat(32)).as_bytes()).is_ok());
        let claims = Json::parse(br#"{"sub":"a\u0000b","n":1.0,"l":[true,null]}"#).unwrap();
        assert_eq!(claims.get("sub").and_then(Json::as_text), Some("a\0b"));
        assert_eq!(claims.get("n"), Some(&Json::Number(1.0)));
    }
}
