//! `portcullis doctor` at real control planes and real Envoys: silent where all is well, and every mistake found
//! where there is one.

mod edges;
mod envoys;
mod good;
mod plane;

use std::time::Duration;

use portcullis_testbed::ControlPlane;
use serde_json::Value;

/// No event takes this long, on however busy a machine.
const SOON: Duration = Duration::from_secs(30);

/// What doctor says of a control plane and Envoys, as JSON, and the codes in it, each once and sorted.
async fn doctor(plane: &ControlPlane, envoys: &[String]) -> (Value, Vec<String>) {
    let mut args = vec!["doctor", "--json"];
    for url in envoys {
        args.extend(["--envoy", url]);
    }
    let ran = plane.run(args).await.unwrap();
    let report: Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}{}", ran.stdout, ran.stderr));
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(ran.status.code(), Some(i32::from(!findings.is_empty())), "{report}");
    let mut codes: Vec<String> =
        findings.iter().map(|finding| finding["code"].as_str().unwrap().to_owned()).collect();
    codes.sort_unstable();
    codes.dedup();
    (report, codes)
}

/// Waits until doctor finds exactly this. What was seen last is in the failure.
async fn finds(plane: &ControlPlane, envoys: &[String], expect: &[&str]) -> Value {
    let started = std::time::Instant::now();
    loop {
        let (report, codes) = doctor(plane, envoys).await;
        if codes == expect {
            return report;
        }
        assert!(started.elapsed() < SOON, "expected {expect:?}, found {codes:?}: {report:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Where a finding is, and what was seen there.
#[track_caller]
fn finding<'a>(report: &'a Value, code: &str) -> (&'a str, &'a str) {
    let found = report["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == code);
    let found = found.unwrap_or_else(|| panic!("no {code} in {report}"));
    (found["subject"].as_str().unwrap(), found["seen"].as_str().unwrap())
}
