//! A session is revoked: new requests, open streams, and the session next to it.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use portcullis_testbed::{End, How, WebSocket};
use serde_json::Value;

use crate::narrator::{Narrator, milliseconds};
use crate::race::Race;
use crate::stage::{Open, Stage, summary, text};

const SOON: Duration = Duration::from_secs(10);

pub(super) async fn works(stage: &mut Stage, narrator: &Narrator) -> Result<()> {
    let token = |sid: &str| stage.issuer.token().sub("alice").sid(sid).sign();
    let (laptop, phone) = (token("alice-laptop")?, token("alice-phone")?);

    stage.passes(narrator, "the laptop's token", &laptop).await?;
    stage.passes(narrator, "the phone's token", &phone).await?;
    let anonymous = stage.envoy.http1().get("/").send().await?;
    ensure!(anonymous.status == 401, "without a token: expected 401, saw {}", summary(&anonymous));
    narrator.held("GET / without a token", "401, by jwt_authn");

    let (http1, http2) = (stage.envoy.http1(), stage.envoy.http2());
    let socket = http1.get("/ws").bearer(&laptop).websocket().await?;
    let socket = socket.map_err(|reply| anyhow::anyhow!("expected a WebSocket, saw {}", summary(&reply)))?;
    let events = http1.get("/sse").bearer(&laptop).open().await?;
    let grpc = http2.post("/grpc.Echo/Stream").bearer(&laptop).header("content-type", "application/grpc");
    let grpc = grpc.open().await?;
    let mut phone_stream = http1.get("/sse").bearer(&phone).open().await?;
    let mut open = vec![
        Open::Socket(socket),
        Open::Stream("server-sent events", events),
        Open::Stream("gRPC stream", grpc),
    ];
    for stream in &mut open {
        first(stream).await?;
        narrator.held(&format!("the laptop opens: {}", stream.name()), "open");
    }
    phone_stream.next_chunk().await?.context("expected an event on the phone, saw the end")?;
    narrator.held("the phone opens: server-sent events", "open");

    let alice = &mut stage.alice;
    (alice.laptop, alice.phone, alice.open, alice.phone_stream) = (laptop, phone, open, Some(phone_stream));
    Ok(())
}

pub(super) async fn is_revoked(stage: &mut Stage, narrator: &Narrator) -> Result<()> {
    let race = Race::start(stage.envoy.http1(), &stage.alice.laptop);
    let started = Instant::now();
    stage.alice.revoking = Some(started);
    let args = ["revoke", "session", "alice-laptop", "--reason", "laptop stolen", "--wait"];
    let answer = stage.portcullis(narrator, &args).await?;
    let finish = race.finish(SOON).await?;

    narrator.measured("first 401 after the start of the command", finish.at.duration_since(started));
    let accepted: SystemTime = text(&answer, "created_at")?.parse::<jiff::Timestamp>()?.into();
    narrator.measured(
        "first 401 after the API had the call (disk included)",
        finish.wall.duration_since(accepted).unwrap_or_default(),
    );
    let receipts = answer.get("receipts").context("expected receipts, saw none")?;
    let number = |name: &str| receipts.get(name).and_then(Value::as_u64);
    ensure!(
        number("applied") == Some(1) && number("pending") == Some(0),
        "expected one applied, saw {receipts}"
    );
    let ms =
        receipts.pointer("/edges/0/ms").and_then(Value::as_u64).context("expected a time in the receipt")?;
    narrator.held("receipt: every worker enforces it, after", &format!("{ms} ms"));
    narrator.held("requests of the laptop that passed until then", &finish.passed.to_string());
    stage.is_rejected(narrator, "the laptop's token", &stage.alice.laptop, "session_revoked").await?;

    let reply = stage.get(&stage.alice.laptop).await?;
    let challenge = reply.header("www-authenticate").unwrap_or_default().to_owned();
    ensure!(
        challenge.starts_with("Bearer error=\"invalid_token\""),
        "expected RFC 6750's challenge, saw {challenge}"
    );
    narrator.say(&format!("www-authenticate: {challenge}"));
    let logged = stage.envoy.wait_for_access("portcullis_session_revoked", SOON).await?;
    narrator.say(&format!("access log: {logged}"));
    Ok(())
}

pub(super) async fn streams_end(stage: &mut Stage, narrator: &Narrator) -> Result<()> {
    let revoking = stage.alice.revoking.context("the session was revoked")?;
    for stream in std::mem::take(&mut stage.alice.open) {
        let name = stream.name();
        let end = stream.ended().await.with_context(|| format!("{name}: expected its end"))?;
        let after = milliseconds(end.at.duration_since(revoking));
        narrator.held(name, &format!("{}, {after} after the start of the command", manner(&end)));
    }
    Ok(())
}

pub(super) async fn other_goes_on(stage: &mut Stage, narrator: &Narrator) -> Result<()> {
    stage.passes(narrator, "the phone's token", &stage.alice.phone).await?;
    let stream = stage.alice.phone_stream.as_mut().context("the phone has a stream")?;
    let next = stream.next_chunk().await?;
    ensure!(next.is_some() && stream.is_open(), "expected the phone's stream to go on, saw its end");
    narrator.held("the phone's server-sent events", "still open");
    Ok(())
}

/// How a stream has ended, in words.
pub(super) fn manner(end: &End) -> &'static str {
    match end.how {
        How::Complete => "complete",
        How::Reset(_) => "reset",
        How::Closed => "closed",
    }
}

impl Open {
    fn name(&self) -> &'static str {
        match self {
            Self::Socket(_) => "WebSocket",
            Self::Stream(name, _) => name,
        }
    }

    async fn ended(&self) -> Result<End> {
        match self {
            Self::Socket(socket) => socket.ended(SOON).await,
            Self::Stream(_, stream) => stream.ended(SOON).await,
        }
    }
}

/// Waits until the service has said something.
async fn first(open: &mut Open) -> Result<()> {
    let name = open.name();
    let said = match open {
        Open::Socket(socket) => greet(socket).await?,
        Open::Stream(_, stream) => {
            ensure!(stream.status == 200, "{name}: expected 200, saw {}", stream.status);
            stream.next_chunk().await?.is_some()
        }
    };
    ensure!(said, "{name}: expected a message, saw the end");
    Ok(())
}

async fn greet(socket: &mut WebSocket) -> Result<bool> {
    socket.send("hello").await?;
    Ok(socket.next_message().await?.is_some())
}
