//! An edge's first message, with its bounds.

use portcullis_core::wire::PROTOCOL;
use portcullis_core::wire::edge::{self, Position};

use super::refusal::Refusal;
use crate::control::RefusedSet;

/// Longest id or name of an edge, in bytes.
const MAX_TEXT_BYTES: usize = 256;

/// Who subscribes, and what it has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Hello {
    /// At least ours: whoever speaks a higher one speaks ours as well.
    pub(super) protocol: u32,
    pub(super) node: String,
    pub(super) process: String,
    pub(super) worker: String,
    pub(super) filter_version: String,
    pub(super) position: Option<Position>,
    /// The set that it did not take.
    pub(super) refused: Option<RefusedSet>,
}

impl Hello {
    /// Reads the first message.
    ///
    /// # Errors
    /// When a field is missing or too long, or the edge speaks another protocol.
    pub(super) fn read(hello: edge::Hello) -> Result<Self, Refusal> {
        if hello.protocol < PROTOCOL {
            return Err(Refusal::Protocol);
        }
        let position = hello.position;
        if position.as_ref().is_some_and(|position| position.store_id.len() != 16) {
            return Err(Refusal::Hello("position.store_id has 16 bytes"));
        }
        Ok(Self {
            protocol: hello.protocol,
            node: text(hello.node, 0, "node has at most 256 printable bytes")?,
            process: text(hello.process, 1, "process has 1 to 256 printable bytes")?,
            worker: text(hello.worker, 1, "worker has 1 to 256 printable bytes")?,
            filter_version: text(hello.filter_version, 0, "filter_version has at most 256 printable bytes")?,
            position,
            refused: hello.refused.map(|set| RefusedSet { revocations: set.revocations, limit: set.limit }),
        })
    }
}

/// What an edge says of itself, as far as it has and it can be shown: for whoever is refused.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Said {
    pub(super) node: Option<String>,
    pub(super) filter_version: Option<String>,
}

impl Said {
    /// By a hello that need not be right.
    pub(super) fn of(hello: &edge::Hello) -> Self {
        let shown = |value: &String| is_text(value, 1).then(|| value.clone());
        Self { node: shown(&hello.node), filter_version: shown(&hello.filter_version) }
    }
}

fn text(value: String, min: usize, bounds: &'static str) -> Result<String, Refusal> {
    if is_text(&value, min) { Ok(value) } else { Err(Refusal::Hello(bounds)) }
}

// Shown to operators and written to logs, so control characters are kept out.
fn is_text(value: &str, min: usize) -> bool {
    (min..=MAX_TEXT_BYTES).contains(&value.len()) && !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    fn hello() -> edge::Hello {
        edge::Hello {
            protocol: 1,
            node: "envoy-1".into(),
            process: "p".into(),
            worker: "w".into(),
            filter_version: "0.1.0".into(),
            position: None,
            refused: None,
        }
    }

    #[test]
    fn an_edge_must_say_who_it_is() {
        assert!(Hello::read(hello()).is_ok());
        assert_eq!(Hello::read(edge::Hello { protocol: 7, ..hello() }).map(|hello| hello.protocol), Ok(7));
        let refused = |hello| Status::from(Hello::read(hello).unwrap_err()).code();
        assert_eq!(refused(edge::Hello { protocol: 0, ..hello() }), tonic::Code::FailedPrecondition);
        for wrong in [
            edge::Hello { worker: String::new(), ..hello() },
            edge::Hello { process: String::new(), ..hello() },
            edge::Hello { node: "x".repeat(257), ..hello() },
            edge::Hello { filter_version: "a\nb".into(), ..hello() },
            edge::Hello { position: Some(Position { store_id: vec![1], version: 0 }), ..hello() },
        ] {
            assert_eq!(refused(wrong), tonic::Code::InvalidArgument);
        }
    }

    #[test]
    fn of_one_that_is_refused_only_what_is_printable_is_shown() {
        let said = Said::of(&edge::Hello { filter_version: "a\nb".into(), ..hello() });
        assert_eq!(said, Said { node: Some("envoy-1".into()), filter_version: None });
        let said = Said::of(&edge::Hello { node: "x".repeat(257), ..hello() });
        assert_eq!(said, Said { node: None, filter_version: Some("0.1.0".into()) });
    }
}
