//! A WebSocket.

use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::stream::{End, How, Incomings, Sink};
use super::{Call, Connection, Reply};

type Socket = WebSocketStream<TcpStream>;

/// An open WebSocket. It is read in the background, and closed when dropped.
#[derive(Debug)]
pub struct WebSocket {
    sink: SplitSink<Socket, Message>,
    incoming: Incomings,
    _reader: Connection,
}

impl WebSocket {
    /// Sends a text message.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    pub async fn send(&mut self, text: &str) -> Result<()> {
        self.sink.send(Message::text(text)).await.context("cannot send")
    }

    /// The next message, `None` after the end.
    ///
    /// # Errors
    ///
    /// If neither comes in a long while.
    pub async fn next_message(&mut self) -> Result<Option<String>> {
        let message = self.incoming.next().await?;
        Ok(message.map(|message| String::from_utf8_lossy(&message).into_owned()))
    }

    /// Waits for the end; [`How::Complete`] means that the peer said goodbye with a close frame.
    ///
    /// # Errors
    ///
    /// If it does not end `within` that time.
    pub async fn ended(&self, within: Duration) -> Result<End> {
        self.incoming.ended(within).await
    }

    /// Whether it has not ended yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.incoming.is_open()
    }
}

pub(super) async fn open(call: Call) -> Result<Result<WebSocket, Reply>> {
    let stream = call.connect().await?;
    let mut request = format!("ws://{}{}", call.client.address, call.path).into_client_request()?;
    for (name, value) in call.headers {
        request.headers_mut().append(HeaderName::try_from(name)?, HeaderValue::from_bytes(&value)?);
    }
    match client_async(request, stream).await {
        Ok((socket, _)) => {
            let (sink, messages) = socket.split();
            let (ear, incoming) = Incomings::new();
            let reader = Connection(tokio::spawn(read(messages, ear)));
            Ok(Ok(WebSocket { sink, incoming, _reader: reader }))
        }
        Err(Error::Http(refusal)) => {
            let (head, body) = refusal.into_parts();
            let body = Bytes::from(body.unwrap_or_default());
            Ok(Err(Reply { status: head.status, headers: head.headers, body, trailers: HeaderMap::new() }))
        }
        Err(error) => Err(error.into()),
    }
}

async fn read(mut messages: SplitStream<Socket>, ear: Sink) {
    let how = loop {
        match messages.next().await {
            Some(Ok(Message::Close(_))) => break How::Complete,
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => ear.put(message.into_data()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break How::Closed,
        }
    };
    ear.end(how, HeaderMap::new());
}
