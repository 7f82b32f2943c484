//! Which attributes of a user are answered (RFC 7644 section 3.9).

use serde_json::{Map, Value};

use super::error::ErrorKind;
use super::path::without_schema;
use crate::inlets::{Cause, Inbound};

/// Answered whatever is asked for: `returned` of their schemas is `always`.
const ALWAYS: [&str; 2] = ["schemas", "id"];

/// What a client has asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Selection {
    /// What there is.
    All,
    /// `attributes`: these, as `name` or `name.part` in small letters.
    Only(Vec<String>),
    /// `excludedAttributes`: all but these.
    Without(Vec<String>),
}

impl Selection {
    /// What a request's query asks for.
    ///
    /// # Errors
    /// When it asks for both, which exclude each other.
    pub(super) fn of(inbound: &Inbound) -> Result<Self, Cause> {
        let (mut only, mut without) = (None, None);
        for (name, value) in form_urlencoded::parse(inbound.query.as_bytes()) {
            match name.as_ref() {
                "attributes" => only = Some(names(&value)),
                "excludedAttributes" => without = Some(names(&value)),
                _ => {}
            }
        }
        match (only, without) {
            (None, None) => Ok(Self::All),
            (Some(names), None) => Ok(Self::Only(names)),
            (None, Some(names)) => Ok(Self::Without(names)),
            (Some(_), Some(_)) => {
                let why = "`attributes` and `excludedAttributes` exclude each other";
                Err(ErrorKind::InvalidValue.error(why).into())
            }
        }
    }

    /// What of a user is answered.
    pub(super) fn of_user(&self, user: Value) -> Value {
        let Value::Object(members) = user else { return user };
        let chosen = members.into_iter().filter_map(|(name, value)| {
            let always = ALWAYS.contains(&name.as_str());
            let value = if always { Some(value) } else { self.chosen(&name.to_ascii_lowercase(), value) };
            Some((name, value?))
        });
        Value::Object(chosen.collect())
    }

    fn chosen(&self, name: &str, value: Value) -> Option<Value> {
        let is_named = |names: &[String]| names.iter().any(|one| one == name);
        let is_part = |names: &[String], part: &str| {
            let part = part.to_ascii_lowercase();
            names.iter().any(|one| one.split_once('.') == Some((name, part.as_str())))
        };
        match self {
            Self::All => Some(value),
            Self::Only(names) if is_named(names) => Some(value),
            Self::Only(names) => parts(value, &|part| is_part(names, part)),
            Self::Without(names) if is_named(names) => None,
            Self::Without(names) => match value {
                Value::Object(_) | Value::Array(_) => parts(value, &|part| !is_part(names, part)),
                simple => Some(simple),
            },
        }
    }
}

/// A complex attribute, or each of a list, with some of its parts; `None` if nothing is left.
fn parts(value: Value, keep: &dyn Fn(&str) -> bool) -> Option<Value> {
    match value {
        Value::Object(members) => {
            let kept: Map<String, Value> = members.into_iter().filter(|(name, _)| keep(name)).collect();
            Some(Value::Object(kept)).filter(|kept| kept.as_object().is_some_and(|kept| !kept.is_empty()))
        }
        Value::Array(list) => {
            let kept: Vec<Value> = list.into_iter().filter_map(|one| parts(one, keep)).collect();
            Some(Value::Array(kept)).filter(|kept| kept.as_array().is_some_and(|kept| !kept.is_empty()))
        }
        _ => None,
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(',').map(|name| without_schema(name.trim()).to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_for_is_answered() {
        let user = json!({
            "schemas": ["urn:x"], "id": "1", "userName": "alice", "active": true,
            "emails": [{"value": "a@x.example", "type": "work", "primary": true}, {"value": "b@x.example"}],
            "meta": {"resourceType": "User", "location": "/1"},
        });
        let check = |selection: Selection, expect: Value| {
            assert_eq!(selection.of_user(user.clone()), expect, "{selection:?}");
        };
        check(Selection::All, user.clone());
        let always = json!({"schemas": ["urn:x"], "id": "1"});
        check(Selection::Only(names("")), always.clone());
        check(Selection::Only(names("unknown, userName.first")), always.clone());
        check(
            Selection::Only(names("USERNAME,urn:ietf:params:scim:schemas:core:2.0:User:emails.type")),
            json!({"schemas": ["urn:x"], "id": "1", "userName": "alice", "emails": [{"type": "work"}]}),
        );
        check(Selection::Without(names("id,schemas,userName,active,emails,meta")), always);
        check(
            Selection::Without(names("active, emails.primary,emails.type, meta.location")),
            json!({"schemas": ["urn:x"], "id": "1", "userName": "alice",
                "emails": [{"value": "a@x.example"}, {"value": "b@x.example"}],
                "meta": {"resourceType": "User"}}),
        );
    }
}
