//! Request bodies: JSON of bounded size, with errors that name the field.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_path_to_error::Segment;

use super::error::{ApiError, Code, bounded};
use super::model::FieldProblem;
use crate::body::BodyError;

/// Most bytes of a single call's body.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;

/// A JSON body.
pub(super) struct Payload<T>(pub T);

/// A JSON body that may be left out.
pub(super) struct OptionalPayload<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Payload<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read(body).await?;
        expect_media_type(&parts.headers, &["application/json"])?;
        parse(&bytes, Text::Body).map(Self)
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalPayload<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read(body).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        expect_media_type(&parts.headers, &["application/json"])?;
        parse(&bytes, Text::Body).map(Self)
    }
}

/// Refuses a body that is declared to be something else.
pub(super) fn expect_media_type(headers: &HeaderMap, accepted: &[&str]) -> Result<(), ApiError> {
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = declared.split(';').next().unwrap_or_default().trim();
    if accepted.iter().any(|accepted| accepted.eq_ignore_ascii_case(media_type)) {
        return Ok(());
    }
    let expected = accepted.join(" or ");
    Err(ApiError::new(Code::UnsupportedMediaType, format!("the content type must be {expected}")))
}

/// What is read: a whole body, or a line of one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text {
    Body,
    Line,
}

impl Text {
    const fn name(self) -> &'static str {
        match self {
            Self::Body => "the body",
            Self::Line => "the line",
        }
    }
}

/// One JSON object, and nothing after it.
pub(super) fn parse<T: DeserializeOwned>(json: &[u8], text: Text) -> Result<T, ApiError> {
    // serde also takes the fields as an array, in their order.
    if json.trim_ascii_start().first() != Some(&b'{') {
        serde_json::from_slice::<IgnoredAny>(json).map_err(|error| refusal(Vec::new(), &error, text))?;
        let field = FieldProblem::at("", "expected an object");
        let detail = format!("{} is JSON, but no object", text.name());
        return Err(ApiError::new(Code::InvalidField, detail).field(field));
    }
    // Most are as they should be: where one is not is found out by reading it again.
    serde_json::from_slice(json).or_else(|_| read_again(json, text))
}

/// The same, with the path to what is wrong.
fn read_again<T: DeserializeOwned>(json: &[u8], text: Text) -> Result<T, ApiError> {
    let refusal = |path, error: &serde_json::Error| refusal(path, error, text);
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path: Vec<String> = error.path().iter().filter_map(name).collect();
        refusal(path, error.inner())
    })?;
    deserializer.end().map_err(|error| refusal(Vec::new(), &error))?;
    Ok(value)
}

async fn read(body: Body) -> Result<Bytes, ApiError> {
    crate::body::read(body, MAX_BODY_BYTES).await.map_err(|error| {
        let code = match error {
            BodyError::TooLarge(_) => Code::TooLarge,
            BodyError::Slow => Code::BodyTimeout,
            BodyError::Broken => Code::NotJson,
        };
        ApiError::new(code, error.to_string())
    })
}

fn refusal(mut path: Vec<String>, error: &serde_json::Error, of: Text) -> ApiError {
    let text = error.to_string();
    if !error.is_data() {
        let text = match of {
            Text::Body => text,
            Text::Line => text.replace(" at line 1 column ", " at column "),
        };
        return ApiError::new(Code::NotJson, format!("{} is not JSON: {}", of.name(), bounded(&text)));
    }
    // The position in the text adds nothing to the field's name.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let text = bounded(&in_words(text));
    if let Some(field) = field_named_in(&text)
        && path.last().is_none_or(|last| last != field)
    {
        path.push(field.to_owned());
    }
    let pointer: String =
        path.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect();
    ApiError::new(Code::InvalidField, text.clone()).field(FieldProblem::at(bounded(&pointer), text))
}

/// serde's words for what is of another type, without the names of Rust's types.
fn in_words(text: &str) -> String {
    if let Some((variant, known)) =
        text.strip_prefix("unknown variant ").and_then(|rest| rest.rsplit_once(", expected one of "))
    {
        return format!("{variant} is none of {known}");
    }
    let wrong = ["invalid type: ", "invalid value: "].iter().find_map(|prefix| text.strip_prefix(prefix));
    let Some((seen, expected)) = wrong.and_then(|rest| rest.rsplit_once(", expected ")) else {
        return text.to_owned();
    };
    let seen = match seen.split_once(' ') {
        None if seen == "sequence" => "an array".to_owned(),
        None if seen == "map" => "an object".to_owned(),
        Some(("integer" | "boolean", value)) => value.to_owned(),
        Some(("floating", rest)) => rest.trim_start_matches("point ").to_owned(),
        Some(("string", value)) => value.to_owned(),
        _ => seen.to_owned(),
    };
    let expected = if expected == "a string" { "text in quotation marks" } else { expected };
    format!("expected {expected}, not {seen}")
}

/// The field that serde says is missing, unknown or there twice; it belongs to the path.
fn field_named_in(text: &str) -> Option<&str> {
    let rest = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))?;
    rest.split('`').next()
}

fn name(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::model::{CheckRequest, NewKey, NewRevocation};

    #[track_caller]
    fn check<T: DeserializeOwned>(json: &str, status: u16, pointer: &str) {
        let Err(error) = parse::<T>(json.as_bytes(), Text::Body) else { panic!("accepted: {json}") };
        let problem = error.problem();
        let seen = problem.errors.first().map_or("", |error| error.pointer.as_str());
        assert_eq!((problem.status, seen), (status, pointer), "{json}: {problem:?}");
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        check::<NewRevocation>(r#"{"kind":"session","colour":"red"}"#, 422, "/colour");
        check::<NewRevocation>(r#"{"issuer":"i"}"#, 422, "/kind");
        check::<NewRevocation>(r#"{"kind":"sessions"}"#, 422, "/kind");
        check::<NewRevocation>(r#"{"kind":"session","value":7}"#, 422, "/value");
        check::<NewRevocation>(r#"{"kind":"session","kind":"token"}"#, 422, "/kind");
        check::<NewRevocation>(r#"{"kind":"subject","cutoff":"tomorrow"}"#, 422, "/cutoff");
        check::<NewRevocation>(
            r#"{"kind":"claims","claims":{"/a/b":9007199254740993}}"#,
            422,
            "/claims/~1a~1b",
        );
        check::<NewRevocation>(r#"["session"]"#, 422, "");
        check::<NewKey>(r#"{"name":"n","scopes":["read","rule"]}"#, 422, "/scopes/1");
    }

    #[test]
    fn what_is_wrong_is_told_without_the_names_of_types() {
        let detail = |json: &str, text| {
            let Err(error) = parse::<NewRevocation>(json.as_bytes(), text) else {
                panic!("accepted: {json}")
            };
            error.problem().detail
        };
        let body = |json: &str| detail(json, Text::Body);
        for json in ["7", "null", "[]", r#""session""#, r#"["session","i"]"#] {
            assert_eq!(body(json), "the body is JSON, but no object");
        }
        assert_eq!(body(r#"{"kind":"sessions"}"#).split(',').next(), Some("`sessions` is none of `session`"));
        let value = |value: &str| body(&format!(r#"{{"kind":"session","value":{value}}}"#));
        assert_eq!(value("7"), "expected text in quotation marks, not `7`");
        assert_eq!(value("true"), "expected text in quotation marks, not `true`");
        assert_eq!(value("[1]"), "expected text in quotation marks, not an array");
        assert_eq!(value("{}"), "expected text in quotation marks, not an object");
        let cutoff = body(r#"{"kind":"subject","cutoff":"at line 3, expected x"}"#);
        assert!(cutoff.starts_with("expected an RFC 3339 time such as"), "{cutoff}");
        assert!(cutoff.ends_with("Unix seconds, not \"at line 3, expected x\""), "{cutoff}");
        assert_eq!(detail("x", Text::Line), "the line is not JSON: expected value at column 1");
        assert_eq!(detail("{} x", Text::Line).split(": ").next(), Some("missing field `kind`"));
    }

    #[test]
    fn what_is_not_json_is_said_to_be_that() {
        for json in
            ["", "{", "kind=session", r#"{"kind":"session"} {}"#, "\u{feff}{}", "{\"kind\":\"\u{1}\"}"]
        {
            check::<NewRevocation>(json, 400, "");
        }
    }

    #[test]
    fn claims_to_check_keep_their_text() {
        let request: CheckRequest = parse(br#"{"claims":{"sub":"a","sub":"b"}}"#, Text::Body).unwrap();
        assert_eq!(request.claims.unwrap().get(), r#"{"sub":"a","sub":"b"}"#);
    }

    #[test]
    fn the_content_type_may_have_parameters_and_any_case() {
        let check = |value: &str, expect: bool| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(expect_media_type(&headers, &["application/json"]).is_ok(), expect, "{value}");
        };
        check("application/json", true);
        check("Application/JSON; charset=utf-8", true);
        check("text/plain", false);
        check("application/jsonp", false);
        assert!(expect_media_type(&HeaderMap::new(), &["application/json"]).is_err());
    }
}
