//! What an operator does with a stream; the transmitter does it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::timeout;

use super::super::Inlets;
use super::streams::Stream;
use super::transmitter::{Told, Transmitter, TransmitterError};
use crate::clock::UnixMillis;

/// How long a verification event is awaited. It may come later.
const VERIFICATION: Duration = Duration::from_secs(5);

/// Creates a stream at its transmitter, or brings it in line with the configuration.
pub(crate) async fn add(inlets: &Inlets, stream: &Stream) -> Result<Told, TransmitterError> {
    Transmitter::of(inlets, stream).await?.add().await
}

/// A stream as its transmitter has it.
pub(crate) async fn find(inlets: &Inlets, stream: &Stream) -> Result<Told, TransmitterError> {
    Transmitter::of(inlets, stream).await?.find().await
}

/// Enables, pauses or disables a stream.
pub(crate) async fn set_status(
    inlets: &Inlets,
    stream: &Stream,
    status: &str,
    reason: &str,
) -> Result<Told, TransmitterError> {
    Transmitter::of(inlets, stream).await?.set_status(status, reason).await
}

/// Deletes a stream at its transmitter.
pub(crate) async fn remove(inlets: &Inlets, stream: &Stream) -> Result<(), TransmitterError> {
    Transmitter::of(inlets, stream).await?.remove().await
}

/// Has the transmitter send an event with a state that nobody else knows, and waits for it; `None` when it has not
/// come in time.
pub(crate) async fn verify(inlets: &Inlets, stream: &Stream) -> Result<Option<UnixMillis>, TransmitterError> {
    let transmitter = Transmitter::of(inlets, stream).await?;
    let state = state(getrandom::fill)?;
    // From before the question: the event may be faster than the answer.
    let mut verified = stream.challenge(&state);
    transmitter.verify(&state).await?;
    match timeout(VERIFICATION, verified.changed()).await {
        Ok(Ok(())) => Ok(*verified.borrow()),
        _ => Ok(None),
    }
}

/// A text that nobody can guess.
fn state<E: std::fmt::Display>(
    fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
) -> Result<String, TransmitterError> {
    let mut random = [0; 16];
    fill(&mut random).map_err(|error| TransmitterError::NoRandomness(error.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_cannot_be_guessed() {
        assert_ne!(state(getrandom::fill), state(getrandom::fill));
        let none = state(|_| Err("no device"));
        assert_eq!(none, Err(TransmitterError::NoRandomness("no device".into())));
    }
}
