//! The WebSocket endpoint.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use tokio::sync::watch;

use super::{Shared, ticks};

pub(super) async fn open(State(state): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    let mut running = state.running.subscribe();
    running.mark_unchanged();
    // The state stays with the server: its end is what `running` tells us.
    upgrade.on_upgrade(move |socket| talk(socket, running))
}

async fn talk(mut socket: WebSocket, mut running: watch::Receiver<()>) {
    let mut ticks = ticks();
    let mut count = 0_u64;
    loop {
        let reply = tokio::select! {
            _ = running.changed() => return,
            _ = ticks.tick() => {
                count += 1;
                Message::Text(format!("tick {count}").into())
            }
            received = socket.recv() => match received {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => message,
                // Pings are answered by the library.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        };
        if socket.send(reply).await.is_err() {
            return;
        }
    }
}
