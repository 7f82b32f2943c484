//! Envoy's life.

use std::time::Duration;

use anyhow::{Context as _, Result};
use portcullis_testbed::{Bootstrap, Envoy, Upstream};

use crate::proxied;

const SOON: Duration = Duration::from_secs(10);
const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";

#[tokio::test]
async fn it_serves_counts_and_logs() -> Result<()> {
    let (_upstream, envoy) = proxied().await?;

    assert_eq!(envoy.http1().get("/seen").send().await?.status, 200);

    let counted = envoy.wait_for_stat("http.ingress.downstream_rq_2xx", |count| count == 1, SOON).await?;
    assert_eq!(counted, 1);
    assert_eq!(envoy.stat("no.such.stat").await?, None);
    assert_eq!(envoy.wait_for_access("/seen", SOON).await?, "200 via_upstream - /seen");
    envoy.log().wait_for("starting main dispatch loop", SOON).await?;
    assert!(envoy.admin_get("/server_info").await?.contains("\"version\""));
    Ok(())
}

#[tokio::test]
async fn it_comes_back_after_a_restart_and_stops_when_told() -> Result<()> {
    let (_upstream, mut envoy) = proxied().await?;
    let before = envoy.process().id();

    envoy.restart().await?;

    assert_ne!(envoy.process().id(), before);
    assert_eq!(envoy.http1().get("/").send().await?.status, 200);
    envoy.stop().await
}

#[tokio::test]
async fn a_bad_configuration_is_refused_with_a_log_that_says_so() -> Result<()> {
    let bootstrap = Bootstrap::new().edit(|config| {
        let root = config.as_object_mut().context("object")?;
        root.insert("no_such_field".to_owned(), true.into());
        Ok(())
    });

    let log = Envoy::refuse(bootstrap).await?;

    assert!(log.text().contains("no_such_field"), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_good_configuration_is_not_refused() {
    let error = Envoy::start(Bootstrap::new().edit(|_| anyhow::bail!("from the edit"))).await;
    assert_eq!(error.expect_err("the edit failed").to_string(), "from the edit");
}

#[tokio::test]
async fn two_envoys_do_not_meet() -> Result<()> {
    let (_first_upstream, first) = proxied().await?;
    let (_second_upstream, second) = proxied().await?;

    assert_ne!(first.address(), second.address());
    drop(first);
    assert_eq!(second.http2().get("/").send().await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_dynamic_listener_changes_while_envoy_runs() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = Bootstrap::new().upstream(upstream.address()).dynamic_listeners();
    let mut envoy = Envoy::start(bootstrap).await?;
    assert_eq!(envoy.http1().get("/").send().await?.status, 200);

    let direct = serde_json::json!({ "status": 418 });
    envoy
        .update_listener(move |listener| {
            let route = listener.pointer_mut(&format!("{MANAGER}/route_config/virtual_hosts/0/routes/0"));
            let route = route.and_then(|route| route.as_object_mut()).context("route")?;
            route.remove("route");
            route.insert("direct_response".to_owned(), direct);
            Ok(())
        })
        .await?;

    // The old listener may still take a connection while it drains.
    let changed = async {
        while envoy.http1().get("/").send().await?.status != 418 {}
        Ok(())
    };
    tokio::time::timeout(SOON, changed).await?
}

#[tokio::test]
async fn a_refused_listener_update_leaves_the_old_one() -> Result<()> {
    let upstream = Upstream::start().await?;
    let bootstrap = Bootstrap::new().upstream(upstream.address()).dynamic_listeners();
    let mut envoy = Envoy::start(bootstrap).await?;

    let update = envoy.update_listener(|listener| {
        *listener.pointer_mut(&format!("{MANAGER}/codec_type")).context("codec")? = "TELEPATHY".into();
        Ok(())
    });
    let error = format!("{:#}", update.await.expect_err("refused"));

    assert!(error.contains("TELEPATHY"), "{error}");
    assert_eq!(envoy.http1().get("/").send().await?.status, 200);
    Ok(())
}
