//! An edge's first message, with its bounds.

use portcullis_core::wire::edge::{self, Position};
use tonic::Status;

use crate::control::RefusedSet;

/// Longest id or name of an edge, in bytes.
const MAX_TEXT_BYTES: usize = 256;

/// Who subscribes, and what it has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Hello {
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
    pub(super) fn read(hello: edge::Hello) -> Result<Self, Status> {
        if hello.protocol < portcullis_core::wire::PROTOCOL {
            return Err(Status::failed_precondition("this control plane speaks protocol 1"));
        }
        let position = hello.position;
        if position.as_ref().is_some_and(|position| position.store_id.len() != 16) {
            return Err(Status::invalid_argument("position.store_id has 16 bytes"));
        }
        Ok(Self {
            node: text("node", hello.node, 0)?,
            process: text("process", hello.process, 1)?,
            worker: text("worker", hello.worker, 1)?,
            filter_version: text("filter_version", hello.filter_version, 0)?,
            position,
            refused: hello.refused.map(|set| RefusedSet { revocations: set.revocations, limit: set.limit }),
        })
    }
}

// Shown to operators and written to logs, so control characters are kept out.
fn text(name: &str, value: String, min: usize) -> Result<String, Status> {
    let fits = (min..=MAX_TEXT_BYTES).contains(&value.len()) && !value.chars().any(char::is_control);
    if fits {
        Ok(value)
    } else {
        Err(Status::invalid_argument(format!("{name} has {min} to {MAX_TEXT_BYTES} printable characters")))
    }
}

#[cfg(test)]
mod tests {
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
        let refused = |hello| Hello::read(hello).unwrap_err().code();
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
}
