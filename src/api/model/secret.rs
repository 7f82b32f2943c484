//! Text that must not end up in a log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A raw token or the text of an API key. Its `Debug` shows nothing of it.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_does_not_show_it() {
        assert_eq!(format!("{:?}", Secret("pk_abc".into())), "Secret(..)");
    }
}
