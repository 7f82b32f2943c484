//! PATCH (RFC 7644 section 3.5.2), in the spellings that Okta and Entra ID send: `op` in any case, with or without
//! a path, paths as the names of members, booleans as texts, one value as a list of one.

use portcullis_core::json::Json;

use super::error::{ErrorKind, ScimError};
use super::filter::{Filter, Literal, Operator};
use super::path::{Attribute, Path};
use super::user::{can_be_kept, check, emails, expect_schema, member, text, truth};
use crate::state::{Email, User};

const SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// Most changes of one request.
const MAX_CHANGES: usize = 100;

/// One change of a user.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What is done.
    pub operation: Operation,
    /// Where.
    pub path: Path,
    /// With what; null where there is nothing.
    pub value: Json<'static>,
}

/// What a change does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// A value is set, or another e-mail address added.
    Add,
    /// A value is set.
    Replace,
    /// A value is taken away.
    Remove,
}

/// The changes of a request's body.
///
/// # Errors
/// When it is none.
pub fn read(body: &Json<'_>) -> Result<Vec<Change>, ScimError> {
    expect_schema(body, SCHEMA)?;
    let Some(Json::List(operations)) = member(body, "Operations")? else {
        return Err(ErrorKind::InvalidSyntax.error("`Operations` is missing or not a list"));
    };
    let mut changes = Vec::new();
    for operation in operations {
        read_one(operation, &mut changes)?;
        if changes.len() > MAX_CHANGES {
            return Err(ErrorKind::InvalidSyntax.error(format!("more than {MAX_CHANGES} changes at a time")));
        }
    }
    if changes.is_empty() {
        return Err(ErrorKind::InvalidSyntax.error("`Operations` has nothing to do"));
    }
    Ok(changes)
}

fn read_one(json: &Json<'_>, changes: &mut Vec<Change>) -> Result<(), ScimError> {
    let named = member(json, "op")?.and_then(Json::as_text).unwrap_or_default().to_ascii_lowercase();
    let operation = match named.as_str() {
        "add" => Operation::Add,
        "replace" => Operation::Replace,
        "remove" => Operation::Remove,
        _ => return Err(ErrorKind::InvalidSyntax.error("`op` is none of add, replace and remove")),
    };
    let value = member(json, "value")?.cloned().unwrap_or(Json::Null).into_owned();
    let path = match member(json, "path")? {
        None => None,
        Some(Json::Text(path)) => Some(path).filter(|path| !path.is_empty()),
        Some(_) => return Err(ErrorKind::InvalidPath.error("`path` is not a text")),
    };
    match (path, &value) {
        (Some(path), _) => changes.push(Change { operation, path: Path::parse(path)?, value }),
        (None, _) if operation == Operation::Remove => {
            return Err(ErrorKind::NoTarget.error("`remove` needs a path"));
        }
        (None, Json::Object(members)) => {
            for (name, value) in members.iter() {
                let path = Path::parse(name)?;
                // What of a whole user does not change is sent along.
                if path != Path::One(Attribute::Id) {
                    changes.push(Change { operation, path, value: value.clone() });
                }
            }
        }
        _ => return Err(ErrorKind::InvalidSyntax.error("without a path, `value` is an object")),
    }
    Ok(())
}

/// A user after the changes: all of them or none.
///
/// # Errors
/// When one cannot be made.
pub fn apply(user: &User, changes: &[Change]) -> Result<User, ScimError> {
    let mut user = user.clone();
    for change in changes {
        change.apply(&mut user)?;
    }
    check(&user)?;
    Ok(user)
}

impl Change {
    fn apply(&self, user: &mut User) -> Result<(), ScimError> {
        let removes = self.operation == Operation::Remove;
        let fixed =
            |name: &str| Err(ErrorKind::Mutability.error(format!("`{name}` cannot be changed like this")));
        match &self.path {
            Path::Elsewhere => {}
            Path::One(Attribute::Id) => return fixed("id"),
            Path::One(Attribute::UserName) if removes => return fixed("userName"),
            Path::One(Attribute::Active) if removes => return fixed("active"),
            Path::One(Attribute::ExternalId) if removes => user.external_id.clear(),
            Path::One(Attribute::UserName) => user.user_name = text(single(&self.value)?, "userName")?,
            Path::One(Attribute::ExternalId) => user.external_id = text(single(&self.value)?, "externalId")?,
            Path::One(Attribute::Active) => user.active = truth(single(&self.value)?, "active")?,
            Path::One(_) => {}
            Path::Emails(None, None) => self.all(&mut user.emails)?,
            Path::Emails(filter, part) => self.chosen(&mut user.emails, filter.as_ref(), *part)?,
        }
        Ok(())
    }

    fn all(&self, addresses: &mut Vec<Email>) -> Result<(), ScimError> {
        match self.operation {
            Operation::Remove if self.value == Json::Null => addresses.clear(),
            Operation::Remove => {
                let named = emails(&self.value)?;
                addresses.retain(|email| !named.iter().any(|named| named.value == email.value));
            }
            Operation::Replace => *addresses = emails(&self.value)?,
            Operation::Add => {
                for email in emails(&self.value)? {
                    addresses.retain(|known| known.value != email.value);
                    add(addresses, email);
                }
            }
        }
        Ok(())
    }

    fn chosen(
        &self,
        addresses: &mut Vec<Email>,
        filter: Option<&Filter>,
        part: Option<Attribute>,
    ) -> Result<(), ScimError> {
        let is_chosen = |email: &Email| filter.is_none_or(|filter| filter.matches_email(email));
        let removes_it = matches!(part, None | Some(Attribute::EmailValue));
        if self.operation == Operation::Remove && removes_it {
            addresses.retain(|email| !is_chosen(email));
            return Ok(());
        }
        if !addresses.iter().any(is_chosen) {
            let made = filter.and_then(described).filter(|_| self.operation == Operation::Add);
            let mut made =
                made.ok_or_else(|| ErrorKind::NoTarget.error("no e-mail address is chosen by the path"))?;
            // It comes from the path, which is no value that was looked at.
            can_be_kept(&made.kind, "emails.type")?;
            self.set(&mut made, part)?;
            if made.value.is_empty() {
                return Err(ErrorKind::InvalidValue.error("an e-mail address has no `value`"));
            }
            add(addresses, made);
            return Ok(());
        }
        let places: Vec<bool> = addresses.iter().map(is_chosen).collect();
        let mut primary = false;
        for (email, _) in addresses.iter_mut().zip(&places).filter(|(_, chosen)| **chosen) {
            self.set(email, part)?;
            primary |= email.primary;
        }
        // One that is primary from now on takes the place of the one that was.
        let others = addresses.iter_mut().zip(&places).filter(|(_, chosen)| primary && !**chosen);
        others.for_each(|(email, _)| email.primary = false);
        Ok(())
    }

    fn set(&self, email: &mut Email, part: Option<Attribute>) -> Result<(), ScimError> {
        let removes = self.operation == Operation::Remove;
        match part {
            Some(Attribute::EmailType) if removes => email.kind.clear(),
            Some(Attribute::EmailPrimary) if removes => email.primary = false,
            Some(Attribute::EmailType) => email.kind = text(single(&self.value)?, "emails.type")?,
            Some(Attribute::EmailPrimary) => email.primary = truth(single(&self.value)?, "emails.primary")?,
            Some(_) => {
                let address = text(single(&self.value)?, "emails.value")?;
                if address.is_empty() {
                    return Err(ErrorKind::InvalidValue.error("an e-mail address has no `value`"));
                }
                email.value = address;
            }
            None => match emails(&self.value)?.as_slice() {
                [one] => *email = one.clone(),
                _ => return Err(ErrorKind::InvalidValue.error("the path chooses one e-mail address")),
            },
        }
        Ok(())
    }
}

/// The value of an attribute that has one. Entra ID also sends it as `[{"value": …}]`.
fn single<'a>(value: &'a Json<'a>) -> Result<&'a Json<'a>, ScimError> {
    match value {
        Json::List(list) => match list.as_slice() {
            [one] => Ok(member(one, "value")?.unwrap_or(value)),
            _ => Ok(value),
        },
        _ => Ok(value),
    }
}

/// Adds an address; of several primary ones the last is.
fn add(addresses: &mut Vec<Email>, email: Email) {
    if email.primary {
        addresses.iter_mut().for_each(|known| known.primary = false);
    }
    addresses.push(email);
}

/// The address that a filter describes, if there is one: `type eq "work"`.
fn described(filter: &Filter) -> Option<Email> {
    match filter {
        Filter::Compare(Attribute::EmailType, Operator::Equal, Literal::Text(kind)) => {
            Some(Email { kind: kind.clone(), ..Email::default() })
        }
        Filter::Compare(Attribute::EmailPrimary, Operator::Equal, Literal::Bool(primary)) => {
            Some(Email { primary: *primary, ..Email::default() })
        }
        Filter::And(one, other) => {
            let (one, other) = (described(one)?, described(other)?);
            let kind = if one.kind.is_empty() { other.kind } else { one.kind };
            Some(Email { kind, primary: one.primary || other.primary, value: String::new() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
