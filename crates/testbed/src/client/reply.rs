//! A whole answer.

use anyhow::{Context as _, Result};
use axum::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

/// An answer that has ended well.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The trailers; those of a gRPC answer without a body are in its headers.
    pub trailers: HeaderMap,
}

impl Reply {
    pub(super) async fn collect(response: Response<Incoming>) -> Result<Self> {
        let (head, body) = response.into_parts();
        let body = body.collect().await.context("the body did not end well")?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        Ok(Self { status: head.status, headers: head.headers, body: body.to_bytes(), trailers })
    }

    /// The first value of a header that is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// If it is not.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    /// The gRPC status, from the trailers or from the headers of an answer that is only trailers.
    #[must_use]
    pub fn grpc_status(&self) -> Option<u32> {
        let status = self.trailers.get("grpc-status").or_else(|| self.headers.get("grpc-status"))?;
        status.to_str().ok()?.parse().ok()
    }
}
