//! A configuration that cannot be used: Envoy refuses the listener and its log says why.

use portcullis_testbed::Envoy;

use super::support::peers;

#[tokio::test]
async fn the_log_names_the_key_and_the_reason() {
    let peers = peers().await;
    for (text, expect) in [
        (
            r#"{"control_plane":{"cluster":"portcullis"},"stratup":{}}"#,
            "configuration key `stratup`: is unknown",
        ),
        (
            r#"{"control_plane":{"cluster":"portcullis"},"mode":"enforced"}"#,
            "configuration key `mode`: must be one of",
        ),
        ("{}", "configuration key `control_plane`: is required"),
    ] {
        let log = Envoy::refuse(peers.bootstrap().plugin_text(text)).await.unwrap();
        assert!(log.text().contains(expect), "{}", log.tail(20));
    }
}

#[tokio::test]
async fn an_update_that_is_refused_leaves_the_old_configuration_in_force() {
    let peers = peers().await;
    let bootstrap = peers.bootstrap().dynamic_listeners();
    let mut world = peers.with(bootstrap).await;
    world.synced().await;
    world.revoke("session", "s1").await;
    let refused = world
        .envoy
        .update_listener(|listener| {
            super::traps::edit_plugin(listener, |config| config["mode"] = "enforced".into());
            Ok(())
        })
        .await;
    assert!(refused.is_err());
    assert_eq!(world.outcome(&world.session("alice", "s1")).await.0, 401);
    assert_eq!(world.outcome(&world.session("alice", "s2")).await.0, 200);
}
