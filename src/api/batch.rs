//! `/v1/revocations/batch`: NDJSON in, NDJSON out, both streamed.
//!
//! Lines are taken in groups, as they arrive; a group is one append to the log. A line is wholly accepted or
//! wholly refused, and its result does not wait for the lines after it.

mod lines;
mod results;

use std::pin::pin;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;

use self::lines::{Group, Lines};
use super::auth::Authenticated;
use super::body::{Text, expect_media_type, parse};
use super::convert;
use super::error::ApiError;
use super::model::{BatchLine, Kind, NewRevocation};
use super::openapi::BodyProblems;
use crate::auth::Caller;
use crate::control::{self, Control};

/// Results that are kept for a caller who sends lines but does not read yet. Whoever sends at most so many
/// lines before reading never waits for itself.
const RESULTS_AHEAD: usize = 4_096;
/// Groups that are on their way to the disk at a time: while one waits for it, the next is read.
const GROUPS_AHEAD: usize = 4;
const NDJSON: &str = "application/x-ndjson";

/// Revoke many
///
/// NDJSON: one revocation per line, at most 16 KiB each and 1,000,000 of them; blank lines are passed over.
/// The answer is NDJSON as well, a result per line, in order, as soon as the line is on disk. Each line is
/// accepted or refused by itself. Send no more than 4,096 lines before reading results. Scope `revoke`.
#[utoipa::path(
    post, path = "/v1/revocations/batch", operation_id = "create_revocations", tag = "revocations",
    request_body(content = NewRevocation, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "A result per line", body = BatchLine,
         content_type = "application/x-ndjson"),
        BodyProblems,
    ),
)]
pub(super) async fn create(
    State(control): State<Control>,
    Authenticated(caller): Authenticated,
    request: Request,
) -> Result<impl IntoResponse, ApiError> {
    expect_media_type(request.headers(), &[NDJSON, "application/ndjson", "application/jsonl"])?;
    let mut lines = Lines::new(request.into_body());
    // What is wrong with the caller, not with a line, gets an error status: nothing has been answered yet.
    let first = match lines.group().await? {
        None => Vec::new(),
        Some(group) => revoke(&control, &caller, group).await?,
    };
    let (results, body) = mpsc::channel(RESULTS_AHEAD);
    tokio::spawn(async move {
        // The caller has gone: nobody is left to tell.
        let _ = answer(control, caller, lines, first, results).await;
    });
    Ok(([(CONTENT_TYPE, NDJSON)], Body::from_stream(results::stream(body))))
}

/// Several groups are on their way to the disk at a time; results keep the order of the lines.
async fn answer(
    control: Control,
    caller: Caller,
    lines: Lines,
    first: Vec<BatchLine>,
    results: mpsc::Sender<BatchLine>,
) -> Result<(), mpsc::error::SendError<BatchLine>> {
    for result in first {
        results.send(result).await?;
    }
    let groups = stream::unfold(Some(lines), async |lines| {
        let mut lines = lines?;
        match lines.group().await {
            Ok(None) => None,
            Ok(Some(group)) => Some((Ok(group), Some(lines))),
            // The body is over, but not as it should be: that is the last result.
            Err(error) => Some((Err(refused(lines.count() + 1, error)), None)),
        }
    });
    let answers = groups.map(async |group| match group {
        Ok(group) => answer_group(&control, &caller, group).await,
        Err(last) => vec![last],
    });
    let mut answers = pin!(answers.buffered(GROUPS_AHEAD));
    while let Some(group) = answers.next().await {
        for result in group {
            results.send(result).await?;
        }
    }
    Ok(())
}

/// A result for each line, also when nothing of the group was accepted.
async fn answer_group(control: &Control, caller: &Caller, group: Group) -> Vec<BatchLine> {
    let numbers: Vec<u64> = group.iter().map(|(number, _)| *number).collect();
    match revoke(control, caller, group).await {
        Ok(results) => results,
        Err(error) => numbers.into_iter().map(|number| refused(number, error.clone())).collect(),
    }
}

/// Revokes what a group asks for, as one append. The results are in the order of the lines.
async fn revoke(control: &Control, caller: &Caller, group: Group) -> Result<Vec<BatchLine>, ApiError> {
    let mut results = Vec::with_capacity(group.len());
    let mut asked: Vec<(u64, Kind)> = Vec::new();
    let mut requests: Vec<control::NewRevocation> = Vec::new();
    for (number, line) in group {
        let read = line.and_then(|line| parse::<NewRevocation>(&line, Text::Line));
        let by_default = || control.issuer_by_default(caller);
        match read.and_then(|request| Ok((request.kind, convert::new_revocation(request, by_default)?))) {
            Ok((kind, request)) => {
                asked.push((number, kind));
                requests.push(request);
            }
            Err(error) => results.push(refused(number, error)),
        }
    }
    // An empty call still says whether the caller may revoke.
    let answers = control.revoke(requests, caller).await?;
    results.extend(asked.into_iter().zip(answers).map(|((number, kind), answer)| match answer {
        Ok(accepted) => made(number, &accepted),
        Err(error) => refused(number, ApiError::of_revocation(kind, error)),
    }));
    results.sort_by_key(|result| result.line);
    Ok(results)
}

fn made(line: u64, accepted: &control::Accepted) -> BatchLine {
    let revocation = &accepted.revocation;
    let (id, version) = (Some(revocation.id.to_string()), Some(revocation.version()));
    let warnings = accepted.warnings.iter().map(ToString::to_string).collect();
    BatchLine { line, id, version, warnings, error: None }
}

fn refused(line: u64, error: ApiError) -> BatchLine {
    BatchLine { line, error: Some(error.problem()), ..BatchLine::default() }
}

// What a caller may rely on who sends first and reads then, as the command line's import does.
const _: () = assert!(RESULTS_AHEAD >= 2 * control::MAX_BATCH);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_has_either_an_id_or_an_error() {
        let error = refused(2, ApiError::no_revocation("r1"));
        let json = serde_json::to_value(error).unwrap();
        assert_eq!((json["line"].as_u64(), json["error"]["code"].as_str()), (Some(2), Some("not_found")));
        assert!(json.get("id").is_none());
    }
}
