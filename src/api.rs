//! The REST API: thin handlers over the front door, [`Control`](crate::control::Control).
//!
//! A handler authenticates (`auth`), reads the request (`body`, `query`), calls `Control` once, and converts the
//! answer (`convert`) into the API's data ([`model`]). Whatever goes wrong becomes a problem document, and only
//! `error` knows which. Every route is registered together with its part of the OpenAPI document (`openapi`).

mod auth;
mod batch;
mod body;
mod check;
mod convert;
mod edges;
mod error;
mod events;
mod filter;
mod health;
mod inlets;
mod issuers;
mod keys;
mod misdirected;
pub mod model;
mod observe;
mod openapi;
mod query;
mod report;
mod revocations;
mod ssf;
mod status;
mod take_back;

use std::sync::Arc;

use axum::routing::get;
use axum::{Extension, Router, middleware};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::control::ControlError;
use crate::inlets::Inlets;
use crate::modules::Modules;
use crate::system::System;

/// All routes: `/v1`, `/inlets`, `/filter`, `/livez`, `/readyz`, `/metrics`, and problem documents for everything else.
pub fn router(inlets: Inlets, modules: Arc<Modules>, system: Arc<System>) -> Router {
    let control = inlets.control().clone();
    let (routes, _document) = routes().split_for_parts();
    routes
        .merge(misdirected::routes())
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::method_not_allowed)
        // As one, the first outermost: each call to `layer` would box the routes and every request once more.
        .layer((
            Extension(system),
            Extension(modules),
            middleware::from_fn_with_state(control, observe::count),
            middleware::from_fn(observe::bound),
        ))
        .with_state(inlets)
}

/// What there is while the log is being read: the process lives, and filters can be fetched; everything else is not
/// ready.
pub fn starting(modules: Arc<Modules>) -> Router {
    Router::new()
        .route("/livez", get(health::live))
        .route("/filter", get(filter::list))
        .route("/filter/{name}", get(filter::read))
        .fallback(async || error::ApiError::from(ControlError::NotReady))
        .layer(middleware::from_fn(observe::bound))
        .layer(Extension(modules))
}

fn routes() -> OpenApiRouter<Inlets> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(revocations::create, revocations::list))
        .routes(routes!(batch::create))
        .routes(routes!(revocations::read))
        .routes(routes!(take_back::reinstate))
        .routes(routes!(take_back::undo))
        .routes(routes!(check::check))
        .routes(routes!(edges::list))
        .routes(routes!(events::list))
        .routes(routes!(events::verify))
        .routes(routes!(report::read))
        .routes(routes!(issuers::list))
        .routes(routes!(keys::create, keys::list))
        .routes(routes!(keys::delete))
        .routes(routes!(inlets::foresee))
        .routes(routes!(ssf::read, ssf::add, ssf::remove))
        .routes(routes!(ssf::verify))
        .routes(routes!(ssf::set_status))
        .routes(routes!(status::read))
        .routes(routes!(filter::list))
        .routes(routes!(filter::read))
        .routes(routes!(openapi::document))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .merge(crate::inlets::routes())
}
