//! One task for each stream: it reads what the transmitter says of itself, polls, or keeps a pushed stream alive.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::super::Inlets;
use super::super::pause::{Pause, jittered};
use super::poll::poll;
use super::streams::Stream;
use super::transmitter::{Transmitter, TransmitterError};
use crate::config::{Credential, Delivery};

/// What a transmitter says of itself is read again after so long: its critical members may change.
pub(super) const REFRESH: Duration = Duration::from_secs(600);
/// Nobody is called more often, whatever an inactivity timeout says.
const SHORTEST: Duration = Duration::from_secs(1);

/// Keeps up with one stream until `stop`. A transmitter that is down is asked again and again.
pub(super) async fn keep_up(inlets: &Inlets, stream: &Stream, stop: &CancellationToken) {
    let mut pause = Pause::default();
    loop {
        let outcome = stop.run_until_cancelled(attempt(inlets, stream, &mut pause)).await;
        let wait = match outcome {
            None => return,
            Some(Ok(next)) => {
                pause.reset();
                stream.recovered();
                jittered(next)
            }
            Some(Err(error)) => {
                if stream.failed(&error) {
                    warn!(stream = stream.settings.name, %error, "the transmitter cannot be used; it will be asked again");
                }
                pause.next()
            }
        };
        let waited = stop.run_until_cancelled(async {
            tokio::select! {
                () = sleep(wait) => {}
                () = stream.changed() => {}
            }
        });
        if waited.await.is_none() {
            return;
        }
    }
}

/// Does what is due, and says when something is again.
async fn attempt(inlets: &Inlets, stream: &Stream, pause: &mut Pause) -> Result<Duration, TransmitterError> {
    let described = Transmitter::of(inlets, stream).await;
    match &stream.settings.delivery {
        Delivery::Poll { short, interval } => {
            poll(inlets, stream, &described?, (*short, *interval), pause).await?;
            Ok(Duration::ZERO)
        }
        Delivery::Push(_) => match described {
            // Only what it says of itself; one that says nothing has no critical members.
            Err(TransmitterError::Status { status: 404, .. }) => {
                stream.learn(BTreeSet::new());
                Ok(REFRESH)
            }
            described => keep_alive(stream, &described?).await,
        },
    }
}

/// Calls the transmitter about a pushed stream, which it may otherwise pause or delete (Shared Signals 1.0, section
/// 8.1.1, `inactivity_timeout`), and says until when the next call is due.
async fn keep_alive(stream: &Stream, transmitter: &Transmitter<'_>) -> Result<Duration, TransmitterError> {
    // Without a credential the stream is not managed from here, nor is it where the transmitter offers nothing.
    if stream.settings.credential == Credential::None || !transmitter.has_streams() {
        return Ok(REFRESH);
    }
    match transmitter.touch().await {
        // Half of the time, so that one call may fail.
        Ok(Some(timeout)) => Ok((timeout / 2).clamp(SHORTEST, REFRESH)),
        // An operator has yet to create it, and who waits here is told then.
        Ok(None) | Err(TransmitterError::NoStream(_)) => Ok(REFRESH),
        Err(error) => Err(error),
    }
}
