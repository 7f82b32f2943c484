//! Of whom a security event speaks (Shared Signals 1.0, section 3).

use std::collections::BTreeSet;

use portcullis_core::json::{Json, Members};

use super::super::Cause;
use super::super::subject::{self, Speaker, SubjectError};
use crate::control::{Control, Target};

/// All members of a complex subject.
const MEMBERS: [&str; 7] = ["user", "device", "session", "application", "tenant", "org_unit", "group"];

/// What an event is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum About {
    /// One session.
    Session(Target),
    /// One token.
    Token(Target),
    /// Somebody, by all names that are known.
    Holder(Vec<Target>),
}

/// How a transmitter names subjects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Naming<'a> {
    /// The transmitter, and the issuer of the tokens.
    pub(super) speaker: Speaker<'a>,
    /// Knows users by their e-mail addresses.
    pub(super) control: &'a Control,
    /// Members of complex subjects that must be processed; `None` while that is not known.
    pub(super) critical: Option<&'a BTreeSet<String>>,
    /// Whether a subject without `format` may be understood by other signs.
    pub(super) untyped: bool,
}

/// What a subject means. A session is only looked for where the event can be about one.
pub(super) fn resolve(subject: &Json<'_>, naming: &Naming<'_>, of_session: bool) -> Result<About, Cause> {
    let subject = if naming.untyped { &typed(subject) } else { subject };
    match subject.get("format").and_then(Json::as_text) {
        Some("complex") => complex(subject, naming, of_session),
        Some("jwt_id") => {
            let jti = text(subject, "jti")?.to_owned();
            naming.speaker.expect_issuer(text(subject, "iss")?)?;
            Ok(About::Token(Target::Token { issuer: naming.speaker.tokens_of.issuer.clone(), jti }))
        }
        _ => Ok(About::Holder(subject::resolve(subject, naming.speaker, naming.control)?)),
    }
}

fn complex(subject: &Json<'_>, naming: &Naming<'_>, of_session: bool) -> Result<About, Cause> {
    let Json::Object(members) = subject else { return Err(malformed("a complex subject is an object")) };
    // The others only narrow the subject, and are passed over; so is a session where no event can be about one.
    let is_processed = |name: &str| name == "format" || name == "user" || (name == "session" && of_session);
    let mut unprocessed = members.names().filter(|name| !is_processed(name));
    let Some(critical) = naming.critical else {
        // Not asked for now: whoever pushes would decide how often the transmitter is called. It is asked from the
        // start on and until it answers, and RFC 8935 has transmitters send again what is answered 503.
        return match unprocessed.next() {
            Some(name) => {
                let detail = format!("whether the subject's member `{name}` is critical is not known yet");
                Err(Cause::later("critical_unknown", detail))
            }
            None => about_member(members, naming, of_session),
        };
    };
    if let Some(name) = unprocessed.find(|name| critical.contains(*name)) {
        let detail = format!("the subject's member `{name}` is critical, and not understood here");
        return Err(Cause::rule("subject_critical", detail));
    }
    about_member(members, naming, of_session)
}

/// The session or the user that a complex subject names.
fn about_member(members: &Members<'_>, naming: &Naming<'_>, of_session: bool) -> Result<About, Cause> {
    let issuer = naming.speaker.tokens_of;
    match (members.get("session").filter(|_| of_session), members.get("user")) {
        (Some(session), _) => match session.get("format").and_then(Json::as_text) {
            Some("opaque") => {
                let sid = text(session, "id")?.to_owned();
                Ok(About::Session(Target::Session { issuer: issuer.issuer.clone(), sid }))
            }
            Some(other) => Err(SubjectError::Format(other.chars().take(64).collect()).into()),
            None => Err(malformed("`format` of the session is missing or not a text")),
        },
        (None, Some(user)) => Ok(About::Holder(subject::resolve(user, naming.speaker, naming.control)?)),
        (None, None) => {
            let why = "the complex subject names neither a user nor, where the event is about one, a session";
            Err(SubjectError::Unknown(why.into()).into())
        }
    }
}

/// The subject with `format` where it can be told.
fn typed<'a>(subject: &Json<'a>) -> Json<'a> {
    match subject {
        Json::List(list) => Json::List(list.iter().map(typed).collect()),
        Json::Object(members) => {
            let is_old = members.get("format").is_none();
            let kept = members.iter().filter(|(name, _)| !is_old || *name != "subject_type");
            let mut new: Members<'_> =
                kept.map(|(name, value)| (name.to_owned().into(), typed(value))).collect();
            if is_old {
                let is_complex =
                    MEMBERS.iter().any(|name| matches!(members.get(name), Some(Json::Object(_))));
                let format = match members.get("subject_type") {
                    Some(Json::Text(typ)) => Some(typ.replace('-', "_")),
                    _ if is_complex => Some("complex".into()),
                    _ => None,
                };
                if let Some(format) = format {
                    new.insert_if_absent("format", Json::Text(format.into()));
                }
            }
            Json::Object(new)
        }
        other => other.clone(),
    }
}

fn text<'a>(identifier: &'a Json<'_>, name: &str) -> Result<&'a str, Cause> {
    let text = identifier.get(name).and_then(Json::as_text).filter(|text| !text.is_empty());
    text.ok_or_else(|| malformed(&format!("`{name}` is missing or not a text")))
}

fn malformed(why: &str) -> Cause {
    SubjectError::Malformed(why.into()).into()
}
