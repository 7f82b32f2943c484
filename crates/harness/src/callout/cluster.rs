//! The clusters that call-outs can go to.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use super::answer::{Answer, Callout, CalloutKind};

/// A cluster as call-outs find it. A cluster that was never added is missing, which is something else.
#[derive(Clone)]
pub struct Cluster {
    peer: Peer,
}

/// Who answers.
#[derive(Clone)]
enum Peer {
    Nobody,
    Test,
    Script(Rc<dyn Fn(&Callout) -> Answer>),
}

impl Cluster {
    /// A cluster with a host that takes connections; the test plays that host.
    #[must_use]
    pub const fn healthy() -> Self {
        Self { peer: Peer::Test }
    }

    /// A cluster without a healthy host: every call-out fails while it is being made.
    #[must_use]
    pub const fn no_hosts() -> Self {
        Self { peer: Peer::Nobody }
    }

    /// A cluster that answers by itself: it is asked at every call-out, and at every message on a stream.
    ///
    /// It is asked in the middle of a callback, so that it must not touch the Envoy. Streams and calls can be
    /// played by the test as well.
    ///
    /// ```
    /// use proxy_wasm_harness::{Answer, Callout, CalloutKind, Cluster};
    ///
    /// let echo = Cluster::answering(|asked: &Callout| match asked.kind {
    ///     CalloutKind::Http => Answer::nothing().respond(200, [("content-type", "text/plain")], &asked.body),
    ///     CalloutKind::GrpcCall => Answer::nothing().message(&asked.body).close(0, ""),
    ///     CalloutKind::GrpcStream => Answer::nothing(),
    ///     CalloutKind::GrpcMessage => Answer::nothing().message(&asked.body),
    /// });
    /// # let _ = echo;
    /// ```
    #[must_use]
    pub fn answering(answer: impl Fn(&Callout) -> Answer + 'static) -> Self {
        Self { peer: Peer::Script(Rc::new(answer)) }
    }

    /// A cluster that gives these answers to one call-out each, in the order in which those are made on any
    /// thread. After the last, and for messages on a stream, the test plays the host.
    ///
    /// ```
    /// use proxy_wasm_harness::{Answer, Cluster};
    ///
    /// let flaky = Cluster::scripted([Answer::no_host(), Answer::nothing().reset()]);
    /// # let _ = flaky;
    /// ```
    #[must_use]
    pub fn scripted(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers: RefCell<VecDeque<Answer>> = RefCell::new(answers.into_iter().collect());
        Self::answering(move |asked| {
            let next = match asked.kind {
                CalloutKind::GrpcMessage => None,
                _ => answers.borrow_mut().pop_front(),
            };
            next.unwrap_or_else(Answer::nothing)
        })
    }

    pub(super) fn answer(&self, asked: &Callout) -> Answer {
        match &self.peer {
            Peer::Nobody => Answer::no_host(),
            Peer::Test => Answer::nothing(),
            Peer::Script(answer) => answer(asked),
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = match self.peer {
            Peer::Nobody => "nobody",
            Peer::Test => "the test",
            Peer::Script(_) => "a script",
        };
        f.debug_struct("Cluster").field("peer", &peer).finish()
    }
}
