//! Subject Identifiers (RFC 9493): of whom a message speaks.

use portcullis_core::json::Json;

use super::scim::mapping;
use crate::config::Issuer;
use crate::control::{Control, Target};

/// Most identifiers in one of the format `aliases`.
const MAX_ALIASES: usize = 20;

/// Why nobody is known by an identifier.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SubjectError {
    /// Not an object with a format and its members.
    #[error("not a subject identifier: {0}")]
    Malformed(String),
    /// A format that is not understood.
    #[error("the subject format `{0}` is not supported")]
    Format(String),
    /// Another issuer's subject.
    #[error("the subject is of issuer {0}, for which this message may not speak")]
    Issuer(String),
    /// Nobody's, as far as is known here.
    #[error("{0}")]
    Unknown(String),
}

impl SubjectError {
    /// A code for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "subject_malformed",
            Self::Format(_) => "subject_format",
            Self::Issuer(_) => "subject_issuer",
            Self::Unknown(_) => "subject_unknown",
        }
    }
}

/// Who speaks in a message, and of whose tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speaker<'a> {
    /// Who has signed it; as a subject's issuer it stands for the issuer of the tokens.
    pub(super) signer: &'a str,
    /// The issuer of the tokens.
    pub(super) tokens_of: &'a Issuer,
}

impl Speaker<'_> {
    /// That a subject's `iss` is the one or the other.
    ///
    /// # Errors
    /// When it is neither.
    pub(super) fn expect_issuer(&self, iss: &str) -> Result<(), SubjectError> {
        if iss == self.tokens_of.issuer || iss == self.signer {
            return Ok(());
        }
        Err(SubjectError::Issuer(iss.chars().take(200).collect()))
    }
}

/// What an identifier means for an issuer's tokens: what a revocation of it must match. Several, if it is known
/// by several names.
///
/// # Errors
/// When it is none, or nobody is known by it.
pub(super) fn resolve(
    identifier: &Json<'_>,
    speaker: Speaker<'_>,
    control: &Control,
) -> Result<Vec<Target>, SubjectError> {
    match format(identifier)? {
        "aliases" => {
            let Some(Json::List(list)) = identifier.get("identifiers") else {
                return Err(SubjectError::Malformed("aliases without `identifiers`".into()));
            };
            if list.is_empty() || list.len() > MAX_ALIASES {
                return Err(SubjectError::Malformed(format!("aliases has 1 to {MAX_ALIASES} identifiers")));
            }
            aliases(list, speaker, control)
        }
        other => one(other, identifier, speaker, control),
    }
}

/// All names that are understood; an error only if none is.
fn aliases(list: &[Json<'_>], speaker: Speaker<'_>, control: &Control) -> Result<Vec<Target>, SubjectError> {
    let mut targets = Vec::new();
    let mut failed = None;
    for identifier in list {
        // RFC 9493 section 3.2.8: no aliases within aliases.
        let resolved = match format(identifier)? {
            "aliases" => return Err(SubjectError::Malformed("aliases within aliases".into())),
            format => one(format, identifier, speaker, control),
        };
        match resolved {
            Ok(found) => targets.extend(found),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if targets.is_empty() => Err(error),
        _ => Ok(targets),
    }
}

fn one(
    format: &str,
    identifier: &Json<'_>,
    speaker: Speaker<'_>,
    control: &Control,
) -> Result<Vec<Target>, SubjectError> {
    let issuer = speaker.tokens_of;
    match format {
        "iss_sub" => {
            let (iss, sub) = (text(identifier, "iss")?, text(identifier, "sub")?);
            speaker.expect_issuer(iss)?;
            Ok(vec![Target::Subject { issuer: issuer.issuer.clone(), sub: sub.into() }])
        }
        "email" => by_email(text(identifier, "email")?, issuer, control),
        "opaque" => {
            by_claim(issuer.messages.opaque_claim.as_deref(), text(identifier, "id")?, issuer, "opaque_claim")
                .map(|target| vec![target])
        }
        "account" => {
            let uri = text(identifier, "uri")?;
            let account = uri.strip_prefix("acct:").filter(|account| !account.is_empty());
            let account =
                account.ok_or_else(|| SubjectError::Malformed("`uri` is not an acct: URI".into()))?;
            by_claim(issuer.messages.account_claim.as_deref(), account, issuer, "account_claim")
                .map(|target| vec![target])
        }
        other => Err(SubjectError::Format(other.chars().take(64).collect())),
    }
}

/// What an e-mail address means for an issuer's tokens: who has it in the SCIM directory, else whatever has it in
/// the claim that the issuer's tokens have it in.
///
/// # Errors
/// When nobody is known by it.
pub(super) fn by_email(
    address: &str,
    issuer: &Issuer,
    control: &Control,
) -> Result<Vec<Target>, SubjectError> {
    let known = control.users(|users| users.with_address(&issuer.issuer, address));
    let values = known.iter().filter_map(|kept| mapping::value(&kept.user, issuer).ok());
    let targets: Vec<Target> = values.map(|value| mapping::target(&value, issuer)).collect();
    if !targets.is_empty() {
        return Ok(targets);
    }
    let Some(claim) = &issuer.messages.email_claim else {
        let why = "a subject is named by its e-mail address, which no SCIM user of the issuer has, and email_claim of the issuer says no claim that has it";
        return Err(SubjectError::Unknown(why.into()));
    };
    // Tokens have an address as the user has written it, or in small letters: the two are one mailbox everywhere.
    let folded = address.to_lowercase();
    let spellings = std::iter::once(address).chain((folded != address).then_some(folded.as_str()));
    let of = |address: &str| {
        Target::Claims(vec![("iss".into(), issuer.issuer.clone()), (claim.clone(), address.into())])
    };
    Ok(spellings.map(of).collect())
}

/// Whoever is known by a name: by the claim that the issuer's tokens have it in.
fn by_claim(claim: Option<&str>, name: &str, issuer: &Issuer, key: &str) -> Result<Target, SubjectError> {
    match claim {
        Some("sub") => Ok(Target::Subject { issuer: issuer.issuer.clone(), sub: name.into() }),
        Some(claim) => {
            Ok(Target::Claims(vec![("iss".into(), issuer.issuer.clone()), (claim.into(), name.into())]))
        }
        None => Err(SubjectError::Unknown(format!(
            "{key} of the issuer says no claim that has the subject's name"
        ))),
    }
}

fn format<'a>(identifier: &'a Json<'_>) -> Result<&'a str, SubjectError> {
    match identifier {
        Json::Object(_) => text(identifier, "format"),
        other => Err(SubjectError::Malformed(format!("{} instead of an object", other.type_name()))),
    }
}

fn text<'a>(identifier: &'a Json<'_>, name: &str) -> Result<&'a str, SubjectError> {
    let text = identifier.get(name).and_then(Json::as_text).filter(|text| !text.is_empty());
    text.ok_or_else(|| SubjectError::Malformed(format!("`{name}` is missing or not a text")))
}
