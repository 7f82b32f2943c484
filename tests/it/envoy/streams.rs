//! Streams that are open when their session is revoked.

use std::time::Instant;

use portcullis_testbed::How;

use super::support::{SOON, World, world};

/// Revokes the session and says when that began.
async fn revoke(world: &World) -> Instant {
    let began = Instant::now();
    world.revoke("session", "s1").await;
    began
}

#[tokio::test]
async fn server_sent_events_and_chunks_end_on_both_protocols() {
    let world = world().await;
    let (revoked, innocent) = (world.session("alice", "s1"), world.session("alice", "s2"));
    let mut open = Vec::new();
    // Several of each, so that both workers have some.
    for _ in 0..4 {
        for client in [world.envoy.http1(), world.envoy.http2()] {
            for path in ["/sse", "/stream"] {
                let mut stream = client.get(path).bearer(&revoked).open().await.unwrap();
                assert!(stream.next_chunk().await.unwrap().is_some());
                open.push(stream);
            }
        }
    }
    let mut other = world.envoy.http1().get("/sse").bearer(&innocent).open().await.unwrap();
    let began = revoke(&world).await;
    for stream in &open {
        let end = stream.ended(SOON).await.unwrap();
        assert!(end.at >= began, "ended before it was revoked");
        assert_ne!(end.how, How::Complete);
    }
    assert!(other.next_chunk().await.unwrap().is_some());
    assert!(other.is_open());
    world
        .envoy
        .wait_for_access("200 portcullis_session_revoked rejected;code=session_revoked /sse", SOON)
        .await
        .unwrap();
    let cut = "wasmcustom.portcullis_streams_cut_total";
    world.envoy.wait_for_stat(cut, |value| value == 16, SOON).await.unwrap();
}

#[tokio::test]
async fn websockets_and_grpc_streams_end() {
    let world = world().await;
    let (revoked, innocent) = (world.session("alice", "s1"), world.session("alice", "s2"));
    let mut socket = world.client().get("/ws").bearer(&revoked).websocket().await.unwrap().unwrap();
    let mut other = world.client().get("/ws").bearer(&innocent).websocket().await.unwrap().unwrap();
    socket.send("hello").await.unwrap();
    assert!(socket.next_message().await.unwrap().is_some());
    let call = world.envoy.http2().post("/grpc.Echo/Stream").header("content-type", "application/grpc");
    let mut grpc = call.bearer(&revoked).open().await.unwrap();
    assert!(grpc.next_chunk().await.unwrap().is_some());
    revoke(&world).await;
    assert_ne!(socket.ended(SOON).await.unwrap().how, How::Complete);
    assert_ne!(grpc.ended(SOON).await.unwrap().how, How::Complete);
    assert!(other.next_message().await.unwrap().is_some());
    assert!(other.is_open());
}

#[tokio::test]
async fn a_request_that_waits_for_its_answer_is_rejected() {
    let world = world().await;
    let call = world.client().get("/slow").bearer(&world.session("alice", "s1"));
    let waiting = tokio::spawn(call.send());
    world.upstream.holding(1).await;
    revoke(&world).await;
    let reply = waiting.await.unwrap().unwrap();
    assert_eq!(super::support::outcome(&reply), (401, Some("session_revoked".into())));
}

#[tokio::test]
async fn a_new_login_keeps_its_stream_when_the_user_is_revoked() {
    let world = world().await;
    let now = super::support::unix_now();
    let token = |iat| world.issuer.token().sub("alice").iat(iat).sign().unwrap();
    let old = world.client().get("/sse").bearer(&token(now - 60)).open().await.unwrap();
    let mut new = world.client().get("/sse").bearer(&token(now + 30)).open().await.unwrap();
    world.revoke("subject", "alice").await;
    old.ended(SOON).await.unwrap();
    assert!(new.next_chunk().await.unwrap().is_some());
    assert!(new.is_open());
}
