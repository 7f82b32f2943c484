//! Cut-offs: which tokens that carry a revoked value are rejected.

use crate::UnixSeconds;

/// Last second that counts as a usable time: the end of the year 9999. A larger one is not in seconds.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Which tokens an entry of the set rejects. The greater one is the stricter one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Cutoff {
    /// Tokens issued at or before that second, and tokens that do not say when they were issued.
    At(UnixSeconds),
    /// Every token.
    Always,
}

/// The claim that says when, for the comparison with a cut-off.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum CutoffClaim {
    /// `iat`: when the token was issued (RFC 7519 section 4.1.6).
    #[default]
    Iat,
    /// `auth_time`: when the user last authenticated (OpenID Connect Core section 2). A refreshed token keeps
    /// it, so a cut-off stops refreshed tokens as well.
    AuthTime,
}

impl CutoffClaim {
    /// The claim's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Iat => "iat",
            Self::AuthTime => "auth_time",
        }
    }
}

/// When a token was issued, as far as it says: a NumericDate (RFC 7519 section 2).
///
/// Only a number of seconds from 0 to the end of the year 9999 is usable. Anything else (absent, a string,
/// negative, milliseconds) is `UNKNOWN`, which every cut-off rejects.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct IssuedAt(Option<f64>);

impl IssuedAt {
    /// The token does not say, or says something that is no time.
    pub const UNKNOWN: Self = Self(None);

    /// From the claim's number.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Self {
        Self((0.0..=LAST_SECOND).contains(&seconds).then_some(seconds))
    }
}

impl Cutoff {
    /// The cut-off for revoking at that instant: rounded up to the second, because tokens carry whole
    /// seconds, plus the issuer's clock skew.
    #[must_use]
    pub fn from_millis(unix_millis: u64, clock_skew_millis: u64) -> Self {
        Self::At(unix_millis.saturating_add(clock_skew_millis).div_ceil(1000))
    }

    /// Whether a token issued then is rejected.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "usable seconds are far below 2^53, and larger cut-offs stay larger"
    )]
    pub fn rejects(self, issued: IssuedAt) -> bool {
        match (self, issued.0) {
            (Self::Always, _) | (Self::At(_), None) => true,
            (Self::At(cutoff), Some(issued)) => issued <= cutoff as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cutoff: Cutoff, issued: IssuedAt, expect: bool) {
        assert_eq!(cutoff.rejects(issued), expect, "{cutoff:?} against {issued:?}");
    }

    #[test]
    fn a_token_of_the_same_second_is_rejected() {
        let cutoff = Cutoff::from_millis(1_700_000_000_001, 0);
        assert_eq!(cutoff, Cutoff::At(1_700_000_001));
        check(cutoff, IssuedAt::from_seconds(1_700_000_000.0), true);
        check(cutoff, IssuedAt::from_seconds(1_700_000_001.0), true);
        check(cutoff, IssuedAt::from_seconds(1_700_000_001.5), false);
        check(cutoff, IssuedAt::from_seconds(1_700_000_002.0), false);
    }

    #[test]
    fn a_whole_second_is_not_rounded_and_skew_is_added() {
        assert_eq!(Cutoff::from_millis(1_700_000_000_000, 0), Cutoff::At(1_700_000_000));
        assert_eq!(Cutoff::from_millis(1_700_000_000_000, 1_000), Cutoff::At(1_700_000_001));
        assert_eq!(Cutoff::from_millis(1_700_000_000_000, 1), Cutoff::At(1_700_000_001));
    }

    #[test]
    fn a_token_without_a_usable_time_is_rejected() {
        for seconds in [-1.0, f64::NAN, f64::INFINITY, 1_700_000_000_000.0, 1e300] {
            check(Cutoff::At(1), IssuedAt::from_seconds(seconds), true);
        }
        check(Cutoff::At(0), IssuedAt::UNKNOWN, true);
        check(Cutoff::Always, IssuedAt::from_seconds(1e9), true);
    }

    #[test]
    fn the_stricter_cutoff_is_the_greater() {
        assert!(Cutoff::Always > Cutoff::At(u64::MAX));
        assert!(Cutoff::At(2) > Cutoff::At(1));
    }
}
