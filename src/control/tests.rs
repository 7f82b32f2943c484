//! The front door on a real log in a directory of its own, at a time of its own.

use portcullis_core::json::Json;
use portcullis_core::{Cutoff, Kind};
use tempfile::TempDir;

use super::reports::Watch;
use super::*;
use crate::log::{DataDir, SqliteLog};

mod audit;
mod keys;
mod list;
mod receive;
mod reports;
mod revoke;
mod upkeep;
mod users;

const IDP: &str = "https://idp.example";
const OTHER: &str = "https://other.example";
const NOW_MS: UnixMillis = 1_700_000_000_000;

/// A control plane for a test.
struct Plane {
    control: Control,
    clock: Clock,
    task: JoinHandle<()>,
    dir: TempDir,
}

impl Plane {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::open(dir, Clock::manual(NOW_MS)).await
    }

    async fn open(dir: TempDir, clock: Clock) -> Self {
        let log = SqliteLog::open(DataDir::lock(dir.path()).unwrap(), 0).unwrap();
        let started = Control::start(
            log,
            &Config::default(),
            Keys::default(),
            clock.clone(),
            Outbound::new(None).unwrap(),
            Metrics::default(),
        )
        .await;
        let (control, task) = started.unwrap();
        Self { control, clock, task, dir }
    }

    /// Ends this one and starts another on the same log.
    async fn reopen(self) -> Self {
        let Self { control, clock, task, dir } = self;
        task.abort();
        let _ = task.await;
        drop(control);
        Self::open(dir, clock).await
    }

    async fn revoke(&self, target: Target) -> Accepted {
        let mut answers = self.control.revoke(vec![NewRevocation::new(target)], &admin()).await.unwrap();
        answers.pop().unwrap().unwrap()
    }

    fn advance(&self, seconds: u64) {
        self.clock.set_ms(self.clock.now_ms() + seconds * 1_000);
    }

    async fn rejects(&self, claims: &str) -> Option<Kind> {
        let claims = CheckSubject::Claims(Json::parse(claims.as_bytes()).unwrap().into_owned());
        self.control.check(&claims, &admin()).await.unwrap().kind
    }
}

fn caller(scopes: &[Scope], issuers: &[&str]) -> Caller {
    Caller::api(Principal {
        key_id: "k".into(),
        name: "test".into(),
        scopes: scopes.iter().copied().collect(),
        issuers: issuers.iter().map(ToString::to_string).collect(),
    })
}

fn admin() -> Caller {
    caller(&[Scope::Admin], &[])
}

fn session(sid: &str) -> Target {
    Target::Session { issuer: IDP.into(), sid: sid.into() }
}

fn subject(sub: &str) -> Target {
    Target::Subject { issuer: IDP.into(), sub: sub.into() }
}

const FIRST: PageRequest = PageRequest { cursor: None, limit: 100 };
