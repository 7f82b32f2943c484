//! Running the control plane: opens what there is to open, in an order in which nothing is half done, and
//! closes it again.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

mod accept;
mod address;
mod edges;
mod handles;
mod handshake;
mod http;

use handshake::Failures;

use crate::clock::Clock;
use crate::config::{Config, Keys, Port};
use crate::control::{Control, ControlError, CreatedKey};
use crate::edge::EdgeService;
use crate::inlets::Inlets;
use crate::log::{DataDir, LogError, OpenError, SqliteLog};
use crate::metrics::Metrics;
use crate::modules::{ModuleError, Modules};
use crate::outbound::{CaError, Outbound};
use crate::system::System;
use crate::tls::{Tls, TlsError};

/// What is being answered when the process is asked to end gets so long to be finished.
const DRAIN: Duration = Duration::from_secs(10);
/// Connections of edges beyond `edge.max_subscribers`, so that one too many is told so.
const SPARE_EDGES: usize = 256;

/// Whether other machines may be talked to without TLS.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Plaintext {
    /// Loopback addresses only.
    #[default]
    Loopback,
    /// Any address: something else protects the way, or nobody else is on it.
    Anywhere,
}

/// Why the control plane does not run, or has stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address that others reach, without leave.
    #[error(
        "{key} is {address}, which other machines can reach, and API keys would cross the network in the clear: set [tls], bind a loopback address behind a proxy with TLS, or say --allow-plaintext"
    )]
    Plaintext {
        /// The key of the configuration.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
    },
    /// A port cannot be had.
    #[error("cannot listen at {address} ({key}): {error}")]
    Bind {
        /// The key of the configuration.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The data directory or the log in it cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The certificate authorities cannot be used.
    #[error(transparent)]
    Authorities(#[from] CaError),
    /// A filter cannot be handed out.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The files of `[tls]` cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The log cannot be read.
    #[error("{error}{}", advice(error))]
    Log {
        /// Why.
        error: LogError,
    },
    /// The first admin key cannot be made.
    #[error("the first admin key cannot be stored: {0}")]
    FirstKey(ControlError),
    /// The file that says where this process listens cannot be written.
    #[error("cannot say where it listens: {0}")]
    Address(io::Error),
    /// The log is closed, or the edges' port failed.
    #[error("the control plane has stopped: {0}")]
    Stopped(String),
}

/// Runs the control plane until `stop` is done, then drains. `announce` is told the first admin key, once.
///
/// # Errors
/// When it cannot start, with nothing changed on the disk that was there before; or when it cannot go on.
pub async fn serve(
    config: Config,
    keys: Keys,
    plaintext: Plaintext,
    announce: impl FnOnce(&CreatedKey),
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let listen =
        [(Port::Http, "listen.http", config.listen.http), (Port::Edge, "listen.edge", config.listen.edge)];
    for (port, key, address) in listen {
        if !config.has_tls(port) && plaintext == Plaintext::Loopback && !address.ip().is_loopback() {
            return Err(ServeError::Plaintext { key, address });
        }
    }
    let started_ms = Clock::System.now_ms();
    let modules = Arc::new(Modules::load(config.filter_files.as_deref())?);
    let metrics = Metrics::default();
    let tls = config.tls.clone().map(|tls| Tls::load(tls, Clock::System, metrics.clone())).transpose()?;
    let tls = tls.map(Arc::new);
    let guard = |port| (tls.as_ref().and_then(|tls| tls.port(port)), Failures::new(port, metrics.clone()));
    let outbound = Outbound::new(config.inlets.ca_file.as_ref())?;
    handles::raise(config.edge.max_subscribers);
    let dir = DataDir::lock(&config.data_dir)?;
    let http = bind("listen.http", config.listen.http).await?;
    let edges = bind("listen.edge", config.listen.edge).await?;
    let address = address::Addresses::of(&http, &edges).map_err(ServeError::Address)?;

    let halt = CancellationToken::new();
    // Whatever stops the start stops what has been started.
    let _halted = halt.clone().drop_guard();
    let routes = watch::Sender::new(crate::api::starting(Arc::clone(&modules)));
    let limits = http::Limits::default();
    let (port_tls, failures) = guard(Port::Http);
    let http = limits.acceptor(http).with_tls(port_tls, failures);
    let on_http = tokio::spawn(http::serve(http, routes.subscribe(), limits, halt.clone()));
    say_what_is_handed_out(&modules);

    let max_bytes = config.log.max_bytes;
    let opened = tokio::task::spawn_blocking(move || SqliteLog::open(dir, max_bytes)).await;
    let log = opened.map_err(|error| ServeError::Stopped(error.to_string()))??;
    let (control, mut keeping_up) =
        Control::start(log, &config, keys, Clock::System, outbound, metrics.clone())
            .await
            .map_err(|error| ServeError::Log { error })?;
    if let Some(created) = control.first_admin_key().await.map_err(ServeError::FirstKey)? {
        announce(&created);
    }

    // So that no edge is sent what has expired while nobody was there.
    if let Err(error) = control.sweep().await {
        warn!(%error, "what has expired could not be dropped; it will be tried again");
    }

    let service = EdgeService::new(control.for_edges(halt.clone()));
    let places = config.edge.max_subscribers.saturating_add(SPARE_EDGES);
    let (port_tls, failures) = guard(Port::Edge);
    let edges = accept::Acceptor::new(edges, places, accept::FIRST_BYTES)
        .with_probation(config.edge.hello_timeout)
        .with_tls(port_tls, failures);
    let mut on_edges = tokio::spawn(edges::serve(edges, service, halt.clone()));
    let inlets = Inlets::new(control.clone(), &config.inlets, &config.streams, &config.status_lists);
    let system = System::new(&config, address.http, address.edge, tls.clone(), started_ms);
    drop(routes.send_replace(crate::api::router(inlets.clone(), modules, Arc::new(system))));
    let streams = tokio::spawn(crate::inlets::ssf::keep_up(inlets.clone(), halt.clone()));
    let lists = tokio::spawn(crate::inlets::status_list::keep_up(inlets, halt.clone()));
    let house = tokio::spawn(control.clone().keep_house(halt.clone()));
    let issuers = tokio::spawn(Arc::clone(control.directory()).keep_fresh(halt.clone()));
    let certificates = tls.map(|tls| tokio::spawn(tls.keep_fresh(halt.clone())));
    let published = address
        .publish(&config.data_dir)
        .inspect_err(|error| warn!(%error, "cannot say where it listens"))
        .ok();
    info!(http = %address.http, edge = %address.edge, "ready");

    let outcome = tokio::select! {
        () = stop => Ok(()),
        ended = &mut on_edges => Err(ServeError::Stopped(match ended {
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(())) => "the edges' port was closed".into(),
            Err(error) => error.to_string(),
        })),
        _ = &mut keeping_up => Err(ServeError::Stopped(match control.ready() {
            Err(error) => error.to_string(),
            Ok(_) => "the log was closed".into(),
        })),
    };
    match &outcome {
        Ok(()) => info!("asked to end: finishing what is being answered"),
        Err(error) => error!(%error, "cannot go on"),
    }
    drop(published);
    halt.cancel();
    control.stop_waiting();
    let drained = async {
        let _ = on_http.await;
        if !on_edges.is_finished() {
            let _ = on_edges.await;
        }
        let _ = house.await;
        let _ = issuers.await;
        let _ = streams.await;
        let _ = lists.await;
        if let Some(certificates) = certificates {
            let _ = certificates.await;
        }
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        warn!("some calls were not finished in time");
    }
    keeping_up.abort();
    let _ = keeping_up.await;
    // The last holds on the log: it is closed when this returns.
    drop(routes);
    let closed = tokio::task::spawn_blocking(move || drop(control)).await;
    closed.map_err(|error| ServeError::Stopped(error.to_string()))?;
    outcome
}

fn say_what_is_handed_out(modules: &Modules) {
    for module in modules.iter() {
        info!(version = module.version, sha256 = module.sha256, path = module.path(), "hands out a filter");
    }
    if modules.iter().next().is_none() {
        info!(
            "hands out no filter, and answers 404 to edges that fetch it (`portcullis config .. --fetch`): for them put portcullis_filter.wasm beside this binary, or name it in filter.files"
        );
    }
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|error| ServeError::Bind { key, address, error })
}

fn advice(error: &LogError) -> &'static str {
    match error {
        LogError::Damaged(_) => {
            "; restore data_dir from a backup, or move it away and start with an empty one (the edges then drop what was revoked)"
        }
        LogError::Full | LogError::Io(_) | LogError::Closed => "",
    }
}
