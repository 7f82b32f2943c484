//! Every finding, from documents that a real Envoy and a real control plane have given, with one thing wrong.

use serde_json::{Value, json};

use super::envoy::{self, Seen};
use super::finding::{Code, Finding, Severity};
use super::plane::Plane;
use super::{Report, edges, in_words, service, stats};
use crate::api::model::Moment;

mod chain;
mod envoys;
mod plane;

const ENVOY: &str = include_str!("tests/envoy-1.40.json");
/// When everything was captured.
const NOW: u64 = 1_795_665_412_000;

fn codes(findings: &[Finding]) -> Vec<Code> {
    let mut codes: Vec<Code> = findings.iter().map(|finding| finding.code).collect();
    codes.sort_unstable();
    codes
}

/// Parts of the documents at a JSON Pointer, to be put in place.
#[track_caller]
fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent) {
        Some(Value::Object(members)) => drop(members.insert(name.to_owned(), value)),
        Some(Value::Array(items)) if name == "-" => items.push(value),
        Some(Value::Array(items)) => items[name.parse::<usize>().unwrap()] = value,
        other => panic!("{pointer}: {other:?}"),
    }
}

#[track_caller]
fn remove(document: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let removed = match document.pointer_mut(parent) {
        Some(Value::Object(members)) => members.remove(name),
        Some(Value::Array(items)) => Some(items.remove(name.parse().unwrap())),
        other => panic!("{pointer}: {other:?}"),
    };
    assert!(removed.is_some(), "{pointer}");
}

fn seen_from(document: &Value) -> Seen {
    let lines: Vec<&str> =
        document["stats"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    Seen {
        url: "http://127.0.0.1:9901".into(),
        info: document["info"].clone(),
        dump: document["dump"].clone(),
        clusters: document["clusters"].clone(),
        certificates: document["certificates"].clone(),
        stats: stats::read(&lines.join("\n")),
        files: [("/etc/envoy/portcullis_filter.wasm".to_owned(), "a".repeat(64))].into(),
    }
}

/// A healthy Envoy, after an edit.
fn seen(edit: impl FnOnce(&mut Value)) -> Seen {
    let mut document: Value = serde_json::from_str(ENVOY).unwrap();
    edit(&mut document);
    seen_from(&document)
}

/// A healthy control plane that this Envoy is connected to.
fn good() -> Value {
    let at = |ago_ms: u64| Moment::from_millis(NOW - ago_ms).to_string();
    let worker = |name: &str| {
        json!({
            "worker": name, "connected": true, "version": 7, "lag": 0, "revocations": 3, "refused": null,
            "connected_since": at(3 * 86_400_000), "last_contact": at(4_000), "rejections": {"session_revoked": 1},
        })
    };
    json!({
        "status": {
            "release": "0.1.0", "version": 7, "now": at(0), "started_at": at(3 * 86_400_000), "revocations": 3,
            "edges": 1, "workers": 2, "heartbeat_ms": 5_000,
            "log": {"bytes": 49_152, "max_bytes": null},
            "disk": {"free_bytes": 40_000_000_000_u64, "total_bytes": 80_000_000_000_u64},
            "ports": [
                {"name": "http", "address": "127.0.0.1:8470", "tls": false},
                {"name": "edge", "address": "0.0.0.0:8471", "tls": true},
            ],
            "certificate": {"valid_from": at(30 * 86_400_000), "valid_until": "2027-02-01T00:00:00Z", "failure": null},
            "filters": [
                {"version": "0.1.0", "sha256": "a".repeat(64), "bytes": 1, "path": "/filter/x"},
                {"version": "0.0.9", "sha256": "b".repeat(64), "bytes": 1, "path": "/filter/y"},
            ],
            "streams": [{"name": "idp", "status": "enabled", "failure": null}, {"name": "okta"}],
            "status_lists": [{"uri": "https://idp.example/list"}],
        },
        "issuers": {"issuers": [{
            "issuer": "https://idp.example", "jwks_uri": "https://idp.example/jwks", "clock_skew_ms": 1_000,
            "keys": [{"kid": "a"}], "keys_fetched_at": at(60_000),
        }]},
        "edges": {"version": 7, "edges": [{
            "node": "edge-1", "process": "76ec2f8f5e1f532f", "filter_version": "0.1.0", "connected": true,
            "version": 7, "lag": 0, "last_contact": at(4_000), "workers": [worker("one"), worker("two")],
        }]},
        "revocations": [{
            "id": "r7-0000", "version": 7, "kind": "session", "issuer": "https://idp.example", "value": "s1",
            "cutoff": null, "expires_at": null, "status": "active", "created_at": at(2 * 86_400_000),
        }],
    })
}

/// That control plane, after an edit.
fn asked(edit: impl FnOnce(&mut Value)) -> Plane {
    let mut document = good();
    edit(&mut document);
    let mut part = |name: &str| document[name].take();
    let edges: crate::api::model::Edges = serde_json::from_value(part("edges")).unwrap();
    Plane {
        url: "http://127.0.0.1:8470".into(),
        status: serde_json::from_value(part("status")).unwrap(),
        asked: (Moment::from_millis(NOW - 5), Moment::from_millis(NOW + 5)),
        issuers: serde_json::from_value(part("issuers")).unwrap(),
        settled_version: edges.version,
        edges,
        revocations: serde_json::from_value(part("revocations")).unwrap(),
    }
}

/// The Envoy after an edit has exactly these findings.
#[track_caller]
fn found(edit: impl FnOnce(&mut Value), expect: &[Code]) -> Vec<Finding> {
    let found = envoy::findings(&[seen(edit)], Some(&asked(|_| {})));
    assert_eq!(codes(&found), expect, "{found:?}");
    found
}

/// The same after one value was put in place.
#[track_caller]
fn check(pointer: &str, value: Value, expect: &[Code]) {
    found(|document| set(document, pointer, value), expect);
}

#[test]
fn a_good_set_up_is_no_finding() {
    let plane = asked(|_| {});
    assert_eq!(service::findings(&plane), []);
    assert_eq!(edges::findings(&plane), []);
    assert_eq!(envoy::findings(&[seen(|_| {})], Some(&plane)), []);
    assert_eq!(envoy::findings(&[seen(|_| {})], None), []);
}

#[test]
fn a_report_has_what_is_documented() {
    let finding = Finding::new(Code::ModeObserve, "Envoy e\u{1b}, filter f", "its mode is observe");
    assert_eq!(
        in_words(std::slice::from_ref(&finding)).lines().map(anstream_free).collect::<Vec<_>>(),
        [
            "warning: Envoy e\\u{1b}, filter f: its mode is observe [mode_observe]",
            " hint: remove `mode`: nothing is rejected",
        ]
    );
    let error = Finding::new(Code::EdgeLagging, "edge e", "x");
    assert_eq!(error.severity, Severity::Error);
    let report = Report {
        control_plane: "http://127.0.0.1:8470",
        envoys: &[],
        errors: 0,
        warnings: 1,
        findings: vec![finding],
    };
    assert_eq!(report.counted(), "1 warning found");
    let expect = json!({
        "control_plane": "http://127.0.0.1:8470", "envoys": [], "errors": 0, "warnings": 1, "findings": [{
            "code": "mode_observe", "severity": "warning", "subject": "Envoy e\u{1b}, filter f",
            "seen": "its mode is observe", "advice": "remove `mode`: nothing is rejected",
        }],
    });
    assert_eq!(serde_json::to_value(report).unwrap(), expect);
}

/// A line without its colours.
fn anstream_free(line: &str) -> String {
    anstream::adapter::strip_str(line).to_string()
}
