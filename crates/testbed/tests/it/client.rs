//! The client and the upstream, through Envoy.

use std::time::{Duration, Instant};

use anyhow::Result;
use portcullis_testbed::{Client, How, TICK, Upstream};
use serde_json::json;

use crate::proxied;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_request_arrives_as_it_was_sent_in_both_versions() -> Result<()> {
    let (upstream, envoy) = proxied().await?;
    for client in [envoy.http1(), envoy.http2()] {
        let reply = client.post("/a/b?c=d").header("x-twice", "1").header("x-twice", "2").send().await?;

        assert_eq!(reply.status, 200);
        let seen = reply.json()?;
        assert_eq!(seen["method"], "POST");
        assert_eq!((&seen["path"], &seen["query"]), (&json!("/a/b"), &json!("c=d")));
        assert_eq!(seen["headers"]["x-twice"], json!(["1", "2"]));
    }
    assert_eq!(upstream.requests(), 2);
    Ok(())
}

#[tokio::test]
async fn streams_deliver_and_end_when_the_upstream_goes() -> Result<()> {
    for path in ["/sse", "/stream"] {
        let (upstream, envoy) = proxied().await?;
        let mut http1 = envoy.http1().get(path).open().await?;
        let mut http2 = envoy.http2().get(path).open().await?;
        for stream in [&mut http1, &mut http2] {
            assert_eq!(stream.status, 200);
            assert!(stream.next_chunk().await?.is_some());
            assert!(stream.next_chunk().await?.is_some(), "{path} goes on");
            assert!(stream.is_open());
        }

        let before = Instant::now();
        drop(upstream);

        let end = http1.ended(SOON).await?;
        assert_eq!(end.how, How::Closed);
        assert!(end.at >= before, "the end was seen when it happened");
        assert!(matches!(http2.ended(SOON).await?.how, How::Reset(_)));
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_that_is_never_cut_does_not_end() -> Result<()> {
    let (_upstream, envoy) = proxied().await?;
    let stream = envoy.http1().get("/stream").open().await?;

    assert!(stream.ended(3 * TICK).await.is_err());
    assert!(stream.is_open());
    Ok(())
}

#[tokio::test]
async fn a_websocket_echoes_and_ticks_and_ends_with_its_envoy() -> Result<()> {
    let (_upstream, envoy) = proxied().await?;
    let mut socket = envoy.http1().get("/ws").websocket().await?.expect("accepted");
    socket.send("hello").await?;

    let mut seen = Vec::new();
    while !(seen.iter().any(|text| text == "hello")
        && seen.iter().any(|text: &String| text.starts_with("tick")))
    {
        seen.push(socket.next_message().await?.expect("open"));
    }
    drop(envoy);

    assert_eq!(socket.ended(SOON).await?.how, How::Closed);
    Ok(())
}

#[tokio::test]
async fn grpc_messages_and_trailers_pass() -> Result<()> {
    let (_upstream, envoy) = proxied().await?;
    let client = envoy.http2();

    let once = client.post("/grpc.Echo/Once").header("content-type", "application/grpc").send().await?;
    assert_eq!((once.status.as_u16(), once.grpc_status()), (200, Some(0)));
    assert_eq!(&once.body[..], b"\0\0\0\0\x04once");

    let call = client.post("/grpc.Echo/Stream").header("content-type", "application/grpc");
    let mut stream = call.open().await?;
    assert!(stream.next_chunk().await?.is_some_and(|frame| frame.ends_with(b"tick 0")));
    assert!(stream.next_chunk().await?.is_some_and(|frame| frame.ends_with(b"tick 1")));
    Ok(())
}

#[tokio::test]
async fn a_slow_answer_is_held_until_it_is_released() -> Result<()> {
    let upstream = Upstream::start().await?;
    let client = Client::http1(upstream.address());
    let waiting = tokio::spawn(client.get("/slow").send());
    upstream.holding(1).await;
    assert!(!waiting.is_finished());

    upstream.release();

    assert_eq!(waiting.await??.text(), "released\n");
    Ok(())
}
