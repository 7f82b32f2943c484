//! Clients in great numbers: what they can make a worker hold is bounded.

use proxy_wasm_harness::{Exchange, State};

use super::support::{Authorized, IAT, ISSUER, Plane, code, connected, jwt, synced};

const MIB: usize = 1 << 20;

/// A token of about so many bytes that no other is like.
fn token(n: usize, bytes: usize) -> String {
    let padding = "x".repeat(bytes * 3 / 4);
    jwt(&serde_json::json!({"iss": ISSUER, "sid": format!("s{n}"), "iat": IAT, "padding": padding}))
}

#[test]
fn tokens_that_come_once_are_forgotten() {
    let (envoy, _stream) = synced("", &Plane::new());
    let before = envoy.worker(0).memory_size();
    let mut sizes = Vec::new();
    for round in 0..3 {
        for n in 0..1_000 {
            let exchange = envoy.worker(0).get("/").bearer(&token(round * 1_000 + n, 20_000)).send();
            assert_eq!(exchange.state(), State::Forwarded);
            exchange.finish();
        }
        sizes.push(envoy.worker(0).memory_size() - before);
    }
    // 16 MiB of tokens, their tables, and what the allocator cannot put to use.
    assert!(sizes[2] <= 32 * MIB, "{sizes:?}");
    assert!(sizes[2] - sizes[0] <= 4 * MIB, "it goes on growing: {sizes:?}");
    envoy.assert_clean();
}

#[test]
fn requests_that_wait_are_bounded() {
    let (envoy, stream) = connected("");
    let before = envoy.worker(0).memory_size();
    let exchanges: Vec<Exchange> =
        (0..12_000).map(|n| envoy.worker(0).get("/").bearer(&token(n, 1_000)).send()).collect();
    let held = exchanges.iter().filter(|exchange| exchange.state() == State::Held).count();
    assert_eq!(held, 10_000);
    assert_eq!(code(&exchanges[11_000]).as_deref(), Some("not_synced"));
    let grown = envoy.worker(0).memory_size() - before;
    assert!(grown <= 40 * MIB, "{grown}");
    Plane::new().send_snapshot(&stream);
    assert!(exchanges[..10_000].iter().all(|exchange| exchange.state() == State::Forwarded));
    assert_eq!(envoy.worker(0).failure(), None);
    envoy.assert_clean();
}

#[test]
fn open_streams_with_large_tokens_are_bounded_and_small_ones_go_on() {
    let mut plane = Plane::new();
    plane.revoke_session("none");
    let (envoy, stream) = synced("", &plane);
    let before = envoy.worker(0).memory_size();
    let exchanges: Vec<Exchange> =
        (0..2_000).map(|n| envoy.worker(0).get("/").bearer(&token(n, 48_000)).send()).collect();
    let passed = exchanges.iter().filter(|exchange| exchange.state() == State::Forwarded).count();
    assert!((900..1_400).contains(&passed), "{passed}");
    assert_eq!(code(&exchanges[1_999]).as_deref(), Some("token_malformed"));
    let grown = envoy.worker(0).memory_size() - before;
    assert!(grown <= 112 * MIB, "{grown}");
    let small = envoy.worker(0).get("/").bearer(&token(5_000, 500)).send();
    assert_eq!(small.state(), State::Forwarded);
    envoy.advance(std::time::Duration::from_secs(1));
    assert_eq!(envoy.metric("portcullis_crowded_out_total"), Some(2_000 - u64::try_from(passed).unwrap()));
    // Those that are open are cut as ever, and make room.
    super::support::send_delta(&stream, plane.revoke_session("s5"));
    assert_eq!(exchanges[5].state(), State::Replied);
    for exchange in exchanges.iter().take(100) {
        exchange.finish();
    }
    let again = envoy.worker(0).get("/").bearer(&token(6_000, 48_000)).send();
    assert_eq!(again.state(), State::Forwarded);
    envoy.assert_clean();
}

#[test]
fn tokens_with_thousands_of_values_are_bounded_too() {
    let mut plane = Plane::new();
    let groups = serde_json::json!({"groups": "ops"});
    let requirements = vec![("groups".parse().map(portcullis_core::Field::Claim).unwrap(), "ops".to_owned())];
    let selector = portcullis_core::Selector::new(requirements, portcullis_core::CutoffClaim::Iat).unwrap();
    plane.revoke(&selector, portcullis_core::Cutoff::Always);
    let (envoy, _stream) = synced("", &plane);
    assert_eq!(
        code(&envoy.worker(0).get("/").bearer(&jwt(&groups)).send()).as_deref(),
        Some("claims_revoked")
    );
    let before = envoy.worker(0).memory_size();
    let many = |n: usize| jwt(&serde_json::json!({"n": n, "groups": (0..6_000).collect::<Vec<_>>()}));
    let exchanges: Vec<Exchange> =
        (0..200).map(|n| envoy.worker(0).get("/").bearer(&many(n)).send()).collect();
    let passed = exchanges.iter().filter(|exchange| exchange.state() == State::Forwarded).count();
    assert!((50..120).contains(&passed), "{passed}");
    envoy.advance(std::time::Duration::from_secs(3));
    let grown = envoy.worker(0).memory_size() - before;
    assert!(grown <= 112 * MIB, "{grown}");
    envoy.assert_clean();
}
