//! The configured issuers as senders of signed messages: their keys, and whether they have signed something.
//!
//! Keys are fetched from `jwks_uri`, or from where OpenID discovery says; again when they are old, and when a
//! message names one that is not known, but not more often than a bound allows. While the provider is down the
//! last ones are kept. What a message says of its own keys (`jku`, `jwk`, `x5u`, `x5c`) is never looked at.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

mod claims;
mod error;
mod fetch;
mod jws;
mod keys;

pub use claims::Claims;
pub use error::JwtError;
pub use fetch::ssf_configuration;
pub use jws::Jws;
pub use keys::KeySet;

use crate::clock::{Clock, UnixMillis};
use crate::config::{Issuer, Issuers};
use crate::metrics::Metrics;
use crate::outbound::{Outbound, Reach};
use fetch::Fetched;

/// How often ages are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Fetches of one issuer's keys that messages can cause in a minute.
const FETCHES_PER_MINUTE: usize = 6;

/// All configured issuers.
#[derive(Debug)]
pub struct Directory {
    providers: Vec<Provider>,
    outbound: Outbound,
    clock: Clock,
    metrics: Metrics,
}

/// One issuer with its keys.
#[derive(Debug)]
struct Provider {
    issuer: Arc<Issuer>,
    cache: Mutex<Cache>,
    /// Held while keys are fetched: who waits for the same ones does not fetch again.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct Cache {
    keys: Arc<KeySet>,
    fetched_at_ms: Option<UnixMillis>,
    tried_at_ms: Option<UnixMillis>,
    /// The last attempts that messages asked for, newest last.
    /// The fetches of the last minute that messages have asked for, and the key that each was looked for.
    asked: Vec<(UnixMillis, Option<String>)>,
    failure: Option<String>,
    clock_ahead_ms: Option<u64>,
}

/// What is known of an issuer's keys.
#[derive(Clone, Debug, Default)]
pub struct KeyStatus {
    /// The keys.
    pub keys: Arc<KeySet>,
    /// When they were last fetched.
    pub fetched_at_ms: Option<UnixMillis>,
    /// Why the last attempt failed, if it did.
    pub failure: Option<String>,
    /// By how much the clock of who served them was ahead of this one, at least; `None` when it was not.
    pub clock_ahead_ms: Option<u64>,
}

impl Directory {
    /// No keys are there until [`Self::keep_fresh`] or a message has them fetched.
    #[must_use]
    pub fn new(issuers: &Issuers, outbound: Outbound, clock: Clock, metrics: Metrics) -> Self {
        let provider = |issuer: &Issuer| Provider {
            issuer: Arc::new(issuer.clone()),
            cache: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        };
        Self { providers: issuers.configured.iter().map(provider).collect(), outbound, clock, metrics }
    }

    /// A configured issuer.
    #[must_use]
    pub fn find(&self, issuer: &str) -> Option<Arc<Issuer>> {
        self.provider(issuer).map(|provider| Arc::clone(&provider.issuer))
    }

    /// The issuer of a path: by its `name`, or by its `iss`.
    #[must_use]
    pub fn find_by_path(&self, name: &str) -> Option<Arc<Issuer>> {
        let named = |provider: &&Provider| {
            provider.issuer.messages.name.as_deref() == Some(name) || provider.issuer.issuer == name
        };
        self.providers.iter().find(named).map(|provider| Arc::clone(&provider.issuer))
    }

    /// The keys of an issuer, as they are now.
    #[must_use]
    pub fn status(&self, issuer: &str) -> KeyStatus {
        let Some(provider) = self.provider(issuer) else { return KeyStatus::default() };
        let Cache { keys, fetched_at_ms, failure, clock_ahead_ms, .. } = provider.cache().clone();
        KeyStatus { keys, fetched_at_ms, failure, clock_ahead_ms }
    }

    /// Where calls to an issuer may go: to private addresses only where its configuration allows it.
    #[must_use]
    pub fn reach(&self, issuer: &str) -> Reach {
        self.provider(issuer).map_or(Reach::Public, |provider| fetch::reach(&provider.issuer))
    }

    /// For calls to providers that are not about keys.
    #[must_use]
    pub fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// Whether an issuer has signed this, with a key and an algorithm that are good for it.
    ///
    /// # Errors
    /// When it has not, or its keys cannot be had ([`JwtError::is_temporary`]).
    pub async fn verify(&self, jws: &Jws<'_>, issuer: &str) -> Result<(), JwtError> {
        let provider = self.provider(issuer).ok_or_else(|| JwtError::UnknownIssuer(issuer.into()))?;
        let algorithm = jws.algorithm(&provider.issuer.messages.algorithms)?;
        let kid = jws.key_id()?;
        let known = provider.cache().keys.clone();
        let keys = match known.find(kid, algorithm) {
            Ok(_) => known,
            Err(unknown) => match self.fetched_for(provider, kid).await {
                Looked::Fetched(keys) => keys,
                Looked::InVain => known,
                // Its key may be a new one: it is worth sending again.
                Looked::TooOften => return Err(JwtError::FetchedTooOften(Box::new(unknown))),
            },
        };
        let missing = |unknown: JwtError| match (keys.is_empty(), provider.cache().failure.clone()) {
            (true, Some(failure)) => JwtError::NoKeys(failure),
            _ => unknown,
        };
        keys.find(kid, algorithm).map_err(missing)?.verify(jws, algorithm)
    }

    /// Fetches keys that are missing or old, until `stop`. Issuers that send no messages are left alone.
    pub async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        while stop.run_until_cancelled(look.tick()).await.is_some() {
            let due = self.providers.iter().filter(|provider| self.is_due(provider));
            let fetched = futures_util::future::join_all(due.map(|provider| self.fetch(provider)));
            if stop.run_until_cancelled(fetched).await.is_none() {
                return;
            }
        }
    }

    fn provider(&self, issuer: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.issuer.issuer == issuer)
    }

    fn is_due(&self, provider: &Provider) -> bool {
        let Issuer { audiences, jwks_uri, messages, .. } = &*provider.issuer;
        let max_age_ms = u64::try_from(messages.keys_max_age.as_millis()).unwrap_or(u64::MAX);
        let fetched_at_ms = provider.cache().fetched_at_ms;
        let old = fetched_at_ms.is_none_or(|at| self.clock.now_ms().saturating_sub(at) >= max_age_ms);
        old && (!audiences.is_empty() || jwks_uri.is_some())
    }

    /// What comes of looking for a key that is not known, as a message asks for it.
    async fn fetched_for(&self, provider: &Provider, kid: Option<&str>) -> Looked {
        let asked_at_ms = self.clock.now_ms();
        let _turn = provider.fetching.lock().await;
        {
            let mut cache = provider.cache();
            // Somebody else has tried meanwhile.
            if cache.tried_at_ms.is_some_and(|at| at >= asked_at_ms) {
                return Looked::Fetched(Arc::clone(&cache.keys));
            }
            cache.asked.retain(|(at, _)| asked_at_ms.saturating_sub(*at) < 60_000);
            if cache.asked.len() >= FETCHES_PER_MINUTE {
                // One that was looked for within the minute, with success of the fetch, is known not to be there.
                let in_vain =
                    cache.failure.is_none() && cache.asked.iter().any(|(_, asked)| asked.as_deref() == kid);
                return if in_vain { Looked::InVain } else { Looked::TooOften };
            }
            cache.asked.push((asked_at_ms, kid.map(str::to_owned)));
        }
        self.fetch_in_turn(provider).await;
        Looked::Fetched(Arc::clone(&provider.cache().keys))
    }

    async fn fetch(&self, provider: &Provider) {
        let _turn = provider.fetching.lock().await;
        self.fetch_in_turn(provider).await;
    }

    async fn fetch_in_turn(&self, provider: &Provider) {
        let issuer = &provider.issuer;
        let fetched = fetch::keys(&self.outbound, issuer).await;
        let now_ms = self.clock.now_ms();
        let mut cache = provider.cache();
        cache.tried_at_ms = Some(now_ms);
        match fetched {
            Ok(Fetched { keys, date_ms }) => {
                if cache.failure.is_some() || cache.fetched_at_ms.is_none() {
                    info!(issuer = issuer.issuer, keys = keys.len(), "the keys of the issuer are there");
                }
                for unusable in keys.unusable() {
                    warn!(issuer = issuer.issuer, "{unusable}");
                }
                cache.keys = Arc::new(keys);
                cache.fetched_at_ms = Some(now_ms);
                cache.failure = None;
                cache.clock_ahead_ms =
                    date_ms.and_then(|date| date.checked_sub(now_ms)).filter(|ahead| *ahead > 0);
                self.metrics.keys_fetched(&issuer.issuer, now_ms / 1_000);
            }
            Err(error) => {
                let kept = cache.keys.len();
                warn!(issuer = issuer.issuer, %error, kept, "the keys of the issuer cannot be fetched");
                cache.failure = Some(error.to_string());
                self.metrics.keys_failed(&issuer.issuer);
            }
        }
    }
}

/// What has come of looking for a key.
enum Looked {
    /// These are there now.
    Fetched(Arc<KeySet>),
    /// It was looked for just before, and was not there.
    InVain,
    /// Others were looked for so often that it has to wait.
    TooOften,
}

impl Provider {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
