//! JSON as it must be read where it decides who gets in: an object that names a member twice is an error,
//! because two readers could take different ones (RFC 8259 section 4), and depth is bounded.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of objects and arrays.
pub const MAX_DEPTH: usize = 32;
/// Most members of an object whose names are compared each with each; those of larger ones are sorted.
const FEW_MEMBERS: usize = 16;

/// A JSON value. Numbers are doubles, as JSON's users agree on (RFC 8259 section 6), and whole ones that no
/// double holds exactly are kept beside them: identifiers of 64 bits are in use. Texts without escapes are those of
/// what was read, so that a token's claims cost no allocations of their own.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the variants are JSON's own")]
pub enum Json<'a> {
    Null,
    Bool(bool),
    Number(f64),
    /// 2^53 or more in size.
    Whole(i128),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Object(Members<'a>),
}

/// The members of an object, in the order in which they stand; each name once.
#[derive(Clone, Debug, Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Members<'a> {
    /// The member of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Adds a member, unless there is one of that name.
    pub fn insert_if_absent(&mut self, name: impl Into<Cow<'a, str>>, value: Json<'a>) {
        let name = name.into();
        if self.get(&name).is_none() {
            self.0.push((name, value));
        }
    }

    /// Names and values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// Names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A name that stands twice. The members up to [`FEW_MEMBERS`] are known to differ.
    fn twice(&self) -> Option<Cow<'a, str>> {
        if self.len() <= FEW_MEMBERS {
            return None;
        }
        let mut names: Vec<Cow<'a, str>> = self.0.iter().map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names.windows(2).find_map(|pair| match pair {
            [one, other] if one == other => Some(one.clone()),
            _ => None,
        })
    }
}

/// The first of each name.
impl<'a> FromIterator<(Cow<'a, str>, Json<'a>)> for Members<'a> {
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Json<'a>)>>(members: I) -> Self {
        let mut this = Self::default();
        members.into_iter().for_each(|(name, value)| this.insert_if_absent(name, value));
        this
    }
}

/// Without order, which means nothing in an object (RFC 8259 section 4).
impl PartialEq for Members<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

/// Why a text is not acceptable JSON.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(String);

impl<'a> Json<'a> {
    /// Reads a whole text.
    ///
    /// # Errors
    /// When it is not JSON, a member stands twice, it is deeper than [`MAX_DEPTH`], or something follows.
    pub fn parse(text: &'a [u8]) -> Result<Self, JsonError> {
        use alloc::string::ToString;
        // One look at all bytes costs less than one at each text.
        let text = core::str::from_utf8(text).map_err(|error| JsonError(error.to_string()))?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let value = Value { depth: 0 }.deserialize(&mut reader);
        value.and_then(|value| reader.end().map(|()| value)).map_err(|error| JsonError(error.to_string()))
    }

    /// The same, with texts of its own.
    #[must_use]
    pub fn into_owned(self) -> Json<'static> {
        let owned = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(value),
            Self::Number(value) => Json::Number(value),
            Self::Whole(value) => Json::Whole(value),
            Self::Text(text) => Json::Text(owned(text)),
            Self::List(values) => Json::List(values.into_iter().map(Self::into_owned).collect()),
            Self::Object(members) => {
                let members = members.0.into_iter().map(|(name, value)| (owned(name), value.into_owned()));
                Json::Object(Members(members.collect()))
            }
        }
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
fn whole<'a>(value: i128) -> Json<'a> {
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
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Json<'de>, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Json<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(whole(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(whole(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.into())))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json<'de>, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json<'de>, A::Error> {
        let inner = self.inner()?;
        let mut members = Members::default();
        while let Some(name) = object.next_key_seed(Name)? {
            if members.len() < FEW_MEMBERS && members.get(&name).is_some() {
                return Err(twice(&name));
            }
            let value = object.next_value_seed(inner)?;
            if members.is_empty() && self.depth == 0 {
                // As many as most tokens have claims: growing costs more. Of the objects in them there may be many.
                members.0.reserve(FEW_MEMBERS);
            }
            members.0.push((name, value));
        }
        members.twice().map_or(Ok(Json::Object(members)), |name| Err(twice(&name)))
    }
}

fn twice<E: serde::de::Error>(name: &str) -> E {
    E::custom(format_args!("`{name}` stands twice"))
}

/// A member's name; serde's own reader of a `Cow` always copies.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Cow<'de, str>, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.into()))
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
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
