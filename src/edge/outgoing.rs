//! The stream of messages to one edge.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::mpsc;
use tonic::Status;

use super::codec::Encoded;

/// Messages between the session and the connection; what waits longer waits in the feed's ring.
const QUEUE: usize = 4;

/// The end of the session that sends.
#[derive(Debug)]
pub(super) struct Sender {
    queue: mpsc::Sender<Encoded>,
    end: Arc<OnceLock<Status>>,
    timeout: Duration,
}

/// Hands over what there is room for.
#[derive(Debug)]
pub(super) struct AtOnce(mpsc::Sender<Encoded>);

/// The end of the connection.
#[derive(Debug)]
pub struct Outgoing {
    queue: mpsc::Receiver<Encoded>,
    end: Arc<OnceLock<Status>>,
    ended: bool,
}

/// A stream on which an edge must take a message within `timeout`.
pub(super) fn stream(timeout: Duration) -> (Sender, Outgoing) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let end = Arc::new(OnceLock::new());
    (Sender { queue: sender, end: Arc::clone(&end), timeout }, Outgoing { queue, end, ended: false })
}

impl Sender {
    /// Hands a message over.
    ///
    /// # Errors
    /// The status to end with: when the connection is gone, or takes nothing for too long.
    pub(super) async fn send(&self, message: Encoded) -> Result<(), Status> {
        // There mostly is room, and then no timer is needed.
        let message = match self.queue.try_send(message) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Full(message) | mpsc::error::TrySendError::Closed(message)) => {
                message
            }
        };
        match self.queue.send_timeout(message, self.timeout).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(Status::cancelled("the edge has gone")),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                Err(Status::resource_exhausted("the edge does not keep up: come back and resume"))
            }
        }
    }

    /// A way to the same stream that never waits.
    pub(super) fn at_once(&self) -> AtOnce {
        AtOnce(self.queue.clone())
    }

    /// Ends the stream with a status. What still waits is dropped: an edge that resumes gets it again.
    pub(super) fn end(self, status: Status) {
        // The first status stands.
        let _ = self.end.set(status);
    }

    /// Returns once the connection is gone.
    pub(super) async fn closed(&self) {
        self.queue.closed().await;
    }
}

impl AtOnce {
    /// Hands over all of the messages or none; whether it did.
    pub(super) fn send(&self, messages: &[Encoded]) -> bool {
        let Ok(room) = self.0.try_reserve_many(messages.len()) else { return false };
        room.zip(messages).for_each(|(place, message)| place.send(message.clone()));
        true
    }
}

impl Stream for Outgoing {
    type Item = Result<Encoded, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // The sender sets the status before it goes, and its going wakes this task.
        let next = self.queue.poll_recv(context);
        if let Some(status) = self.end.get().cloned() {
            self.ended = true;
            self.queue.close();
            return Poll::Ready(Some(Err(status)));
        }
        next.map(|message| message.map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn who_takes_nothing_is_given_up_and_told_so() {
        let (sender, mut outgoing) = stream(Duration::from_millis(1));
        for _ in 0..QUEUE {
            sender.send(Encoded::default()).await.unwrap();
        }
        let status = sender.send(Encoded::default()).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        sender.end(status);
        assert_eq!(outgoing.next().await.unwrap().unwrap_err().code(), tonic::Code::ResourceExhausted);
        assert!(outgoing.next().await.is_none());
    }

    #[tokio::test]
    async fn a_connection_that_is_gone_is_noticed() {
        let (sender, outgoing) = stream(Duration::from_secs(10));
        drop(outgoing);
        sender.closed().await;
        assert_eq!(sender.send(Encoded::default()).await.unwrap_err().code(), tonic::Code::Cancelled);
    }
}
