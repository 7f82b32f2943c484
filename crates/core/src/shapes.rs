//! The shapes in use, and what is read of a token for them.

use alloc::vec;
use alloc::vec::Vec;

use crate::cutoff::CutoffClaim;
use crate::field::{ClaimPath, Field, Shape};

/// Shapes in their order, and which fields and claims they need, each once: worked out when they change, because
/// tokens come more often.
#[derive(Clone, Debug)]
pub struct Shapes {
    shapes: Vec<Shape>,
    // Of each shape, where its fields are among those.
    columns: Vec<Vec<usize>>,
    fields: Vec<Field>,
    paths: Vec<ClaimPath>,
    // Of each field, where the claims that may have it are among the paths.
    sources: Vec<Vec<usize>>,
}

/// Where `iat` is among the paths; before it is `iss`. Together they tell that there is a token at all.
const IAT: usize = 1;

impl Shapes {
    /// These shapes.
    #[must_use]
    pub fn new(shapes: Vec<Shape>) -> Self {
        let mut this = Self {
            shapes: Vec::new(),
            columns: Vec::new(),
            fields: Vec::new(),
            paths: vec![ClaimPath::top("iss"), ClaimPath::top(CutoffClaim::Iat.name())],
            sources: Vec::new(),
        };
        this.extend(shapes);
        this
    }

    /// Adds shapes after those that there are.
    pub fn extend(&mut self, shapes: Vec<Shape>) {
        for shape in shapes {
            if shape.cutoff_claim() == CutoffClaim::AuthTime {
                place(&mut self.paths, &ClaimPath::top(CutoffClaim::AuthTime.name()));
            }
            let column = |field: &Field| {
                let at = place(&mut self.fields, field);
                if at == self.sources.len() {
                    let claims = match field {
                        Field::Claim(path) => vec![path.clone()],
                        Field::Client => vec![ClaimPath::top("client_id"), ClaimPath::top("azp")],
                        Field::KeyId | Field::TokenSha256 => vec![],
                    };
                    self.sources.push(claims.iter().map(|path| place(&mut self.paths, path)).collect());
                }
                at
            };
            self.columns.push(shape.fields().iter().map(column).collect());
            self.shapes.push(shape);
        }
    }

    /// The shapes.
    #[must_use]
    pub fn as_slice(&self) -> &[Shape] {
        &self.shapes
    }

    /// Each shape with the places of its fields in [`Self::fields`].
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&Shape, &[usize])> {
        self.shapes.iter().zip(self.columns.iter().map(Vec::as_slice))
    }

    /// The fields of all shapes, each once.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The claims that the shapes look at and those that hold times, each once.
    pub(crate) fn paths(&self) -> &[ClaimPath] {
        &self.paths
    }

    /// The places in [`Self::paths`] of the claims that a field, by its own place, may be in.
    pub(crate) fn sources(&self, field: usize) -> &[usize] {
        self.sources.get(field).map_or(&[], Vec::as_slice)
    }

    /// The place in [`Self::paths`] of the claim that cut-offs are compared with, if any shape wants it.
    pub(crate) fn time(&self, claim: CutoffClaim) -> Option<usize> {
        match claim {
            CutoffClaim::Iat => Some(IAT),
            CutoffClaim::AuthTime => self.paths.iter().position(|path| path.names() == [claim.name()]),
        }
    }
}

impl Default for Shapes {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl PartialEq<[Shape]> for Shapes {
    fn eq(&self, shapes: &[Shape]) -> bool {
        self.shapes == shapes
    }
}

/// Where it is in the list, to which it is added if it is new. Lists of what 64 shapes name are short.
fn place<T: Clone + PartialEq>(list: &mut Vec<T>, item: &T) -> usize {
    list.iter().position(|one| one == item).unwrap_or_else(|| {
        list.push(item.clone());
        list.len() - 1
    })
}
