//! What is decided about a request, and why.

use crate::claims::TokenKeys;
use crate::field::{Kind, Shape};
use crate::key::Key;
use crate::policy::{Choice, Mode, Policy};
use crate::set::RevocationSet;

/// Why a request is rejected, or would be. The names are the contract's.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Code {
    /// A revocation matches.
    Revoked(Kind),
    /// A token cannot be read or is ambiguous.
    Malformed,
    /// There is no token.
    Missing,
    /// The edge has no set yet.
    NotSynced,
    /// The control plane has been silent for too long.
    Stale,
}

impl Code {
    /// All codes, in the order of [`Code::index`].
    pub const ALL: [Self; 11] = [
        Self::Revoked(Kind::Session),
        Self::Revoked(Kind::Subject),
        Self::Revoked(Kind::Token),
        Self::Revoked(Kind::Client),
        Self::Revoked(Kind::Issuer),
        Self::Revoked(Kind::Key),
        Self::Revoked(Kind::Claims),
        Self::Malformed,
        Self::Missing,
        Self::NotSynced,
        Self::Stale,
    ];

    /// The code's name in replies, metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Revoked(Kind::Session) => "session_revoked",
            Self::Revoked(Kind::Subject) => "subject_revoked",
            Self::Revoked(Kind::Token) => "token_revoked",
            Self::Revoked(Kind::Client) => "client_revoked",
            Self::Revoked(Kind::Issuer) => "issuer_revoked",
            Self::Revoked(Kind::Key) => "key_revoked",
            Self::Revoked(Kind::Claims) => "claims_revoked",
            Self::Malformed => "token_malformed",
            Self::Missing => "token_missing",
            Self::NotSynced => "not_synced",
            Self::Stale => "stale",
        }
    }

    /// Its place in [`Code::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|code| *code == self).unwrap_or_default()
    }

    /// Whether the fault is the edge's and not the token's.
    #[must_use]
    pub const fn is_unavailable(self) -> bool {
        matches!(self, Self::NotSynced | Self::Stale)
    }
}

/// How well the edge knows what is revoked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Freshness {
    /// In touch with the control plane.
    Current,
    /// Silence for longer than the policy's bound.
    Stale,
    /// No set yet.
    NeverSynced,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It passes. A code says what the policy chose to overlook.
    Pass(Option<Code>),
    /// It passes because the mode only observes; enforcing would have rejected it.
    Observe(Code),
    /// It passes with the verdict in a header.
    Mark(Code),
    /// It waits for the set.
    Hold,
    /// It is rejected.
    Reject(Code),
}

/// What the tokens of a request were found to be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Found {
    /// At least one token could be read.
    pub tokens: bool,
    /// At least one could not, or is ambiguous.
    pub malformed: bool,
}

/// The verdict on what does not depend on the set; `None` when the set must be asked.
#[must_use]
pub fn before_the_set(policy: &Policy, found: Found) -> Option<Verdict> {
    let choose = |choice, code| match choice {
        Choice::Allow => Verdict::Pass(Some(code)),
        Choice::Deny => in_mode(policy.mode, code),
    };
    match found {
        // Another, readable token may be revoked all the same; a denial needs no second reason.
        Found { malformed: true, tokens } if !tokens || policy.malformed == Choice::Deny => {
            Some(choose(policy.malformed, Code::Malformed))
        }
        Found { tokens: false, .. } => Some(choose(policy.missing, Code::Missing)),
        Found { tokens: true, .. } => None,
    }
}

/// The verdict on a request whose tokens the set must be asked about. `waited`: it has been held for as long
/// as the policy allows.
#[must_use]
pub fn by_the_set(policy: &Policy, freshness: Freshness, waited: bool, revoked: Option<Kind>) -> Verdict {
    let mode = policy.mode;
    match (freshness, revoked) {
        (Freshness::NeverSynced, _) => match policy.startup.then {
            _ if mode == Mode::Enforce && !waited && policy.startup.hold > 0 => Verdict::Hold,
            Choice::Allow => Verdict::Pass(Some(Code::NotSynced)),
            Choice::Deny => in_mode(mode, Code::NotSynced),
        },
        (_, Some(kind)) => in_mode(mode, Code::Revoked(kind)),
        (Freshness::Stale, None) => match policy.staleness.then {
            Choice::Allow => Verdict::Pass(Some(Code::Stale)),
            Choice::Deny => in_mode(mode, Code::Stale),
        },
        (Freshness::Current, None) => Verdict::Pass(None),
    }
}

fn in_mode(mode: Mode, code: Code) -> Verdict {
    match mode {
        Mode::Enforce => Verdict::Reject(code),
        Mode::Observe => Verdict::Observe(code),
        Mode::Mark => Verdict::Mark(code),
    }
}

/// Whether a token is revoked, and by what: the most specific kind when several match.
#[must_use]
pub fn revoked(set: &RevocationSet, shapes: &[Shape], token: &TokenKeys) -> Option<Kind> {
    against(set, shapes, token).map(|(kind, _)| kind).min()
}

/// The entries of the set that reject a token.
pub fn against(
    set: &RevocationSet,
    shapes: &[Shape],
    token: &TokenKeys,
) -> impl Iterator<Item = (Kind, Key)> {
    token.keys.iter().filter_map(|(key, shape)| {
        let cutoff = set.get(*key)?;
        let shape = shapes.get(*shape)?;
        cutoff.rejects(token.time(shape.cutoff_claim())).then(|| (shape.kind(), *key))
    })
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn policy(rest: &str) -> Policy {
        Policy::parse(format!(r#"{{"control_plane":{{"cluster":"c"}}{rest}}}"#).as_bytes()).unwrap()
    }

    #[track_caller]
    fn check(rest: &str, found: Found, expect: Option<Verdict>) {
        assert_eq!(before_the_set(&policy(rest), found), expect, "{rest}");
    }

    const NONE: Found = Found { tokens: false, malformed: false };
    const GOOD: Found = Found { tokens: true, malformed: false };
    const BAD: Found = Found { tokens: false, malformed: true };
    const BOTH: Found = Found { tokens: true, malformed: true };

    #[test]
    fn missing_and_malformed_are_choices_of_their_own() {
        check("", NONE, Some(Verdict::Pass(Some(Code::Missing))));
        check(r#","missing":"deny""#, NONE, Some(Verdict::Reject(Code::Missing)));
        check("", BAD, Some(Verdict::Reject(Code::Malformed)));
        check("", BOTH, Some(Verdict::Reject(Code::Malformed)));
        check(r#","malformed":"allow""#, BAD, Some(Verdict::Pass(Some(Code::Malformed))));
        check(r#","malformed":"allow""#, BOTH, None);
        check(r#","malformed":"allow","missing":"deny""#, BAD, Some(Verdict::Pass(Some(Code::Malformed))));
        check(r#","mode":"observe""#, BAD, Some(Verdict::Observe(Code::Malformed)));
        check(r#","mode":"mark""#, BAD, Some(Verdict::Mark(Code::Malformed)));
        check("", GOOD, None);
    }

    #[test]
    fn no_data_is_not_not_revoked() {
        let verdict = |rest: &str, freshness, waited| by_the_set(&policy(rest), freshness, waited, None);
        let never = Freshness::NeverSynced;
        assert_eq!(verdict("", never, false), Verdict::Hold);
        assert_eq!(verdict("", never, true), Verdict::Reject(Code::NotSynced));
        let allow = r#","startup":{"then":"allow"}"#;
        assert_eq!(verdict(allow, never, true), Verdict::Pass(Some(Code::NotSynced)));
        assert_eq!(verdict(r#","startup":{"hold":"0s"}"#, never, false), Verdict::Reject(Code::NotSynced));
        assert_eq!(verdict(r#","mode":"observe""#, never, false), Verdict::Observe(Code::NotSynced));
        assert_eq!(verdict("", Freshness::Stale, false), Verdict::Pass(Some(Code::Stale)));
        assert_eq!(
            verdict(r#","staleness":{"then":"deny"}"#, Freshness::Stale, false),
            Verdict::Reject(Code::Stale)
        );
        assert_eq!(verdict("", Freshness::Current, false), Verdict::Pass(None));
    }

    #[test]
    fn a_stale_set_still_rejects() {
        let verdict = by_the_set(&policy(""), Freshness::Stale, false, Some(Kind::Session));
        assert_eq!(verdict, Verdict::Reject(Code::Revoked(Kind::Session)));
    }

    #[test]
    fn the_contract_names_every_code() {
        for (index, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code.index(), index, "{}", code.name());
        }
        for kind in Kind::ALL {
            assert_eq!(Code::Revoked(kind).name(), format!("{}_revoked", kind.name()));
        }
    }
}
