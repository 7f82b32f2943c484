//! From a user to its tokens: which attribute names it, and which claim has that.

use super::error::{ErrorKind, ScimError};
use crate::config::{Issuer, ScimUser};
use crate::control::Target;
use crate::state::User;

/// What names a user in tokens of the issuer.
///
/// # Errors
/// When the user has no such attribute.
pub(in crate::inlets) fn value(user: &User, issuer: &Issuer) -> Result<String, ScimError> {
    let attribute = issuer.messages.scim_user;
    let value = match attribute {
        ScimUser::ExternalId => Some(&user.external_id),
        ScimUser::UserName => Some(&user.user_name),
        ScimUser::Email => {
            let primary = user.emails.iter().find(|email| email.primary);
            primary.or(user.emails.first()).map(|email| &email.value)
        }
    };
    value.filter(|value| !value.is_empty()).cloned().ok_or_else(|| {
        let name = attribute.name();
        ErrorKind::InvalidValue
            .error(format!("the user has no `{name}`, which names it in tokens (scim_user)"))
    })
}

/// The tokens of whom that names.
pub(in crate::inlets) fn target(value: &str, issuer: &Issuer) -> Target {
    let (iss, claim) = (issuer.issuer.clone(), issuer.messages.scim_claim.clone());
    if claim == "sub" {
        return Target::Subject { issuer: iss, sub: value.into() };
    }
    Target::Claims(vec![("iss".into(), iss), (claim, value.into())])
}
