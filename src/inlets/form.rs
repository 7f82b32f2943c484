//! `application/x-www-form-urlencoded`, read strictly.

use super::{Cause, Inbound};

/// The media type.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// The fields of a form. A field that stands twice is an error where it is looked at.
#[derive(Clone, Debug)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The form in a body.
    pub(super) fn of(inbound: &Inbound) -> Result<Self, Cause> {
        inbound.expect_media_type(FORM)?;
        let pairs = form_urlencoded::parse(inbound.text()?.as_bytes());
        Ok(Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
    }

    /// A field that may be left out.
    pub(super) fn optional(&self, name: &str) -> Result<Option<&str>, Cause> {
        let mut values = self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Cause::Syntax(format!("the field `{name}` stands twice"))),
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
        }
    }

    /// A field that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, Cause> {
        self.optional(name)?.ok_or_else(|| Cause::Syntax(format!("the field `{name}` is missing")))
    }
}
