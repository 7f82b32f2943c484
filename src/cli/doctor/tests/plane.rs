//! What is wrong at the control plane, and with edges as it sees them.

use super::*;

/// The control plane after an edit at a pointer has exactly these findings.
#[track_caller]
fn check(pointer: &str, value: Value, expect: &[Code]) {
    let shown = format!("{pointer} {value}");
    let plane = asked(|document| set(document, pointer, value));
    let found = [service::findings(&plane), edges::findings(&plane)].concat();
    assert_eq!(codes(&found), expect, "{shown}: {found:?}");
}

fn at(ago_ms: u64) -> Value {
    Moment::from_millis(NOW - ago_ms).to_string().into()
}

#[test]
fn clocks_may_differ_by_what_ntp_leaves() {
    for (off_ms, expect) in [(5_004_i64, false), (5_006, true), (-5_004, false), (-5_006, true)] {
        let mut plane = asked(|_| {});
        plane.status.now = Moment::from_millis(NOW.saturating_add_signed(off_ms));
        let found = service::findings(&plane);
        assert_eq!(codes(&found), if expect { vec![Code::ClockDiffers] } else { vec![] }, "{off_ms}");
    }
}

#[test]
fn a_disk_is_nearly_full_by_share_and_in_any_case_by_bytes() {
    let disk = |free: u64, total: u64| json!({"free_bytes": free, "total_bytes": total});
    const GIB: u64 = 1024 * 1024 * 1024;
    check("/status/disk", disk(4 * GIB, 100 * GIB), &[Code::DiskNearlyFull]);
    check("/status/disk", disk(GIB / 8, GIB), &[Code::DiskNearlyFull]);
    check("/status/disk", disk(6 * GIB, 1_000 * GIB), &[]);
    check("/status/disk", disk(GIB, 10 * GIB), &[]);
    check("/status/disk", Value::Null, &[]);
}

#[test]
fn the_log_is_nearly_full_at_nine_tenths_of_its_limit() {
    let log = |bytes: u64, max: Value| json!({"bytes": bytes, "max_bytes": max});
    check("/status/log", log(900_000, 1_000_000.into()), &[Code::LogNearlyFull]);
    check("/status/log", log(899_999, 1_000_000.into()), &[]);
    check("/status/log", log(u64::MAX, Value::Null), &[]);
}

#[test]
fn plaintext_is_found_where_others_can_reach_it() {
    for (address, expect) in
        [("0.0.0.0:8470", true), ("[::]:8470", true), ("[::1]:8470", false), ("10.0.0.1:1", true)]
    {
        check("/status/ports/0/address", address.into(), if expect { &[Code::Plaintext] } else { &[] });
    }
}

#[test]
fn a_certificate_that_ends_soon_or_cannot_be_read_again() {
    let soon = Moment::from_millis(NOW + 9 * 86_400_000).to_string();
    check("/status/certificate/valid_until", soon.into(), &[Code::CertificateExpiring]);
    let over = Moment::from_millis(NOW - 60_000).to_string();
    let plane = asked(|document| set(document, "/status/certificate/valid_until", over.into()));
    let found = service::findings(&plane);
    assert_eq!(codes(&found), [Code::CertificateExpiring]);
    assert_eq!(found[0].severity, Severity::Error);
    assert!(found[0].seen.starts_with("its certificate has ended 2"), "{found:?}");
    check("/status/certificate/failure", "tls.key_file: no private key".into(), &[Code::CertificateReload]);
    check("/status/certificate", Value::Null, &[]);
}

#[test]
fn issuers_with_keys_that_were_never_there_or_cannot_be_had_again() {
    const KEYS: &str = "/issuers/issuers/0/keys_fetched_at";
    check("/issuers/issuers/0/keys_failure", "answers 503".into(), &[Code::IssuerKeysStale]);
    check(KEYS, Value::Null, &[Code::IssuerKeysMissing]);
    let plane = |edit: fn(&mut Value)| codes(&service::findings(&asked(edit)));
    let failing = plane(|document| {
        set(document, KEYS, Value::Null);
        set(document, "/issuers/issuers/0/keys_failure", "connection refused".into());
        set(document, "/status/started_at", at(1_000));
    });
    assert_eq!(failing, [Code::IssuerKeysMissing]);
    let starting = plane(|document| {
        set(document, KEYS, Value::Null);
        set(document, "/status/started_at", at(1_000));
    });
    assert_eq!(starting, []);
    // Nobody asks for the keys of one that sends nothing.
    let silent = plane(|document| {
        set(document, KEYS, Value::Null);
        remove(document, "/issuers/issuers/0/jwks_uri");
    });
    assert_eq!(silent, []);
}

#[test]
fn an_issuer_whose_clock_is_ahead_by_more_than_its_skew() {
    check("/issuers/issuers/0/clock_ahead_ms", 1_001.into(), &[Code::IssuerClockAhead]);
    check("/issuers/issuers/0/clock_ahead_ms", 1_000.into(), &[]);
}

#[test]
fn issuers_that_are_not_configured() {
    check("/revocations/0/issuer", "https://idp.example/".into(), &[Code::IssuerUnconfigured]);
    check("/issuers/issuers", json!([]), &[Code::IssuerNone]);
}

#[test]
fn messages_that_do_not_arrive() {
    check("/status/streams/0/status", "paused".into(), &[Code::StreamPaused]);
    check("/status/streams/0/failure", "no connection".into(), &[Code::StreamFailing]);
    check("/status/status_lists/0/failure", "it answers 404".into(), &[Code::StatusListFailing]);
}

const EDGE: &str = "/edges/edges/0";

#[test]
fn edges_that_are_behind_and_workers_that_disagree() {
    check("/edges/edges", json!([]), &[Code::EdgeNone]);
    check(&format!("{EDGE}/workers/0/version"), 6.into(), &[Code::EdgeWorkersDisagree]);
    let both = asked(|document| {
        for worker in [0, 1] {
            set(document, &format!("{EDGE}/workers/{worker}/version"), 6.into());
        }
    });
    assert_eq!(codes(&edges::findings(&both)), [Code::EdgeLagging]);
    // What came after the first look may be on its way.
    let mut on_its_way = both;
    on_its_way.settled_version = 6;
    assert_eq!(edges::findings(&on_its_way), []);
}

#[test]
fn edges_that_are_silent_or_gone() {
    check(&format!("{EDGE}/workers/1/last_contact"), at(15_001), &[Code::EdgeSilent]);
    check(&format!("{EDGE}/workers/1/last_contact"), at(15_000), &[]);
    check(&format!("{EDGE}/connected"), false.into(), &[Code::EdgeNone, Code::EdgeGone]);
}

#[test]
fn edges_that_were_refused_lately() {
    let refused = |last: Value| {
        json!([{
            "peer": "10.0.0.7", "node": "payments-1", "certificate": ["spiffe://mesh.example/ingress"],
            "reason": "node", "message": "it may not be this node", "count": 12, "first": at(9_000_000), "last": last,
        }])
    };
    check("/status/refused_edges", refused(at(900_000)), &[Code::EdgeRefused]);
    check("/status/refused_edges", refused(at(900_001)), &[]);
    let shown = |edit: fn(&mut Value)| {
        let plane = asked(|document| {
            set(document, "/status/refused_edges", refused(at(3_000)));
            edit(document);
        });
        let found = edges::findings(&plane).remove(0);
        (found.severity, found.subject, found.seen)
    };
    let seen = "it was refused from 10.0.0.7 with the certificate spiffe://mesh.example/ingress 12 times, the last time \
                3 s ago: it may not be this node";
    assert_eq!(shown(|_| {}), (Severity::Error, "edge payments-1".into(), seen.into()));
    let early = shown(|document| {
        for (name, value) in [("node", Value::Null), ("certificate", json!([])), ("count", 1.into())] {
            set(document, &format!("/status/refused_edges/0/{name}"), value);
        }
    });
    let seen = "it was refused once, the last time 3 s ago: it may not be this node";
    assert_eq!(early, (Severity::Error, "edge at 10.0.0.7".into(), seen.into()));
}

#[test]
fn an_edge_that_refuses_the_set_is_told_so_once_whether_connected_or_not() {
    let refused = json!({"revocations": 10, "limit": 5});
    check(&format!("{EDGE}/workers/0/refused"), refused.clone(), &[Code::EdgeOverLimit]);
    let gone = asked(|document| {
        set(document, &format!("{EDGE}/workers/0/refused"), refused);
        set(document, &format!("{EDGE}/connected"), false.into());
    });
    assert_eq!(codes(&edges::findings(&gone)), [Code::EdgeNone, Code::EdgeOverLimit]);
}

#[test]
fn a_filter_of_another_release_than_the_one_handed_out() {
    check(&format!("{EDGE}/filter_version"), "0.0.9".into(), &[Code::EdgeFilterVersion]);
    check("/status/filters", json!([]), &[]);
}

#[test]
fn an_edge_that_has_rejected_nothing_for_long() {
    let nothing = |document: &mut Value| {
        for worker in [0, 1] {
            set(document, &format!("{EDGE}/workers/{worker}/rejections"), json!({}));
        }
    };
    assert_eq!(codes(&edges::findings(&asked(nothing))), [Code::EdgeNeverRejected]);
    for (pointer, ago) in
        [("/revocations/0/created_at", 80_000_000), ("/edges/edges/0/workers/1/connected_since", 80_000_000)]
    {
        let young = asked(|document| {
            nothing(document);
            set(document, pointer, at(ago));
        });
        assert_eq!(edges::findings(&young), [], "{pointer}");
    }
}

#[test]
fn edges_that_cannot_be_told_apart() {
    check(&format!("{EDGE}/node"), "".into(), &[Code::NodeIdMissing]);
    let twice = asked(|document| {
        let mut other = document["edges"]["edges"][0].clone();
        set(&mut other, "/process", "another".into());
        set(document, "/edges/edges/-", other);
    });
    assert_eq!(codes(&edges::findings(&twice)), [Code::NodeIdShared]);
    // The control plane has said it.
    let envoys = [seen(|_| {}), seen(|_| {})];
    assert_eq!(envoy::findings(&envoys, Some(&twice)), []);
    assert_eq!(codes(&envoy::findings(&envoys, None)), [Code::NodeIdShared]);
}
