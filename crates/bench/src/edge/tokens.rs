//! The tokens that requests carry.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_testbed::Issuer;
use serde_json::json;

use crate::plane::REVOKED;

/// Tokens whose signature is one; those beyond have random bytes instead, of the same length: signing 100,000
/// takes minutes, and Portcullis does not check signatures. jwt_authn gets no others.
pub(crate) const SIGNED: usize = 1_000;
/// Of RS256 with 2048 bits.
const SIGNATURE_BYTES: usize = 256;

/// Files of tokens, one a line.
#[derive(Debug)]
pub(crate) struct Tokens {
    dir: PathBuf,
    issuer: String,
    signed: Vec<String>,
    /// Its session is revoked wherever anything is.
    pub(crate) revoked: String,
}

impl Tokens {
    /// Signs what is signed.
    pub(crate) fn new(issuer: &Issuer, dir: &Path) -> Result<Self> {
        let sign = |sid: &str| {
            issuer
                .token()
                .sub("00u1a2b3c4d5e6f7g8h9")
                .sid(sid)
                .jti("AT.f1l1hYx1B5vmzvmR0n9nD9iN3aVbXbPZ2p8mBEzZ7vE")
                .claim("aud", "https://api.example.com")
                .claim("client_id", "0oa1a2b3c4d5e6f7g8h9")
                .claim("scope", "openid profile email orders:read orders:write")
                .sign()
        };
        let signed = (0..SIGNED).map(|number| sign(&good(number))).collect::<Result<_>>()?;
        let revoked = sign(&format!("{REVOKED}-0"))?;
        Ok(Self { dir: dir.to_owned(), issuer: issuer.name().to_owned(), signed, revoked })
    }

    /// One that is good.
    pub(crate) fn good(&self) -> Result<&str> {
        self.signed.first().map(String::as_str).context("no token")
    }

    /// A file of so many distinct tokens.
    pub(crate) fn file(&self, count: usize) -> Result<PathBuf> {
        let path = self.dir.join(format!("tokens-{count}"));
        if !path.is_file() {
            let mut lines = String::new();
            for token in self.signed.iter().take(count) {
                lines += token;
                lines.push('\n');
            }
            for number in SIGNED..count.max(SIGNED) {
                lines += &self.unsigned(number)?;
                lines.push('\n');
            }
            fs::write(&path, lines).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(path)
    }

    /// As those of [`Self::new`], claim by claim.
    fn unsigned(&self, number: usize) -> Result<String> {
        let like = self.good()?;
        let (head, _) = like.rsplit_once('.').context("not a JWT")?;
        let (header, payload) = head.split_once('.').context("not a JWT")?;
        let mut claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?;
        let claim = claims.get_mut("sid").context("no sid")?;
        *claim = json!(good(number));
        let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
        let mut signature = [0; SIGNATURE_BYTES];
        getrandom::fill(&mut signature).context("no random bytes")?;
        Ok(format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Whose tokens they are.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }
}

/// As long as those that are revoked, and never one of them.
fn good(number: usize) -> String {
    format!("session-{number:06}")
}
