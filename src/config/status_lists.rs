//! `[[status_lists]]`: lists in which an issuer says which of its tokens are not valid any more.

use std::num::NonZeroUsize;
use std::time::Duration;

use portcullis_core::selector::MAX_VALUE_BYTES;
use serde::Deserialize;
use toml::Spanned;

use super::file::{Source, positive};
use super::{ConfigError, Issuers};

/// Between two questions.
const POLL_INTERVAL: Duration = Duration::from_secs(60);
/// Most entries that are not valid.
const MAX_REVOKED: usize = 10_000;

/// One `[[status_lists]]` entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatusList {
    /// Where it is, and what tokens have in `status.status_list.uri`.
    pub uri: String,
    /// The configured issuer that signs it, and whose tokens are in it.
    pub issuer: String,
    /// Between two questions; a shorter `ttl` of the list holds.
    pub interval: Duration,
    /// Most entries that may be invalid or suspended; a list with more is refused.
    pub max_revoked: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusListEntry {
    uri: Spanned<String>,
    issuer: Spanned<String>,
    poll_interval: Option<Spanned<String>>,
    max_revoked: Option<NonZeroUsize>,
}

impl StatusListEntry {
    /// The list, after those before it.
    pub(super) fn read(
        self,
        source: &Source<'_>,
        issuers: &Issuers,
        before: &[StatusList],
    ) -> Result<StatusList, ConfigError> {
        if before.iter().any(|other| other.uri == *self.uri.get_ref()) {
            return Err(source.wrong("status_lists.uri", &self.uri, "this list is configured twice"));
        }
        let (mut uri, mut issuer, mut interval) = (String::new(), String::new(), POLL_INTERVAL);
        source.set(&mut uri, "status_lists.uri", Some(self.uri), |text| {
            let fits = text.len() <= MAX_VALUE_BYTES && !text.chars().any(char::is_control);
            let known = text.starts_with("https://") || text.starts_with("http://");
            if fits && known { Ok(text.to_owned()) } else { Err("not an https URL of at most 2048 bytes") }
        })?;
        source.set(&mut issuer, "status_lists.issuer", Some(self.issuer), |text| issuers.named(text))?;
        source.set(&mut interval, "status_lists.poll_interval", self.poll_interval, positive)?;
        let max_revoked = self.max_revoked.map_or(MAX_REVOKED, NonZeroUsize::get);
        Ok(StatusList { uri, issuer, interval, max_revoked })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::file::parse;

    const ISSUER: &str = "[[issuers]]\nissuer = \"https://idp.example\"\n";
    const URI: &str = "uri = \"https://idp.example/lists/1\"\n";

    fn read(lines: &str) -> Result<Vec<StatusList>, String> {
        let config = parse(&format!("{ISSUER}[[status_lists]]\n{lines}"), Path::new("x"));
        config.map(|config| config.status_lists).map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_has_defaults() {
        let list = read(&format!("{URI}issuer = \"https://idp.example\"")).unwrap().remove(0);
        assert_eq!((list.interval, list.max_revoked), (POLL_INTERVAL, MAX_REVOKED));
        assert_eq!(list.uri, "https://idp.example/lists/1");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |lines: &str, expect: &str| {
            let error = read(lines).unwrap_err();
            assert!(error.contains(expect), "{lines}: {error}");
        };
        let issuer = "issuer = \"https://idp.example\"\n";
        check(issuer, "uri");
        check(URI, "issuer");
        check(&format!("{URI}issuer = \"https://other.example\""), "not an issuer of [[issuers]]");
        check(&format!("uri = \"urn:list\"\n{issuer}"), "not an https URL");
        check(&format!("uri = \"https://{}\"\n{issuer}", "x".repeat(2_048)), "at most 2048 bytes");
        check(&format!("{URI}{issuer}poll_interval = \"0s\""), "must not be zero");
        check(&format!("{URI}{issuer}max_revoked = 0"), "max_revoked");
        check(&format!("{URI}{issuer}[[status_lists]]\n{URI}{issuer}"), "configured twice");
    }
}
