//! Measurements: fresh Envoys that are shown to do their job, then load on one after another.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use portcullis_testbed::{ControlPlane, Envoy, Issuer};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::authz::{Authz, Revoked};
use super::config::{self, Peers};
use super::load::{Seen, Wrk};
use super::redis::Redis;
use super::tokens::Tokens;
use super::variant::{Chain, Then, Variant};
use crate::api::{Api, Session};
use crate::stats::{ratios, summary};
use crate::system::{self, Cores};
use crate::{note, plane};

/// The compiler of the wasm runtime is done with what is used often after this.
const WARM_UP: Duration = Duration::from_secs(2);
/// What else happens on the machine changes within seconds: what is compared takes turns that are as short as wrk's can be.
const TURN: Duration = Duration::from_secs(1);
/// Until a worker holds ten million revocations, on a busy machine.
const ENFORCING: Duration = Duration::from_secs(180);
/// There is no event for the first refusal.
const POLL: Duration = Duration::from_millis(20);
/// Sessions that ext_authz knows.
const KNOWN: usize = 10_000;

/// Everything around Envoy.
pub(crate) struct Stage {
    issuer: Issuer,
    tokens: Tokens,
    wrk: Wrk,
    /// By the number of revocations; none for no revocations, see [`Running`].
    planes: BTreeMap<usize, ControlPlane>,
    authz: Option<Authz>,
    authz_redis: Option<Authz>,
    cores: Cores,
    _dir: TempDir,
}

/// An Envoy with the filters of a variant.
pub(crate) struct Running {
    variant: Variant,
    envoy: Envoy,
    pid: u32,
    tokens: PathBuf,
    /// How many of them have been sent.
    sent: u64,
    /// To show that it enforces, something has to be revoked after the measurement: so each without revocations has
    /// its own.
    own_plane: Option<ControlPlane>,
    turns: Vec<Turn>,
}

/// A second of load.
#[derive(Clone, Copy, Debug)]
struct Turn {
    seen: Seen,
    /// Of Envoy.
    cpu_seconds: f64,
}

/// What one round has shown of a variant.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    turns: Vec<Turn>,
    /// Of Envoy, after the load.
    pub(crate) resident_mib: f64,
}

impl Turn {
    fn per_second(&self) -> f64 {
        self.seen.requests / self.seen.seconds
    }

    /// Envoy's processor time for a request, in microseconds.
    fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.seen.requests
    }
}

impl Measured {
    pub(crate) fn per_second(&self) -> f64 {
        self.median(Turn::per_second)
    }

    /// Envoy's processor time for a request, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.median(Turn::cpu_us)
    }

    pub(crate) fn p50_us(&self) -> f64 {
        self.median(|turn| turn.seen.p50_us)
    }

    pub(crate) fn p99_us(&self) -> f64 {
        self.median(|turn| turn.seen.p99_us)
    }

    /// Requests a second over those of another in the same turns.
    pub(crate) fn rate_over(&self, other: &Self) -> f64 {
        middle(&ratios(&self.each(Turn::per_second), &other.each(Turn::per_second)))
    }

    /// The same for requests per second of processor time.
    pub(crate) fn cpu_over(&self, other: &Self) -> f64 {
        middle(&ratios(&other.each(Turn::cpu_us), &self.each(Turn::cpu_us)))
    }

    fn each(&self, of: impl Fn(&Turn) -> f64) -> Vec<f64> {
        self.turns.iter().map(of).collect()
    }

    fn median(&self, of: impl Fn(&Turn) -> f64) -> f64 {
        middle(&self.each(of))
    }
}

fn middle(values: &[f64]) -> f64 {
    summary(values).map_or(f64::NAN, |summary| summary.value)
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rate, cpu, memory) = (self.per_second(), self.cpu_us(), self.resident_mib);
        let (p50_us, p99_us) = (self.p50_us(), self.p99_us());
        write!(
            f,
            "{rate:>8.0} req/s {cpu:>8.2} us CPU  p50 {p50_us:>6.0} us  p99 {p99_us:>6.0} us {memory:>6.0} MiB"
        )
    }
}

impl Stage {
    /// Starts what the variants need.
    pub(crate) async fn set(variants: &[Variant], cores: Cores) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("portcullis-bench-").tempdir()?;
        let issuer = Issuer::start().await?;
        note!("Signing {} tokens", super::tokens::SIGNED);
        let tokens = Tokens::new(&issuer, dir.path())?;
        let mut planes = BTreeMap::new();
        for count in variants.iter().filter_map(Variant::revocations).filter(|count| *count > 0) {
            if let Entry::Vacant(place) = planes.entry(count) {
                note!("Starting a control plane with {count} revocations");
                place.insert(plane::holding(&issuer, count).await?);
            }
        }
        let uses = |redis| variants.iter().any(|variant| variant.chain == Chain::ExtAuthz { redis });
        let known = || (0..KNOWN).map(|number| format!("{}-{number}", plane::REVOKED));
        let mut authz = None;
        if uses(false) {
            authz = Some(Authz::start(Revoked::Here(Arc::new(known().collect()))).await?);
        }
        let mut authz_redis = None;
        if uses(true) {
            let redis = Redis::start(dir.path(), known()).await?;
            authz_redis = Some(Authz::start(Revoked::Redis(redis)).await?);
        }
        let wrk = Wrk::new(dir.path())?;
        Ok(Self { issuer, tokens, wrk, planes, authz, authz_redis, cores, _dir: dir })
    }

    /// Starts a variant, and a second time if the first fails: on a busy machine, something may take too long.
    pub(crate) async fn start_again(&self, variant: &Variant) -> Result<Running> {
        match self.start(variant).await {
            Ok(running) => Ok(running),
            Err(error) => {
                note!("    {:<28} once more: {error:#}", variant.name);
                self.start(variant).await
            }
        }
    }

    /// An Envoy of its own in each round: what differs from process to process, such as where its memory lies, then
    /// shows in the spread.
    async fn start(&self, variant: &Variant) -> Result<Running> {
        let own_plane = match variant.revocations() {
            Some(0) => Some(plane::holding(&self.issuer, 0).await?),
            _ => None,
        };
        let authz = match variant.chain {
            Chain::ExtAuthz { redis: false } => self.authz.as_ref(),
            Chain::ExtAuthz { redis: true } => self.authz_redis.as_ref(),
            _ => None,
        };
        let filled = variant.revocations().and_then(|count| self.planes.get(&count));
        let peers = Peers {
            issuer: &self.issuer,
            plane: own_plane.as_ref().or(filled),
            authz: authz.map(|authz| authz.address),
        };
        let mut envoy = Envoy::start(config::bootstrap(variant, &peers)?).await?;
        let pid = envoy.process().id().context("Envoy has ended")?;
        self.cores.move_to_measured(pid)?;
        if own_plane.is_none() {
            self.prove(variant, &envoy).await?;
        }
        let tokens = self.tokens.file(variant.tokens)?;
        let mut running =
            Running { variant: *variant, envoy, pid, tokens, sent: 0, own_plane, turns: Vec::new() };
        self.load(&mut running, WARM_UP).await?;
        Ok(running)
    }

    async fn load(&self, running: &mut Running, time: Duration) -> Result<Seen> {
        let seen = self.wrk.run(running.envoy.address(), &running.tokens, running.sent, time).await?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let sent = seen.requests as u64;
        running.sent += sent;
        Ok(seen)
    }

    /// Measures for a second.
    pub(crate) async fn turn(&self, running: &mut Running) -> Result<()> {
        let before = system::cpu_seconds(running.pid)?;
        let seen = self.load(running, TURN).await?;
        let cpu_seconds = system::cpu_seconds(running.pid)? - before;
        running.turns.push(Turn { seen, cpu_seconds });
        Ok(())
    }

    /// What the turns have shown.
    pub(crate) async fn end(&self, running: Running) -> Result<Measured> {
        #[expect(clippy::cast_precision_loss, reason = "2^53 bytes are more than there are")]
        let resident_mib = system::resident_bytes(running.pid)? as f64 / (1_024.0 * 1_024.0);
        if let Some(plane) = &running.own_plane {
            let sid = format!("{}-0", plane::REVOKED);
            let session = Session { issuer: self.tokens.issuer(), sid: &sid };
            Api::connect(plane).await?.revoke(&session).await?;
            self.prove(&running.variant, &running.envoy).await?;
        }
        Ok(Measured { turns: running.turns, resident_mib })
    }

    /// Shows that a variant does what it is there for: lets good tokens pass, and no others.
    async fn prove(&self, variant: &Variant, envoy: &Envoy) -> Result<()> {
        let good = self.tokens.good()?;
        expect(envoy, good, 200).await.context("a good token")?;
        if let Some(refusal) = variant.refusal() {
            expect(envoy, &self.tokens.revoked, refusal).await.context("the token of a revoked session")?;
            expect(envoy, good, 200).await.context("a good token after that")?;
        }
        match variant.chain {
            Chain::Jwt(Then::Nothing) => {
                let (signed, _) = good.rsplit_once('.').context("not a JWT")?;
                expect(envoy, &format!("{signed}.AAAA"), 401).await.context("a token without a signature")
            }
            Chain::Empty => {
                let vms = envoy.stat("wasm.envoy.wasm.runtime.v8.active").await?;
                ensure!(vms.is_some_and(|vms| vms > 0), "no wasm filter is active: {vms:?}");
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Waits for a status; another one for too long is an error.
async fn expect(envoy: &Envoy, token: &str, status: u16) -> Result<()> {
    let mut last = None;
    let reached = async {
        loop {
            let reply = envoy.http1().get("/").bearer(token).send().await?;
            if reply.status == status {
                return Ok(());
            }
            last = Some(reply.status);
            sleep(POLL).await;
        }
    };
    let outcome = timeout(ENFORCING, reached).await;
    outcome.unwrap_or_else(|_| bail!("is answered with {last:?}, not with {status}"))
}
