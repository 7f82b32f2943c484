//! What is known of each stream while this process runs; the rest is in the configuration and at the transmitter.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tracing::info;

use super::transmitter::TransmitterError;
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
    /// Whether its transmitter has others, with ids of their own.
    has_siblings: bool,
    live: Mutex<Live>,
    /// When the transmitter last proved that events arrive.
    verified: watch::Sender<Option<UnixMillis>>,
    /// Whether the stream at the transmitter may be another one.
    changed: Notify,
    fetching_token: tokio::sync::Mutex<()>,
}

/// A stream at its transmitter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Known {
    /// The transmitter's name for it.
    pub(crate) stream_id: String,
    /// Where it is delivered, or is to be asked for.
    pub(crate) endpoint: Option<String>,
}

/// What is known of a stream.
#[derive(Clone, Default)]
pub(crate) struct Live {
    /// What the next verification that was asked for must bring.
    challenge: Option<SecretHash>,
    /// Members of complex subjects that the transmitter calls critical; `None` until it has said.
    pub(crate) critical: Option<BTreeSet<String>>,
    /// The stream at the transmitter.
    known: Option<Known>,
    /// An access token for the transmitter, and until when it is used.
    token: Option<(String, UnixMillis)>,
    /// When the transmitter last answered a poll.
    pub(crate) polled_at_ms: Option<UnixMillis>,
    /// Why the last attempt to ask the transmitter failed, if it did.
    pub(crate) failure: Option<String>,
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

// The token is a secret.
impl std::fmt::Debug for Live {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Live")
            .field("known", &self.known)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

impl Streams {
    pub(crate) fn new(settings: &[config::Stream]) -> Self {
        let all = settings;
        let stream = |settings: &config::Stream| Stream {
            settings: settings.clone(),
            has_siblings: all.iter().filter(|other| other.transmitter == settings.transmitter).count() > 1,
            live: Mutex::default(),
            verified: watch::Sender::new(None),
            changed: Notify::new(),
            fetching_token: tokio::sync::Mutex::default(),
        };
        Self(settings.iter().map(stream).collect())
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.0.iter()
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
    /// What tells an event from the transmitter's others: RFC 8417 has its `jti` unique in a feed.
    pub(super) fn message_id(&self, jti: &str) -> String {
        if self.has_siblings { format!("{}/{jti}", self.settings.name) } else { jti.to_owned() }
    }

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

    /// The next verification must bring this state; tells when it has.
    pub(super) fn challenge(&self, state: &str) -> watch::Receiver<Option<UnixMillis>> {
        self.lock().challenge = Some(SecretHash::of(state));
        self.verified.subscribe()
    }

    /// When the transmitter last proved that events arrive.
    pub(crate) fn verified_at_ms(&self) -> Option<UnixMillis> {
        *self.verified.borrow()
    }

    /// Keeps what the transmitter says of itself.
    pub(super) fn learn(&self, critical: BTreeSet<String>) {
        let mut live = self.lock();
        if live.critical.as_ref() != Some(&critical) {
            info!(stream = self.settings.name, ?critical, "the critical members of subjects are known");
            live.critical = Some(critical);
        }
    }

    /// Keeps which stream it is at the transmitter, and wakes who waits for another one.
    pub(super) fn know(&self, known: Option<Known>) {
        let mut live = self.lock();
        if live.known != known {
            live.known = known;
            self.changed.notify_one();
        }
    }

    /// Whether that can be its id at the transmitter, as far as that is known.
    pub(super) fn may_be_called(&self, id: &str) -> bool {
        self.lock().known.as_ref().is_none_or(|known| known.stream_id == id)
    }

    /// Done when the stream at the transmitter may be another one.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// An access token that is still good.
    pub(super) fn token(&self, now_ms: UnixMillis) -> Option<String> {
        let live = self.lock();
        live.token.as_ref().filter(|(_, until)| now_ms < *until).map(|(token, _)| token.clone())
    }

    /// Held while an access token is fetched.
    pub(super) async fn fetching_token(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.fetching_token.lock().await
    }

    /// Keeps an access token for as long as it is used.
    pub(super) fn keep_token(&self, token: String, until: UnixMillis) {
        self.lock().token = Some((token, until));
    }

    /// The transmitter has answered a poll.
    pub(super) fn polled(&self, now_ms: UnixMillis) {
        let mut live = self.lock();
        live.polled_at_ms = Some(now_ms);
        live.failure = None;
    }

    /// The transmitter could be asked.
    pub(super) fn recovered(&self) {
        self.lock().failure = None;
    }

    /// The transmitter could not be asked; whether that is for another reason than the last time.
    pub(super) fn failed(&self, error: &TransmitterError) -> bool {
        let error = error.to_string();
        let mut live = self.lock();
        let is_new = live.failure.as_ref() != Some(&error);
        live.failure = Some(error);
        is_new
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
