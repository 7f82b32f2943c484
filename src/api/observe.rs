//! What happens to every request, whatever its route.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;

use super::error::{ApiError, Code};
use crate::control::Control;
use crate::traces;

/// Until a request must be answered: the longest `?wait=`, and time for the log.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// Counts a request by its route, and keeps its answer out of caches unless it says that it may be kept.
pub(super) async fn count(State(control): State<Control>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = known(request.method());
    // The pattern, not the path: ids must not become label values.
    let route =
        request.extensions().get::<MatchedPath>().map_or("unmatched".into(), |path| path.as_str().to_owned());
    let span = traces::call(method, &route, request.headers());
    let mut response = next.run(request).instrument(span.clone()).await;
    traces::answered(&span, response.status().as_u16());
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    control.metrics().http_request(method, route, response.status().as_u16(), started.elapsed());
    response
}

/// Answers what takes too long. A body that is being streamed has its own limits.
pub(super) async fn bound(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(Code::Timeout, "no answer in time; a change may have been made all the same")
            .into_response(),
    }
}

fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}
