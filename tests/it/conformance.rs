//! The harness's scenarios on a real Envoy, and the table of agreement.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portcullis_testbed::conformance;
use proxy_wasm_harness::scenario::{Filter, Report, Scenario};
use proxy_wasm_harness::{Module, artifact};

const HARNESS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/harness");

const FILTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/filters/revocation");

/// As many Envoys at a time.
const AT_A_TIME: usize = 3;

/// Runs only the files whose names contain this, for whoever writes one.
const ONLY: &str = "SCENARIO";

fn scenarios() -> Vec<Scenario> {
    let only = std::env::var(ONLY).unwrap_or_default();
    let mut files: Vec<PathBuf> = Vec::new();
    for dir in [format!("{HARNESS}/conformance"), format!("{FILTER}/conformance")] {
        files.extend(Path::new(&dir).read_dir().unwrap().map(|entry| entry.unwrap().path()));
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.retain(|file| file.to_string_lossy().contains(&only));
    files.sort();
    files.iter().map(|file| Scenario::load(file).unwrap()).collect()
}

/// The filters, as both hosts want them.
struct Filters {
    dir: tempfile::TempDir,
    built: BTreeMap<String, PathBuf>,
}

impl Filters {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), built: BTreeMap::new() }
    }

    /// The file with the filter of a scenario.
    fn file(&mut self, scenario: &Scenario) -> PathBuf {
        let bytes = match scenario.filter() {
            Filter::Named(name) => {
                if let Some(file) = self.built.get(name) {
                    return file.clone();
                }
                build(name)
            }
            Filter::Text(text) => wat::parse_str(text).unwrap(),
        };
        let file = self.dir.path().join(format!("{}.wasm", self.built.len()));
        std::fs::write(&file, bytes).unwrap();
        let name = match scenario.filter() {
            Filter::Named(name) => name.to_owned(),
            Filter::Text(_) => scenario.path.clone(),
        };
        self.built.insert(name, file.clone());
        file
    }
}

fn build(name: &str) -> Vec<u8> {
    match name {
        "revocation" => {
            artifact::Build::new(FILTER).profile("wasm").unless_given_in("PORTCULLIS_FILTER").run().unwrap()
        }
        name => artifact::build(format!("{HARNESS}/tests/filters/{name}")).unwrap(),
    }
}

/// What a scenario has come to on both sides.
struct Compared {
    area: String,
    harness: Result<Report, String>,
    envoy: Result<Report, String>,
}

impl Compared {
    fn agrees(&self) -> bool {
        [&self.harness, &self.envoy].into_iter().all(|side| side.as_ref().is_ok_and(Report::passed))
    }

    fn complaint(&self) -> String {
        let side = |name: &str, side: &Result<Report, String>| match side {
            Ok(report) if report.passed() => String::new(),
            Ok(report) => format!("{name}: {report}"),
            Err(error) => format!("{name}: {error}\n"),
        };
        side("harness", &self.harness) + &side("Envoy", &self.envoy)
    }
}

fn compare(scenario: &Scenario, filter: &Path) -> Compared {
    let harness = Module::from_file(filter).map_err(|error| error.to_string());
    let harness = harness.and_then(|module| scenario.run(&module).map_err(|error| error.to_string()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let envoy = runtime.block_on(conformance::run(scenario, filter));
    let envoy = envoy.map(|outcome| scenario.check(outcome)).map_err(|error| format!("{error:#}"));
    Compared { area: scenario.area.clone(), harness, envoy }
}

/// Compares everything, a few at a time.
fn compare_all(scenarios: &[Scenario]) -> Vec<Compared> {
    let mut filters = Filters::new();
    let work: Vec<_> = scenarios.iter().map(|scenario| (scenario, filters.file(scenario))).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let done = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((scenario, filter)) =
                    work.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    let compared = compare(scenario, filter);
                    done.lock().unwrap().push(compared);
                }
            });
        }
    });
    done.into_inner().unwrap()
}

/// The table in the harness's README, between its marks.
const MARKS: [&str; 2] = ["<!-- agreement: begin -->\n", "<!-- agreement: end -->"];

fn table(compared: &[Compared]) -> String {
    let mut areas: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for one in compared {
        let (all, agreeing) = areas.entry(&one.area).or_default();
        *all += 1;
        *agreeing += usize::from(one.agrees());
    }
    let mut text = format!("| area | scenarios | as on Envoy {} |\n|---|---|---|\n", envoy_version());
    for (area, (all, agreeing)) in &areas {
        text += &format!("| {area} | {all} | {agreeing} |\n");
    }
    let agreeing: usize = areas.values().map(|(_, agreeing)| agreeing).sum();
    text + &format!("| **all** | **{}** | **{agreeing}** |\n", compared.len())
}

fn envoy_version() -> String {
    let envoy = portcullis_testbed::paths::envoy().unwrap();
    let output = std::process::Command::new(envoy).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // `PATH  version: COMMIT/1.40.0/Clean/…`
    text.split_once("version:").unwrap().1.split('/').nth(1).unwrap().to_owned()
}

/// Compares the table with the README's, or writes it there.
fn check_table(table: &str) {
    let path = Path::new(HARNESS).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = readme.split_once(MARKS[0]).unwrap();
    let (old, tail) = rest.split_once(MARKS[1]).unwrap();
    if std::env::var_os("CONFORMANCE_TABLE").is_some_and(|value| value == "write") {
        std::fs::write(&path, [head, MARKS[0], table, MARKS[1], tail].concat()).unwrap();
    } else {
        assert_eq!(old, table, "crates/harness/README.md is out of date: see there how to write the table");
    }
}

#[test]
fn harness_and_envoy_agree() {
    let compared = compare_all(&scenarios());
    let complaints: String = compared.iter().map(Compared::complaint).collect();
    assert!(complaints.is_empty(), "{complaints}");
    // A part of the scenarios says nothing about the table.
    if std::env::var_os(ONLY).is_none() {
        assert!(compared.len() >= 60, "{}", compared.len());
        check_table(&table(&compared));
    }
}
