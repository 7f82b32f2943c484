//! Who may do what: scopes, principals, and the text and the hash of API keys.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config::Keys;
use crate::state::ApiKey;

/// What an API key is good for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// Everything, the other scopes included.
    Admin,
    /// Subscribe as an edge.
    Edge,
    /// List, search and check.
    Read,
    /// Revoke, reinstate and undo.
    Revoke,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 4] = [Self::Revoke, Self::Read, Self::Edge, Self::Admin];

    /// Its name in the API, on the command line and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Edge => "edge",
            Self::Read => "read",
            Self::Revoke => "revoke",
        }
    }

    /// The scope of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// The holder of a credential, and what it may do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Principal {
    /// Public part of the key; `env-admin` and `env-edge` for the keys of the environment.
    pub key_id: String,
    /// The key's name.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// The issuers that it may act on; empty for all.
    pub issuers: BTreeSet<String>,
}

impl Principal {
    /// Whether it has a scope, or all of them.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// Whether it may act on an issuer's tokens; `None` stands for a selector that names no issuer.
    #[must_use]
    pub fn may_act_on(&self, issuer: Option<&str>) -> bool {
        self.issuers.is_empty() || issuer.is_some_and(|issuer| self.issuers.contains(issuer))
    }
}

/// A principal on some way in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// How: `api`, or the name of an inlet.
    pub via: String,
}

impl Caller {
    /// A caller of the REST API.
    #[must_use]
    pub fn api(principal: Principal) -> Self {
        Self { principal, via: "api".into() }
    }
}

/// Who caused an event, as the log keeps it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Actor {
    /// The key's id; empty for the control plane itself.
    pub key_id: String,
    /// The key's name as it was then.
    pub name: String,
    /// `api`, the name of an inlet, or `system`.
    pub via: String,
}

impl Actor {
    /// The control plane itself.
    #[must_use]
    pub fn system() -> Self {
        Self { key_id: String::new(), name: String::new(), via: "system".into() }
    }
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        let Principal { key_id, name, .. } = &caller.principal;
        Self { key_id: key_id.clone(), name: name.clone(), via: caller.via.clone() }
    }
}

/// Why a credential is not accepted. One variant, so that an outsider cannot tell a wrong secret from an
/// unknown key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuthError {
    /// Unknown key, wrong secret, or not a key at all.
    #[error("the API key is unknown")]
    Unknown,
}

/// The credential in an `authorization` header: after the scheme `Bearer`, in any case.
#[must_use]
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, credential) = header.trim().split_once(' ')?;
    let credential = credential.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !credential.is_empty()).then_some(credential)
}

/// A credential as it was given, taken apart and hashed: outside of any lock, because an outsider decides how
/// long it is.
#[derive(Debug)]
pub struct Given<'a> {
    id: &'a str,
    is_generated: bool,
    secret: SecretHash,
}

impl<'a> Given<'a> {
    /// Of the credential in a header.
    #[must_use]
    pub fn of(bearer: &'a str) -> Self {
        let generated = KeyText::split(bearer);
        let (id, secret) = generated.unwrap_or(("", bearer));
        Self { id, is_generated: generated.is_some(), secret: SecretHash::of(secret) }
    }

    /// The holder of the credential. Does the same work for every wrong one.
    ///
    /// # Errors
    /// When it is none of these keys.
    pub fn identify(
        &self,
        keys: &BTreeMap<String, ApiKey>,
        environment: &Keys,
    ) -> Result<Principal, AuthError> {
        let known = keys.get(self.id);
        let nobody = SecretHash([0; 32]);
        let matches = [
            known.map(|key| key.secret).unwrap_or(nobody).matches(&self.secret),
            environment.admin.unwrap_or(nobody).matches(&self.secret),
            environment.edge.unwrap_or(nobody).matches(&self.secret),
        ];
        let of_environment = |key_id: &str, scope| Principal {
            key_id: key_id.into(),
            name: key_id.into(),
            scopes: [scope].into(),
            issuers: BTreeSet::new(),
        };
        match (known, matches) {
            (Some(key), [true, ..]) => Ok(Principal {
                key_id: self.id.into(),
                name: key.name.clone(),
                scopes: key.scopes.clone(),
                issuers: key.issuers.clone(),
            }),
            (None, [_, true, _]) if !self.is_generated => Ok(of_environment(ENV_ADMIN, Scope::Admin)),
            (None, [.., true]) if !self.is_generated => Ok(of_environment(ENV_EDGE, Scope::Edge)),
            _ => Err(AuthError::Unknown),
        }
    }

    /// Whether it is a key that was deleted. Does the same work for every one that is not.
    #[must_use]
    pub fn was_deleted(&self, deleted: &BTreeMap<String, SecretHash>) -> bool {
        let known = deleted.get(self.id);
        let matches = known.copied().unwrap_or(SecretHash([0; 32])).matches(&self.secret);
        known.is_some() && matches
    }
}

/// Ids of credentials that the log does not know. No generated id has a hyphen.
const ENV_ADMIN: &str = "env-admin";
const ENV_EDGE: &str = "env-edge";
const CERTIFICATE: &str = "edge-certificate";

/// Whether a principal's credential is none of the log's, so that nobody can delete it there.
#[must_use]
pub fn is_of_configuration(principal: &Principal) -> bool {
    [ENV_ADMIN, ENV_EDGE, CERTIFICATE].contains(&principal.key_id.as_str())
}

/// An edge that has proven to hold a certificate with these names.
#[must_use]
pub fn of_certificate(names: &[String]) -> Principal {
    Principal {
        key_id: CERTIFICATE.into(),
        name: names.first().cloned().unwrap_or_default(),
        scopes: [Scope::Edge].into(),
        issuers: BTreeSet::new(),
    }
}

/// The SHA-256 of a secret. All that is ever kept of one.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Of a secret's text.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// From the log.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// For the log.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }

    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SecretHash(..)")
    }
}

/// The text of an API key, shown once: `pk_<id>_<secret>`.
#[derive(Clone, Eq, PartialEq)]
pub struct KeyText(String);

impl KeyText {
    /// A new key: its id, its text, and the hash of its secret.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn generate() -> Result<(String, Self, SecretHash), getrandom::Error> {
        let (mut id, mut secret) = ([0; 5], [0; 32]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut secret)?;
        let id = base32(&id);
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let hash = SecretHash::of(&secret);
        let text = Self(format!("pk_{id}_{secret}"));
        Ok((id, text, hash))
    }

    /// The text, to show it to whoever asked for the key.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The id and the secret in a text of that form.
    #[must_use]
    pub fn split(text: &str) -> Option<(&str, &str)> {
        text.strip_prefix("pk_")?.split_once('_')
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("KeyText(..)")
    }
}

/// Crockford's base 32 in lower case (no i, l, o, u), most significant bits first; a last group of fewer
/// than five bits is padded with zeros.
#[must_use]
pub fn base32(bytes: &[u8]) -> String {
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    (0..(bytes.len() * 8).div_ceil(5))
        .map(|group| (0..5).fold(0, |digit, at| digit << 1 | u32::from(bit(group * 5 + at))))
        .map(base32_digit)
        .collect()
}

/// The digit of [`base32`] for the last five bits.
#[must_use]
pub fn base32_digit(bits: u32) -> char {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    DIGITS.get(bits as usize % DIGITS.len()).copied().map_or('0', char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(scopes: &[Scope], issuers: &[&str]) -> Principal {
        Principal {
            key_id: "k".into(),
            name: "n".into(),
            scopes: scopes.iter().copied().collect(),
            issuers: issuers.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn admin_implies_every_scope_and_others_only_themselves() {
        for scope in Scope::ALL {
            assert!(principal(&[Scope::Admin], &[]).may(scope));
            assert_eq!(principal(&[Scope::Read], &[]).may(scope), scope == Scope::Read);
            assert_eq!(Scope::from_name(scope.name()), Some(scope));
        }
    }

    #[test]
    fn a_limited_principal_needs_an_issuer_of_its_own() {
        let limited = principal(&[Scope::Revoke], &["https://a"]);
        assert!(limited.may_act_on(Some("https://a")));
        assert!(!limited.may_act_on(Some("https://b")));
        assert!(!limited.may_act_on(None));
        assert!(principal(&[Scope::Revoke], &[]).may_act_on(None));
    }

    #[test]
    fn credentials_are_told_apart() {
        let key = |scope| ApiKey {
            name: "ci".into(),
            secret: SecretHash::of("s3cret"),
            scopes: [scope].into(),
            issuers: BTreeSet::new(),
            created_at_ms: 0,
            created_by: Actor::system(),
        };
        let keys = [("abc".to_owned(), key(Scope::Read))].into();
        let environment = Keys { admin: Some(SecretHash::of("env admin key")), edge: None };
        let who =
            |bearer: &str| Given::of(bearer).identify(&keys, &environment).map(|principal| principal.key_id);
        assert_eq!(who("pk_abc_s3cret"), Ok("abc".into()));
        assert_eq!(who("env admin key"), Ok("env-admin".into()));
        for wrong in ["", "s3cret", "pk_abc_", "pk_abc_other", "pk_abd_s3cret", "pk__env admin key", "pk_abc"]
        {
            assert_eq!(who(wrong), Err(AuthError::Unknown), "{wrong}");
        }
    }

    #[test]
    fn only_the_holder_of_a_deleted_key_is_known_as_that() {
        let deleted = [("abc".to_owned(), SecretHash::of("s3cret"))].into();
        assert!(Given::of("pk_abc_s3cret").was_deleted(&deleted));
        for wrong in ["", "s3cret", "pk_abc_", "pk_abc_other", "pk_abd_s3cret"] {
            assert!(!Given::of(wrong).was_deleted(&deleted), "{wrong}");
        }
    }

    #[test]
    fn a_bearer_header_is_read_as_http_has_it() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        for wrong in ["", "Bearer", "Bearer ", "Basic abc", "Bearerabc"] {
            assert_eq!(bearer(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_key_is_its_id_and_its_secret() {
        let (id, text, hash) = KeyText::generate().unwrap();
        let (read, secret) = KeyText::split(text.reveal()).unwrap();
        assert_eq!((read, id.len()), (id.as_str(), 8));
        assert!(SecretHash::of(secret).matches(&hash));
        assert!(!SecretHash::of("other").matches(&hash));
        assert_eq!(format!("{text:?} {hash:?}"), "KeyText(..) SecretHash(..)");
    }

    #[test]
    fn base32_is_crockfords() {
        assert_eq!(base32(&[]), "");
        assert_eq!(base32(&[0xff]), "zw");
        assert_eq!(base32(&[0, 0, 0, 0, 31]), "0000000z");
    }
}
