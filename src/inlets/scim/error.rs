//! What SCIM calls wrong (RFC 7644 section 3.12).

use crate::inlets::Cause;

/// Why a request makes no sense.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{detail}")]
pub struct ScimError {
    /// Which kind of wrong it is.
    pub kind: ErrorKind,
    /// Why, in words.
    pub detail: String,
}

/// The kinds, as far as they can occur.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorKind {
    /// A filter that cannot be read, or asks for what is not kept.
    InvalidFilter,
    /// Not the structure that the request should have.
    InvalidSyntax,
    /// A path that cannot be read.
    InvalidPath,
    /// A path that leads to nothing.
    NoTarget,
    /// A value that the attribute cannot have, or must have and has not.
    InvalidValue,
    /// An attribute that cannot be changed like this.
    Mutability,
    /// Another user has it.
    Uniqueness,
}

impl ErrorKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::InvalidFilter,
        Self::InvalidSyntax,
        Self::InvalidPath,
        Self::NoTarget,
        Self::InvalidValue,
        Self::Mutability,
        Self::Uniqueness,
    ];

    /// Its code in the audit trail.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalid_filter",
            Self::InvalidSyntax => "invalid_syntax",
            Self::InvalidPath => "invalid_path",
            Self::NoTarget => "no_target",
            Self::InvalidValue => "invalid_value",
            Self::Mutability => "mutability",
            Self::Uniqueness => "uniqueness",
        }
    }

    /// Its `scimType`.
    #[must_use]
    pub const fn scim_type(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::InvalidValue => "invalidValue",
            Self::Mutability => "mutability",
            Self::Uniqueness => "uniqueness",
        }
    }

    /// An error of this kind.
    pub(super) fn error(self, detail: impl Into<String>) -> ScimError {
        ScimError { kind: self, detail: detail.into() }
    }
}

impl From<ScimError> for Cause {
    fn from(error: ScimError) -> Self {
        Self::rule(error.kind.code(), error.detail)
    }
}
