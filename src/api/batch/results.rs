//! Results on their way out.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc::Receiver;

use crate::api::model::BatchLine;

/// Results that are written together when they are there together.
const MAX_TOGETHER: usize = 256;

/// The results as NDJSON.
pub(super) fn stream(results: Receiver<BatchLine>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures_util::stream::unfold(results, |mut results| async move {
        let mut together = Vec::with_capacity(MAX_TOGETHER);
        if results.recv_many(&mut together, MAX_TOGETHER).await == 0 {
            return None;
        }
        let mut text = Vec::new();
        for result in together {
            // Text and numbers always are JSON, and a vector takes everything.
            let _ = serde_json::to_writer(&mut text, &result);
            text.push(b'\n');
        }
        Some((Ok(text.into()), results))
    })
}
