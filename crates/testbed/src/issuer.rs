//! An identity provider: signs tokens, and publishes its keys.

mod key;
mod token;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::extract::State;
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
}

impl Issuer {
    /// Starts with the name (`iss`) that is its address.
    ///
    /// # Errors
    ///
    /// If there is no free port.
    pub async fn start() -> Result<Self> {
        let first = key::first().await?;
        let keys = Keys { issuer: String::new(), signing: first, published: vec![first] };
        let keys = Arc::new(Mutex::new(keys));
        let router = Router::new()
            .route("/jwks", get(jwks))
            .route("/.well-known/openid-configuration", get(discovery))
            .with_state(keys.clone());
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

async fn jwks(State(keys): State<Arc<Mutex<Keys>>>) -> Json<Value> {
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
