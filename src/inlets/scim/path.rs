//! Attributes and the paths to them (RFC 7644 section 3.10).

use super::error::{ErrorKind, ScimError};
use super::filter::Filter;

/// The schema of users.
pub(super) const USER_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// What is kept of a user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attribute {
    /// `id`
    Id,
    /// `userName`
    UserName,
    /// `externalId`
    ExternalId,
    /// `active`
    Active,
    /// `emails.value`
    EmailValue,
    /// `emails.type`
    EmailType,
    /// `emails.primary`
    EmailPrimary,
}

impl Attribute {
    /// The attribute of that name, whatever its case; within an e-mail address, that of its parts.
    pub(super) fn named(name: &str, of_email: bool) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Some(match (of_email, name.as_str()) {
            (false, "id") => Self::Id,
            (false, "username") => Self::UserName,
            (false, "externalid") => Self::ExternalId,
            (false, "active") => Self::Active,
            (false, "emails" | "emails.value") | (true, "value") => Self::EmailValue,
            (false, "emails.type") | (true, "type") => Self::EmailType,
            (false, "emails.primary") | (true, "primary") => Self::EmailPrimary,
            _ => return None,
        })
    }

    /// Whether the case of its letters counts.
    pub(super) const fn is_exact(self) -> bool {
        matches!(self, Self::Id | Self::ExternalId)
    }
}

/// Where a change of a user happens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Path {
    /// An attribute with one value.
    One(Attribute),
    /// The e-mail addresses: those that are chosen, or all; a part of them, or the whole.
    Emails(Option<Filter>, Option<Attribute>),
    /// What is not kept.
    Elsewhere,
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        let wrong = || {
            let shown = crate::control::printable(text, 100);
            ErrorKind::InvalidPath.error(format!("`{shown}` is no path to an attribute"))
        };
        let own = without_schema(text);
        let end = own.find(['[', '.']).unwrap_or(own.len());
        let (name, rest) = own.split_at_checked(end).ok_or_else(wrong)?;
        if name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:")) {
            // Another schema's: its names have dots.
            return Ok(Self::Elsewhere);
        }
        if !is_name(name) {
            return Err(wrong());
        }
        let is_emails = name.eq_ignore_ascii_case("emails");
        let (filter, rest) = match rest.strip_prefix('[') {
            Some(inner) if is_emails => {
                let (filter, rest) = Filter::parse_in_brackets(inner)?;
                (Some(filter), rest)
            }
            // Only what has several values is chosen from.
            Some(_) if Attribute::named(name, false).is_some() => return Err(wrong()),
            // The filter is over what is not kept.
            Some(inner) => (None, inner.rsplit_once(']').ok_or_else(wrong)?.1),
            None => (None, rest),
        };
        let part = match rest.strip_prefix('.') {
            Some(part) if is_name(part) => Some(part),
            None if rest.is_empty() => None,
            _ => return Err(wrong()),
        };
        Ok(match (is_emails, part, Attribute::named(name, false)) {
            (true, None, _) => Self::Emails(filter, None),
            (true, Some(part), _) => {
                Attribute::named(part, true).map_or(Self::Elsewhere, |part| Self::Emails(filter, Some(part)))
            }
            (false, None, Some(attribute)) => Self::One(attribute),
            (false, Some(_), Some(_)) => return Err(wrong()),
            (false, _, None) => Self::Elsewhere,
        })
    }
}

/// A name without the schema of users before it.
pub(super) fn without_schema(text: &str) -> &str {
    let split = text.split_at_checked(USER_SCHEMA.len());
    let rest = split.filter(|(schema, _)| schema.eq_ignore_ascii_case(USER_SCHEMA));
    rest.and_then(|(_, rest)| rest.strip_prefix(':')).unwrap_or(text)
}

/// RFC 7643 section 2.1.
fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(is_part)
}
