//! When the log says that the certificate in force ends.

use super::Certificate;
use crate::clock::UnixMillis;

const DAY_MS: u64 = 86_400_000;

/// What was said of the certificate in force.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    /// Which one it was said of: another one is another story.
    of: Option<Certificate>,
    /// When it was last said that it ends soon.
    warned_ms: Option<UnixMillis>,
    has_ended: bool,
}

/// What is to be said now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Notice {
    /// It ends soon: said once a day.
    Soon,
    /// It has ended: said once.
    Ended,
}

impl Expiry {
    pub(super) fn notice(&mut self, certificate: &Certificate, now_ms: UnixMillis) -> Option<Notice> {
        if self.of.as_ref() != Some(certificate) {
            *self = Self { of: Some(certificate.clone()), ..Self::default() };
        }
        if now_ms > certificate.expires_ms() {
            return (!std::mem::replace(&mut self.has_ended, true)).then_some(Notice::Ended);
        }
        let is_new = self.warned_ms.is_none_or(|at| now_ms.saturating_sub(at) >= DAY_MS);
        (is_new && certificate.is_due(now_ms)).then(|| {
            self.warned_ms = Some(now_ms);
            Notice::Soon
        })
    }
}
