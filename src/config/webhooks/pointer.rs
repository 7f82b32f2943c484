//! JSON Pointers (RFC 6901).

use std::fmt;
use std::str::FromStr;

use portcullis_core::json::Json;

/// A JSON Pointer: `/data/user_id`, or nothing for the whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// What it points at.
    #[must_use]
    pub fn find<'a>(&self, json: &'a Json<'a>) -> Option<&'a Json<'a>> {
        self.0.iter().try_fold(json, |json, part| match json {
            Json::Object(members) => members.get(part),
            Json::List(items) => items.get(index(part)?),
            _ => None,
        })
    }
}

/// RFC 6901 section 4: no sign and no leading zero.
fn index(part: &str) -> Option<usize> {
    let plain = part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
    if plain { part.parse().ok() } else { None }
}

impl FromStr for Pointer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("`{text}` is not a JSON Pointer: it does not start with `/`"));
        };
        let parts = rest.split('/').map(|part| {
            let without = part.replace("~0", "").replace("~1", "");
            if without.contains('~') {
                return Err(format!("`{text}` is not a JSON Pointer: `~` stands only in `~0` and `~1`"));
            }
            Ok(part.replace("~1", "/").replace("~0", "~"))
        });
        parts.collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| write!(out, "/{}", part.replace('~', "~0").replace('/', "~1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_finds_what_the_rfc_says() {
        let json = Json::parse(br#"{"a":{"b/c":[10,{"~":true}]},"":1}"#).unwrap();
        let check = |pointer: &str, expect: Option<Json<'_>>| {
            let parsed: Pointer = pointer.parse().unwrap();
            assert_eq!(parsed.find(&json), expect.as_ref(), "{pointer}");
            assert_eq!(parsed.to_string(), pointer);
        };
        check("", Some(json.clone()));
        check("/", Some(Json::Number(1.0)));
        check("/a/b~1c/0", Some(Json::Number(10.0)));
        check("/a/b~1c/1/~0", Some(Json::Bool(true)));
        for nothing in ["/x", "/a/b~1c/2", "/a/b~1c/00", "/a/b~1c/+1", "/a/b~1c/-", "/a/b~1c/0/0"] {
            check(nothing, None);
        }
        for wrong in ["a", "/~", "/~2", "/a~"] {
            assert!(wrong.parse::<Pointer>().is_err(), "{wrong}");
        }
    }
}
