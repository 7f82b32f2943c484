//! API keys.

use std::collections::BTreeSet;

use portcullis_core::selector::MAX_VALUE_BYTES;

use super::answer::{CreatedKey, KeyInfo};
use super::error::{ControlError, Refusal};
use super::request::NewKey;
use super::{Control, event, require};
use crate::auth::{Actor, Caller, KeyText, Scope};
use crate::log::wire::event::Event as Body;
use crate::log::{LogError, NewEvent, wire};
use crate::state::ApiKey;

/// Longest name of a key, in characters.
const MAX_NAME: usize = 100;
/// Most issuers that a key is limited to.
const MAX_ISSUERS: usize = 100;

impl Control {
    /// Makes an API key. Needs the scope `admin`.
    ///
    /// # Errors
    /// By request, caller and log.
    pub async fn create_key(&self, key: NewKey, caller: &Caller) -> Result<CreatedKey, ControlError> {
        require(caller, Scope::Admin)?;
        self.make_key(key, caller.into()).await
    }

    /// Makes an admin key if there is none at all: how a new store is first opened.
    ///
    /// # Errors
    /// By the log.
    pub async fn first_admin_key(&self) -> Result<Option<CreatedKey>, ControlError> {
        let is_admin = |key: &ApiKey| key.scopes.contains(&Scope::Admin);
        let known = self.inner.keys.admin.is_some()
            || self.inner.store.read(|state| state.keys().values().any(is_admin));
        if known {
            return Ok(None);
        }
        let key =
            NewKey { name: "first admin".into(), scopes: [Scope::Admin].into(), issuers: BTreeSet::new() };
        self.make_key(key, Actor::system()).await.map(Some)
    }

    /// The API keys, oldest first. Needs the scope `admin`.
    ///
    /// # Errors
    /// By caller.
    pub fn list_keys(&self, caller: &Caller) -> Result<Vec<KeyInfo>, ControlError> {
        require(caller, Scope::Admin)?;
        let mut keys: Vec<KeyInfo> =
            self.inner.store.read(|state| state.keys().iter().map(|(id, key)| info(id, key)).collect());
        keys.sort_by(|one, other| (one.created_at_ms, &one.id).cmp(&(other.created_at_ms, &other.id)));
        Ok(keys)
    }

    /// Deletes an API key; it is not accepted any more once this returns, and the
    /// streams of edges that have it end at once. Needs the scope `admin`.
    ///
    /// # Errors
    /// When there is none of that id, it is the last admin key, or by caller and log.
    pub async fn delete_key(&self, id: &str, caller: &Caller) -> Result<(), ControlError> {
        require(caller, Scope::Admin)?;
        let _turn = self.inner.key_deletion.lock().await;
        let is_admin = |key: &ApiKey| key.scopes.contains(&Scope::Admin);
        let (key_is_admin, admins) = self.inner.store.read(|state| {
            let admins = state.keys().values().filter(|key| is_admin(key)).count();
            (state.keys().get(id).map(is_admin), admins)
        });
        match key_is_admin {
            None => return Err(ControlError::NoKey(id.chars().take(64).collect())),
            Some(true) if admins == 1 && self.inner.keys.admin.is_none() => {
                return Err(ControlError::LastAdminKey(id.into()));
            }
            Some(_) => {}
        }
        let deleted = Body::KeyDeleted(wire::KeyDeleted { id: id.into() });
        self.append(deleted, caller, self.now_ms()).await?;
        Ok(())
    }

    async fn make_key(&self, key: NewKey, created_by: Actor) -> Result<CreatedKey, ControlError> {
        let NewKey { name, scopes, issuers } = check(key)?;
        let known = &self.inner.issuers;
        let unknown =
            issuers.iter().filter(|issuer| !known.configured.is_empty() && known.find(issuer).is_none());
        let warnings = unknown.map(|issuer| super::intake::not_configured(known, issuer)).collect();
        let at_ms = self.now_ms();
        let (id, text, secret) = KeyText::generate().map_err(|error| LogError::Io(error.to_string()))?;
        let created = wire::KeyCreated {
            id: id.clone(),
            name: name.clone(),
            secret_sha256: secret.to_bytes(),
            scopes: scopes.iter().map(|scope| scope.name().to_owned()).collect(),
            issuers: issuers.iter().cloned().collect(),
        };
        let event = event(Body::KeyCreated(created), created_by.clone(), at_ms);
        self.inner.store.append(vec![NewEvent::new(event, None)]).await?;
        let key = KeyInfo { id, name, scopes, issuers, created_at_ms: at_ms, created_by };
        Ok(CreatedKey { key, text, warnings })
    }
}

fn check(key: NewKey) -> Result<NewKey, Refusal> {
    let name = key.name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME || key.name.chars().any(char::is_control) {
        return Err(Refusal::KeyName { max: MAX_NAME });
    }
    if key.scopes.is_empty() {
        return Err(Refusal::KeyScopes);
    }
    let fits = |issuer: &String| (1..=MAX_VALUE_BYTES).contains(&issuer.len());
    if key.issuers.len() > MAX_ISSUERS || !key.issuers.iter().all(fits) {
        return Err(Refusal::KeyIssuers { max: MAX_ISSUERS });
    }
    if key.issuers.iter().any(|issuer| issuer.chars().any(char::is_control)) {
        return Err(Refusal::ControlCharacter { field: "issuers", claim: None });
    }
    if key.scopes.contains(&Scope::Admin) && !key.issuers.is_empty() {
        return Err(Refusal::LimitedAdmin);
    }
    if key.scopes.contains(&Scope::Edge) && !key.issuers.is_empty() {
        return Err(Refusal::LimitedEdge);
    }
    Ok(NewKey { name: name.into(), ..key })
}

fn info(id: &str, key: &ApiKey) -> KeyInfo {
    KeyInfo {
        id: id.into(),
        name: key.name.clone(),
        scopes: key.scopes.clone(),
        issuers: key.issuers.clone(),
        created_at_ms: key.created_at_ms,
        created_by: key.created_by.clone(),
    }
}
