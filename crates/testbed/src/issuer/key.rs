//! RSA keys. Making one takes a second or so without optimization, hence once per process.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const BITS: usize = 2048;

/// A private key, and what is published of it.
pub(super) struct SigningKey {
    kid: &'static str,
    private: EncodingKey,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

/// The key that every issuer starts with.
pub(super) async fn first() -> Result<&'static SigningKey> {
    static KEY: OnceCell<SigningKey> = OnceCell::const_new();
    KEY.get_or_try_init(|| make("key-1")).await
}

/// The key that an issuer changes to.
pub(super) async fn second() -> Result<&'static SigningKey> {
    static KEY: OnceCell<SigningKey> = OnceCell::const_new();
    KEY.get_or_try_init(|| make("key-2")).await
}

/// The key of strangers.
pub(super) async fn third() -> Result<&'static SigningKey> {
    static KEY: OnceCell<SigningKey> = OnceCell::const_new();
    KEY.get_or_try_init(|| make("key-3")).await
}

async fn make(kid: &'static str) -> Result<SigningKey> {
    tokio::task::spawn_blocking(move || SigningKey::new(kid)).await?
}

impl SigningKey {
    fn new(kid: &'static str) -> Result<Self> {
        let key = RsaPrivateKey::new(&mut OsRng, BITS).context("cannot make an RSA key")?;
        let private = EncodingKey::from_rsa_der(key.to_pkcs1_der()?.as_bytes());
        Ok(Self { kid, private, modulus: key.n().to_bytes_be(), exponent: key.e().to_bytes_be() })
    }

    pub(super) fn kid(&self) -> &'static str {
        self.kid
    }

    pub(super) fn jwk(&self) -> Value {
        json!({
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
            "n": URL_SAFE_NO_PAD.encode(&self.modulus),
            "e": URL_SAFE_NO_PAD.encode(&self.exponent),
        })
    }

    /// A compact JWS over exactly these texts.
    pub(super) fn sign(&self, header: &str, payload: &str) -> Result<String> {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.private, Algorithm::RS256)
            .context("cannot sign")?;
        Ok(format!("{signed}.{signature}"))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.kid)
    }
}
