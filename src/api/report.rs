//! `/v1/report`: the revocations of a span of time, who enforces them, and what was tried afterwards.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::auth::Authenticated;
use super::error::ApiError;
use super::model::{Enforced, Moment, Report, ReportedRevocation, Tried, TriedAt};
use super::openapi::QueryProblems;
use super::query::{Params, page};
use crate::control::{self, Control, ReportCursor, ReportRequest};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReportParams {
    /// Revocations accepted from then on: RFC 3339, or Unix seconds.
    from: Moment,
    /// And before that; now by default.
    to: Option<Moment>,
    /// Most items of the page, 1 to 1000; 100 by default.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Report
///
/// Whose access was ended in a span of time, when and by whom, which edges enforce it and since when, and what was
/// tried with it afterwards. Oldest first; a page may hold fewer items than asked for, even none: only a null
/// `next_cursor` says that it is the last. Scope `read`.
#[utoipa::path(
    get, path = "/v1/report", operation_id = "read_report", tag = "operation",
    params(ReportParams),
    responses((status = 200, description = "A page", body = Report), QueryProblems),
)]
pub(super) async fn read(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
    Params(params): Params<ReportParams>,
) -> Result<Json<Report>, ApiError> {
    // What was made in this very millisecond is of the past.
    let to = params.to.unwrap_or_else(|| Moment::from_millis(control.time_ms().saturating_add(1)));
    if params.from > to {
        return Err(ApiError::query("from", "not later than `to`"));
    }
    let limit = page(params.limit, "cursor", None)?.limit;
    let cursor = params.cursor.as_deref().map(cursor).transpose()?;
    let request = ReportRequest { from_ms: params.from.millis(), to_ms: to.millis(), cursor, limit };
    let (revocations, next) = control.report(request, &caller).await?;
    Ok(Json(Report {
        from: params.from,
        to,
        revocations: revocations.into_iter().map(ReportedRevocation::from).collect(),
        next_cursor: next.map(|next| format!("{}-{}", next.at_ms, next.version)),
    }))
}

fn cursor(text: &str) -> Result<ReportCursor, ApiError> {
    let read = || {
        let (at_ms, version) = text.split_once('-')?;
        Some(ReportCursor { at_ms: at_ms.parse().ok()?, version: version.parse().ok()? })
    };
    read().ok_or_else(|| ApiError::query("cursor", "not one that an answer has given"))
}

impl From<control::ReportedRevocation> for ReportedRevocation {
    fn from(reported: control::ReportedRevocation) -> Self {
        let control::ReportedRevocation { revocation, enforced, count, passed, between_ms, tried } = reported;
        let created_at_ms = revocation.created_at_ms;
        let enforced = enforced.map(|push| Enforced {
            edges: push.edges,
            applied: push.applied,
            ms: push.applied_at_ms.map(|at_ms| at_ms.saturating_sub(created_at_ms)),
            missing: push.missing,
        });
        let place = |tried: crate::log::Tried| TriedAt {
            edge: tried.node,
            path: tried.path,
            count: tried.count,
            passed: tried.passed,
            first: Moment::from_millis(tried.first_ms),
            last: Moment::from_millis(tried.last_ms),
        };
        let tried = Tried {
            count,
            passed,
            first: between_ms.map(|(first, _)| Moment::from_millis(first)),
            last: between_ms.map(|(_, last)| Moment::from_millis(last)),
            places: tried.into_iter().map(place).collect(),
        };
        Self { revocation: revocation.into(), enforced, tried }
    }
}
