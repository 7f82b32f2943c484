//! Envoy's own way: the list of an RBAC filter, changed through a file that Envoy watches.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use portcullis_testbed::{Client, Envoy, Issuer};
use tokio::time::timeout;

use crate::edge::{answering, insert_filter, rbac_of};
use crate::note;
use crate::report::Report;

const PATIENCE: Duration = Duration::from_secs(60);
/// The RBAC filter in a listener: behind jwt_authn, before the router.
const FILTER: &str = "/filter_chains/0/filters/0/typed_config/http_filters/1";

/// From the new file to the first refusal, with lists of that length.
pub(super) async fn measure(issuer: &Issuer, entries: usize, rounds: u32, report: &mut Report) -> Result<()> {
    note!("Envoy's RBAC with a list of {entries} sessions, changed through a file");
    let list = |number: u32| {
        // One more each time, and the same length.
        let old = (1..entries).map(|old| format!("old-{old}"));
        rbac_of(old.chain([format!("listed-{number}")]))
    };
    let first = list(0);
    let bootstrap =
        answering().issuer(issuer).dynamic_listeners().edit(move |config| insert_filter(config, first));
    let mut envoy = Envoy::start(bootstrap).await?;
    let mut runs = Vec::new();
    for number in 1..=rounds {
        let token = issuer.token().sid(&format!("listed-{number}")).sign()?;
        let client = envoy.http1();
        let before = client.get("/").bearer(&token).send().await?.status;
        anyhow::ensure!(before == 200, "a token that is not listed got {before}");
        let next = list(number);
        let start = Instant::now();
        let update = envoy.update_listener(|listener| {
            *listener.pointer_mut(FILTER).context("no RBAC filter")? = next;
            Ok(())
        });
        let (_, refused) = tokio::try_join!(update, first_refusal(client, &token))?;
        runs.push((refused - start).as_secs_f64() * 1e3);
    }
    let name = if entries == 1_000 { "1k" } else { "10k" };
    report.add(format!("xds_rbac_{name}_ms"), "ms", &runs);
    Ok(())
}

/// Each try is a new connection: those that are open keep the old list until they are drained.
async fn first_refusal(client: Client, token: &str) -> Result<Instant> {
    let refused = async {
        loop {
            // While the listener is replaced, a connection may fail.
            let Ok(reply) = client.get("/").bearer(token).send().await else { continue };
            if reply.status == 403 {
                return Instant::now();
            }
        }
    };
    match timeout(PATIENCE, refused).await {
        Ok(at) => Ok(at),
        Err(_) => bail!("the new list is not in force after {PATIENCE:?}"),
    }
}
