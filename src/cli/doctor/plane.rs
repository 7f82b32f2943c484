//! What the control plane says of itself: fetched with the operator's key.

use std::thread::sleep;
use std::time::Duration;

use super::finding::{Code, Finding};
use crate::api::model::{Edges, Issuers, Moment, Revocation, ServiceStatus};
use crate::cli::Failure;
use crate::client::{Client, ClientError};

/// Until an edge that was behind is looked at again: what is on its way is no finding.
const ON_ITS_WAY: Duration = Duration::from_secs(2);
/// Revocations that are looked at, the newest ones; the most of one page.
const REVOCATIONS: usize = 1_000;

/// A control plane, as its API shows it.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub(super) url: String,
    pub(super) status: ServiceStatus,
    /// When the status was asked for and when it was there, by this machine's clock.
    pub(super) asked: (Moment, Moment),
    pub(super) issuers: Issuers,
    pub(super) edges: Edges,
    /// A version that every edge has had time to apply.
    pub(super) settled_version: u64,
    /// The newest ones in force.
    pub(super) revocations: Vec<Revocation>,
}

/// Asks the control plane.
pub(super) fn fetch(client: &Client, url: &str) -> Result<Plane, ClientError> {
    let asked = Moment::now();
    let status = client.status()?.read()?;
    let asked = (asked, Moment::now());
    let issuers = client.issuers()?.read()?;
    let page = [("status", Some("active".to_owned())), ("limit", Some(REVOCATIONS.to_string()))];
    let revocations = client.revocations(&page)?.read()?.revocations;
    let mut edges = client.edges()?.read()?;
    let settled_version = edges.version;
    if edges.edges.iter().any(|edge| edge.connected && edge.lag > 0) {
        sleep(ON_ITS_WAY);
        edges = client.edges()?.read()?;
    }
    Ok(Plane { url: url.to_owned(), status, asked, issuers, edges, settled_version, revocations })
}

/// Why it could not be asked.
pub(super) fn finding(error: ClientError, url: &str) -> Result<Finding, Failure> {
    let code = match &error {
        ClientError::Url(_) | ClientError::NoCertificate | ClientError::Request(_) => {
            return Err(error.into());
        }
        ClientError::Refused { status: 401, .. } => Code::KeyRefused,
        ClientError::Refused { status: 403, .. } => Code::KeyScope,
        ClientError::Refused { status: 503, .. } => Code::ControlPlaneNotReady,
        ClientError::Refused { .. } | ClientError::Answer { .. } => Code::ControlPlaneAnswer,
        ClientError::Unreachable { .. }
        | ClientError::Untrusted { .. }
        | ClientError::Lost { .. }
        | ClientError::Stranger { .. }
        | ClientError::NotHttp { .. } => Code::ControlPlaneUnreachable,
    };
    let found = Finding::new(code, format!("control plane {url}"), error.to_string());
    // Somebody is there: starting another one does not help.
    let advice = error.hint().unwrap_or(found.advice);
    Ok(Finding { advice, ..found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::model::Problem;
    use crate::client::Distrust;
    use crate::tls::Flaw;

    #[test]
    fn why_it_cannot_be_asked_decides() {
        let check = |error: ClientError, expect: Code| {
            assert_eq!(finding(error, "http://127.0.0.1:8470").unwrap().code, expect);
        };
        let refused = |status: u16| ClientError::Refused {
            status,
            problem: Box::new(Problem { detail: "no".into(), ..Problem::default() }),
            text: String::new(),
        };
        let url = || "http://127.0.0.1:8470".to_owned();
        check(refused(401), Code::KeyRefused);
        check(refused(403), Code::KeyScope);
        check(refused(503), Code::ControlPlaneNotReady);
        check(refused(404), Code::ControlPlaneAnswer);
        check(ClientError::Answer { detail: String::new() }, Code::ControlPlaneAnswer);
        check(ClientError::Unreachable { url: url(), detail: String::new() }, Code::ControlPlaneUnreachable);
        let untrusted = || ClientError::Untrusted { url: url(), why: Distrust::Certificate(Flaw::Expired) };
        check(untrusted(), Code::ControlPlaneUnreachable);
        check(ClientError::Stranger { url: url(), status: 200 }, Code::ControlPlaneUnreachable);
        assert!(finding(ClientError::Url(url()), "").is_err());
        let advice = |error: ClientError| finding(error, "").unwrap().advice;
        assert_eq!(advice(untrusted()), Distrust::Certificate(Flaw::Expired).hint());
        assert!(advice(ClientError::NotHttp { url: url() }).starts_with("with TLS, set PORTCULLIS_URL"));
        let gone = ClientError::Unreachable { url: url(), detail: String::new() };
        assert!(advice(gone).starts_with("start `portcullis serve`"));
    }
}
