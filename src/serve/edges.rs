//! The edges' port, on threads of its own.
//!
//! A change goes to all edges at once, and what one delivery costs decides when the last edge has it. On one of these
//! threads, tasks run in the order in which they were woken: the messages of all streams of a connection are in place
//! when the connection's own task comes to write them, all at once. The runtime of everything else runs what was woken
//! last first, which is a write for every message.

use std::io;
use std::num::NonZero;
use std::thread;

use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::DRAIN;
use super::accept::{Acceptor, Share};
use crate::edge::{self, EdgeService};

/// Serves edges until `halt`, or until one of the threads cannot go on; that one's error counts.
pub(super) async fn serve(
    acceptor: Acceptor,
    service: EdgeService,
    halt: CancellationToken,
) -> io::Result<()> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let mut serving = JoinSet::new();
    for share in acceptor.divide(threads) {
        let (service, halt) = (service.clone(), halt.clone());
        serving.spawn_blocking(move || serve_share(share, service, &halt));
    }
    match serving.join_next().await {
        Some(Ok(Ok(()))) | None => {}
        Some(Ok(Err(error))) => return Err(error),
        Some(Err(error)) => return Err(error.into()),
    }
    while serving.join_next().await.is_some() {}
    Ok(())
}

fn serve_share(share: Share, service: EdgeService, halt: &CancellationToken) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let late = async {
            halt.cancelled().await;
            sleep(DRAIN).await;
        };
        // A peer that takes nothing would hold its connection, and this thread the process.
        tokio::select! {
            served = edge::serve(share.incoming(), service, halt.clone().cancelled_owned()) => {
                served.map_err(io::Error::other)
            }
            () = late => Ok(()),
        }
    })
}
