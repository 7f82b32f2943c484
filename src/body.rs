//! Reading a request's body, of bounded size and in bounded time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::StreamExt as _;
use tokio::time::timeout;

/// Beyond the limit so much is read and thrown away, so that the caller is done sending and reads the answer.
const MAX_DRAIN_BYTES: usize = 4 * 1024 * 1024;
/// Until the whole body must have arrived.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why there is no body.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BodyError {
    /// Over the limit.
    #[error("the body is larger than {} KiB", .0 / 1024)]
    TooLarge(usize),
    /// Not there in time.
    #[error("the body did not arrive in time")]
    Slow,
    /// Ended early.
    #[error("the body did not arrive whole")]
    Broken,
}

/// The whole body, of at most so many bytes.
///
/// # Errors
/// When it is larger, slow, or not whole.
pub async fn read(body: Body, max_bytes: usize) -> Result<Bytes, BodyError> {
    match timeout(TIMEOUT, collect(body, max_bytes)).await {
        Ok(bytes) => bytes,
        Err(_) => Err(BodyError::Slow),
    }
}

async fn collect(body: Body, max_bytes: usize) -> Result<Bytes, BodyError> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut total = 0_usize;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| BodyError::Broken)?;
        total = total.saturating_add(chunk.len());
        if total > MAX_DRAIN_BYTES {
            break;
        }
        if total <= max_bytes {
            bytes.extend_from_slice(&chunk);
        }
    }
    if total > max_bytes { Err(BodyError::TooLarge(max_bytes)) } else { Ok(bytes.into()) }
}
