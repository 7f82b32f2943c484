//! What a revocation stops, by which claim, and what has become of it.

use serde::{Deserialize, Serialize};

/// What a revocation stops.
#[derive(
    Clone,
    Copy,
    Debug,
    Deserialize,
    Eq,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
    clap::ValueEnum,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One login session, by its `sid`
    Session,
    /// Everything that a user holds, by `sub`
    Subject,
    /// One token, by its `jti`, or by itself
    Token,
    /// An application's tokens, by `client_id` or `azp`
    Client,
    /// Everything that an issuer has issued
    Issuer,
    /// Everything signed with one key, by its `kid`
    Key,
    /// An AND of any claims
    Claims,
}

impl Kind {
    /// Its name in the API and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.core().name()
    }

    /// The same in the core.
    #[must_use]
    pub const fn core(self) -> portcullis_core::Kind {
        use portcullis_core::Kind;
        match self {
            Self::Session => Kind::Session,
            Self::Subject => Kind::Subject,
            Self::Token => Kind::Token,
            Self::Client => Kind::Client,
            Self::Issuer => Kind::Issuer,
            Self::Key => Kind::Key,
            Self::Claims => Kind::Claims,
        }
    }
}

impl From<portcullis_core::Kind> for Kind {
    fn from(kind: portcullis_core::Kind) -> Self {
        use portcullis_core::Kind;
        match kind {
            Kind::Session => Self::Session,
            Kind::Subject => Self::Subject,
            Kind::Token => Self::Token,
            Kind::Client => Self::Client,
            Kind::Issuer => Self::Issuer,
            Kind::Key => Self::Key,
            Kind::Claims => Self::Claims,
        }
    }
}

/// The claim of a token that a cut-off is compared with.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CutoffClaim {
    /// When the token was issued.
    #[default]
    Iat,
    /// When the user last authenticated; a refreshed token keeps it.
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

/// What has become of a revocation.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In force as it was asked for.
    Active,
    /// Tokens issued since are accepted; older ones stay rejected.
    Reinstated,
    /// Taken back as a mistake: no longer in force.
    Undone,
    /// Every token that it could match has expired: no longer in force.
    Expired,
}

impl Status {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Reinstated => "reinstated",
            Self::Undone => "undone",
            Self::Expired => "expired",
        }
    }
}
