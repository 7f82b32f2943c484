//! Properties: what a filter can ask about the request, the connection and the proxy, and how Envoy types it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::pairs;
use crate::status::Status;

/// A property as Envoy holds it. Its type decides the bytes that the filter gets.
///
/// JSON is what dynamic metadata is made of, so that a claim given as `json!(1700000000)` reaches the
/// filter as a double, as it does from `jwt_authn`; Rust integers are Envoy's own, such as a port.
#[derive(Clone, Debug, PartialEq)]
pub enum Property {
    /// JSON `null`: present, but without a serialized form.
    Null,
    /// One byte.
    Bool(bool),
    /// Eight bytes, little-endian. Times and durations are such, in nanoseconds.
    Int(i64),
    /// Eight bytes, little-endian.
    Uint(u64),
    /// An IEEE double in eight bytes, little-endian: every JSON number.
    Double(f64),
    /// The bytes themselves: text and bytes look the same to the filter.
    Bytes(Vec<u8>),
    /// A list; a decimal index in the path picks an element.
    List(Vec<Self>),
    /// A map; as a whole it is a list of pairs without types.
    Map(BTreeMap<String, Self>),
}

impl Property {
    /// The property at this path below `self`.
    #[must_use]
    pub fn at<P: AsRef<str>>(&self, path: &[P]) -> Option<&Self> {
        path.iter().try_fold(self, |value, part| match value {
            Self::Map(map) => map.get(part.as_ref()),
            Self::List(list) => list.get(part.as_ref().parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Puts a value where Envoy 1.40 has it: what older ones have at the top is under `xds` as well.
    pub(crate) fn set(&mut self, path: &[&str], value: Self) {
        if path.first().is_some_and(|top| has_moved(top)) {
            self.put(&[&["xds"], path].concat(), value);
        } else {
            self.put(path, value);
        }
    }

    /// Puts a value at a path, making maps on the way of whatever is not one.
    fn put<P: AsRef<str>>(&mut self, path: &[P], value: Self) {
        let Some((first, rest)) = path.split_first() else {
            *self = value;
            return;
        };
        if !matches!(self, Self::Map(_)) {
            *self = Self::default();
        }
        if let Self::Map(map) = self {
            map.entry(first.as_ref().to_owned()).or_default().put(rest, value);
        }
    }

    /// The bytes that `proxy_get_property` hands out.
    pub(crate) fn serialize(&self) -> Result<Vec<u8>, Status> {
        Ok(match self {
            Self::Null => return Err(Status::SerializationFailure),
            Self::Bool(value) => vec![u8::from(*value)],
            Self::Int(value) => value.to_le_bytes().to_vec(),
            Self::Uint(value) => value.to_le_bytes().to_vec(),
            Self::Double(value) => value.to_le_bytes().to_vec(),
            Self::Bytes(value) => value.clone(),
            // The elements are the keys; the values are empty.
            Self::List(list) => {
                let pairs: Result<Vec<_>, _> = list.iter().map(|item| Ok((item.serialize()?, b""))).collect();
                pairs::encode(&pairs?)
            }
            Self::Map(map) => {
                let pairs: Result<Vec<_>, _> =
                    map.iter().map(|(key, value)| Ok((key, value.serialize()?))).collect();
                pairs::encode(&pairs?)
            }
        })
    }
}

/// An empty map.
impl Default for Property {
    fn default() -> Self {
        Self::Map(BTreeMap::new())
    }
}

impl From<Value> for Property {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(value) => Self::Double(value.as_f64().unwrap_or(f64::NAN)),
            Value::String(value) => Self::Bytes(value.into_bytes()),
            Value::Array(values) => Self::List(values.into_iter().map(Self::from).collect()),
            Value::Object(map) => {
                Self::Map(map.into_iter().map(|(key, value)| (key, Self::from(value))).collect())
            }
        }
    }
}

impl From<&str> for Property {
    fn from(value: &str) -> Self {
        Self::Bytes(value.as_bytes().to_vec())
    }
}

impl From<String> for Property {
    fn from(value: String) -> Self {
        Self::Bytes(value.into_bytes())
    }
}

impl From<Vec<u8>> for Property {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

impl From<bool> for Property {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Property {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Property {
    fn from(value: u64) -> Self {
        Self::Uint(value)
    }
}

/// Whether Envoy answers for this top-level name only where there is a stream.
pub(crate) fn needs_stream(name: &str) -> bool {
    !OF_ROOT.contains(&name)
}

/// Whether Envoy 1.40 knows the top-level name; every other one means filter state that a filter has set.
///
/// Older ones knew `node`, `cluster_name`, `route_name` and so on here; these now live under `xds`.
pub(crate) fn is_known(name: &str) -> bool {
    OF_ROOT.contains(&name) || OF_STREAM.contains(&name)
}

/// Whether Envoy answers for parts of this, but not for the whole.
pub(crate) fn is_opaque(name: &str) -> bool {
    ["xds", "request", "response", "connection", "upstream", "source", "destination", "filter_state"]
        .contains(&name)
}

/// Whether the name was a top-level one in older Envoys, and now lives under `xds`.
pub(crate) fn has_moved(name: &str) -> bool {
    MOVED.contains(&name)
}

const MOVED: [&str; 11] = [
    "node",
    "cluster_name",
    "cluster_metadata",
    "filter_chain_name",
    "listener_direction",
    "listener_metadata",
    "route_name",
    "route_metadata",
    "upstream_host_metadata",
    "virtual_host_name",
    "virtual_host_metadata",
];

const OF_ROOT: [&str; 4] = ["xds", "plugin_name", "plugin_root_id", "plugin_vm_id"];

const OF_STREAM: [&str; 10] = [
    "metadata",
    "request",
    "response",
    "connection",
    "connection_id",
    "upstream",
    "source",
    "destination",
    "filter_state",
    "upstream_filter_state",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(property: impl Into<Property>, bytes: Result<&[u8], Status>) {
        assert_eq!(property.into().serialize(), bytes.map(<[u8]>::to_vec));
    }

    #[test]
    fn every_type_has_the_bytes_that_envoy_gives_it() {
        check("text", Ok(b"text"));
        check(json!("text"), Ok(b"text"));
        check(json!(1), Ok(&1.0f64.to_le_bytes()));
        check(1i64, Ok(&[1, 0, 0, 0, 0, 0, 0, 0]));
        check(json!(true), Ok(&[1]));
        check(json!(null), Err(Status::SerializationFailure));
        check(json!([null]), Err(Status::SerializationFailure));
        check(json!(["a"]), Ok(b"\x01\0\0\0\x01\0\0\0\0\0\0\0a\0\0"));
        check(json!({"k": "v"}), Ok(b"\x01\0\0\0\x01\0\0\0\x01\0\0\0k\0v\0"));
    }

    #[test]
    fn a_path_leads_through_maps_and_lists() {
        let mut tree = Property::default();
        tree.put(&["metadata", "jwt"], json!({"roles": ["a", "b"], "iat": 5}).into());
        assert_eq!(tree.at(&["metadata", "jwt", "roles", "1"]), Some(&"b".into()));
        assert_eq!(tree.at(&["metadata", "jwt", "roles", "2"]), None);
        assert_eq!(tree.at(&["metadata", "jwt", "iat", "x"]), None);
    }
}
