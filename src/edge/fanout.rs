//! Changes for those sessions of a thread that have nothing else to send.
//!
//! A change goes to every session, and to wake each for it costs more than to hand the message over. So a session that
//! has sent everything joins here, and one loop serves all that have. It hands over only what the connection takes at
//! once. Anything else is set aside for the session, which then goes on by itself and may wait for its edge.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_core::Version;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::outgoing::{AtOnce, Sender};
use super::session::Updates;
use crate::feed::Update;

/// What came next of the updates.
pub(super) type Next = Result<Arc<Update>, TryRecvError>;

/// The sessions of a thread that have sent everything. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Fanout(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    members: Mutex<Members>,
    // The first has joined, or the last has left.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Members {
    last_id: u64,
    by_id: BTreeMap<u64, Member>,
}

#[derive(Debug)]
struct Member {
    version: Version,
    // Its own, so that its place among the updates is exact at any time.
    updates: Updates,
    outgoing: AtOnce,
    // What the session has to look at itself; until then nothing more is sent.
    aside: Option<Next>,
    wake: Arc<Notify>,
}

/// The place of a session that has joined.
#[derive(Debug)]
pub(super) struct Joined {
    fanout: Fanout,
    id: u64,
    wake: Arc<Notify>,
}

/// Where a session stands that has left.
#[derive(Debug)]
pub(super) struct Left {
    /// What it has been sent.
    pub(super) version: Version,
    /// Where the rest comes from.
    pub(super) updates: Updates,
    /// What was set aside, which comes before the rest.
    pub(super) aside: Option<Next>,
}

impl Fanout {
    /// From now on the session is sent what follows on `version`, which `updates` begins with.
    pub(super) fn join(&self, version: Version, updates: Updates, outgoing: &Sender) -> Joined {
        let wake = Arc::new(Notify::new());
        let member =
            Member { version, updates, outgoing: outgoing.at_once(), aside: None, wake: Arc::clone(&wake) };
        let mut members = self.lock();
        members.last_id += 1;
        let id = members.last_id;
        if members.by_id.is_empty() {
            self.0.changed.notify_one();
        }
        members.by_id.insert(id, member);
        drop(members);
        Joined { fanout: self.clone(), id, wake }
    }

    /// Serves those that have joined, for good.
    pub(super) async fn run(&self) -> Infallible {
        loop {
            // What has been published by now is seen below, and what is published later wakes this.
            let Some(mut published) = self.published() else {
                self.0.changed.notified().await;
                continue;
            };
            self.lock().by_id.values_mut().for_each(Member::advance);
            tokio::select! {
                Ok(_) | Err(RecvError::Lagged(_)) = published.recv() => {}
                () = self.0.changed.notified() => {}
            }
        }
    }

    /// What is published from now on. Only while anybody wants it: the feed does less when nobody does.
    fn published(&self) -> Option<Updates> {
        self.lock().by_id.values().next().map(|member| member.updates.resubscribe())
    }

    fn leave(&self, id: u64) -> Option<Member> {
        let mut members = self.lock();
        let member = members.by_id.remove(&id);
        if members.by_id.is_empty() {
            self.0.changed.notify_one();
        }
        member
    }

    // Nothing that can fail half-way happens under the lock.
    fn lock(&self) -> MutexGuard<'_, Members> {
        self.0.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    fn advance(&mut self) {
        while self.aside.is_none() {
            match self.updates.try_recv() {
                Err(TryRecvError::Empty) => return,
                Ok(update) if !update.starts_over && self.outgoing.send(&update.parts) => {
                    self.version = update.to;
                }
                next => {
                    self.aside = Some(next);
                    self.wake.notify_one();
                }
            }
        }
    }
}

impl Joined {
    /// Returns once there is something that the session has to look at itself.
    pub(super) async fn aside(&self) {
        self.wake.notified().await;
    }

    /// Nothing is sent any more until the session joins again.
    pub(super) fn leave(self) -> Option<Left> {
        let Member { version, updates, aside, .. } = self.fanout.leave(self.id)?;
        Some(Left { version, updates, aside })
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        // Nothing is there any more after `leave`.
        self.fanout.leave(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;
    use tokio::sync::broadcast;

    use super::*;
    use crate::edge::codec::Framed;
    use crate::edge::outgoing::{self, Outgoing};

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn update(to: Version, parts: usize) -> Arc<Update> {
        let part = Framed(to.to_be_bytes().to_vec().into());
        Arc::new(Update { from: to - 1, to, parts: vec![part; parts], starts_over: false })
    }

    fn sent(outgoing: &mut Outgoing) -> Vec<Framed> {
        std::iter::from_fn(|| outgoing.frame().now_or_never())
            .map(|sent| Framed(sent.unwrap().unwrap().into_data().unwrap()))
            .collect()
    }

    #[tokio::test]
    async fn all_that_have_joined_are_sent_a_change_and_none_that_has_left() {
        let (publish, _) = broadcast::channel(8);
        let fanout = Fanout::default();
        let mut running = Box::pin(fanout.run());
        let (one, mut to_one) = outgoing::stream(TIMEOUT);
        let (other, mut to_other) = outgoing::stream(TIMEOUT);
        let one = fanout.join(0, publish.subscribe(), &one);
        let other = fanout.join(0, publish.subscribe(), &other);
        assert!((&mut running).now_or_never().is_none());
        publish.send(update(1, 1)).unwrap();
        assert!((&mut running).now_or_never().is_none());
        let left = one.leave().unwrap();
        assert_eq!(left.version, 1);
        assert!(left.aside.is_none() && left.updates.is_empty());
        publish.send(update(2, 1)).unwrap();
        assert!((&mut running).now_or_never().is_none());
        assert_eq!(sent(&mut to_one), update(1, 1).parts);
        let both = [update(1, 1), update(2, 1)].map(|update| update.parts.clone());
        assert_eq!(sent(&mut to_other), both.concat());
        // The feed is told when nobody listens any more.
        drop((left, other));
        assert!((&mut running).now_or_never().is_none());
        assert_eq!(publish.receiver_count(), 0);
    }

    #[tokio::test]
    async fn what_was_published_before_the_first_was_seen_to_join_is_sent() {
        let (publish, updates) = broadcast::channel(8);
        let fanout = Fanout::default();
        let mut running = Box::pin(fanout.run());
        assert!((&mut running).now_or_never().is_none());
        let (sender, mut outgoing) = outgoing::stream(TIMEOUT);
        let _joined = fanout.join(0, updates, &sender);
        publish.send(update(1, 1)).unwrap();
        assert!((&mut running).now_or_never().is_none());
        assert_eq!(sent(&mut outgoing), update(1, 1).parts);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_set_aside_whole_and_nothing_is_sent_after_it() {
        let (publish, updates) = broadcast::channel(8);
        let fanout = Fanout::default();
        let mut running = Box::pin(fanout.run());
        let (sender, mut outgoing) = outgoing::stream(TIMEOUT);
        let joined = fanout.join(0, updates, &sender);
        for update in [update(1, 1), update(2, 100), update(3, 1)] {
            publish.send(update).unwrap();
        }
        assert!((&mut running).now_or_never().is_none());
        joined.aside().await;
        let mut left = joined.leave().unwrap();
        assert_eq!(left.version, 1);
        assert_eq!(left.aside.unwrap().unwrap().to, 2);
        assert_eq!(left.updates.try_recv().unwrap().to, 3);
        assert_eq!(sent(&mut outgoing), update(1, 1).parts);
    }

    #[tokio::test]
    async fn the_end_of_all_changes_is_set_aside_too() {
        let (publish, updates) = broadcast::channel::<Arc<Update>>(8);
        let fanout = Fanout::default();
        let mut running = Box::pin(fanout.run());
        let (sender, _outgoing) = outgoing::stream(TIMEOUT);
        let joined = fanout.join(0, updates, &sender);
        drop(publish);
        assert!((&mut running).now_or_never().is_none());
        joined.aside().await;
        assert_eq!(joined.leave().unwrap().aside.unwrap().unwrap_err(), TryRecvError::Closed);
    }
}
