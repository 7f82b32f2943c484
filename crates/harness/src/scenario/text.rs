//! Values that scenario files write as text.

use std::time::Duration;

use serde::Deserialize;
use serde::de::Error as _;

use crate::header_map::HeaderMap;

/// A header, written as `"name: value"`. The name may begin with a colon.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct Header {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

impl TryFrom<String> for Header {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refused = || format!("`{text}` is no header: it needs the form `name: value`");
        // The name of a pseudo-header begins with a colon, which does not end it.
        let start = usize::from(text.starts_with(':'));
        let end = text.get(start..).and_then(|rest| rest.find(':')).ok_or_else(refused)? + start;
        let (name, value) = (text.get(..end), text.get(end + 1..));
        let (Some(name), Some(value)) = (name, value) else { return Err(refused()) };
        if name.len() == start || name.contains(char::is_whitespace) {
            return Err(refused());
        }
        let value = value.strip_prefix(' ').unwrap_or(value);
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

/// A map of what was written.
pub(crate) fn map(headers: &[Header]) -> HeaderMap {
    headers.iter().map(|header| (header.name.as_str(), header.value.as_str())).collect()
}

/// Bytes, written as text or as `{ hex = "00ff" }`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(try_from = "Written")]
pub struct Bytes(pub Vec<u8>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "text, or a table with the only key `hex`")]
enum Written {
    Text(String),
    Hex(Hex),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hex {
    hex: String,
}

impl TryFrom<Written> for Bytes {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Text(text) => Ok(Self(text.into_bytes())),
            Written::Hex(Hex { hex }) => decode(&hex).map(Self).ok_or(format!("`{hex}` is not hexadecimal")),
        }
    }
}

fn decode(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits.filter(|digits| digits.len() % 2 == 0)?;
    pairs
        .chunks_exact(2)
        .map(|pair| {
            pair.iter().try_fold(0, |value, digit| u8::try_from(value * 16 + digit).ok().map(u32::from))
        })
        .map(|byte| byte.and_then(|byte| u8::try_from(byte).ok()))
        .collect()
}

/// A length of time, written as `"100ms"` or `"2s"`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Time(pub Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = |unit: &str| text.strip_suffix(unit)?.parse::<u32>().ok();
        let time = number("ms").map(|ms| Duration::from_millis(ms.into()));
        let time = time.or_else(|| number("s").map(|s| Duration::from_secs(s.into())));
        time.map(Self).ok_or_else(|| D::Error::custom(format!("`{text}` is no time such as `100ms` or `2s`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_a_name_and_a_value() {
        let header = |text: &str| Header::try_from(text.to_owned()).map(|h| (h.name, h.value));
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(header("x-a: 1"), pair("x-a", "1"));
        assert_eq!(header(":path: /a:b"), pair(":path", "/a:b"));
        assert_eq!(header("x-a:"), pair("x-a", ""));
        assert_eq!(header("x-a:  b "), pair("x-a", " b "));
        for wrong in ["", "x-a", ": v", ":path", "x a: 1"] {
            assert!(header(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hexadecimal_digits_come_in_pairs() {
        assert_eq!(decode("00fF7a"), Some(vec![0, 255, 0x7a]));
        assert_eq!(decode(""), Some(vec![]));
        assert_eq!((decode("0"), decode("0g"), decode("é0")), (None, None, None));
    }
}
