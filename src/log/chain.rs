//! The hash chain over the log: a head says what every event up to it was, and that none is missing.

use std::fmt;
use std::str::FromStr;

use portcullis_core::Version;
use sha2::{Digest as _, Sha256};

/// The end of a chain: the link of an event is the SHA-256 over the link before it, its version and the SHA-256 of
/// the encoded event. Written down elsewhere, a head proves later that nothing before it was changed or removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// Of the last event.
    pub version: Version,
    /// Its link.
    pub link: [u8; 32],
}

impl Head {
    /// Before the first event.
    pub const START: Self = Self { version: 0, link: [0; 32] };

    /// What of an event is chained: enough to go on when the event itself has been dropped.
    #[must_use]
    pub fn digest(payload: &[u8]) -> [u8; 32] {
        Sha256::digest(payload).into()
    }

    /// The head after the next event.
    #[must_use]
    pub fn after(self, digest: &[u8; 32]) -> Self {
        let version = self.version + 1;
        let link =
            Sha256::new().chain_update(self.link).chain_update(version.to_be_bytes()).chain_update(digest);
        Self { version, link: link.finalize().into() }
    }

    pub(super) fn to_bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        let (version, link) = bytes.split_at_mut(8);
        version.copy_from_slice(&self.version.to_be_bytes());
        link.copy_from_slice(&self.link);
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; 40]) -> Self {
        let (version, link) = bytes.split_at(8);
        let fixed = |bytes: &[u8]| bytes.try_into().unwrap_or_default();
        Self { version: u64::from_be_bytes(fixed(version)), link: link.try_into().unwrap_or_default() }
    }
}

/// `VERSION:LINK`, the link in hexadecimal.
impl fmt::Display for Head {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.version)?;
        self.link.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// Why a text is no head.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected VERSION:LINK, as `portcullis events verify` prints it")]
pub struct HeadError;

impl FromStr for Head {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let (version, hex) = text.split_once(':').ok_or(HeadError)?;
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(HeadError);
        }
        let mut link = [0; 32];
        for (byte, at) in link.iter_mut().zip((0..64).step_by(2)) {
            let digits = hex.get(at..at + 2).ok_or(HeadError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| HeadError)?;
        }
        Ok(Self { version: version.parse().map_err(|_| HeadError)?, link })
    }
}

/// What going through the whole chain has shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified {
    /// The head that the log says it has.
    pub head: Head,
    /// Events that are there.
    pub events: u64,
    /// Events that were dropped by retention, of which a digest is kept.
    pub dropped: u64,
    /// What is wrong first; `None` when nothing is.
    pub problem: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_a_text_and_bytes() {
        let head = Head::START.after(&Head::digest(b"a")).after(&Head::digest(b"b"));
        assert_eq!(head.version, 2);
        assert_eq!(head.to_string().parse(), Ok(head));
        assert_eq!(Head::from_bytes(head.to_bytes()), head);
        assert_ne!(head, Head::START.after(&Head::digest(b"b")).after(&Head::digest(b"a")));
        for wrong in
            ["", "1", "1:", "x:00", &format!("1:{}", "g".repeat(64)), &format!("1:{}", "0".repeat(63))]
        {
            assert_eq!(wrong.parse::<Head>(), Err(HeadError), "{wrong}");
        }
    }
}
