//! The lines of a body, in groups.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::api::error::{ApiError, Code};

/// Longest line, and most of them.
const MAX_LINE_BYTES: usize = 16 * 1024;
const MAX_LINES: u64 = 1_000_000;
/// Most lines that become one append: the more there are, the fewer pages of the log's index are written for each.
const MAX_GROUP: usize = crate::control::MAX_BATCH;
/// Until the next part of the body must have arrived.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Lines with their numbers, from 1; a line that is too long is an error.
pub(super) type Group = Vec<(u64, Result<Bytes, ApiError>)>;

/// Splits a body into lines, in bounded memory.
pub(super) struct Lines {
    body: BodyDataStream,
    // What has arrived and is not yet a line.
    rest: BytesMut,
    // The line in `rest` is too long, and what has arrived of it is thrown away.
    skipping: bool,
    ended: bool,
    count: u64,
}

impl Lines {
    pub(super) fn new(body: Body) -> Self {
        Self { body: body.into_data_stream(), rest: BytesMut::new(), skipping: false, ended: false, count: 0 }
    }

    /// Lines that have been seen so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The lines that are there, or else the next ones to arrive; `None` at the end.
    ///
    /// # Errors
    /// When the body does not go on, or has too many lines.
    pub(super) async fn group(&mut self) -> Result<Option<Group>, ApiError> {
        let mut group = Group::new();
        loop {
            while group.len() < MAX_GROUP
                && let Some(line) = self.line()
            {
                self.count += 1;
                if self.count > MAX_LINES {
                    self.ended = true;
                    return Err(ApiError::new(
                        Code::TooLarge,
                        format!("a batch has at most {MAX_LINES} lines"),
                    ));
                }
                if !line.as_ref().is_ok_and(|line| line.trim_ascii().is_empty()) {
                    group.push((self.count, line));
                }
            }
            if !group.is_empty() {
                return Ok(Some(group));
            }
            if self.ended {
                return Ok(None);
            }
            self.receive().await?;
        }
    }

    /// The next whole line.
    fn line(&mut self) -> Option<Result<Bytes, ApiError>> {
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        match end {
            Some(end) => {
                let line = self.rest.split_to(end).freeze();
                self.rest.advance(1);
                let skipped = std::mem::take(&mut self.skipping);
                Some(if skipped || line.len() > MAX_LINE_BYTES { Err(too_long()) } else { Ok(line) })
            }
            None if self.ended => {
                let skipped = std::mem::take(&mut self.skipping);
                let line = self.rest.split().freeze();
                match (skipped || line.len() > MAX_LINE_BYTES, line.is_empty()) {
                    (true, _) => Some(Err(too_long())),
                    (false, true) => None,
                    (false, false) => Some(Ok(line)),
                }
            }
            None => {
                if self.rest.len() > MAX_LINE_BYTES {
                    self.rest.clear();
                    self.skipping = true;
                }
                None
            }
        }
    }

    async fn receive(&mut self) -> Result<(), ApiError> {
        match timeout(IDLE_TIMEOUT, self.body.next()).await {
            Ok(Some(Ok(chunk))) => self.rest.extend_from_slice(&chunk),
            Ok(None) => self.ended = true,
            Ok(Some(Err(_))) => {
                self.ended = true;
                return Err(ApiError::new(Code::NotJson, "the body did not arrive whole"));
            }
            Err(_) => {
                self.ended = true;
                return Err(ApiError::new(Code::BodyTimeout, "the next line did not arrive in time"));
            }
        }
        Ok(())
    }
}

fn too_long() -> ApiError {
    ApiError::new(Code::TooLarge, format!("the line is longer than {} KiB", MAX_LINE_BYTES / 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The groups of a body that arrives in these chunks, each line as its number and its text.
    async fn groups(chunks: Vec<Vec<u8>>) -> Vec<Vec<String>> {
        let chunks = chunks.into_iter().map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk)));
        let mut lines = Lines::new(Body::from_stream(futures_util::stream::iter(chunks)));
        let mut groups = Vec::new();
        while let Some(group) = lines.group().await.unwrap() {
            let line = |(number, line): (u64, Result<Bytes, ApiError>)| match line {
                Ok(line) => format!("{number} {}", String::from_utf8_lossy(&line)),
                Err(error) => format!("{number} {}", error.problem().code),
            };
            groups.push(group.into_iter().map(line).collect());
        }
        groups
    }

    #[tokio::test]
    async fn lines_are_whole_however_they_arrive() {
        let seen = groups(vec![b"a\nb".to_vec(), b"c\n\n".to_vec(), b"  \r\nd".to_vec()]).await;
        assert_eq!(seen, [vec!["1 a"], vec!["2 bc"], vec!["5 d"]]);
        assert!(groups(vec![]).await.is_empty());
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_an_error_and_the_next_one_is_not() {
        let mut chunks = vec![vec![b'x'; 10_000]; 10];
        chunks.push(b"x\nok\n".to_vec());
        assert_eq!(groups(chunks).await, [vec!["1 too_large", "2 ok"]]);
        assert_eq!(groups(vec![vec![b'x'; 20_000]]).await, [vec!["1 too_large"]]);
    }

    #[tokio::test]
    async fn a_group_is_bounded() {
        let seen = groups(vec!["x\n".repeat(MAX_GROUP + 1).into_bytes()]).await;
        assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [MAX_GROUP, 1]);
    }
}
