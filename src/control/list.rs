//! Lists of revocations.

use std::time::Duration;

use portcullis_core::{CutoffClaim, Field, Key, Kind, Selector, Version};

use tokio::time::Instant;

use super::error::ControlError;
use super::request::{Filter, Page, PageRequest, StatusFilter};
use super::revocation::{Revocation, value_of};
use super::{Control, require};
use crate::auth::{Caller, Scope};
use crate::log::Search;

/// Most items of a page.
const MAX_LIMIT: usize = 1_000;
/// Revocations that are looked at in one step.
const STEP: usize = 256;
/// A call looks for so long at most: a rare filter in a long log costs more calls, and none of them takes long.
const MAX_TIME: Duration = Duration::from_secs(2);

/// Where candidates come from, by what the filter says.
enum Source {
    /// A filter that names one selector.
    Keys(Vec<Key>),
    /// The live revocations, from the ledger.
    Live,
    /// All, from the log.
    Log,
}

impl Control {
    /// Revocations, newest first. Needs the scope `read`; a limited key sees those of its issuers.
    ///
    /// # Errors
    /// By caller and log.
    pub async fn list(
        &self,
        filter: &Filter,
        page: PageRequest,
        caller: &Caller,
    ) -> Result<Page<Revocation>, ControlError> {
        require(caller, Scope::Read)?;
        let limit = page.limit.clamp(1, MAX_LIMIT);
        let source = self.source(filter);
        let mut before = page.cursor.unwrap_or(Version::MAX);
        let mut items = Vec::new();
        let start = Instant::now();
        loop {
            let search = match &source {
                Source::Keys(keys) => Search::Keys { keys: keys.clone(), before, limit: STEP },
                Source::Log => Search::Before { version: before, limit: STEP },
                Source::Live => {
                    let live = self.inner.store.read(|state| {
                        state.ledger().before(before).map(|(version, _)| version).take(STEP).collect()
                    });
                    // What is not there any more when it is read was compacted, and is at the end anyway.
                    Search::Versions(live)
                }
            };
            let lowest = match &search {
                Search::Versions(versions) => versions.last().copied(),
                _ => None,
            };
            let asked = match &search {
                Search::Versions(versions) => versions.len(),
                _ => STEP,
            };
            let found = self.stories(search).await?;
            let more = asked == STEP && (lowest.is_some() || found.len() == STEP);
            for (revocation, _) in found {
                before = revocation.version();
                if matches(&revocation, filter) && caller.principal.may_act_on(revocation.issuer()) {
                    items.push(revocation);
                    if items.len() == limit {
                        return Ok(Page { items, next: Some(before) });
                    }
                }
            }
            before = lowest.unwrap_or(before);
            if !more {
                return Ok(Page { items, next: None });
            }
            if start.elapsed() >= MAX_TIME {
                return Ok(Page { items, next: Some(before) });
            }
        }
    }

    fn source(&self, filter: &Filter) -> Source {
        let selectors: Vec<Selector> = [CutoffClaim::Iat, CutoffClaim::AuthTime]
            .into_iter()
            .filter_map(|claim| exact(filter, claim))
            .collect();
        if !selectors.is_empty() {
            let hash_key = &self.inner.store.log().identity().hash_key;
            return Source::Keys(selectors.iter().map(|selector| selector.hash(hash_key)).collect());
        }
        match filter.status {
            StatusFilter::Active => Source::Live,
            StatusFilter::Ended | StatusFilter::All => Source::Log,
        }
    }
}

/// The one selector that a filter leaves, if it does.
fn exact(filter: &Filter, claim: CutoffClaim) -> Option<Selector> {
    let kind = filter.kind?;
    let value = filter.value.as_deref();
    if kind == Kind::Token
        && let Some(hex) = value.and_then(|value| value.strip_prefix("sha256:"))
    {
        return Selector::new(vec![(Field::TokenSha256, hex.to_ascii_lowercase())], claim).ok();
    }
    let named = |name: &str| name.parse().ok().map(Field::Claim);
    let field = match kind {
        Kind::Session => named("sid")?,
        Kind::Subject => named("sub")?,
        Kind::Token => named("jti")?,
        Kind::Client => Field::Client,
        Kind::Key => Field::KeyId,
        Kind::Issuer | Kind::Claims => return None,
    };
    let issuer = (named("iss")?, filter.issuer.clone()?);
    Selector::new(vec![issuer, (field, value?.into())], claim).ok()
}

fn matches(revocation: &Revocation, filter: &Filter) -> bool {
    let status = match filter.status {
        StatusFilter::Active => revocation.status.in_force(),
        StatusFilter::Ended => !revocation.status.in_force(),
        StatusFilter::All => true,
    };
    let value = || value_of(&revocation.selector);
    status
        && filter.kind.is_none_or(|kind| revocation.kind() == kind)
        && filter.issuer.as_deref().is_none_or(|issuer| revocation.issuer() == Some(issuer))
        && filter.value.as_deref().is_none_or(|wanted| value().is_some_and(|value| same(&value, wanted)))
}

// Hexadecimal digits are the same in either case; all other values are compared as they are.
fn same(value: &str, wanted: &str) -> bool {
    value == wanted || (value.starts_with("sha256:") && value.eq_ignore_ascii_case(wanted))
}
