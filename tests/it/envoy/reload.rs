//! A trap. The filter that ships has none that we know of; the one built here for the purpose has.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::support::{SOON, peers};

/// The filter with a request header that makes it trap.
pub(crate) fn trapping_filter() -> PathBuf {
    static FILTER: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let root = env!("CARGO_MANIFEST_DIR");
        let target = portcullis_testbed::paths::filter().unwrap().parent().unwrap().join("trapping");
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--quiet",
            "-p",
            "portcullis-filter",
            "--features",
            "trap",
            "--profile",
            "wasm",
        ]);
        cargo.args(["--target", "wasm32-wasip1", "--target-dir"]).arg(&target).current_dir(root);
        for inherited in
            ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"]
        {
            cargo.env_remove(inherited);
        }
        assert!(cargo.status().unwrap().success());
        target.join("wasm32-wasip1/wasm/portcullis_filter.wasm")
    };
    FILTER.get_or_init(build).clone()
}

#[tokio::test]
async fn a_trapped_worker_is_replaced_and_holds_requests_until_it_has_the_set() {
    let filter = tokio::task::spawn_blocking(trapping_filter).await.unwrap();
    let peers = peers().await;
    let bootstrap = peers.bootstrap().concurrency(1).filter(filter);
    let mut world = peers.with(bootstrap).await;
    super::support::workers(&world.plane, 2).await;
    world.revoke("session", "s1").await;
    let (one, two) = (world.session("alice", "s1"), world.session("alice", "s2"));

    let trapped = world.client().get("/").bearer(&two).header("x-portcullis-trap", "1").send().await.unwrap();
    assert_eq!(trapped.status.as_u16(), 503);
    world.envoy.wait_for_access("503 wasm_fail_stream", SOON).await.unwrap();

    // The control plane is away, so the new VM cannot have the set: the requests must wait for it.
    world.plane.kill().await.unwrap();
    let mut held = Vec::new();
    for token in [&one, &two] {
        // Envoy answers 503 by itself until its back-off for reloads is over.
        let call = || world.client().get("/").bearer(token);
        let before = world.upstream.requests();
        loop {
            let request = tokio::spawn(call().send());
            let answered = async {
                // The filter's own word: a request that Envoy is about to answer is active for a moment as well.
                let held = world.envoy.wait_for_stat(
                    "wasmcustom.portcullis_requests_held",
                    |n| n > held.len() as u64,
                    SOON,
                );
                held.await
            };
            tokio::select! {
                biased;
                () = async { while !request.is_finished() { tokio::task::yield_now().await } } => {
                    let reply = request.await.unwrap().unwrap();
                    assert_eq!(reply.status.as_u16(), 503);
                }
                active = answered => {
                    active.unwrap();
                    held.push(request);
                    break;
                }
            }
        }
        assert_eq!(world.upstream.requests(), before);
    }
    world.plane.restart().await.unwrap();
    let mut statuses = Vec::new();
    for request in held {
        statuses.push(request.await.unwrap().unwrap().status.as_u16());
    }
    assert_eq!(statuses, [401, 200]);
    assert_eq!(world.envoy.stat("wasm.portcullis.vm_reload_success").await.unwrap(), Some(1));
}

/// What a trapped worker had in the gauges that are sums over all workers is taken back for it: an alert on them ends.
#[tokio::test]
async fn gauges_forget_a_trapped_worker() {
    let filter = tokio::task::spawn_blocking(trapping_filter).await.unwrap();
    let mut peers = peers().await;
    peers.plane.kill().await.unwrap();
    let bootstrap = peers.bootstrap().concurrency(1).filter(filter);
    let mut world = peers.with(bootstrap).await;
    let unsynced = "wasmcustom.portcullis_workers_unsynced";
    world.envoy.wait_for_stat(unsynced, |workers| workers == 2, SOON).await.unwrap();
    let token = world.session("alice", "s1");
    let trapped = world.client().get("/").bearer(&token).header("x-portcullis-trap", "1").send();
    assert_eq!(trapped.await.unwrap().status.as_u16(), 503);
    world.envoy.wait_for_access("503 wasm_fail_stream", SOON).await.unwrap();
    world.plane.restart().await.unwrap();
    // The worker is made again when a request comes, at the earliest after Envoy's back-off.
    let answered = async {
        while world.client().get("/").bearer(&token).send().await.unwrap().status.as_u16() != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, answered).await.unwrap();
    super::support::workers(&world.plane, 2).await;
    world.envoy.wait_for_stat(unsynced, |workers| workers == 0, SOON * 2).await.unwrap();
}
