//! Users as SCIM writes them (RFC 7643 section 4.1), as far as they are kept.

use portcullis_core::json::Json;
use serde_json::{Value, json};

use super::error::{ErrorKind, ScimError};
use super::path::USER_SCHEMA;
use crate::api::model::Moment;
use crate::state::{Email, Kept, User};

/// Longest text of an attribute, in bytes.
const MAX_TEXT_BYTES: usize = 1_024;
/// Most e-mail addresses of a user.
const MAX_EMAILS: usize = 20;

/// A user of a request's body. What is not kept is left alone; without `active`, it is as it was.
///
/// # Errors
/// When an attribute is missing or has a value that it cannot have.
pub(super) fn read(body: &Json<'_>, before: User) -> Result<User, ScimError> {
    expect_schema(body, USER_SCHEMA)?;
    let mut user =
        User { user_name: String::new(), external_id: String::new(), emails: Vec::new(), ..before };
    if let Some(value) = member(body, "userName")? {
        user.user_name = text(value, "userName")?;
    }
    if let Some(value) = member(body, "externalId")? {
        user.external_id = text(value, "externalId")?;
    }
    if let Some(value) = member(body, "emails")? {
        user.emails = emails(value)?;
    }
    if let Some(value) = member(body, "active")? {
        user.active = truth(value, "active")?;
    }
    check(&user)?;
    Ok(user)
}

/// Whether a user has what each must have.
pub(super) fn check(user: &User) -> Result<(), ScimError> {
    if user.user_name.is_empty() {
        return Err(ErrorKind::InvalidValue.error("`userName` is missing"));
    }
    if user.emails.len() > MAX_EMAILS {
        return Err(
            ErrorKind::InvalidValue.error(format!("a user has at most {MAX_EMAILS} e-mail addresses"))
        );
    }
    // RFC 7643 section 2.4.
    if user.emails.iter().filter(|email| email.primary).count() > 1 {
        return Err(ErrorKind::InvalidValue.error("more than one e-mail address is `primary`"));
    }
    Ok(())
}

/// Whether a body says that it has this schema.
pub(super) fn expect_schema(body: &Json<'_>, schema: &str) -> Result<(), ScimError> {
    if !matches!(body, Json::Object(_)) {
        return Err(
            ErrorKind::InvalidSyntax.error(format!("the body is {} instead of an object", body.type_name()))
        );
    }
    let Some(Json::List(schemas)) = member(body, "schemas")? else {
        return Err(ErrorKind::InvalidSyntax.error("`schemas` is missing or not a list"));
    };
    let is_there = schemas.iter().filter_map(Json::as_text).any(|one| one.eq_ignore_ascii_case(schema));
    if is_there { Ok(()) } else { Err(ErrorKind::InvalidSyntax.error(format!("`schemas` has no {schema}"))) }
}

/// A member whatever the case of its name (RFC 7643 section 2.1); null is none.
pub(super) fn member<'a>(json: &'a Json<'a>, name: &str) -> Result<Option<&'a Json<'a>>, ScimError> {
    let Json::Object(members) = json else { return Ok(None) };
    let mut found = members.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (_, Some(_)) => {
            Err(ErrorKind::InvalidSyntax.error(format!("`{name}` is there twice, in different cases")))
        }
        (Some((_, value)), None) if *value != Json::Null => Ok(Some(value)),
        _ => Ok(None),
    }
}

/// A text that can be kept; null is an empty one.
pub(super) fn text(value: &Json<'_>, name: &str) -> Result<String, ScimError> {
    let text = match value {
        Json::Null => "",
        Json::Text(text) => text,
        other => {
            let found = other.type_name();
            return Err(ErrorKind::InvalidValue.error(format!("`{name}` is {found} instead of a text")));
        }
    };
    can_be_kept(text, name)?;
    Ok(text.to_owned())
}

/// Whether a text is short enough, and changes nothing on a terminal.
pub(super) fn can_be_kept(text: &str, name: &str) -> Result<(), ScimError> {
    if text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
        let why = format!("`{name}` is longer than {MAX_TEXT_BYTES} bytes or has a control character");
        return Err(ErrorKind::InvalidValue.error(why));
    }
    Ok(())
}

/// A boolean, or the text of one, as Entra ID sends it.
pub(super) fn truth(value: &Json<'_>, name: &str) -> Result<bool, ScimError> {
    match value {
        Json::Bool(value) => Ok(*value),
        Json::Text(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Json::Text(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(ErrorKind::InvalidValue.error(format!("`{name}` is neither true nor false"))),
    }
}

/// E-mail addresses: a list of them, or one.
pub(super) fn emails(value: &Json<'_>) -> Result<Vec<Email>, ScimError> {
    match value {
        Json::Null => Ok(Vec::new()),
        Json::List(list) if list.len() > MAX_EMAILS => {
            Err(ErrorKind::InvalidValue.error(format!("a user has at most {MAX_EMAILS} e-mail addresses")))
        }
        Json::List(list) => list.iter().map(email).collect(),
        one => email(one).map(|email| vec![email]),
    }
}

fn email(value: &Json<'_>) -> Result<Email, ScimError> {
    let mut email = Email::default();
    if let Json::Text(_) = value {
        email.value = text(value, "emails")?;
    } else {
        let address = member(value, "value")?;
        let address =
            address.ok_or_else(|| ErrorKind::InvalidValue.error("an e-mail address has no `value`"))?;
        email.value = text(address, "emails.value")?;
        email.kind = member(value, "type")?.map_or(Ok(String::new()), |kind| text(kind, "emails.type"))?;
        email.primary =
            member(value, "primary")?.map_or(Ok(false), |primary| truth(primary, "emails.primary"))?;
    }
    if email.value.is_empty() {
        return Err(ErrorKind::InvalidValue.error("an e-mail address has no `value`"));
    }
    Ok(email)
}

/// Where a user is.
pub(super) fn location(kept: &Kept, users: &str) -> String {
    format!("{users}/{}", kept.user.id)
}

/// A user as it is answered.
pub(super) fn write(kept: &Kept, users: &str) -> Value {
    let user = &kept.user;
    let there = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let emails = user.emails.iter().map(|email| {
        let Email { value, kind, primary } = email;
        without_nulls(json!({"value": value, "type": there(kind), "primary": primary}))
    });
    without_nulls(json!({
        "schemas": [USER_SCHEMA],
        "id": user.id,
        "externalId": there(&user.external_id),
        "userName": user.user_name,
        "emails": emails.collect::<Vec<_>>(),
        "active": user.active,
        "meta": {
            "resourceType": "User",
            "lastModified": Moment::from_millis(kept.at_ms),
            "location": location(kept, users),
        },
    }))
}

/// An object without its members that are null.
pub(super) fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}
