//! Why a call did not succeed.

use std::io;

use super::Distrust;
use crate::api::model::Problem;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// What was given as the control plane's URL.
    #[error("`{0}` is not the URL of a control plane")]
    Url(String),
    /// The file of certificate authorities holds none.
    #[error("no certificate in the file of certificate authorities")]
    NoCertificate,
    /// The request cannot be written, or cannot be sent as it is.
    #[error("the request cannot be sent: {0}")]
    Request(String),
    /// No connection.
    #[error("cannot reach the control plane at {url}: {detail}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What the network says.
        detail: String,
    },
    /// A connection, but not a trusted one.
    #[error("no secure connection to {url}: {why}")]
    Untrusted {
        /// Where it should be.
        url: String,
        /// Why.
        why: Distrust,
    },
    /// The connection ended before the answer was complete.
    #[error("the connection was lost before the answer was complete: {detail}")]
    Lost {
        /// What the network says.
        detail: String,
    },
    /// The control plane says no.
    #[error("{}", problem.detail)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why.
        problem: Box<Problem>,
        /// The problem document as it came.
        text: String,
    },
    /// Something answers there, but no control plane.
    #[error("{url} answered with status {status}, and not as a control plane does")]
    Stranger {
        /// Where it should be.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// Something answers there, but not HTTP/1.
    #[error("{url} does not speak HTTP/1")]
    NotHttp {
        /// Where it should be.
        url: String,
    },
    /// An answer that this release does not understand.
    #[error("the control plane's answer is not understood: {detail}")]
    Answer {
        /// Why.
        detail: String,
    },
}

impl ClientError {
    pub(super) fn from_transport(url: &str, error: ureq::Error) -> Self {
        let url = url.to_owned();
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                Self::Unreachable { url, detail: "no connection in time".to_owned() }
            }
            ureq::Error::Timeout(_) => Self::Lost { detail: "no answer in time".to_owned() },
            ureq::Error::HostNotFound => Self::Unreachable { url, detail: "no such host".to_owned() },
            ureq::Error::ConnectionFailed => Self::Unreachable { url, detail: "no connection".to_owned() },
            ureq::Error::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::TimedOut
                | io::ErrorKind::AddrNotAvailable => Self::Unreachable { url, detail: plain(&error) },
                _ if error.to_string().contains("failed to lookup address") => {
                    Self::Unreachable { url, detail: "no such host".to_owned() }
                }
                _ => match Distrust::of_io(&error) {
                    Some(why) => Self::Untrusted { url, why },
                    None => Self::Lost { detail: plain(&error) },
                },
            },
            ureq::Error::Rustls(error) => Self::Untrusted { url, why: Distrust::of(&error) },
            ureq::Error::Tls(detail) => Self::Untrusted { url, why: Distrust::Other(detail.to_owned()) },
            ureq::Error::Protocol(error) if error.to_string().contains("invalid HTTP version") => {
                Self::NotHttp { url }
            }
            ureq::Error::Protocol(error) => Self::Lost { detail: error.to_string() },
            other => Self::Request(other.to_string()),
        }
    }

    /// What to do where something answers that is not to be talked to.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Untrusted { why, .. } => Some(why.hint()),
            Self::NotHttp { .. } => Some(
                "with TLS, set PORTCULLIS_URL or --url to https://NAME:8470, and PORTCULLIS_CA_FILE or --ca-file; or is it the port for edges?",
            ),
            Self::Stranger { .. } => {
                Some("is PORTCULLIS_URL the address of `portcullis serve`, HTTP port 8470 by default?")
            }
            _ => None,
        }
    }
}

/// The system's words without its number: `Connection refused`, not `Connection refused (os error 111)`.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
