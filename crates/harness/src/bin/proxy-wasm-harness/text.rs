//! Values as people type them.

use std::time::Duration;

use proxy_wasm_harness::{Property, Value};

use crate::args::Bytes;

/// The bytes of an argument: its text, or what is in the file that it names after an `@`.
pub(crate) fn bytes(text: &str) -> Result<Bytes, String> {
    match text.strip_prefix('@') {
        Some(path) => file(path),
        None => Ok(text.as_bytes().into()),
    }
}

/// What is in a file.
pub(crate) fn file(path: &str) -> Result<Bytes, String> {
    std::fs::read(path).map(Bytes::from).map_err(|error| format!("cannot read it: {error}"))
}

/// Method and path: `GET /path`, perhaps with the protocol behind it.
pub(crate) fn request(line: &str) -> Result<(String, String), String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    match words.as_slice() {
        [method, path] | [method, path, "HTTP/1.1"] => Ok(((*method).to_owned(), (*path).to_owned())),
        [_] | [] => Err("it needs a method and a path, such as 'GET /'".to_owned()),
        _ => Err("it is a method and a path; headers are given with --header".to_owned()),
    }
}

/// `name: value`. The name may begin with a colon.
pub(crate) fn header(text: &str) -> Result<(String, String), String> {
    let (pseudo, rest) = text.strip_prefix(':').map_or(("", text), |rest| (":", rest));
    match rest.split_once(':') {
        Some((name, value)) if !name.is_empty() && !name.contains(char::is_whitespace) => {
            Ok((format!("{pseudo}{name}"), value.trim().to_owned()))
        }
        _ => Err("it needs the form 'name: value'".to_owned()),
    }
}

/// `KEY=VALUE`.
pub(crate) fn assignment(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or("it needs the form KEY=VALUE".to_owned())
}

/// A status of HTTP.
pub(crate) fn status(text: &str) -> Result<u32, String> {
    let status = text.parse().ok().filter(|status| (200..600).contains(status));
    status.ok_or_else(|| "a status is a number from 200 to 599".to_owned())
}

/// A whole number with a unit: `500ms`, `5s`, `2m` or `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let number = |unit: &str| text.strip_suffix(unit).and_then(|number| number.parse::<u64>().ok());
    let milliseconds = number("ms").or_else(|| {
        let units = [("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
        units.iter().find_map(|(unit, size)| number(unit)?.checked_mul(*size))
    });
    let duration = milliseconds.map(Duration::from_millis);
    duration.ok_or_else(|| "it is no length of time such as 500ms, 5s, 2m or 1h".to_owned())
}

/// A number of bytes, which may have a unit: `1048576`, `1024KiB` or `1MiB`.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let unit = units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
    let (number, unit) = unit.unwrap_or((text, 1));
    let bytes = number.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    bytes.ok_or_else(|| "it is no number of bytes such as 65536, 64KiB or 16MiB".to_owned())
}

/// A path and its value: `request.id="r1"`, with quotes around a name that has dots or an equals sign in it.
pub(crate) fn property(text: &str) -> Result<(Vec<String>, Property), String> {
    let (path, value) = property_path(text)?;
    let value: Value = serde_json::from_str(value).map_err(|error| {
        format!("what follows the path is not JSON ({error}); a text needs quotes: '\"text\"'")
    })?;
    // What Envoy keeps as a google.protobuf.Struct has no whole numbers; its own attributes have no others.
    let in_struct = path.iter().any(|name| name == "metadata" || name.ends_with("_metadata"));
    let value = match value.as_i64() {
        Some(number) if !in_struct => Property::Int(number),
        _ => value.into(),
    };
    Ok((path, value))
}

fn property_path(text: &str) -> Result<(Vec<String>, &str), String> {
    let malformed = || "it needs the form path.to.it=JSON, with quotes around names with dots".to_owned();
    let mut path = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(malformed)?,
            None => rest.split_at(rest.find(['.', '=']).ok_or_else(malformed)?),
        };
        if name.is_empty() {
            return Err(malformed());
        }
        path.push(name.to_owned());
        if let Some(value) = after.strip_prefix('=') {
            return Ok((path, value));
        }
        rest = after.strip_prefix('.').ok_or_else(malformed)?;
    }
}

#[cfg(test)]
mod tests {
    use proxy_wasm_harness::json;

    use super::*;

    #[test]
    fn a_request_is_a_method_and_a_path() {
        let pair = Ok(("GET".to_owned(), "/a?b".to_owned()));
        assert_eq!((request("GET /a?b"), request(" GET  /a?b HTTP/1.1")), (pair.clone(), pair));
        for wrong in ["", "GET", "GET / HTTP/2", "GET / a: b"] {
            assert!(request(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_header_is_a_name_and_a_value() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(header("x-a: 1: 2 "), pair("x-a", "1: 2"));
        assert_eq!(
            (header(":authority: a:80"), header("x-a:")),
            (pair(":authority", "a:80"), pair("x-a", ""))
        );
        for wrong in ["", "x-a", ":path", ": v", ":: v", "x a: 1"] {
            assert!(header(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_and_sizes_have_units() {
        let times = ["500ms", "5s", "2m", "1h"].map(|text| duration(text).map(|time| time.as_millis()));
        assert_eq!(times, [Ok(500), Ok(5_000), Ok(120_000), Ok(3_600_000)]);
        assert_eq!(["7", "2KiB", "1MiB"].map(size), [Ok(7), Ok(2_048), Ok(1_048_576)]);
        for wrong in ["", "5", "s", "-1s", "1.5s", "18446744073709551615h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "-1", "1kb", "18446744073709551615GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_property_has_a_path_and_the_type_that_envoy_gives_it() {
        let check = |text: &str, path: &[&str], value: Property| {
            assert_eq!(property(text), Ok((path.iter().map(ToString::to_string).collect(), value)), "{text}");
        };
        check("source.port=80", &["source", "port"], Property::Int(80));
        let jwt = ["metadata", "filter_metadata", "envoy.filters.http.jwt_authn", "iat"];
        check(
            r#"metadata.filter_metadata."envoy.filters.http.jwt_authn".iat=5"#,
            &jwt,
            Property::Double(5.0),
        );
        check(r#""a=b".c={"d":["e"]}"#, &["a=b", "c"], json!({"d": ["e"]}).into());
        for wrong in ["", "a", "a.b", "=1", "a.=1", ".a=1", "\"a=1", "\"a\"b=1", "a=text"] {
            assert!(property(wrong).is_err(), "{wrong}");
        }
    }
}
