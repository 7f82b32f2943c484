//! The results of a batch, as they come.

use std::io::{BufRead, BufReader, Lines};

use ureq::http::Response;
use ureq::{Body, BodyReader};

use super::ClientError;
use crate::api::model::BatchLine;

/// One result per line that was sent, in their order.
pub struct BatchResults {
    lines: Lines<BufReader<BodyReader<'static>>>,
}

impl BatchResults {
    pub(super) fn new(response: Response<Body>) -> Self {
        let reader = response.into_body().into_with_config().limit(u64::MAX).reader();
        Self { lines: BufReader::new(reader).lines() }
    }
}

impl Iterator for BatchResults {
    /// The result's text as it came, and what it says.
    type Item = Result<(String, BatchLine), ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = match self.lines.next()? {
            Ok(text) => text,
            Err(error) => return Some(Err(ClientError::Lost { detail: error.to_string() })),
        };
        let read = serde_json::from_str(&text);
        Some(match read {
            Ok(line) => Ok((text, line)),
            Err(error) => Err(ClientError::Answer { detail: error.to_string() }),
        })
    }
}
