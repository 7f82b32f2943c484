//! Headers, trailers and metadata: an ordered list in which a name may occur several times.
//!
//! Envoy keeps one value of the headers that it knows best and joins whatever comes on top with a comma, so
//! that a filter sees two `authorization` headers as one; [`HeaderMap::merge`] does the same.

use std::fmt;

use crate::pairs::{self, Pair};

/// A list of headers, with lower-case names, in order.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct HeaderMap {
    entries: Vec<Pair>,
}

impl HeaderMap {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first value of this name, if it is there and UTF-8.
    ///
    /// A filter that asks for one value gets this one as well, whatever follows it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_bytes(name.as_bytes()).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of this name, in order, with what is not UTF-8 replaced.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        let name = name.to_ascii_lowercase();
        let values = self.entries.iter().filter(|(key, _)| *key == name.as_bytes());
        values.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// Whether the name occurs.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get_bytes(name.as_bytes()).is_some()
    }

    /// Every name and value in order, with what is not UTF-8 replaced.
    pub fn iter(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.entries.iter().map(move |(name, value)| (text(name), text(value)))
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a value behind those that the name has.
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.entries.push((name.as_ref().to_ascii_lowercase(), value.as_ref().to_vec()));
    }

    /// Adds a value as Envoy does: joined with the one that is there, if the name is one that it knows best.
    pub fn merge(&mut self, of: Of, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = name.as_ref().to_ascii_lowercase();
        let is_joined = name.starts_with(b":") || of.joined().iter().any(|joined| joined.as_bytes() == name);
        let old = self.entries.iter_mut().find(|(key, _)| is_joined && *key == name);
        match old {
            Some((_, old)) => {
                old.push(b',');
                old.extend(value.as_ref());
            }
            None => self.insert(name, value.as_ref()),
        }
    }

    /// Leaves the name with this value only, behind the others as in Envoy.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = name.as_ref().to_ascii_lowercase();
        self.entries.retain(|(key, _)| *key != name);
        self.insert(name, value.as_ref());
    }

    /// `:path` and the like come before all others.
    fn insert(&mut self, name: Vec<u8>, value: &[u8]) {
        let is_pseudo = |(key, _): &Pair| key.starts_with(b":");
        let first_other =
            self.entries.iter().position(|entry| !is_pseudo(entry)).unwrap_or(self.entries.len());
        let index = if name.starts_with(b":") { first_other } else { self.entries.len() };
        self.entries.insert(index, (name, value.to_vec()));
    }

    /// Removes every value of the name.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) {
        let name = name.as_ref().to_ascii_lowercase();
        self.entries.retain(|(key, _)| *key != name);
    }

    pub(crate) fn get_bytes(&self, name: &[u8]) -> Option<&[u8]> {
        let name = name.to_ascii_lowercase();
        self.entries.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_slice())
    }

    /// Every value of the name, with commas between, as Envoy shows a header where it shows one value.
    pub(crate) fn joined(&self, name: &str) -> Option<Vec<u8>> {
        let name = name.to_ascii_lowercase();
        let values = self.entries.iter().filter(|(key, _)| *key == name.as_bytes());
        let values: Vec<&[u8]> = values.map(|(_, value)| value.as_slice()).collect();
        (!values.is_empty()).then(|| values.join(&b','))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        pairs::encode(&self.entries)
    }

    /// The size as Envoy counts it: names and values without separators.
    pub(crate) fn byte_size(&self) -> usize {
        self.entries.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    pub(crate) fn pairs(&self) -> &[Pair] {
        &self.entries
    }
}

/// Which map it is that a value comes into: Envoy knows other headers best in each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Of {
    /// Request headers.
    Request,
    /// Response headers.
    Response,
    /// Trailers and metadata, where nothing is joined.
    Trailers,
}

impl Of {
    /// The names whose values Envoy 1.40 joins, found by sending each of them twice.
    const fn joined(self) -> &'static [&'static str] {
        match self {
            Self::Request => &[
                "accept",
                "accept-encoding",
                "access-control-request-headers",
                "access-control-request-method",
                "authorization",
                "cache-control",
                "content-encoding",
                "content-type",
                "expect",
                "grpc-accept-encoding",
                "grpc-timeout",
                "if-match",
                "if-modified-since",
                "if-none-match",
                "if-range",
                "if-unmodified-since",
                "origin",
                "pragma",
                "referer",
                "user-agent",
                "via",
                "x-client-trace-id",
                "x-envoy-original-path",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-port",
                "x-request-id",
            ],
            Self::Response => &[
                "access-control-allow-origin",
                "age",
                "cache-control",
                "content-type",
                "etag",
                "expires",
                "grpc-message",
                "grpc-status",
                "last-modified",
                "location",
                "vary",
                "via",
            ],
            Self::Trailers => &[],
        }
    }
}

impl fmt::Debug for HeaderMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(K, V)> for HeaderMap {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut map = Self::new();
        for (name, value) in pairs {
            map.add(name, value);
        }
        map
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>, const N: usize> From<[(K, V); N]> for HeaderMap {
    fn from(pairs: [(K, V); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> From<&[(K, V)]> for HeaderMap {
    fn from(pairs: &[(K, V)]) -> Self {
        pairs.iter().map(|(name, value)| (name, value)).collect()
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>, const N: usize> From<&[(K, V); N]> for HeaderMap {
    fn from(pairs: &[(K, V); N]) -> Self {
        pairs.as_slice().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_case_insensitive_and_keep_all_their_values() {
        let mut map = HeaderMap::from([("Accept", "a"), ("x", "1"), ("accept", "b")]);
        assert_eq!((map.get("ACCEPT"), map.all("accept")), (Some("a"), vec!["a".into(), "b".into()]));

        map.set("accept", "c");
        assert_eq!(map, HeaderMap::from([("x", "1"), ("accept", "c")]));

        map.remove("Accept");
        assert_eq!(map, HeaderMap::from([("x", "1")]));
    }

    #[test]
    fn envoy_joins_what_it_knows_best() {
        let mut map = HeaderMap::from([(":path", "/"), ("cookie", "a")]);
        for (name, value) in [("Authorization", "a"), ("authorization", "b"), ("cookie", "b")] {
            map.merge(Of::Request, name, value);
        }
        assert_eq!(map.all("authorization"), ["a,b"]);
        assert_eq!(map.all("cookie"), ["a", "b"]);
        map.set(":method", "GET");
        assert_eq!(map.iter().nth(1), Some((":method".to_owned(), "GET".to_owned())));
    }
}
