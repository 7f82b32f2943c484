//! A revocation as callers see it, and the id by which they name it.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use portcullis_core::{Cutoff, Kind, Selector, UnixSeconds, Version};
use sha2::{Digest as _, Sha256};

use crate::auth::{Actor, base32_digit};
use crate::clock::UnixMillis;

/// Names a revocation: the version of its event, and a check of what is in it.
///
/// Written `r<version>-<check>`. The check makes a mistyped id an error, never another revocation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RevocationId {
    version: Version,
    check: u32,
}

/// A text is not a [`RevocationId`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an id looks like r17-x4kd")]
pub struct BadId;

const CHECK_DIGITS: usize = 4;

impl RevocationId {
    /// The id of the revocation whose event has that version and those bytes.
    #[must_use]
    pub fn of(version: Version, payload: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(version.to_be_bytes()).chain_update(payload).finalize();
        let check = digest.iter().take(3).fold(0, |check, byte| check << 8 | u32::from(*byte)) >> 4;
        Self { version, check }
    }

    /// The version of its event.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }
}

impl fmt::Display for RevocationId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "r{}-", self.version)?;
        // 20 bits: four digits of five.
        [15, 10, 5, 0].iter().try_for_each(|shift| out.write_char(base32_digit(self.check >> shift)))
    }
}

impl FromStr for RevocationId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let (version, check) = text.strip_prefix('r').and_then(|rest| rest.split_once('-')).ok_or(BadId)?;
        if version.starts_with('0') || !version.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadId);
        }
        let version = version.parse().map_err(|_| BadId)?;
        if check.len() != CHECK_DIGITS {
            return Err(BadId);
        }
        let check =
            check.chars().try_fold(0, |check, digit| Some(check << 5 | digit_value(digit)?)).ok_or(BadId)?;
        Ok(Self { version, check })
    }
}

// As Crockford has it: what people confuse is read as what was meant.
fn digit_value(digit: char) -> Option<u32> {
    let digit = match digit.to_ascii_lowercase() {
        'o' => '0',
        'i' | 'l' => '1',
        other => other,
    };
    "0123456789abcdefghjkmnpqrstvwxyz".find(digit).and_then(|value| u32::try_from(value).ok())
}

/// Whether a revocation is in force.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// In force.
    Active,
    /// Its last token has expired, or the time that was asked for has come.
    Expired,
    /// In force for tokens issued before it was reinstated.
    Reinstated,
    /// Taken back as a mistake.
    Undone,
}

impl Status {
    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Reinstated => "reinstated",
            Self::Undone => "undone",
        }
    }

    /// Whether edges still reject tokens because of it.
    #[must_use]
    pub const fn in_force(self) -> bool {
        matches!(self, Self::Active | Self::Reinstated)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// A revocation, with what has become of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revocation {
    /// Its name.
    pub id: RevocationId,
    /// What it matches.
    pub selector: Selector,
    /// The tokens that it rejects: as it was made, or as reinstating has left it.
    pub cutoff: Cutoff,
    /// When it ends or has ended by itself; `None`: not before it is reinstated or undone.
    pub expires_at: Option<UnixSeconds>,
    /// It was made without an end.
    pub until_reinstated: bool,
    /// Whether it is in force.
    pub status: Status,
    /// Why it was made; may be empty.
    pub reason: String,
    /// When it was accepted.
    pub created_at_ms: UnixMillis,
    /// Who asked for it.
    pub created_by: Actor,
    /// When tokens issued from then on were accepted again.
    pub reinstated_at_ms: Option<UnixMillis>,
    /// When it was undone or expired.
    pub ended_at_ms: Option<UnixMillis>,
}

impl Revocation {
    /// The version of its event.
    #[must_use]
    pub fn version(&self) -> Version {
        self.id.version()
    }

    /// What it stops.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.selector.kind()
    }

    /// The issuer that it names.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.selector.claim("iss")
    }

    /// The value of what its kind names: `sid`, `sub`, `jti` or `sha256:<hex>`, the client, `kid`. `None` for
    /// an issuer and for claims.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        value_of(&self.selector)
    }
}

/// See [`Revocation::value`].
pub(crate) fn value_of(selector: &Selector) -> Option<String> {
    use portcullis_core::Field;
    if matches!(selector.kind(), Kind::Issuer | Kind::Claims) {
        return None;
    }
    let (field, value) = selector.requirements().find(|(field, _)| field.to_string() != "iss")?;
    Some(if *field == Field::TokenSha256 { format!("sha256:{value}") } else { value.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        for version in [1, 17, u64::MAX] {
            let id = RevocationId::of(version, b"payload");
            assert_eq!(id.to_string().parse(), Ok(id), "{id}");
            assert_eq!(id.to_string().to_uppercase().replacen('R', "r", 1).parse(), Ok(id));
        }
    }

    #[test]
    fn the_id_is_pinned() {
        // Ids are in other people's tickets: this text may never change.
        assert_eq!(RevocationId::of(17, b"payload").to_string(), "r17-64cc");
    }

    #[test]
    fn another_text_is_not_an_id() {
        for text in
            ["", "r", "17-x4kd", "r17", "r17-", "r17-x4k", "r17-x4kdd", "r017-x4kd", "r+1-x4kd", "r1-x4k!"]
        {
            assert_eq!(text.parse::<RevocationId>(), Err(BadId), "{text}");
        }
    }

    #[test]
    fn the_value_is_what_the_kind_names() {
        let check = |selector: Selector, expect: Option<&str>| {
            assert_eq!(value_of(&selector).as_deref(), expect);
        };
        check(Selector::session("https://i", "s").unwrap(), Some("s"));
        check(Selector::client("https://i", "c", Default::default()).unwrap(), Some("c"));
        check(Selector::key("https://i", "k").unwrap(), Some("k"));
        check(Selector::raw_token("00ff").unwrap(), Some("sha256:00ff"));
        check(Selector::issuer("https://i", Default::default()).unwrap(), None);
    }
}
