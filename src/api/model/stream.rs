//! Streams of security events.

use serde::{Deserialize, Serialize};

use super::Moment;

/// A stream of security events.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Stream {
    /// Its name in the configuration.
    pub name: String,
    /// The `iss` of its events.
    pub transmitter: String,
    /// `push` or `poll`.
    pub delivery: String,
    /// The transmitter's name for it.
    pub stream_id: String,
    /// Where the transmitter delivers it, or is asked for it.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// `enabled`, `paused` or `disabled`, as the transmitter says; null where it has no status.
    #[serde(default)]
    pub status: Option<String>,
    /// Why, if the transmitter says it.
    #[serde(default)]
    pub reason: Option<String>,
    /// The events that the transmitter delivers.
    #[serde(default)]
    pub events_delivered: Vec<String>,
    /// When a verification that was asked for last arrived, since this control plane started.
    #[serde(default)]
    pub verified_at: Option<Moment>,
    /// When an event last arrived, since this control plane started.
    #[serde(default)]
    pub received_at: Option<Moment>,
    /// When the transmitter last answered a poll, since this control plane started.
    #[serde(default)]
    pub polled_at: Option<Moment>,
    /// Why the transmitter cannot be asked now, if it cannot.
    #[serde(default)]
    pub failure: Option<String>,
}

/// Whether events are sent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamState {
    /// They are.
    Enabled,
    /// They are kept for later.
    Paused,
    /// They are neither sent nor kept.
    Disabled,
}

/// Whether events shall be sent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStreamStatus {
    /// Whether.
    pub status: StreamState,
    /// Why, for the transmitter.
    #[serde(default)]
    pub reason: String,
}

/// Whether a verification event has arrived.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Verification {
    /// Whether it has; it may still come.
    pub verified: bool,
    /// When it arrived.
    #[serde(default)]
    pub verified_at: Option<Moment>,
}

impl StreamState {
    /// Its name in the API and at the transmitter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}
