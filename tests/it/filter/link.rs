//! The stream to the control plane: opened, watched, opened again.

use std::time::Duration;

use portcullis_core::wire::edge::edge_message::Message as Edge;
use proxy_wasm_harness::{Cluster, State};

use super::support::{Authorized, Plane, builder, connect, connected, said, send, sent, session, synced};

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn every_vm_opens_one_stream_and_says_who_it_is() {
    let envoy = builder("").workers(2).start().unwrap();
    envoy.advance(MS(300));
    let streams = envoy.grpc_streams();
    // Two workers and the main thread's VM.
    assert_eq!(streams.len(), 3);
    let mut processes = Vec::new();
    let mut workers = Vec::new();
    for stream in &streams {
        assert_eq!(
            (stream.cluster().as_str(), stream.service().as_str()),
            ("portcullis", "portcullis.edge.v1.Edge")
        );
        assert_eq!(stream.method(), "Subscribe");
        assert_eq!(stream.metadata().get("authorization"), Some("Bearer edge-key"));
        let Edge::Hello(hello) = said(stream) else { panic!("no hello") };
        assert_eq!((hello.node.as_str(), hello.protocol, hello.position), ("edge-1", 1, None));
        processes.push(hello.process);
        workers.push(hello.worker);
    }
    processes.dedup();
    workers.sort();
    workers.dedup();
    assert_eq!((processes.len(), workers.len()), (1, 3), "{processes:?} {workers:?}");
    assert!(!processes[0].is_empty());
    envoy.assert_clean();
}

#[test]
fn no_stream_is_opened_while_the_filter_is_configured() {
    let envoy = builder("").start().unwrap();
    assert!(envoy.grpc_streams().is_empty());
    envoy.assert_clean();
}

#[test]
fn a_cluster_without_hosts_is_tried_again_one_attempt_at_a_time() {
    let envoy = builder("").cluster("portcullis", Cluster::no_hosts()).start().unwrap();
    envoy.advance(MS(5_000));
    envoy.assert_clean();
    envoy.set_cluster("portcullis", Cluster::healthy());
    let stream = connect(&envoy);
    assert!(matches!(sent(&stream).as_slice(), [Edge::Hello(_)]));
    envoy.assert_clean();
}

#[test]
fn a_reconnecting_edge_says_what_it_has_and_enforces_it_meanwhile() {
    let mut plane = Plane::new();
    plane.revoke_session("s1");
    let (envoy, stream) = synced("", &plane);
    stream.reset();
    assert_eq!(envoy.worker(0).get("/").bearer(&session("s1")).send().state(), State::Replied);
    assert_eq!(envoy.worker(0).get("/").bearer(&session("s2")).send().state(), State::Forwarded);
    let stream = connect(&envoy);
    let Edge::Hello(hello) = said(&stream) else { panic!("no hello") };
    let position = hello.position.unwrap();
    assert_eq!((position.store_id, position.version), (vec![1; 16], 1));
    envoy.assert_clean();
}

#[test]
fn a_silent_control_plane_is_given_up_and_called_again() {
    let plane = Plane::new();
    let (envoy, stream) = synced("", &plane);
    // Three missed heartbeats, and a tick to notice.
    envoy.advance(MS(2_900));
    assert!(stream.is_open());
    envoy.advance(MS(1_200));
    assert!(stream.cancelled_by_filter());
    let again = connect(&envoy);
    assert_ne!(again.token(), stream.token());
    envoy.assert_clean();
}

#[test]
fn heartbeats_keep_the_stream() {
    let plane = Plane::new();
    let (envoy, stream) = synced("", &plane);
    for _ in 0..20 {
        envoy.advance(MS(1_000));
        send(&stream, plane.heartbeat());
    }
    assert!(stream.is_open());
}

#[test]
fn attempts_become_rarer() {
    let envoy = builder("").cluster("portcullis", Cluster::no_hosts()).start().unwrap();
    let attempts = |envoy: &proxy_wasm_harness::Envoy| {
        envoy.logs().iter().filter(|log| log.message.contains("no healthy host")).count()
    };
    envoy.advance(MS(2_000));
    let early = attempts(&envoy);
    envoy.advance(MS(58_000));
    let total = attempts(&envoy);
    // Two VMs; 0.2, 0.4 … 10 s apart, or half of that.
    assert!((4..=16).contains(&early), "{early}");
    assert!((16..=44).contains(&total), "{total}");
}

#[test]
fn an_ended_stream_is_cancelled_in_its_close_callback() {
    let (envoy, stream) = connected("");
    stream.close(14, "going away");
    let cost = envoy.worker(0).cost();
    assert!(cost.count("proxy_grpc_cancel") >= 1, "{cost:?}");
    envoy.assert_clean();
}
