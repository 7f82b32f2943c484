//! A status list closes the gate for the token at an index of it, and for no other.

use portcullis_testbed::{ControlPlaneSetup, Upstream};
use serde_json::json;

use super::support::{Peers, workers};
use crate::inlets::status_list::support::{Shelf, config, token, uri};

#[tokio::test]
async fn the_token_of_an_entry_is_rejected_and_its_neighbour_is_not() {
    let (issuer, shelf) = Shelf::start().await;
    let plane = ControlPlaneSetup::new(env!("CARGO_BIN_EXE_portcullis"))
        .issuer(&issuer, "allow_private_addresses = true")
        .config(&config(&issuer, ""))
        .start()
        .await
        .unwrap();
    let upstream = Upstream::start().await.unwrap();
    let peers = Peers { issuer, upstream, plane };
    let bootstrap = peers.bootstrap();
    let world = peers.with(bootstrap).await;
    world.synced().await;
    // The index is a number in the token, as the draft has it.
    let at = |index: u32| {
        let place = json!({"status_list": {"idx": index, "uri": uri(&world.issuer)}});
        world.issuer.token().sub("alice").claim("status", place).sign().unwrap()
    };
    let (one, neighbour) = (at(412), at(413));
    let mut statuses = vec![0; 1_000];
    for (status, expect) in [(0, 200), (1, 401), (2, 401), (0, 200)] {
        statuses[412] = status;
        shelf.publish(token(&world.issuer, &statuses)).await;
        workers(&world.plane, 3).await;
        for _ in 0..8 {
            let (status, code) = world.outcome(&one).await;
            let rejected = (expect == 401).then(|| "claims_revoked".to_owned());
            assert_eq!((status, code), (expect, rejected));
            assert_eq!(world.outcome(&neighbour).await, (200, None));
        }
    }
}
