//! Why a signed message is not believed.

/// Why a JWT is not what its sender says. Protocols give it their own error codes.
#[expect(missing_docs, reason = "the fields are what the message says")]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JwtError {
    /// Not three parts of base64url with JSON objects in the first two.
    #[error("not a signed JWT: {0}")]
    Malformed(&'static str),
    /// Five parts: encrypted.
    #[error("the JWT is encrypted, and no key for it is configured")]
    Encrypted,
    /// `alg` is none.
    #[error("the JWT is not signed: its alg is none")]
    Unsigned,
    /// Another `alg` than is accepted, such as one with a shared secret.
    #[error("the algorithm `{0}` is not accepted for this issuer")]
    Algorithm(String),
    /// `typ` says that it is something else.
    #[error("typ is {}, not {expected}", found.as_ref().map_or("missing".into(), |typ| format!("`{typ}`")))]
    Type { found: Option<String>, expected: &'static str },
    /// `crit` names what is not understood.
    #[error("the header has critical parameters, which are not understood")]
    Critical,
    /// No `iss`.
    #[error("iss is missing")]
    IssuerMissing,
    /// No issuer of the configuration.
    #[error("issuer {0} is not configured")]
    UnknownIssuer(String),
    /// Another issuer than the one that is expected here.
    #[error("iss is not the issuer that is expected here")]
    Issuer,
    /// The issuer's keys have never been fetched.
    #[error("the keys of the issuer cannot be had: {0}")]
    NoKeys(String),
    /// Its key is not known, and the issuer's keys have been fetched too often lately to look again.
    #[error("{0}; its keys were asked for too often in the last minute: send it again")]
    FetchedTooOften(Box<Self>),
    /// None of the issuer's keys has that id.
    #[error("the issuer has no key `{0}`")]
    UnknownKey(String),
    /// No `kid`, and not exactly one key that could be meant.
    #[error("kid is missing, and the issuer has several keys")]
    KeyMissing,
    /// The key is not for that algorithm.
    #[error("key `{0}` is not for this algorithm")]
    KeyUnfit(String),
    /// Somebody else has signed it, or it was changed.
    #[error("the signature is wrong")]
    Signature,
    /// A claim that must be there is not.
    #[error("{0} is missing")]
    ClaimMissing(&'static str),
    /// A claim that must not be there is.
    #[error("{0} must not be there")]
    ClaimForbidden(&'static str),
    /// A claim of another type.
    #[error("{0} is not {1}")]
    ClaimType(&'static str, &'static str),
    /// `aud` names somebody else.
    #[error("aud is none of the configured audiences")]
    Audience,
    /// Nothing that `aud` could be.
    #[error("no audiences are configured for this issuer")]
    NoAudiences,
    /// `exp` is past.
    #[error("it expired {0} s ago")]
    Expired(u64),
    /// `nbf` is ahead.
    #[error("it is not valid for another {0} s")]
    NotYet(u64),
    /// `iat` is ahead.
    #[error("it was issued {0} s in the future: are the clocks right?")]
    IssuedInFuture(u64),
    /// `iat` is too long ago.
    #[error("it was issued {0} s ago, which is too long")]
    TooOld(u64),
}

impl JwtError {
    /// A code for machines: audit trail, metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "jwt_malformed",
            Self::Encrypted => "jwt_encrypted",
            Self::Unsigned => "jwt_unsigned",
            Self::Algorithm(_) => "algorithm_not_accepted",
            Self::Type { .. } => "typ_wrong",
            Self::Critical => "crit_not_understood",
            Self::IssuerMissing => "iss_missing",
            Self::UnknownIssuer(_) => "iss_not_configured",
            Self::Issuer => "iss_wrong",
            Self::NoKeys(_) => "keys_unavailable",
            Self::FetchedTooOften(_) => "keys_asked_too_often",
            Self::UnknownKey(_) => "kid_unknown",
            Self::KeyMissing => "kid_missing",
            Self::KeyUnfit(_) => "key_unfit",
            Self::Signature => "signature_wrong",
            Self::ClaimMissing(_) => "claim_missing",
            Self::ClaimForbidden(_) => "claim_forbidden",
            Self::ClaimType(..) => "claim_type",
            Self::Audience => "aud_wrong",
            Self::NoAudiences => "aud_not_configured",
            Self::Expired(_) => "expired",
            Self::NotYet(_) => "not_yet_valid",
            Self::IssuedInFuture(_) => "issued_in_future",
            Self::TooOld(_) => "too_old",
        }
    }

    /// Whether the signature was good, and a claim is what is wrong.
    #[must_use]
    pub const fn is_of_claims(&self) -> bool {
        matches!(
            self,
            Self::ClaimMissing(_)
                | Self::ClaimForbidden(_)
                | Self::ClaimType(..)
                | Self::Audience
                | Self::Expired(_)
                | Self::NotYet(_)
                | Self::IssuedInFuture(_)
                | Self::TooOld(_)
        )
    }

    /// Whether the same message may well be believed later: a sender should try again.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::NoKeys(_) | Self::FetchedTooOften(_))
    }
}
