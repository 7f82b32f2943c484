//! What is known of each stream while this process runs; the rest is in the configuration and at the transmitter.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::auth::SecretHash;
use crate::clock::UnixMillis;
use crate::config;

/// All configured streams.
#[derive(Debug)]
pub(crate) struct Streams(Vec<Stream>);

/// One of them.
#[derive(Debug)]
pub(crate) struct Stream {
    /// How it is configured.
    pub(crate) settings: config::Stream,
    live: Mutex<Live>,
    /// When the transmitter last proved that events arrive.
    verified: watch::Sender<Option<UnixMillis>>,
}

/// What is known of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live {
    /// What the next verification that was asked for must bring.
    challenge: Option<SecretHash>,
    /// Members of complex subjects that the transmitter calls critical.
    pub(crate) critical: BTreeSet<String>,
    /// When an event last arrived.
    pub(crate) received_at_ms: Option<UnixMillis>,
    /// What the transmitter last said of the stream, and why.
    pub(crate) said: Option<(String, String)>,
}

/// What an event says of its stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum News {
    /// Events arrive.
    Verified,
    /// The transmitter has changed its status.
    Updated {
        /// `enabled`, `paused` or `disabled`.
        status: String,
        /// Why.
        reason: String,
    },
}

impl Streams {
    pub(crate) fn new(settings: &[config::Stream]) -> Self {
        let stream = |settings: &config::Stream| Stream {
            settings: settings.clone(),
            live: Mutex::default(),
            verified: watch::Sender::new(None),
        };
        Self(settings.iter().map(stream).collect())
    }

    /// A stream by its name.
    pub(crate) fn find(&self, name: &str) -> Option<&Stream> {
        self.0.iter().find(|stream| stream.settings.name == name)
    }

    /// The first stream of a transmitter.
    pub(super) fn of_transmitter(&self, issuer: &str) -> Option<&Stream> {
        self.0.iter().find(|stream| stream.settings.transmitter == issuer)
    }
}

impl Stream {
    /// What is known of it now.
    pub(crate) fn live(&self) -> Live {
        self.lock().clone()
    }

    /// Whether a verification may bring this `state`: what was asked for, or none where the transmitter sends it
    /// by itself.
    pub(super) fn accepts_state(&self, state: Option<&str>) -> bool {
        match (state, &self.lock().challenge) {
            (None, _) => true,
            (Some(state), Some(challenge)) => SecretHash::of(state).matches(challenge),
            (Some(_), None) => false,
        }
    }

    /// Keeps what an event has said.
    pub(super) fn note(&self, news: Vec<News>, now_ms: UnixMillis) {
        self.lock().received_at_ms = Some(now_ms);
        for news in news {
            match news {
                News::Verified => {
                    self.verified.send_replace(Some(now_ms));
                }
                News::Updated { status, reason } => self.lock().said = Some((status, reason)),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
