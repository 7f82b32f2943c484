//! The control plane's API over connections that stay open: what is measured is not their opening.

use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use portcullis_core::Version;
use portcullis_testbed::ControlPlane;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;

/// Most lines of a batch that the API takes.
const LINES: usize = 1_000_000;

/// One connection to the API.
#[derive(Debug)]
pub(crate) struct Api {
    sender: SendRequest<Full<Bytes>>,
    address: String,
    authorization: String,
}

impl Api {
    /// Connects.
    pub(crate) async fn connect(plane: &ControlPlane) -> Result<Self> {
        let address = plane.url().trim_start_matches("http://").to_owned();
        let authorization = format!("Bearer {}", plane.admin_key());
        Ok(Self { sender: open(&address).await?, address, authorization })
    }

    /// Revokes a session, and waits until the API has accepted it, which means that it is on disk.
    pub(crate) async fn revoke(&mut self, session: &Session<'_>) -> Result<Accepted> {
        let answer = self.create("/v1/revocations", session).await?;
        Ok(Accepted { version: answer.version, at: Instant::now() })
    }

    /// Asks whether the process is alive, which costs nothing but the call.
    pub(crate) async fn alive(&mut self) -> Result<()> {
        let request = Request::get("/livez").header(header::HOST, "control-plane").body(Full::default())?;
        let response = self.send(request).await.context("no answer to GET /livez")?;
        ensure!(response.status() == 200, "the API answers {} to GET /livez", response.status());
        response.into_body().collect().await?;
        Ok(())
    }

    /// Revokes a session, and gives how many edges had confirmed it when all had, or half a minute was over.
    pub(crate) async fn revoke_and_wait(&mut self, session: &Session<'_>) -> Result<usize> {
        let answer = self.create("/v1/revocations?wait=30s", session).await?;
        Ok(answer.receipts.context("the API gave no receipts")?.applied)
    }

    async fn create(&mut self, path: &str, session: &Session<'_>) -> Result<Answer> {
        let response = self.post(path, "application/json", session.json().into()).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(status == 201, "the API answers {status}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).context("the API's answer is not as expected")
    }

    /// Revokes the sessions `PREFIX-FROM` up to, not including, `PREFIX-TO`, and makes sure that every one was
    /// accepted.
    pub(crate) async fn import(&mut self, issuer: &str, prefix: &str, from: usize, to: usize) -> Result<()> {
        let mut start = from;
        while start < to {
            let end = to.min(start + LINES);
            self.batch(lines(issuer, prefix, start, end), end - start).await?;
            start = end;
        }
        Ok(())
    }

    /// Sends one batch, makes sure that each of its lines was accepted, and gives the acceptance of the last.
    pub(crate) async fn batch(&mut self, ndjson: Bytes, count: usize) -> Result<Accepted> {
        let response = self.post("/v1/revocations/batch", "application/x-ndjson", ndjson).await?;
        let status = response.status();
        ensure!(status.is_success(), "the API answers {status} to a batch");
        let mut body = response.into_body();
        let (mut accepted, mut rest, mut last) = (0, Vec::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            for piece in data.split_inclusive(|byte| *byte == b'\n') {
                rest.extend_from_slice(piece);
                if rest.ends_with(b"\n") {
                    check_line(&rest)?;
                    accepted += 1;
                    std::mem::swap(&mut rest, &mut last);
                    rest.clear();
                }
            }
        }
        ensure!(accepted == count, "{accepted} of {count} lines of a batch were answered");
        let last: Answer = serde_json::from_slice(&last).context("a result of a batch is not as expected")?;
        Ok(Accepted { version: last.version, at: Instant::now() })
    }

    async fn post(&mut self, path: &str, media: &str, body: Bytes) -> Result<Response<Incoming>> {
        let request = Request::post(path)
            .header(header::HOST, "control-plane")
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, media)
            .body(Full::new(body))?;
        self.send(request).await.with_context(|| format!("no answer to POST {path}"))
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        // The server ends connections on which nothing is asked for half a minute.
        if self.sender.ready().await.is_err() {
            self.sender = open(&self.address).await?;
        }
        Ok(self.sender.send_request(request).await?)
    }
}

async fn open(address: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Errors arrive at the request as well; it ends with the sender.
    tokio::spawn(connection);
    Ok(sender)
}

/// What the API says of a revocation, as far as it matters here.
#[derive(Deserialize)]
struct Answer {
    version: Version,
    receipts: Option<Receipts>,
}

#[derive(Deserialize)]
struct Receipts {
    applied: usize,
}

/// A revocation is durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) version: Version,
    /// When the answer was here.
    pub(crate) at: Instant,
}

/// A session to be revoked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) sid: &'a str,
}

impl Session<'_> {
    /// As the API takes it.
    pub(crate) fn json(&self) -> String {
        let Self { issuer, sid } = self;
        format!(r#"{{"kind":"session","issuer":"{issuer}","value":"{sid}"}}"#)
    }
}

/// NDJSON that revokes `PREFIX-FROM` up to, not including, `PREFIX-TO`.
pub(crate) fn lines(issuer: &str, prefix: &str, from: usize, to: usize) -> Bytes {
    let mut ndjson = String::with_capacity((to - from) * 100);
    for number in from..to {
        let sid = format!("{prefix}-{number}");
        ndjson += &Session { issuer, sid: &sid }.json();
        ndjson.push('\n');
    }
    ndjson.into()
}

// A result without an error has none of the text of one, and a million of them need no JSON reader.
fn check_line(line: &[u8]) -> Result<()> {
    if line.starts_with(br#"{"line":"#) && !line.windows(8).any(|part| part == br#""error":"#) {
        return Ok(());
    }
    let line: Value = serde_json::from_slice(line).context("a result of a batch is not JSON")?;
    bail!("a line of a batch was refused: {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_what_the_api_takes() {
        let ndjson = lines("http://idp", "s", 8, 10);
        let read: Vec<Value> = ndjson
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[1], serde_json::json!({ "kind": "session", "issuer": "http://idp", "value": "s-9" }));
    }

    #[test]
    fn a_line_that_was_refused_is_noticed() {
        assert!(check_line(b"{\"line\":1,\"id\":\"r1-abcd\",\"version\":1}\n").is_ok());
        assert!(check_line(b"{\"line\":1,\"error\":{\"code\":\"x\"}}\n").is_err());
        assert!(check_line(b"garbage\n").is_err());
    }
}
