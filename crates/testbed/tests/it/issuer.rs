//! The issuer's tokens, judged by jwt_authn.

use std::time::Duration;

use anyhow::Result;
use portcullis_testbed::{Client, Issuer};

use crate::guarded;

#[tokio::test]
async fn its_tokens_pass_and_others_do_not() -> Result<()> {
    let (upstream, issuer, envoy) = guarded().await?;
    let token = issuer.token().sub("alice").sid("s1").claim("tenant", "x").sign()?;
    let expired = issuer.token().sub("alice").claim("exp", 1_000_000_000).sign()?;
    let raw = issuer.token_raw(r#"{"alg":"RS256"}"#, &format!(r#"{{"iss":"{}"}}"#, issuer.name()))?;

    let reply = envoy.http1().get("/").bearer(&token).send().await?;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()?["headers"]["authorization"], format!("Bearer {token}"), "forwarded");
    assert_eq!(envoy.http2().get("/").bearer(&raw).send().await?.status, 200, "signed as it is");

    assert_eq!(envoy.http1().get("/").send().await?.status, 401);
    assert_eq!(envoy.http1().get("/").bearer(&expired).send().await?.status, 401);
    assert_eq!(envoy.http1().get("/").bearer(&format!("{token}x")).send().await?.status, 401);
    assert_eq!(envoy.http1().get(&format!("/?access_token={token}")).send().await?.status, 401);
    assert_eq!(upstream.requests(), 2);
    Ok(())
}

#[tokio::test]
async fn it_publishes_what_openid_discovery_needs() -> Result<()> {
    let issuer = Issuer::start().await?;
    let client = Client::http1(issuer.address());

    let discovery = client.get("/.well-known/openid-configuration").send().await?.json()?;
    assert_eq!(discovery["issuer"], issuer.name());
    assert_eq!(discovery["jwks_uri"], issuer.jwks_uri());
    assert_eq!(client.get("/jwks").send().await?.json()?, issuer.jwks());
    Ok(())
}

#[tokio::test]
async fn a_rotated_key_signs_and_the_old_one_stays_published() -> Result<()> {
    let issuer = Issuer::start().await?;
    let before = issuer.kid();

    issuer.rotate().await?;

    assert_ne!(issuer.kid(), before);
    assert_eq!(issuer.jwks()["keys"].as_array().map(Vec::len), Some(2));
    let envoy = portcullis_testbed::Bootstrap::new().issuer(&issuer);
    let envoy = portcullis_testbed::Envoy::start(envoy).await?;
    let token = issuer.token().lifetime(Duration::from_secs(60)).sign()?;
    // The signature is good: what is missing is only a service.
    assert_eq!(envoy.http1().get("/").bearer(&token).send().await?.status, 503);
    Ok(())
}
