//! The token builder.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::key::SigningKey;

/// A token to be: claims, header, and the key that will sign it.
#[derive(Clone, Debug)]
#[must_use = "a token does nothing until it is signed"]
pub struct Token {
    key: &'static SigningKey,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    lifetime: Option<Duration>,
}

const LIFETIME: Duration = Duration::from_secs(3600);

impl Token {
    pub(super) fn new(issuer: &str, key: &'static SigningKey) -> Self {
        let token = Self { key, header: Map::new(), claims: Map::new(), lifetime: Some(LIFETIME) };
        token
            .header("alg", "RS256")
            .header("typ", "JWT")
            .header("kid", key.kid())
            .claim("iss", issuer)
            .iat(unix_now())
    }

    /// Whom the token speaks of.
    #[expect(clippy::should_implement_trait, reason = "this is what the claim is called")]
    pub fn sub(self, subject: &str) -> Self {
        self.claim("sub", subject)
    }

    /// The login session.
    pub fn sid(self, session: &str) -> Self {
        self.claim("sid", session)
    }

    /// The token's own id.
    pub fn jti(self, id: &str) -> Self {
        self.claim("jti", id)
    }

    /// When it was issued, Unix seconds.
    pub fn iat(self, unix: u64) -> Self {
        self.claim("iat", unix)
    }

    /// How long it is valid, from now on.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Without `exp`.
    pub fn no_expiry(mut self) -> Self {
        self.lifetime = None;
        self.without("exp")
    }

    /// Any claim; `exp` overrides the lifetime.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Takes a claim out again, as in `without("iat")`.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// A parameter of the JOSE header, as in `header("typ", "logout+jwt")`.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Takes a parameter of the header out again.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// The compact JWT.
    ///
    /// # Errors
    ///
    /// If signing fails.
    pub fn sign(mut self) -> Result<String> {
        if let Some(lifetime) = self.lifetime {
            let expiry = unix_now().saturating_add(lifetime.as_secs());
            self.claims.entry("exp").or_insert_with(|| json!(expiry));
        }
        self.key.sign(&Value::Object(self.header).to_string(), &Value::Object(self.claims).to_string())
    }
}

/// The clock of everything that signs or checks tokens, Unix seconds.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
