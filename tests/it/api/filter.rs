//! The compiled filter, handed out.

use std::time::Duration;

use portcullis_testbed::paths;
use sha2::{Digest as _, Sha256};

use crate::support::{control_plane, problem, setup};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_filter_is_handed_out_under_a_name_of_its_own() {
    let file = paths::filter().unwrap();
    let plane = setup().env("PORTCULLIS_FILTER_FILES", file.to_str().unwrap()).start().await.unwrap();
    let listed = plane.api().get("/filter").send().await.unwrap().json().unwrap();
    let bytes = std::fs::read(file).unwrap();
    let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let version = env!("CARGO_PKG_VERSION");
    let path = format!("/filter/portcullis_filter-{version}-{sha256}.wasm");
    let expect = serde_json::json!({"modules": [
        {"version": version, "sha256": sha256, "bytes": bytes.len(), "path": path}
    ]});
    assert_eq!(listed, expect);
    let reply = plane.api().get(&path).send().await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, bytes.as_slice()));
    assert_eq!(reply.header("content-type"), Some("application/wasm"));
    assert_eq!(reply.header("cache-control"), Some("public, max-age=31536000, immutable"));
    let other = |path: &str| path.replace(&sha256, &"0".repeat(64));
    for missing in [other(&path), "/filter/portcullis_filter.wasm".into()] {
        problem(&plane.api().get(&missing).send().await.unwrap(), 404, "not_found");
    }
    // The log says what there is, and of an address once in a while that it asks for something else.
    plane.log().wait_for(&format!("path=\"{path}\""), SOON).await.unwrap();
    plane.log().wait_for("a filter was asked for that is not handed out here", SOON).await.unwrap();
    let log = plane.log().text();
    assert_eq!(log.matches("a filter was asked for").count(), 1, "{log}");
    assert!(log.contains(&format!("name=\"{}\"", other(&path).trim_start_matches("/filter/"))), "{log}");
}

#[tokio::test]
async fn without_one_there_is_nothing_to_hand_out() {
    let plane = control_plane().await;
    let listed = plane.api().get("/filter").send().await.unwrap().json().unwrap();
    assert_eq!(listed, serde_json::json!({"modules": []}));
    plane.log().wait_for("hands out no filter, and answers 404 to edges that fetch it", SOON).await.unwrap();
}
