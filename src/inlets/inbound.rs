//! A message as it arrived.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method};

use super::Cause;

/// The address at the other end of a connection: an extension of each request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer(pub IpAddr);

impl Default for Peer {
    fn default() -> Self {
        Self(Ipv4Addr::UNSPECIFIED.into())
    }
}

/// A message as it arrived, or as it was captured.
#[derive(Clone, Debug, Default)]
pub struct Inbound {
    /// The method.
    pub method: Method,
    /// The headers.
    pub headers: HeaderMap,
    /// The path, as it was sent.
    pub path: String,
    /// What stands behind `?`.
    pub query: String,
    /// The body, of bounded size.
    pub body: Bytes,
}

impl Inbound {
    /// A header that stands once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    /// What follows a prefix in the path, by segment, without escapes.
    ///
    /// # Errors
    /// When it is not text.
    pub fn segments_after(&self, prefix: &str) -> Result<Vec<String>, Cause> {
        let rest = self.path.strip_prefix(prefix).unwrap_or_default();
        let segments = rest.split('/').filter(|segment| !segment.is_empty()).map(|segment| {
            let text = percent_encoding::percent_decode_str(segment).decode_utf8();
            text.map(Cow::into_owned).map_err(|_| Cause::Syntax("the path is not text in UTF-8".into()))
        });
        segments.collect()
    }

    /// Whether the body is declared to be of this media type.
    ///
    /// # Errors
    /// When it is not.
    pub fn expect_media_type(&self, expected: &'static str) -> Result<(), Cause> {
        let declared = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let media_type = declared.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case(expected) { Ok(()) } else { Err(Cause::MediaType(expected)) }
    }

    /// The body as text.
    ///
    /// # Errors
    /// When it is none.
    pub fn text(&self) -> Result<&str, Cause> {
        std::str::from_utf8(&self.body).map_err(|_| Cause::Syntax("the body is not text in UTF-8".into()))
    }
}
