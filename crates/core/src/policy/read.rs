//! Reading the configuration: every error names the key.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::{
    Choice, ControlPlane, Limits, Mode, Policy, PolicyError, Reject, Reports, Staleness, Startup, Streams,
    TokenSource, can_be_normalized,
};
use crate::extract::is_tchar;
use crate::json::{Json, Members};
use crate::selector::scalar_text;
use crate::sync::MAX_ENTRIES;

/// Longest text value; bounds what the VM keeps.
const MAX_TEXT: usize = 16 * 1024;
/// Most tokens and exemptions.
const MAX_LIST: usize = 64;

pub(super) fn policy(configuration: &[u8]) -> Result<Policy, PolicyError> {
    let json = Json::parse(configuration).map_err(|error| PolicyError::Json(error.to_string()))?;
    let root = Section::open(
        "",
        &json,
        &[
            "control_plane",
            "tokens",
            "startup",
            "staleness",
            "missing",
            "malformed",
            "mode",
            "streams",
            "reject",
            "exempt",
            "limits",
            "reports",
        ],
    )?;
    let policy = Policy {
        control_plane: control_plane(&root)?,
        tokens: tokens(&root)?,
        startup: startup(&root)?,
        staleness: staleness(&root)?,
        missing: root.one_of("missing", CHOICES)?.unwrap_or(Choice::Allow),
        malformed: root.one_of("malformed", CHOICES)?.unwrap_or(Choice::Deny),
        mode: root.one_of("mode", MODES)?.unwrap_or(Mode::Enforce),
        streams: root.one_of("streams", STREAMS)?.unwrap_or(Streams::Cut),
        reject: reject(&root)?,
        exempt: exempt(&root)?,
        limits: limits(&root)?,
        reports: root.one_of("reports", REPORTS)?.unwrap_or(Reports::Paths),
    };
    // With a token in a cookie, a redirect into what is checked would come back here for ever.
    if let Some(url) = policy.reject.redirect.as_ref().filter(|url| url.starts_with('/'))
        && !policy.is_exempt(url.as_bytes())
    {
        return Err(root_error(
            "reject.redirect",
            "is a path that must also be in `exempt`, or it redirects to itself",
        ));
    }
    Ok(policy)
}

const CHOICES: &[(&str, Choice)] = &[("allow", Choice::Allow), ("deny", Choice::Deny)];
const MODES: &[(&str, Mode)] =
    &[("enforce", Mode::Enforce), ("observe", Mode::Observe), ("mark", Mode::Mark)];
const STREAMS: &[(&str, Streams)] = &[("cut", Streams::Cut), ("keep", Streams::Keep)];
const REPORTS: &[(&str, Reports)] = &[("paths", Reports::Paths), ("counts", Reports::Counts)];

fn control_plane(root: &Section<'_>) -> Result<ControlPlane, PolicyError> {
    let Some(section) = root.section("control_plane", &["cluster", "token"])? else {
        return Err(
            root.error("control_plane", "is required: {\"cluster\": the Envoy cluster of the control plane}")
        );
    };
    let Some(cluster) = section.text("cluster")? else {
        return Err(section.error("cluster", "is required: the Envoy cluster of the control plane"));
    };
    let token = section.text("token")?;
    if token.is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(section.error("token", "must be printable ASCII without spaces"));
    }
    Ok(ControlPlane { cluster: cluster.into(), token: token.map(Into::into) })
}

fn tokens(root: &Section<'_>) -> Result<Vec<TokenSource>, PolicyError> {
    let Some(list) = root.list("tokens")? else {
        return Ok(vec![TokenSource::Header { name: "authorization".into(), scheme: Some("Bearer".into()) }]);
    };
    if list.is_empty() {
        return Err(
            root.error("tokens", "must name at least one place; leave it out for the Authorization header")
        );
    }
    list.iter().enumerate().map(|(index, json)| token_source(&format!("tokens[{index}]"), json)).collect()
}

fn token_source(path: &str, json: &Json<'_>) -> Result<TokenSource, PolicyError> {
    let section = Section::open(path, json, &["header", "scheme", "cookie", "query", "jwt_authn"])?;
    let places = ["header", "cookie", "query", "jwt_authn"].map(|name| section.text(name));
    let [header, cookie, query, jwt_authn] = places;
    let scheme = section.text("scheme")?;
    let source = match (header?, cookie?, query?, jwt_authn?) {
        (Some(name), None, None, None) => {
            let name = name.to_ascii_lowercase();
            if !name.bytes().all(is_tchar) {
                return Err(section.error("header", "is not a header name"));
            }
            if name == "cookie" {
                return Err(section.error("header", "use {\"cookie\": NAME} for cookies"));
            }
            if scheme.is_some_and(|scheme| !scheme.bytes().all(is_tchar)) {
                return Err(section.error("scheme", "is not an authentication scheme"));
            }
            return Ok(TokenSource::Header { name, scheme: scheme.map(Into::into) });
        }
        (None, Some(name), None, None) => TokenSource::Cookie(name.into()),
        (None, None, Some(name), None) => TokenSource::Query(name.into()),
        (None, None, None, Some(key)) => TokenSource::JwtAuthn(key.into()),
        _ => {
            return Err(root_error(
                path,
                "must have exactly one of `header`, `cookie`, `query`, `jwt_authn`",
            ));
        }
    };
    if scheme.is_some() {
        return Err(section.error("scheme", "goes with `header` only"));
    }
    Ok(source)
}

fn startup(root: &Section<'_>) -> Result<Startup, PolicyError> {
    let section = root.section("startup", &["hold", "then"])?;
    let get = |section: &Section<'_>| {
        Ok(Startup {
            hold: section.duration("hold")?.unwrap_or(5_000),
            then: section.one_of("then", CHOICES)?.unwrap_or(Choice::Deny),
        })
    };
    section.as_ref().map_or(Ok(Startup { hold: 5_000, then: Choice::Deny }), get)
}

fn staleness(root: &Section<'_>) -> Result<Staleness, PolicyError> {
    let section = root.section("staleness", &["after", "then"])?;
    let get = |section: &Section<'_>| {
        Ok(Staleness {
            after: match section.duration("after")? {
                Some(0) => return Err(section.error("after", "must be longer than nothing")),
                after => after.unwrap_or(300_000),
            },
            then: section.one_of("then", CHOICES)?.unwrap_or(Choice::Allow),
        })
    };
    section.as_ref().map_or(Ok(Staleness { after: 300_000, then: Choice::Allow }), get)
}

fn reject(root: &Section<'_>) -> Result<Reject, PolicyError> {
    let Some(section) = root.section("reject", &["status", "unavailable_status", "body", "redirect"])? else {
        return Ok(Reject { status: 401, unavailable_status: 401, body: None, redirect: None });
    };
    let status = section.status("status")?.unwrap_or(401);
    let redirect = section.text("redirect")?;
    let absolute = |url: &str| ["https://", "http://", "/"].iter().any(|start| url.starts_with(start));
    if redirect.is_some_and(|url| !absolute(url) || !url.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(section.error("redirect", "must be an http(s) URL or an absolute path, percent-encoded"));
    }
    Ok(Reject {
        status,
        unavailable_status: section.status("unavailable_status")?.unwrap_or(status),
        body: section.text("body")?.map(Into::into),
        redirect: redirect.map(Into::into),
    })
}

fn exempt(root: &Section<'_>) -> Result<Vec<String>, PolicyError> {
    let list = root.list("exempt")?.unwrap_or_default();
    let prefix = |(index, json): (usize, &Json<'_>)| match json {
        Json::Text(prefix) if prefix.starts_with('/') && prefix.len() <= MAX_TEXT => {
            if prefix.contains(['?', '#']) || can_be_normalized(prefix.as_bytes()) {
                let reason = "can never match: it has a query, or a part that a path is not exempt with \
                              (`//`, `.`, `..`, `%`, `;`, `\\`)";
                return Err(root_error(&format!("exempt[{index}]"), reason));
            }
            Ok(prefix.to_string())
        }
        _ => Err(root_error(&format!("exempt[{index}]"), "must be a path prefix that starts with `/`")),
    };
    list.iter().enumerate().map(prefix).collect()
}

fn limits(root: &Section<'_>) -> Result<Limits, PolicyError> {
    let section = root.section("limits", &["revocations"])?;
    let count = |section: Section<'_>| section.count("revocations", MAX_ENTRIES);
    let revocations = section.map_or(Ok(None), count)?.unwrap_or(MAX_ENTRIES);
    Ok(Limits { revocations })
}

fn root_error(key: &str, reason: &str) -> PolicyError {
    PolicyError::Key { key: key.into(), reason: reason.into() }
}

/// An object of the configuration and where it stands.
struct Section<'a> {
    path: &'a str,
    members: &'a Members<'a>,
}

impl<'a> Section<'a> {
    fn open(path: &'a str, json: &'a Json<'a>, known: &[&str]) -> Result<Self, PolicyError> {
        let Json::Object(members) = json else {
            let key = if path.is_empty() { "(the whole configuration)" } else { path };
            return Err(root_error(key, &format!("must be an object, found {}", json.type_name())));
        };
        let section = Self { path, members };
        if let Some(name) = members.names().find(|name| !known.contains(name)) {
            let reason = format!("is unknown; known here: {}", known.join(", "));
            return Err(section.error(name, &reason));
        }
        Ok(section)
    }

    fn error(&self, name: &str, reason: &str) -> PolicyError {
        let key = if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) };
        PolicyError::Key { key, reason: reason.into() }
    }

    fn wrong_type(&self, name: &str, expected: &str, found: &Json<'_>) -> PolicyError {
        self.error(name, &format!("must be {expected}, found {}", found.type_name()))
    }

    fn section(&self, name: &'a str, known: &[&str]) -> Result<Option<Self>, PolicyError> {
        self.members.get(name).map(|json| Self::open(name, json, known)).transpose()
    }

    fn list(&self, name: &str) -> Result<Option<&'a [Json<'a>]>, PolicyError> {
        match self.members.get(name) {
            None => Ok(None),
            Some(Json::List(values)) if values.len() <= MAX_LIST => Ok(Some(values)),
            Some(Json::List(_)) => Err(self.error(name, &format!("has more than {MAX_LIST} elements"))),
            Some(other) => Err(self.wrong_type(name, "a list", other)),
        }
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, PolicyError> {
        match self.members.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) if text.is_empty() => Err(self.error(name, "must not be empty")),
            Some(Json::Text(text)) if text.len() > MAX_TEXT => {
                Err(self.error(name, &format!("is longer than {MAX_TEXT} bytes")))
            }
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(name, "a string", other)),
        }
    }

    fn one_of<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, PolicyError> {
        let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
        let place = self.place_in(name, &names)?;
        Ok(place.and_then(|place| choices.get(place)).map(|(_, value)| *value))
    }

    // Apart, so that it is in the module once and not for each type.
    fn place_in(&self, name: &str, names: &[&str]) -> Result<Option<usize>, PolicyError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let place = names.iter().position(|choice| *choice == text);
        place
            .map(Some)
            .ok_or_else(|| self.error(name, &format!("must be one of {}, found `{text}`", names.join(", "))))
    }

    fn duration(&self, name: &str) -> Result<Option<u64>, PolicyError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        duration(text).map(Some).ok_or_else(|| {
            self.error(
                name,
                &format!("must be a duration such as \"500ms\", \"5s\", \"5m\" or \"1h\", found `{text}`"),
            )
        })
    }

    fn count(&self, name: &str, most: u64) -> Result<Option<u64>, PolicyError> {
        match self.members.get(name) {
            None => Ok(None),
            Some(number @ Json::Number(_)) => {
                let count = scalar_text(number).and_then(|text| text.parse().ok());
                let count = count.filter(|count| (1..=most).contains(count));
                count
                    .map(Some)
                    .ok_or_else(|| self.error(name, &format!("must be a whole number from 1 to {most}")))
            }
            Some(other) => Err(self.wrong_type(name, "a number", other)),
        }
    }

    fn status(&self, name: &str) -> Result<Option<u16>, PolicyError> {
        match self.members.get(name) {
            None => Ok(None),
            Some(Json::Number(number)) => {
                let status = (400..=599_u16).find(|status| f64::from(*status) == *number);
                status.map(Some).ok_or_else(|| self.error(name, "must be a status from 400 to 599"))
            }
            Some(other) => Err(self.wrong_type(name, "a number", other)),
        }
    }
}

/// Milliseconds of a text such as `5s`; at most 365 days.
fn duration(text: &str) -> Option<u64> {
    let split = text.find(|symbol: char| !symbol.is_ascii_digit())?;
    let (digits, unit) = text.split_at_checked(split)?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let millis = digits.parse::<u64>().ok()?.checked_mul(factor)?;
    (millis <= 365 * 86_400_000).then_some(millis)
}
