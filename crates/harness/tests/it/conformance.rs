//! The scenarios in `conformance/`, on this side.

use std::path::{Path, PathBuf};

use proxy_wasm_harness::scenario::{Filter, Scenario};
use proxy_wasm_harness::{Module, artifact};

/// Every scenario file of a folder.
fn files(dir: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let mut files: Vec<_> = dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

fn module(scenario: &Scenario) -> Module {
    let bytes = match scenario.filter() {
        Filter::Named(name) => {
            artifact::build(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filters").join(name)).unwrap()
        }
        Filter::Text(text) => wat::parse_str(text).unwrap(),
    };
    Module::from_bytes(&bytes).unwrap()
}

#[test]
fn the_harness_does_what_the_scenarios_say() {
    let files = files("conformance");
    let reports = files.iter().map(|file| {
        let scenario = Scenario::load(file).unwrap();
        scenario.run(&module(&scenario)).unwrap()
    });
    let failed: String = reports.filter(|report| !report.passed()).map(|report| report.to_string()).collect();
    assert!(failed.is_empty(), "{failed}");
    assert!(!files.is_empty());
}

#[test]
fn a_difference_is_shown() {
    let text = r#"
        title = "Wrong in every way"
        area = "none"
        filter = "probe"
        config = "request_headers: log 2 here"
        [[step]]
        request = { answer = { headers = ["x-a: 1"], body = "abc" } }
        [expect.logs]
        worker_0 = ["here", "there"]
        [expect.metrics]
        c = 1
        [[expect.exchange]]
        end = "cut"
        status = 204
        headers = ["x-a: 2"]
        absent = ["x-a"]
        body = { hex = "00" }
        details = "none"
        upstream = false
        filter_state = { x = "1" }
        [[expect.exchange]]
        end = "open"
        [[expect.peer]]
        cluster = "up"
        callouts = 1
    "#;
    let scenario = Scenario::parse("wrong.toml", text).unwrap();
    let report = scenario.run(&module(&scenario)).unwrap();
    assert!(!report.passed());
    let expected = r#"wrong.toml: 12 differences
  log of worker_0: after 1 lines, expected (-) and found (+):
    - there
    + request_headers: log 2 here = 0
  metric c: expected Some(1), found None
  exchange 1: end: expected Cut, found Complete
  exchange 1: status: expected Some("204"), found Some("200")
  exchange 1: header x-a: expected ["2"], found ["1"]
  exchange 1: header x-a: expected [], found ["1"]
  exchange 1: body: expected "\x00", found "abc"
  exchange 1: details: expected Some("none"), found Some("via_upstream")
  exchange 1: filter state x: expected Some("1"), found None
  exchange 1: reached the upstream: expected false, found true
  exchange 2: there is no step of that name
  cluster up: call-outs: expected 1, found 0
"#;
    assert_eq!(report.to_string(), expected);
}

#[test]
fn a_file_that_is_no_scenario_names_key_and_reason() {
    let head = "title = \"t\"\narea = \"a\"\nfilter = \"probe\"\n";
    for (rest, says) in [
        ("[expect]\n", None),
        ("", Some("missing field `expect`")),
        ("wrong = 1\n[expect]\n", Some("unknown field `wrong`")),
        ("[[step]]\nrequest = { pathh = \"/\" }\n[expect]\n", Some("unknown field `pathh`")),
        ("[[step]]\njump = 1\n[expect]\n", Some("unknown variant `jump`")),
        ("[[step]]\npass = \"2h\"\n[expect]\n", Some("`2h` is no time")),
        ("[[step]]\nrequest = { headers = [\"x\"] }\n[expect]\n", Some("`x` is no header")),
        ("[[step]]\nrequest = { body = { hex = \"0\" } }\n[expect]\n", Some("`0` is not hexadecimal")),
        ("workers = 0\n[expect]\n", Some("the key `workers` must be one or more")),
        ("wat = \"(module)\"\n[expect]\n", Some("either the key `filter` or the key `wat`")),
        ("log_level = \"loud\"\n[expect]\n", Some("`loud` is no log level")),
        ("[[expect.exchange]]\nend = \"never\"\n", Some("unknown variant `never`")),
    ] {
        let parsed = Scenario::parse("a.toml", &format!("{head}{rest}"));
        match (says, parsed) {
            (None, parsed) => drop(parsed.unwrap()),
            (Some(says), parsed) => {
                let error = parsed.unwrap_err().to_string();
                assert!(error.starts_with("a.toml: ") && error.contains(says), "{rest}: {error}");
            }
        }
    }
    let missing = Scenario::load("/nowhere/a.toml").unwrap_err().to_string();
    assert!(missing.contains("cannot read /nowhere/a.toml"), "{missing}");
}

#[test]
fn a_step_that_cannot_be_carried_out_says_which() {
    let text = |steps: &str| {
        format!(
            "title = \"t\"\narea = \"a\"\nfilter = \"probe\"\nconfig = \"request_headers: return 1\"\n{steps}\n[expect]\n"
        )
    };
    for (steps, says) in [
        ("[[step]]\ndisconnect = \"a\"", "step 1: there is no exchange `a`"),
        (
            "[[step]]\nrequest = {}\n[[step]]\nrespond = {}",
            "step 2: the request has not reached the upstream",
        ),
        ("[[step]]\nwait = { log = \"never\" }", "step 1: in vain"),
    ] {
        let scenario = Scenario::parse("a.toml", &text(steps)).unwrap();
        let error = scenario.run(&module(&scenario)).unwrap_err().to_string();
        assert!(error.starts_with("a.toml: ") && error.contains(says), "{error}");
    }
}
