//! The stream of messages to one edge.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;
use tonic::Status;

use super::codec::Framed;

/// Messages between the session and the connection; what waits longer waits in the feed's ring.
const QUEUE: usize = 4;

/// The end of the session that sends.
#[derive(Debug)]
pub(super) struct Sender {
    queue: mpsc::Sender<Framed>,
    end: Arc<OnceLock<Status>>,
    timeout: Duration,
}

/// Hands over what there is room for.
#[derive(Debug)]
pub(super) struct AtOnce(mpsc::Sender<Framed>);

/// The end of the connection: the body of the response.
#[derive(Debug)]
pub struct Outgoing {
    queue: mpsc::Receiver<Framed>,
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
    pub(super) async fn send(&self, message: Framed) -> Result<(), Status> {
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
    pub(super) fn send(&self, messages: &[Framed]) -> bool {
        let Ok(room) = self.0.try_reserve_many(messages.len()) else { return false };
        room.zip(messages).for_each(|(place, message)| place.send(message.clone()));
        true
    }
}

impl Outgoing {
    fn end_with(&mut self, status: &Status) -> Result<Frame<Bytes>, Status> {
        self.ended = true;
        self.queue.close();
        let mut trailers = HeaderMap::new();
        status.add_header(&mut trailers)?;
        Ok(Frame::trailers(trailers))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // The sender sets the status before it goes, and its going wakes this task.
        let next = self.queue.poll_recv(context);
        if let Some(status) = self.end.get().cloned() {
            return Poll::Ready(Some(self.end_with(&status)));
        }
        next.map(|message| match message {
            Some(Framed(message)) => Some(Ok(Frame::data(message))),
            // The session has failed, and that is in the log.
            None => Some(self.end_with(&Status::ok(""))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use portcullis_core::wire::edge::Header;
    use portcullis_core::wire::edge::control_message::Message;

    use super::*;

    async fn end_of(outgoing: &mut Outgoing) -> Status {
        let trailers = outgoing.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert!(outgoing.is_end_stream() && outgoing.frame().await.is_none());
        Status::from_header_map(&trailers).unwrap()
    }

    #[tokio::test]
    async fn who_takes_nothing_is_given_up_and_told_so() {
        let (sender, mut outgoing) = stream(Duration::from_millis(1));
        for _ in 0..QUEUE {
            sender.send(Framed::default()).await.unwrap();
        }
        let status = sender.send(Framed::default()).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        sender.end(status);
        let status = end_of(&mut outgoing).await;
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert_eq!(status.message(), "the edge does not keep up: come back and resume");
    }

    #[tokio::test]
    async fn messages_come_as_they_were_framed_and_then_the_status() {
        let (sender, mut outgoing) = stream(Duration::from_secs(10));
        let messages = [Framed::from(Message::Header(Header::default())), Framed::default()];
        assert!(sender.at_once().send(&messages));
        for Framed(message) in messages {
            assert_eq!(outgoing.frame().await.unwrap().unwrap().into_data().unwrap(), message);
        }
        // A session that fails says nothing.
        drop(sender);
        assert_eq!(end_of(&mut outgoing).await.code(), tonic::Code::Ok);
    }

    #[tokio::test]
    async fn a_connection_that_is_gone_is_noticed() {
        let (sender, outgoing) = stream(Duration::from_secs(10));
        drop(outgoing);
        sender.closed().await;
        assert_eq!(sender.send(Framed::default()).await.unwrap_err().code(), tonic::Code::Cancelled);
    }
}
