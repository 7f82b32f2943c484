use std::net::SocketAddr;

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::*;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);
/// An HTTP/2 client's preface and its empty SETTINGS.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn limits() -> Limits {
    Limits { connections: 2, first_bytes: LONG, head: LONG, idle: LONG, grace: LONG }
}

async fn port(limits: Limits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let slow = || async { tokio::time::sleep(3 * SHORT).await };
    let router = Router::new().route("/", get(async || "here")).route("/slow", get(slow));
    let routes = watch::Sender::new(router).subscribe();
    tokio::spawn(serve(limits.acceptor(listener), routes, limits, CancellationToken::new()));
    address
}

async fn said(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Everything until the other side closes, which it must.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = timeout(LONG / 4, stream.read_to_end(&mut bytes)).await.expect("it is still open");
    // A connection may also be reset.
    let _ = read;
    bytes
}

async fn is_served(address: SocketAddr, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer = rest(&mut said(address, request.as_bytes()).await).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn connections_that_do_not_say_what_they_speak_give_their_places_back() {
    let address = port(Limits { first_bytes: SHORT, ..limits() }).await;
    let mut silent = said(address, b"").await;
    // As much as both protocols may begin with.
    let mut slow = said(address, b"P").await;
    is_served(address, "/").await;
    assert!(rest(&mut silent).await.is_empty());
    rest(&mut slow).await;
}

#[tokio::test]
async fn the_first_bytes_are_all_that_their_deadline_is_about() {
    let address = port(Limits { first_bytes: SHORT, ..limits() }).await;
    is_served(address, "/slow").await;
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_its_connection() {
    let address = port(Limits { head: SHORT, ..limits() }).await;
    rest(&mut said(address, b"GET / HT").await).await;
}

#[tokio::test]
async fn http2_without_calls_is_ended() {
    // This client acknowledges nothing, so that it is cut off in the end.
    let address = port(Limits { idle: SHORT, grace: SHORT, ..limits() }).await;
    let begun = Instant::now();
    let mut idle = said(address, HTTP2).await;
    let answer = rest(&mut idle).await;
    assert!(begun.elapsed() >= SHORT);
    // GOAWAY without an error.
    let goaway = |frame: &[u8]| frame.starts_with(b"\0\0\x08\x07\0\0\0\0\0") && frame.ends_with(&[0; 4]);
    assert!(answer.windows(17).any(goaway), "{answer:?}");
}

#[tokio::test]
async fn what_is_being_answered_outlives_the_idle_bound() {
    let address = port(Limits { idle: SHORT, ..limits() }).await;
    is_served(address, "/slow").await;
}

#[tokio::test]
async fn what_does_not_end_in_its_time_is_cut_off() {
    let address = port(Limits { idle: SHORT / 4, grace: SHORT / 4, ..limits() }).await;
    let answer = rest(&mut said(address, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await).await;
    assert!(answer.is_empty());
}
