//! What each edge must answer about each session, and clients that ask without end and compare.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use portcullis_testbed::Client;

/// What an edge must answer about a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Must {
    Accept,
    Reject,
    /// A change of it is on the way: either answer is right.
    Either,
}

/// One edge, as its clients see it.
pub(super) struct Gate {
    pub(super) name: &'static str,
    /// Where it is; another place after a restart.
    pub(super) address: Mutex<SocketAddr>,
    /// By session: how often it has changed, and what must be answered now.
    expected: Mutex<Vec<(u64, Must)>>,
    pub(super) counts: Counts,
}

/// What clients have seen at an edge.
#[derive(Default)]
pub(super) struct Counts {
    /// Answers that had to be so.
    pub(super) accepted: AtomicU64,
    pub(super) rejected: AtomicU64,
    /// Answers that had to be otherwise.
    pub(super) wrong: Mutex<Vec<String>>,
    /// Nobody there: it is being started again.
    pub(super) unanswered: AtomicU64,
}

impl Gate {
    pub(super) fn new(name: &'static str, address: SocketAddr, sessions: usize) -> Arc<Self> {
        Arc::new(Self {
            name,
            address: Mutex::new(address),
            expected: Mutex::new(vec![(0, Must::Accept); sessions]),
            counts: Counts::default(),
        })
    }

    pub(super) fn expect(&self, session: usize, must: Must) {
        let known = &mut self.expected.lock().unwrap()[session];
        *known = (known.0 + 1, must);
    }

    fn expected(&self, session: usize) -> (u64, Must) {
        self.expected.lock().unwrap()[session]
    }

    /// How many answers could be judged so far.
    pub(super) fn judged(&self) -> u64 {
        self.counts.accepted.load(Ordering::Relaxed) + self.counts.rejected.load(Ordering::Relaxed)
    }

    /// Asks about one session after another until `stop`, starting with `first`.
    pub(super) async fn ask(self: Arc<Self>, tokens: Arc<Vec<String>>, first: usize, stop: Arc<AtomicBool>) {
        let mut session = first;
        while !stop.load(Ordering::Relaxed) {
            session = (session + 7) % tokens.len();
            let before = self.expected(session);
            let address = *self.address.lock().unwrap();
            let answer = Client::http1(address).get("/").bearer(&tokens[session]).send().await;
            let Ok(reply) = answer else {
                self.counts.unanswered.fetch_add(1, Ordering::Relaxed);
                // As a balancer would: the next one, after a moment.
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                continue;
            };
            // Only what held from before the question until after the answer can be judged.
            if self.expected(session) != before {
                continue;
            }
            match (before.1, reply.status.as_u16()) {
                (Must::Accept, 200) => drop(self.counts.accepted.fetch_add(1, Ordering::Relaxed)),
                (Must::Reject, 401) => drop(self.counts.rejected.fetch_add(1, Ordering::Relaxed)),
                (Must::Either, _) => {}
                (must, status) => {
                    let text = reply.text();
                    let wrong = format!("{}: session {session}: {must:?} and {status} {text}", self.name);
                    self.counts.wrong.lock().unwrap().push(wrong);
                }
            }
        }
    }
}
