//! What may stand in a `[[webhooks]]` entry, and from there to a valid [`Webhook`].

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use portcullis_core::field::ClaimPath;
use serde::Deserialize;
use toml::Spanned;

use super::{
    Action, Condition, Encoding, EventTarget, Hash, Pointer, Rule, Scalar, Scheme, Secret, SecretSource,
    Webhook,
};
use crate::config::messages::path_name;
use crate::config::parse_duration;

/// Most rules of a webhook, and most conditions of a rule.
const MAX_RULES: usize = 100;

/// How long an id is remembered: as long as senders try again.
const REMEMBER: Duration = Duration::from_secs(7 * 86_400);
/// How long a body is, where nothing but it tells messages apart: long enough for whoever tries again, short enough that
/// the same can be said again in earnest.
const REMEMBER_BODY: Duration = Duration::from_secs(600);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct WebhookEntry {
    pub(in crate::config) name: Spanned<String>,
    issuer: String,
    secret_env: Option<String>,
    secret_file: Option<String>,
    scheme: String,
    tolerance: Option<String>,
    header: Option<String>,
    prefix: Option<String>,
    hash: Option<String>,
    encoding: Option<String>,
    id: Option<String>,
    events: Option<String>,
    remember: Option<String>,
    rules: Vec<RuleEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    #[serde(default)]
    when: BTreeMap<String, toml::Value>,
    action: String,
    kind: Option<String>,
    value: Option<String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
    time: Option<String>,
}

/// What is wrong: the key, and why.
type Wrong = (&'static str, String);

/// The webhook of an entry. `is_configured` tells issuers, `before` has the names that are taken.
pub(in crate::config) fn webhook(
    entry: WebhookEntry,
    is_configured: impl Fn(&str) -> bool,
    before: &[Webhook],
) -> Result<Webhook, Wrong> {
    let scheme = scheme(&entry)?;
    let name = path_name(entry.name.get_ref()).map_err(at("webhooks.name"))?;
    if before.iter().any(|other| other.name == name) {
        return Err(("webhooks.name", "another webhook has this name".into()));
    }
    if !is_configured(&entry.issuer) {
        return Err(("webhooks.issuer", format!("`{}` is none of [[issuers]]", entry.issuer)));
    }
    let secret_from = match (entry.secret_env, entry.secret_file) {
        // Variables of that prefix are settings, and an unknown one is an error.
        (Some(name), None) if name.starts_with("PORTCULLIS_") => {
            return Err(("webhooks.secret_env", "must not start with PORTCULLIS_".into()));
        }
        (Some(name), None) => SecretSource::Variable(name),
        (None, Some(file)) => SecretSource::File(file.into()),
        _ => return Err(("webhooks.secret_env", "one of secret_env and secret_file is needed".into())),
    };
    if entry.rules.is_empty() || entry.rules.len() > MAX_RULES {
        return Err(("webhooks.rules", format!("1 to {MAX_RULES} rules are needed")));
    }
    if entry.id.is_some() && matches!(scheme, Scheme::Standard { .. }) {
        return Err(("webhooks.id", "the scheme `standard` has ids of its own: leave it out".into()));
    }
    let has_ids = entry.id.is_some() || matches!(scheme, Scheme::Standard { .. });
    let remember = if has_ids { REMEMBER } else { REMEMBER_BODY };
    Ok(Webhook {
        name,
        issuer: entry.issuer,
        secret_from,
        secret: Secret::default(),
        scheme,
        id: entry.id.map(|text| pointer(&text)).transpose().map_err(at("webhooks.id"))?,
        events: entry.events.map(|text| pointer(&text)).transpose().map_err(at("webhooks.events"))?,
        remember: entry
            .remember
            .map_or(Ok(remember), |text| duration(&text))
            .map_err(at("webhooks.remember"))?,
        rules: entry.rules.into_iter().map(rule).collect::<Result<_, _>>()?,
    })
}

fn scheme(entry: &WebhookEntry) -> Result<Scheme, Wrong> {
    let header = |default: Option<&str>| {
        let name = entry.header.as_deref().or(default).ok_or_else(|| "is missing".to_owned());
        name.and_then(|name| {
            let name = axum::http::HeaderName::try_from(name).map_err(|_| format!("`{name}` is no header"));
            name.map(|name| name.as_str().to_owned())
        })
        .map_err(at("webhooks.header"))
    };
    let prefix = entry.prefix.clone().unwrap_or_default();
    let of_hmac = [("webhooks.hash", &entry.hash), ("webhooks.encoding", &entry.encoding)];
    let of_header = [("webhooks.header", &entry.header), ("webhooks.prefix", &entry.prefix)];
    let of_standard = [("webhooks.tolerance", &entry.tolerance)];
    match entry.scheme.as_str() {
        "standard" => {
            unused(&[of_hmac, of_header].concat(), "standard")?;
            let tolerance = entry.tolerance.as_deref().map_or(Ok(Duration::from_secs(300)), duration);
            Ok(Scheme::Standard { tolerance: tolerance.map_err(at("webhooks.tolerance"))? })
        }
        "hmac" => {
            unused(&of_standard, "hmac")?;
            let hashes = [("sha256", Hash::Sha256), ("sha384", Hash::Sha384), ("sha512", Hash::Sha512)];
            let hash = entry.hash.as_deref().map_or(Ok(Hash::Sha256), |text| one_of(text, &hashes));
            let encodings = [("hex", Encoding::Hex), ("base64", Encoding::Base64)];
            let encoding =
                entry.encoding.as_deref().map_or(Ok(Encoding::Hex), |text| one_of(text, &encodings));
            Ok(Scheme::Hmac {
                header: header(None)?,
                prefix,
                hash: hash.map_err(at("webhooks.hash"))?,
                encoding: encoding.map_err(at("webhooks.encoding"))?,
            })
        }
        "token" => {
            unused(&[&of_standard[..], &of_hmac[..]].concat(), "token")?;
            Ok(Scheme::Token { header: header(Some("authorization"))?, prefix })
        }
        "client_state" => {
            unused(&[&of_standard[..], &of_hmac[..], &of_header[..]].concat(), "client_state")?;
            Ok(Scheme::ClientState)
        }
        other => {
            let known = "\"standard\", \"hmac\", \"token\" and \"client_state\"";
            Err(("webhooks.scheme", format!("`{other}` is none of {known}")))
        }
    }
}

fn unused(keys: &[(&'static str, &Option<String>)], scheme: &str) -> Result<(), Wrong> {
    match keys.iter().find(|(_, given)| given.is_some()) {
        Some((key, _)) => Err((key, format!("means nothing for the scheme `{scheme}`: leave it out"))),
        None => Ok(()),
    }
}

fn rule(entry: RuleEntry) -> Result<Rule, Wrong> {
    let actions = [
        ("revoke", Action::Revoke),
        ("revoke_until_reinstated", Action::RevokeUntilReinstated),
        ("reinstate", Action::Reinstate),
    ];
    let action = one_of(&entry.action, &actions).map_err(at("webhooks.rules.action"))?;
    if entry.when.len() > MAX_RULES {
        return Err(("webhooks.rules.when", format!("at most {MAX_RULES} conditions")));
    }
    let when = entry.when.into_iter().map(|(text, value)| condition(&text, value)).collect::<Result<_, _>>();
    let when = when.map_err(at("webhooks.rules.when"))?;
    let kind = entry.kind.as_deref().unwrap_or("subject");
    let subject = if kind == "claims" {
        if entry.value.is_some() || entry.claims.is_empty() {
            return Err(("webhooks.rules.claims", "the kind `claims` needs claims, and no value".into()));
        }
        EventTarget::Claims(entry.claims.into_iter().map(claim).collect::<Result<_, _>>()?)
    } else {
        if !entry.claims.is_empty() {
            return Err(("webhooks.rules.claims", "only the kind `claims` has them".into()));
        }
        let value = entry.value.as_deref().ok_or(("webhooks.rules.value", "is missing".to_owned()))?;
        let value = pointer(value).map_err(at("webhooks.rules.value"))?;
        by_value(kind, value).map_err(at("webhooks.rules.kind"))?
    };
    let time = entry.time.map(|text| pointer(&text)).transpose().map_err(at("webhooks.rules.time"))?;
    if time.is_some() && action != Action::Revoke {
        return Err(("webhooks.rules.time", "only the action `revoke` has a cut-off".into()));
    }
    Ok(Rule { when, action, subject, time })
}

fn by_value(kind: &str, value: Pointer) -> Result<EventTarget, String> {
    Ok(match kind {
        "session" => EventTarget::Session(value),
        "subject" => EventTarget::Subject(value),
        "email" => EventTarget::Email(value),
        "token" => EventTarget::Token(value),
        "client" => EventTarget::Client(value),
        other => {
            return Err(format!("`{other}` is none of session, subject, email, token, client and claims"));
        }
    })
}

fn claim((name, at): (String, String)) -> Result<(String, Pointer), Wrong> {
    let wrong = |error: String| ("webhooks.rules.claims", format!("`{name}`: {error}"));
    if name == "iss" {
        return Err(wrong("the issuer is always the webhook's".into()));
    }
    name.parse::<ClaimPath>().map_err(|error| wrong(error.to_string()))?;
    let pointer = pointer(&at).map_err(wrong)?;
    Ok((name, pointer))
}

fn condition(text: &str, value: toml::Value) -> Result<Condition, String> {
    let any_of = match value {
        toml::Value::Array(values) => values.into_iter().map(scalar).collect::<Result<Vec<_>, _>>()?,
        one => vec![scalar(one)?],
    };
    if any_of.is_empty() {
        return Err(format!("`{text}` has no value to be equal to"));
    }
    Ok(Condition { at: pointer(text)?, any_of })
}

fn scalar(value: toml::Value) -> Result<Scalar, String> {
    match value {
        toml::Value::String(text) => Ok(Scalar::Text(text)),
        toml::Value::Boolean(value) => Ok(Scalar::Bool(value)),
        toml::Value::Integer(value) => Ok(Scalar::Integer(value)),
        other => Err(format!("{} is not a text, a boolean or a whole number", other.type_str())),
    }
}

fn pointer(text: &str) -> Result<Pointer, String> {
    text.parse()
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("`{text}` is not a duration: {error}"))
}

fn one_of<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("`{text}` is none of {}", names.join(", "))
    })
}

fn at<E: Display>(key: &'static str) -> impl Fn(E) -> Wrong {
    move |error| (key, error.to_string())
}
