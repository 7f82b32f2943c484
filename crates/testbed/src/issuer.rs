//! An identity provider: signs tokens, and publishes its keys.

mod key;
mod token;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::server::Server;
use key::SigningKey;
pub use token::Token;

/// An OpenID provider on a free port: RS256 keys of 2048 bits, their JWKS, and discovery.
///
/// ```
/// # use std::time::Duration;
/// # use portcullis_testbed::Issuer;
/// # async fn example() -> anyhow::Result<()> {
/// let issuer = Issuer::start().await?;
/// let token = issuer.token().sub("alice").sid("s1").claim("tenant", "x").lifetime(Duration::from_secs(600));
/// let header = format!("Bearer {}", token.sign()?);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Issuer {
    server: Server,
    name: String,
    keys: Arc<Mutex<Keys>>,
}

#[derive(Debug)]
struct Keys {
    issuer: String,
    signing: &'static SigningKey,
    published: Vec<&'static SigningKey>,
    broken: Option<BrokenKeys>,
    fetched: usize,
}

/// How an issuer fails to publish its keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BrokenKeys {
    /// 503.
    Unavailable,
    /// A redirect to where they are.
    Redirect,
    /// More bytes than anybody should read.
    Huge,
    /// A set without a key.
    Empty,
}

impl Issuer {
    /// Starts with the name (`iss`) that is its address.
    ///
    /// # Errors
    ///
    /// If there is no free port.
    pub async fn start() -> Result<Self> {
        Self::start_with(Router::new()).await
    }

    /// The same, with routes of the test's own at its address.
    ///
    /// # Errors
    ///
    /// If there is no free port.
    pub async fn start_with(routes: Router) -> Result<Self> {
        Self::start_signing(key::first().await?, routes).await
    }

    /// The same, with a key that only strangers have: no other issuer starts with it or changes to it.
    ///
    /// # Errors
    ///
    /// If there is no free port, or the key cannot be made.
    pub async fn stranger() -> Result<Self> {
        Self::start_signing(key::third().await?, Router::new()).await
    }

    async fn start_signing(signing: &'static SigningKey, routes: Router) -> Result<Self> {
        let published = vec![signing];
        let keys = Keys { issuer: String::new(), signing, published, broken: None, fetched: 0 };
        let keys = Arc::new(Mutex::new(keys));
        let router = Router::new()
            .route("/jwks", get(jwks))
            .route("/moved", get(moved))
            .route("/.well-known/openid-configuration", get(discovery))
            .with_state(keys.clone())
            .merge(routes);
        let server = Server::start(router).await?;
        let name = format!("http://{}", server.address());
        lock(&keys).issuer.clone_from(&name);
        Ok(Self { server, name, keys })
    }

    /// Its `iss`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where its keys are.
    #[must_use]
    pub fn jwks_uri(&self) -> String {
        format!("http://{}/jwks", self.address())
    }

    /// Its published keys, as the JWKS that it serves.
    #[must_use]
    pub fn jwks(&self) -> Value {
        self.lock().jwks()
    }

    /// A token to be filled in and signed; issued now, for an hour, if nothing else is said.
    pub fn token(&self) -> Token {
        Token::new(&self.name, self.lock().signing)
    }

    /// Signs a header and a payload as they are, valid or not.
    ///
    /// # Errors
    ///
    /// If signing fails.
    pub fn token_raw(&self, header_json: &str, payload_json: &str) -> Result<String> {
        let key = self.lock().signing;
        key.sign(header_json, payload_json)
    }

    /// The id of the key that signs now.
    #[must_use]
    pub fn kid(&self) -> &'static str {
        self.lock().signing.kid()
    }

    /// From now on signs with its second key, and publishes both.
    ///
    /// # Errors
    ///
    /// If the key cannot be made.
    pub async fn rotate(&self) -> Result<()> {
        let second = key::second().await?;
        let mut keys = self.lock();
        keys.signing = second;
        keys.published.push(second);
        Ok(())
    }

    /// From now on signs with its second key and publishes only that.
    ///
    /// # Errors
    ///
    /// If the key cannot be made.
    pub async fn replace(&self) -> Result<()> {
        let second = key::second().await?;
        let mut keys = self.lock();
        keys.signing = second;
        keys.published = vec![second];
        Ok(())
    }

    /// From now on fails in this way to publish its keys, or not any more.
    pub fn break_keys(&self, how: Option<BrokenKeys>) {
        self.lock().broken = how;
    }

    /// How often its keys were asked for.
    #[must_use]
    pub fn fetched(&self) -> usize {
        self.lock().fetched
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Keys> {
        lock(&self.keys)
    }
}

impl Keys {
    fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.published.iter().map(|key| key.jwk()).collect();
        json!({ "keys": keys })
    }
}

fn lock(keys: &Mutex<Keys>) -> std::sync::MutexGuard<'_, Keys> {
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn jwks(State(keys): State<Arc<Mutex<Keys>>>) -> Response {
    let mut keys = lock(&keys);
    keys.fetched += 1;
    match keys.broken {
        None => Json(keys.jwks()).into_response(),
        Some(BrokenKeys::Unavailable) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(BrokenKeys::Redirect) => Redirect::temporary("/moved").into_response(),
        Some(BrokenKeys::Huge) => "x".repeat(4 * 1024 * 1024).into_response(),
        Some(BrokenKeys::Empty) => Json(json!({ "keys": [] })).into_response(),
    }
}

async fn moved(State(keys): State<Arc<Mutex<Keys>>>) -> Json<Value> {
    Json(lock(&keys).jwks())
}

async fn discovery(State(keys): State<Arc<Mutex<Keys>>>) -> Json<Value> {
    let issuer = &lock(&keys).issuer;
    Json(json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/jwks"),
        "id_token_signing_alg_values_supported": ["RS256"],
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
    }))
}
