//! One measurement: a fresh Envoy that is shown to do its job, then load.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
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
use crate::system::{self, Cores};
use crate::{note, plane};

/// The compiler of the wasm runtime is done with what is used often after this.
const WARM_UP: Duration = Duration::from_secs(1);
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
    /// By the number of revocations; none for no revocations, see [`Stage::measure`].
    planes: BTreeMap<usize, ControlPlane>,
    authz: Option<Authz>,
    authz_redis: Option<Authz>,
    cores: Cores,
    _dir: TempDir,
}

/// What one measurement has shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) seen: Seen,
    /// Of Envoy, during the load.
    pub(crate) cpu_seconds: f64,
    /// Of Envoy, after it.
    pub(crate) resident_mib: f64,
}

impl Measured {
    pub(crate) fn per_second(&self) -> f64 {
        self.seen.requests / self.seen.seconds
    }

    /// Envoy's processor time for a request, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.seen.requests
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rate, cpu, Seen { p50_us, p99_us, .. }) = (self.per_second(), self.cpu_us(), self.seen);
        let memory = self.resident_mib;
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

    /// Measures a variant, and a second time if the first fails: on a busy machine, something may take too long.
    pub(crate) async fn measure_again(&self, variant: &Variant, time: Duration) -> Result<Measured> {
        match self.measure(variant, time).await {
            Ok(measured) => Ok(measured),
            Err(error) => {
                note!("    {:<28} once more: {error:#}", variant.name);
                self.measure(variant, time).await
            }
        }
    }

    /// Measures a variant once. An Envoy of its own each time: what differs from process to process, such as
    /// where its memory lies, then shows in the spread.
    async fn measure(&self, variant: &Variant, time: Duration) -> Result<Measured> {
        // To show that it enforces, something has to be revoked after the measurement: so each has its own.
        let empty_plane = match variant.revocations() {
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
            plane: empty_plane.as_ref().or(filled),
            authz: authz.map(|authz| authz.address),
        };
        let mut envoy = Envoy::start(config::bootstrap(variant, &peers)?).await?;
        let pid = envoy.process().id().context("Envoy has ended")?;
        self.cores.move_to_measured(pid)?;
        if empty_plane.is_none() {
            self.prove(variant, &envoy).await?;
        }

        let tokens = self.tokens.file(variant.tokens)?;
        self.wrk.run(envoy.address(), &tokens, WARM_UP).await?;
        let before = system::cpu_seconds(pid)?;
        let seen = self.wrk.run(envoy.address(), &tokens, time).await?;
        let cpu_seconds = system::cpu_seconds(pid)? - before;
        #[expect(clippy::cast_precision_loss, reason = "2^53 bytes are more than there are")]
        let resident_mib = system::resident_bytes(pid)? as f64 / (1_024.0 * 1_024.0);

        if let Some(plane) = &empty_plane {
            let sid = format!("{}-0", plane::REVOKED);
            let session = Session { issuer: self.tokens.issuer(), sid: &sid };
            Api::connect(plane).await?.revoke(&session).await?;
            self.prove(variant, &envoy).await?;
        }
        Ok(Measured { seen, cpu_seconds, resident_mib })
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
