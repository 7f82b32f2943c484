//! SCIM filters: what is accepted and written down again means the same, and chooses the same users.

use portcullis::inlets::scim::filter::{Filter, Literal, Operator};
use portcullis::inlets::scim::path::Attribute;
use portcullis::state::{Email, User};
use serde_json::Value;

/// A filter in UTF-8.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(filter) = Filter::parse(text) else { return };
    let written = write(&filter, false);
    // What is written is fully in parentheses: it may be too long or too deep where the text was not.
    let Ok(again) = Filter::parse(&written) else {
        let depth = written.matches('(').count() + written.matches('[').count();
        assert!(written.len() > 2_048 || depth > 8, "{text:?} was accepted, and `{written}` is not");
        return;
    };
    assert_eq!(again, filter, "{text:?} written as `{written}`");
    for user in users() {
        assert_eq!(filter.matches(&user), holds(&filter, &user), "{text:?} and {user:?}");
    }
}

fn write(filter: &Filter, in_email: bool) -> String {
    match filter {
        Filter::Compare(attribute, operator, literal) => {
            let operator = match operator {
                Operator::Equal => "eq",
                Operator::NotEqual => "ne",
                Operator::Contains => "co",
                Operator::StartsWith => "sw",
                Operator::EndsWith => "ew",
            };
            let literal = match literal {
                Literal::Text(text) => Value::from(text.as_str()).to_string(),
                Literal::Bool(value) => value.to_string(),
                Literal::Null => "null".into(),
            };
            format!("{} {operator} {literal}", name(*attribute, in_email))
        }
        Filter::Present(attribute) => format!("{} pr", name(*attribute, in_email)),
        // Both are read from the left: only what stands on the right needs its parentheses.
        Filter::And(one, other) => {
            format!("{} and {}", grouped(one, in_email, true), grouped(other, in_email, false))
        }
        Filter::Or(one, other) => {
            let other = match **other {
                Filter::Or(..) => format!("({})", write(other, in_email)),
                _ => write(other, in_email),
            };
            format!("{} or {other}", write(one, in_email))
        }
        Filter::Not(inner) => format!("not ({})", write(inner, in_email)),
        Filter::AnyEmail(inner) => format!("emails[{}]", write(inner, true)),
    }
}

fn grouped(filter: &Filter, in_email: bool, on_the_left: bool) -> String {
    match filter {
        Filter::Or(..) => format!("({})", write(filter, in_email)),
        Filter::And(..) if !on_the_left => format!("({})", write(filter, in_email)),
        _ => write(filter, in_email),
    }
}

fn name(attribute: Attribute, in_email: bool) -> &'static str {
    match (attribute, in_email) {
        (Attribute::Id, _) => "id",
        (Attribute::UserName, _) => "userName",
        (Attribute::ExternalId, _) => "externalId",
        (Attribute::Active, _) => "active",
        (Attribute::EmailValue, true) => "value",
        (Attribute::EmailType, true) => "type",
        (Attribute::EmailPrimary, true) => "primary",
        (Attribute::EmailValue, false) => "emails.value",
        (Attribute::EmailType, false) => "emails.type",
        (Attribute::EmailPrimary, false) => "emails.primary",
    }
}

/// The same answer, naively.
fn holds(filter: &Filter, user: &User) -> bool {
    match filter {
        Filter::And(one, other) => holds(one, user) & holds(other, user),
        Filter::Or(one, other) => holds(one, user) | holds(other, user),
        Filter::Not(inner) => !holds(inner, user),
        Filter::AnyEmail(inner) => user
            .emails
            .iter()
            .any(|email| holds(inner, &User { emails: vec![email.clone()], ..User::default() })),
        Filter::Present(attribute) => !values(user, *attribute).is_empty(),
        Filter::Compare(attribute, operator, literal) => {
            let exact = matches!(attribute, Attribute::Id | Attribute::ExternalId);
            let folded = |value: &Value| match value {
                Value::String(text) if !exact => Value::from(text.to_lowercase()),
                other => other.clone(),
            };
            let wanted = match literal {
                Literal::Text(text) => folded(&Value::from(text.as_str())),
                Literal::Bool(value) => Value::from(*value),
                Literal::Null => Value::Null,
            };
            let mut values: Vec<Value> = values(user, *attribute).iter().map(folded).collect();
            if values.is_empty() {
                values.push(Value::Null);
            }
            let texts = |compare: fn(&str, &str) -> bool| {
                values.iter().any(|value| match (value.as_str(), wanted.as_str()) {
                    (Some(value), Some(wanted)) => compare(value, wanted),
                    _ => false,
                })
            };
            match operator {
                Operator::Equal => values.contains(&wanted),
                Operator::NotEqual => !values.contains(&wanted),
                Operator::Contains => texts(|value, wanted| value.contains(wanted)),
                Operator::StartsWith => texts(|value, wanted| value.starts_with(wanted)),
                Operator::EndsWith => texts(|value, wanted| value.ends_with(wanted)),
            }
        }
    }
}

/// The values of an attribute; an empty text is none.
fn values(user: &User, attribute: Attribute) -> Vec<Value> {
    let all: Vec<Value> = match attribute {
        Attribute::Id => vec![user.id.as_str().into()],
        Attribute::UserName => vec![user.user_name.as_str().into()],
        Attribute::ExternalId => vec![user.external_id.as_str().into()],
        Attribute::Active => vec![user.active.into()],
        Attribute::EmailValue => user.emails.iter().map(|email| email.value.as_str().into()).collect(),
        Attribute::EmailType => user.emails.iter().map(|email| email.kind.as_str().into()).collect(),
        Attribute::EmailPrimary => user.emails.iter().map(|email| email.primary.into()).collect(),
    };
    all.into_iter().filter(|value| *value != "").collect()
}

fn users() -> [User; 3] {
    let email = |value: &str, kind: &str, primary| Email { value: value.into(), kind: kind.into(), primary };
    let alice = User {
        issuer: "i".into(),
        id: "7".into(),
        user_name: "Alice".into(),
        external_id: "Ext".into(),
        emails: vec![email("alice@work", "work", true), email("Alice@Home", "home", false)],
        active: true,
    };
    let bob = User { user_name: "bob".into(), emails: vec![email("b@x", "", false)], ..User::default() };
    [alice, bob, User::default()]
}
