//! When a certificate must be renewed.

use super::finding::{Code, Finding, Severity};
use crate::api::model::Moment;
use crate::cli::time;
use crate::tls::renewal_is_due;

/// What is found of a certificate that is good for this time: an error once it is over.
pub(super) fn finding(
    code: Code,
    subject: &str,
    which: &str,
    (from, until): (Moment, Moment),
    now: Moment,
) -> Option<Finding> {
    let has_ended = until.millis() < now.millis();
    let is_due = has_ended || renewal_is_due(from.millis(), until.millis(), now.millis());
    is_due.then(|| {
        let ends = if has_ended { "has ended" } else { "ends" };
        let found = Finding::new(code, subject, format!("{which} {ends} {}", time::both(until, now)));
        if has_ended { Finding { severity: Severity::Error, ..found } } else { found }
    })
}
