//! The sessions of one thread, run by one task.
//!
//! A change wakes every session. Were each a task of its own, each would be a system call to wake the thread, and the
//! first would have its message written before the second is awake. So they are one task, woken once.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::unconstrained;

type Session = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes sessions in. Each has a place of its own, so there is a bound on them.
#[derive(Clone, Debug)]
pub(super) struct Sessions(mpsc::UnboundedSender<Session>);

impl Sessions {
    /// With the task, which ends when whoever could add a session is gone and the last one has ended.
    pub(super) fn new() -> (Self, impl Future<Output = ()>) {
        let (to, new) = mpsc::unbounded_channel();
        // A budget is for one session, and here would make most of them wait for the next turn.
        (Self(to), unconstrained(run(new)))
    }

    /// Runs a session.
    pub(super) fn add(&self, session: impl Future<Output = ()> + Send + 'static) {
        // Whoever could be told has ended as well, and with it the connection.
        let _ = self.0.send(Box::pin(session));
    }
}

async fn run(mut new: mpsc::UnboundedReceiver<Session>) {
    let mut sessions = FuturesUnordered::new();
    loop {
        tokio::select! {
            session = new.recv() => match session {
                // One that panics, which is a bug and in the log, does not take the others along.
                Some(session) => sessions.push(AssertUnwindSafe(session).catch_unwind()),
                None => break,
            },
            Some(_) = sessions.next(), if !sessions.is_empty() => {}
        }
    }
    while sessions.next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::broadcast;

    use super::*;

    #[tokio::test]
    async fn one_change_reaches_all_sessions_in_one_turn() {
        const COUNT: u32 = 1_000;
        let (sessions, running) = Sessions::new();
        let mut running = Box::pin(running);
        let (publish, _) = broadcast::channel(1);
        let reached = Arc::new(AtomicU32::new(0));
        for _ in 0..COUNT {
            let (mut changes, reached) = (publish.subscribe(), Arc::clone(&reached));
            sessions.add(async move {
                changes.recv().await.unwrap();
                reached.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert!((&mut running).now_or_never().is_none());
        publish.send(()).unwrap();
        assert!((&mut running).now_or_never().is_none());
        assert_eq!(reached.load(Ordering::Relaxed), COUNT);
        drop(sessions);
        running.await;
    }

    #[tokio::test]
    async fn a_session_that_panics_takes_no_other_along() {
        let (sessions, running) = Sessions::new();
        let (done, is_done) = tokio::sync::oneshot::channel();
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        sessions.add(async { panic!("expected by the test") });
        sessions.add(async {
            gone.await.unwrap();
            done.send(7).unwrap();
        });
        drop(sessions);
        let running = tokio::spawn(running);
        go.send(()).unwrap();
        assert_eq!(is_done.await, Ok(7));
        running.await.unwrap();
    }
}
