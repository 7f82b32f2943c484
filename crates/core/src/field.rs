//! Where in a token a value is looked for, and which such places make up a selector.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::cutoff::CutoffClaim;

/// Longest claim name or path element, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// Deepest claim path.
pub const MAX_PATH_DEPTH: usize = 8;
/// Most fields in one shape.
pub const MAX_FIELDS: usize = 8;

/// A claim name, or the path to a nested claim.
///
/// Written as the plain name, or as a JSON Pointer (RFC 6901) when it starts with `/`. Two spellings of the
/// same path are equal: `/sub` is `sub`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClaimPath {
    names: Vec<String>,
}

/// Why a text is not a [`ClaimPath`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClaimPathError {
    /// No name, or an empty path.
    #[error("claim name is empty")]
    Empty,
    /// A name is over [`MAX_NAME_BYTES`].
    #[error("claim name is longer than {MAX_NAME_BYTES} bytes")]
    TooLong,
    /// More than [`MAX_PATH_DEPTH`] names.
    #[error("claim path has more than {MAX_PATH_DEPTH} levels")]
    TooDeep,
    /// `~` is not followed by 0 or 1.
    #[error("`~` in a JSON Pointer must be written `~0`, and `/` in a name `~1`")]
    Escape,
}

impl ClaimPath {
    /// A path from its names.
    ///
    /// # Errors
    /// When there is none, one is empty or too long, or there are too many.
    pub fn from_names(names: Vec<String>) -> Result<Self, ClaimPathError> {
        if names.is_empty() || names.iter().any(String::is_empty) {
            return Err(ClaimPathError::Empty);
        }
        if names.len() > MAX_PATH_DEPTH {
            return Err(ClaimPathError::TooDeep);
        }
        if names.iter().any(|name| name.len() > MAX_NAME_BYTES) {
            return Err(ClaimPathError::TooLong);
        }
        Ok(Self { names })
    }

    /// The names from the outermost object inwards.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A top-level claim whose name is known to be valid.
    pub(crate) fn top(name: &'static str) -> Self {
        Self { names: vec![name.to_string()] }
    }
}

impl core::str::FromStr for ClaimPath {
    type Err = ClaimPathError;

    fn from_str(text: &str) -> Result<Self, ClaimPathError> {
        let Some(pointer) = text.strip_prefix('/') else {
            return Self::from_names(vec![text.to_string()]);
        };
        let names: Result<Vec<String>, ClaimPathError> = pointer.split('/').map(unescape).collect();
        Self::from_names(names?)
    }
}

fn unescape(name: &str) -> Result<String, ClaimPathError> {
    let mut plain = String::with_capacity(name.len());
    let mut rest = name.chars();
    while let Some(next) = rest.next() {
        plain.push(match (next, next == '~') {
            (other, false) => other,
            (_, true) => match rest.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err(ClaimPathError::Escape),
            },
        });
    }
    Ok(plain)
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.names.as_slice()
            && !only.starts_with('/')
        {
            return out.write_str(only);
        }
        self.names.iter().try_for_each(|name| write!(out, "/{}", name.replace('~', "~0").replace('/', "~1")))
    }
}

/// Where in a token a value is looked for.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Field {
    /// A claim of the payload. An array yields each of its scalars.
    Claim(ClaimPath),
    /// The application: `client_id` (RFC 9068) and `azp` (OpenID Connect Core), whichever are there.
    Client,
    /// `kid` of the token's header.
    KeyId,
    /// The SHA-256 of the raw token, in lower-case hexadecimal.
    TokenSha256,
}

impl Field {
    /// The top-level claim of that name.
    pub(crate) fn claim(name: &'static str) -> Self {
        Self::Claim(ClaimPath::top(name))
    }

    /// Whether this is the top-level claim of that name.
    pub(crate) fn is_claim(&self, name: &str) -> bool {
        matches!(self, Self::Claim(path) if path.names() == [name])
    }
}

impl fmt::Display for Field {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(path) => path.fmt(out),
            Self::Client => out.write_str("client_id"),
            Self::KeyId => out.write_str("header kid"),
            Self::TokenSha256 => out.write_str("token SHA-256"),
        }
    }
}

/// What a revocation stops; follows from the fields of its shape.
///
/// In the order in which one is named as the reason when several match.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// One token.
    Token,
    /// One login session.
    Session,
    /// Everything a user holds.
    Subject,
    /// An application's tokens.
    Client,
    /// Everything signed with one key.
    Key,
    /// Everything that an issuer has issued.
    Issuer,
    /// Any other set of claims.
    Claims,
}

impl Kind {
    /// All kinds, in the design's order.
    pub const ALL: [Self; 7] =
        [Self::Session, Self::Subject, Self::Token, Self::Client, Self::Issuer, Self::Key, Self::Claims];

    /// The kind's name in the API, on the command line and in headers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Subject => "subject",
            Self::Client => "client",
            Self::Key => "key",
            Self::Issuer => "issuer",
            Self::Claims => "claims",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The fields of a selector, without the values, and the claim that its cut-off is compared with.
///
/// A request is looked up once per shape whose fields its token has, so the number of shapes in use, not the
/// number of revocations, is what a request costs.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Shape {
    fields: Vec<Field>,
    cutoff_claim: CutoffClaim,
}

impl Shape {
    /// A shape from its fields in ascending order; `None` when they are not, there is none, more than
    /// [`MAX_FIELDS`], or one twice.
    #[must_use]
    pub fn new(fields: Vec<Field>, cutoff_claim: CutoffClaim) -> Option<Self> {
        let ascending = fields.array_windows().all(|[one, next]| one < next);
        (ascending && (1..=MAX_FIELDS).contains(&fields.len())).then_some(Self { fields, cutoff_claim })
    }

    /// The fields, sorted.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The claim that a cut-off of this shape is compared with.
    #[must_use]
    pub fn cutoff_claim(&self) -> CutoffClaim {
        self.cutoff_claim
    }

    /// The everyday name of what this shape selects.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.fields.as_slice() {
            [Field::TokenSha256] => Kind::Token,
            [issuer] if issuer.is_claim("iss") => Kind::Issuer,
            [issuer, Field::Client] if issuer.is_claim("iss") => Kind::Client,
            [issuer, Field::KeyId] if issuer.is_claim("iss") => Kind::Key,
            [issuer, other] if issuer.is_claim("iss") && other.is_claim("sid") => Kind::Session,
            [issuer, other] if issuer.is_claim("iss") && other.is_claim("sub") => Kind::Subject,
            [issuer, other] if issuer.is_claim("iss") && other.is_claim("jti") => Kind::Token,
            _ => Kind::Claims,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, ClaimPathError>) {
        let seen = text.parse::<ClaimPath>().map(|path| path.to_string());
        assert_eq!(seen.as_deref().map_err(|error| *error), expect, "{text}");
    }

    #[test]
    fn claim_paths_have_one_spelling() {
        check("sub", Ok("sub"));
        check("/sub", Ok("sub"));
        check("/realm_access/roles", Ok("/realm_access/roles"));
        check("https://example.com/tenant", Ok("https://example.com/tenant"));
        check("/a~1b", Ok("a/b"));
        check("/~1b", Ok("/~1b"));
        check("/a~0/b", Ok("/a~0/b"));
        check("", Err(ClaimPathError::Empty));
        check("/", Err(ClaimPathError::Empty));
        check("/a//b", Err(ClaimPathError::Empty));
        check("/a~2", Err(ClaimPathError::Escape));
        check("/a/b/c/d/e/f/g/h/i", Err(ClaimPathError::TooDeep));
        check(&"x".repeat(257), Err(ClaimPathError::TooLong));
    }

    #[test]
    fn the_kind_follows_from_the_fields() {
        let shape = |fields| Shape::new(fields, CutoffClaim::Iat).unwrap().kind();
        assert_eq!(shape(vec![Field::claim("iss"), Field::claim("sid")]), Kind::Session);
        assert_eq!(shape(vec![Field::claim("iss"), Field::claim("sub")]), Kind::Subject);
        assert_eq!(shape(vec![Field::claim("iss"), Field::claim("jti")]), Kind::Token);
        assert_eq!(shape(vec![Field::TokenSha256]), Kind::Token);
        assert_eq!(shape(vec![Field::claim("iss"), Field::Client]), Kind::Client);
        assert_eq!(shape(vec![Field::claim("iss"), Field::KeyId]), Kind::Key);
        assert_eq!(shape(vec![Field::claim("iss")]), Kind::Issuer);
        assert_eq!(shape(vec![Field::claim("iss"), Field::claim("tenant")]), Kind::Claims);
        assert_eq!(shape(vec![Field::claim("sub")]), Kind::Claims);
    }

    #[test]
    fn a_field_stands_once_in_a_shape_and_in_its_place() {
        let fields = vec![Field::claim("sub"), Field::claim("iss")];
        assert_eq!(Shape::new(fields, CutoffClaim::Iat), None);
        assert_eq!(Shape::new(vec![Field::KeyId, Field::KeyId], CutoffClaim::Iat), None);
        assert_eq!(Shape::new(vec![], CutoffClaim::Iat), None);
    }
}
