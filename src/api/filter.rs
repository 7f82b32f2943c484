//! The compiled filter, for whoever loads it: without a key, because no host has one before it has the filter.

use std::sync::Arc;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use tracing::warn;

use super::error::{ApiError, Code, bounded};
use super::model::{FilterModule, FilterModules};
use super::openapi::NoSuchItem;
use super::query::Id;
use crate::inlets::Peer;
use crate::modules::Modules;

/// List the filters that can be fetched here
///
/// The current one first. Each has a path of its own, so that an edge with an older configuration gets what it was
/// configured with, and nothing else.
#[utoipa::path(
    get, path = "/filter", operation_id = "list_filters", tag = "operation", security(()),
    responses((status = 200, description = "The filters", body = FilterModules)),
)]
pub(super) async fn list(Extension(modules): Extension<Arc<Modules>>) -> Json<FilterModules> {
    Json(FilterModules { modules: listed(&modules) })
}

/// All that are handed out, the current one first.
pub(super) fn listed(modules: &Modules) -> Vec<FilterModule> {
    let modules = modules.iter().map(|module| FilterModule {
        version: module.version.clone(),
        sha256: module.sha256.clone(),
        bytes: module.bytes.len() as u64,
        path: module.path(),
    });
    modules.collect()
}

/// Fetch a filter
#[utoipa::path(
    get, path = "/filter/{name}", operation_id = "read_filter", tag = "operation", security(()),
    params(("name" = String, Path, description = "`portcullis_filter-VERSION-SHA256.wasm`, as the list has it")),
    responses(
        (status = 200, description = "The module", body = Vec<u8>, content_type = WASM),
        NoSuchItem,
    ),
)]
pub(super) async fn read(
    Extension(modules): Extension<Arc<Modules>>,
    peer: Option<Extension<Peer>>,
    Id(name): Id,
) -> Result<Response, ApiError> {
    let module = modules.find(&name).ok_or_else(|| {
        let Peer(peer) = peer.map(|Extension(peer)| peer).unwrap_or_default();
        if modules.is_miss_news(peer) {
            warn!(
                %peer,
                name = ?bounded(&name),
                "a filter was asked for that is not handed out here, and an edge that is configured with it does not load it: name its file in filter.files, or print the edge's configuration again (`portcullis config`)"
            );
        }
        ApiError::new(Code::NotFound, "no such filter is handed out here: GET /filter lists those that are")
    })?;
    let headers = [
        (CONTENT_TYPE, WASM.to_owned()),
        (ETAG, format!("\"{}\"", module.sha256)),
        (CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
    ];
    Ok((headers, module.bytes.clone()).into_response())
}

const WASM: &str = "application/wasm";
