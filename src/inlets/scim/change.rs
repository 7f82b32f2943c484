//! What a change of a user means for its tokens.

use std::sync::Arc;

use axum::http::Method;
use portcullis_core::json::Json;

use super::endpoint::Endpoint;
use super::error::ErrorKind;
use super::{mapping, patch, user};
use crate::auth::{Caller, Scope};
use crate::config::Issuer;
use crate::control::{Effect, NewRevocation};
use crate::inlets::credential::holder;
use crate::inlets::{Cause, Inbound, Inlets, Reading, Refused};
use crate::state::{Kept, User};

/// Most users of an issuer.
const MAX_USERS: usize = 500_000;

/// A change that has been understood.
#[derive(Debug)]
pub(super) struct Change {
    /// What it says, and what follows from it.
    pub(super) reading: Reading,
    /// Which user it is about.
    pub(super) id: String,
}

/// Who calls, and for which issuer: an API key speaks for the one that it is limited to.
pub(super) fn sender(inbound: &Inbound, inlets: &Inlets) -> Result<(Caller, Arc<Issuer>), Cause> {
    let caller = holder(inbound, inlets, "scim", Scope::Revoke)?;
    let mut issuers = caller.principal.issuers.iter();
    let only = match (issuers.next(), issuers.next()) {
        (Some(only), None) => inlets.directory().find(only),
        _ => None,
    };
    let why = "SCIM needs an API key that is limited to one issuer, and that one in the configuration";
    only.map(|issuer| (caller, issuer)).ok_or_else(|| Cause::rule("issuer_of_key", why))
}

/// What a request changes.
pub(super) fn understand(inbound: &Inbound, inlets: &Inlets) -> Result<Change, Refused> {
    let (caller, issuer) = sender(inbound, inlets)?;
    let mut refused = Refused { issuer: issuer.issuer.clone(), ..Refused::unread(Cause::Replayed) };
    let (signal, known) = match asked(inbound) {
        Ok(asked) => asked,
        Err(cause) => return Err(Refused { cause, ..refused }),
    };
    refused.signal = signal.into();
    let read = || {
        let before = known.map(|id| find(inlets, &issuer, &id)).transpose()?.map(|kept| kept.user.clone());
        let after = after(inbound, before.as_ref(), &issuer, inlets)?;
        let effects = effects(before.as_ref(), after.as_ref(), &issuer)?;
        let id = after.or(before).map(|user| user.id).unwrap_or_default();
        let reading =
            Reading { issuer: issuer.issuer.clone(), id: None, signal: signal.into(), effects, caller };
        Ok(Change { reading, id })
    };
    read().map_err(|cause| Refused { cause, ..refused })
}

/// What a request asks for, in words, and of which user; `None`: of a new one.
fn asked(inbound: &Inbound) -> Result<(&'static str, Option<String>), Cause> {
    Ok(match (inbound.method.as_str(), Endpoint::of(inbound)?) {
        ("POST", Endpoint::Users) => ("user created", None),
        ("PUT", Endpoint::User(id)) => ("user replaced", Some(id)),
        ("PATCH", Endpoint::User(id)) => ("user changed", Some(id)),
        ("DELETE", Endpoint::User(id)) => ("user deleted", Some(id)),
        _ => return Err(Cause::rule("method_not_allowed", "what is at this path does not take this method")),
    })
}

/// A user that there is.
pub(super) fn find(inlets: &Inlets, issuer: &Issuer, id: &str) -> Result<Arc<Kept>, Cause> {
    let kept = inlets.control().users(|users| users.get(&issuer.issuer, id));
    kept.ok_or_else(|| Cause::rule("not_found", "there is no user with that id"))
}

/// The user as it is from now on; `None`: there is none any more.
fn after(
    inbound: &Inbound,
    before: Option<&User>,
    issuer: &Issuer,
    inlets: &Inlets,
) -> Result<Option<User>, Cause> {
    if inbound.method == Method::DELETE {
        return Ok(None);
    }
    let json = inbound.expect_media_type("application/json").is_ok();
    if !json {
        inbound.expect_media_type("application/scim+json")?;
    }
    let body = Json::parse(&inbound.body)
        .map_err(|error| Cause::Syntax(format!("the body is not JSON: {error}")))?;
    let user = match before {
        Some(before) if inbound.method == Method::PATCH => patch::apply(before, &patch::read(&body)?)?,
        Some(before) => user::read(&body, before.clone())?,
        None => {
            let new = User { issuer: issuer.issuer.clone(), active: true, ..User::default() };
            user::read(&body, User { id: inlets.control().new_user_id()?, ..new })?
        }
    };
    unique(&user, issuer, inlets)?;
    Ok(Some(user))
}

/// Whether no other user has the name, or stands for the same tokens.
fn unique(user: &User, issuer: &Issuer, inlets: &Inlets) -> Result<(), Cause> {
    let named = inlets.control().users(|users| users.named(&issuer.issuer, &user.user_name));
    if named.is_some_and(|named| named.user.id != user.id) {
        return Err(ErrorKind::Uniqueness.error("another user has this `userName`").into());
    }
    let value = mapping::value(user, issuer)?;
    let all = inlets.control().users(|users| users.of(&issuer.issuer));
    if all.len() >= MAX_USERS && all.iter().all(|kept| kept.user.id != user.id) {
        return Err(Cause::rule(
            "too_many_users",
            format!("at most {MAX_USERS} users of an issuer are kept"),
        ));
    }
    let others = all.iter().filter(|kept| kept.user.id != user.id);
    match others.into_iter().find(|kept| mapping::value(&kept.user, issuer).as_ref() == Ok(&value)) {
        Some(_) => {
            Err(ErrorKind::Uniqueness.error("another user stands for the same tokens (scim_user)").into())
        }
        None => Ok(()),
    }
}

/// What follows: an inactive or deleted user is revoked until reinstated, an active one reinstated.
fn effects(before: Option<&User>, after: Option<&User>, issuer: &Issuer) -> Result<Vec<Effect>, Cause> {
    let mut effects = Vec::new();
    if before == after {
        return Ok(effects);
    }
    // The configuration may map otherwise than when the user came.
    let old = before.and_then(|user| Some((mapping::value(user, issuer).ok()?, user.active)));
    let revoke = |value: &str, reason: &str| {
        Effect::Revoke(NewRevocation {
            until_reinstated: true,
            reason: reason.into(),
            ..NewRevocation::new(mapping::target(value, issuer))
        })
    };
    let reinstate = |value: &str, reason: &str| Effect::ReinstateOwn {
        target: mapping::target(value, issuer),
        reason: reason.into(),
    };
    match (after, old) {
        (None, Some((value, true))) => effects.push(revoke(&value, "the user was deleted (SCIM)")),
        (None, None) if before.is_some_and(|user| user.active) => {
            let why = "the user cannot be revoked: nothing names it in tokens (scim_user)";
            return Err(ErrorKind::InvalidValue.error(why).into());
        }
        (None, _) => {}
        (Some(user), old) => {
            let value = mapping::value(user, issuer)?;
            let moved = old.as_ref().is_none_or(|(old, _)| *old != value);
            let was_active = old.as_ref().is_some_and(|(_, active)| *active);
            if let Some((old, false)) = old.as_ref().filter(|_| moved) {
                effects.push(reinstate(old, "the user is known otherwise now (SCIM)"));
            }
            if user.active && (moved || !was_active) {
                effects.push(reinstate(&value, "the user is active (SCIM)"));
            } else if !user.active && (moved || was_active) {
                effects.push(revoke(&value, "the user is not active any more (SCIM)"));
            }
        }
    }
    effects.push(match (before, after) {
        (_, Some(user)) => Effect::KeepUser(user.clone()),
        (before, None) => {
            let id = before.map(|user| user.id.clone()).unwrap_or_default();
            Effect::DropUser { issuer: issuer.issuer.clone(), id }
        }
    });
    Ok(effects)
}
