//! What README.md and ARCHITECTURE.md say is so.

use std::collections::BTreeSet;
use std::path::Path;

use clap::{CommandFactory as _, Parser as _};
use portcullis::cli::Cli;
use portcullis::config::Config;
use portcullis_core::Policy;

pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

pub(crate) fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(file)).unwrap()
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The rows of the table whose head starts like this, cell by cell.
fn table<'a>(text: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let rows = text.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

#[test]
fn every_command_line_is_understood() {
    let readme = read("README.md");
    let mut seen = BTreeSet::new();
    for line in blocks(&readme, "sh").iter().flat_map(|block| block.lines()) {
        let line = line.split(" # ").next().unwrap().trim();
        let words: Vec<String> = shell_words(line);
        match words.first().map(|word| word.rsplit('/').next().unwrap()) {
            Some("portcullis") => {
                let parsed = Cli::try_parse_from(words.iter().map(String::as_str));
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
                seen.insert(words[1].clone());
            }
            Some("cargo") => {
                assert_eq!(words[1], "xtask", "{line}");
                assert!(Path::new(ROOT).join(format!("xtask/src/{}.rs", words[2])).exists(), "{line}");
            }
            Some("export") => assert!(words[1].starts_with("PORTCULLIS_KEY="), "{line}"),
            Some(other) => panic!("what is `{other}` in `{line}`?"),
            None => {}
        }
    }
    for verb in ["serve", "revoke", "undo", "list", "edges", "key", "config", "doctor"] {
        assert!(seen.contains(verb), "README shows no `portcullis {verb}`");
    }
}

/// The pages of the book.
fn pages(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = dir.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let pages = entries.flat_map(|path| if path.is_dir() { pages(&path) } else { vec![path] });
    pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

#[test]
fn the_book_shows_commands_that_are_understood_and_links_to_what_exists() {
    let (mut commands, mut links) = (0, 0);
    for page in pages(&Path::new(ROOT).join("docs/src")) {
        let text = std::fs::read_to_string(&page).unwrap();
        for line in blocks(&text, "sh").iter().flat_map(|block| block.lines()) {
            let line = line.split(" # ").next().unwrap().trim();
            let words = shell_words(line);
            if words.first().is_some_and(|word| word.rsplit('/').next() == Some("portcullis")) {
                let end = words.iter().position(|word| ["|", ">", "&&", "&"].contains(&word.as_str()));
                // A file of the reader's own; what it must hold is the command line's business.
                let words = words[..end.unwrap_or(words.len())].iter().map(|word| match word.as_str() {
                    "ca.crt" => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/docs/ca.crt").to_owned(),
                    other => other.replace("$PWD", "/here"),
                });
                let parsed = Cli::try_parse_from(words);
                assert!(parsed.is_ok(), "{}: {line}: {}", page.display(), parsed.unwrap_err());
                commands += 1;
            }
        }
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let file = target.split('#').next().unwrap();
            if !target.contains("://") && !file.is_empty() {
                assert!(page.parent().unwrap().join(file).exists(), "{} links to {target}", page.display());
                links += 1;
            }
        }
    }
    assert!(commands >= 10 && links >= 10, "{commands} commands, {links} links");
}

fn shell_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn the_verbs_of_the_contract_exist() {
    let command = Cli::command();
    let verbs: BTreeSet<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    for verb in [
        "serve",
        "revoke",
        "reinstate",
        "undo",
        "list",
        "check",
        "edges",
        "events",
        "report",
        "import",
        "key",
        "config",
    ] {
        assert!(verbs.contains(verb), "{verb}: {verbs:?}");
    }
}

#[test]
fn the_control_planes_configuration_is_valid() {
    for block in blocks(&read("README.md"), "toml") {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &block).unwrap();
        Config::load(Some(file.path()), []).unwrap_or_else(|error| panic!("{error}\n{block}"));
    }
}

#[test]
fn the_configuration_that_is_shown_is_complete_and_has_the_defaults() {
    let block = &blocks(&read("README.md"), "toml")[0];
    let (defaults, issuer) = block.split_once("[[issuers]]").unwrap();
    let load = |text: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(Some(file.path()), []).unwrap().0
    };
    assert_eq!(load(defaults), Config::default());
    let bare = "[[issuers]]\nissuer = \"https://idp.example\"\njwks_uri = \"https://idp.example/jwks\"\n";
    assert_eq!(load(&format!("[[issuers]]{issuer}")), load(&format!("{bare}audiences = [\"portcullis\"]")));
    // The error for an unknown key names the known ones: each is shown, but the limit that has no default.
    let shown = blocks(&read("README.md"), "toml").concat();
    for section in [
        "",
        "[listen]\n",
        "[tls]\n",
        "[filter]\n",
        "[log]\n",
        "[feed]\n",
        "[edge]\n",
        "[[edge.identities]]\n",
        "[inlets]\n",
        "[[issuers]]\n",
        "[[ssf]]\n",
        "[[status_lists]]\n",
        "[[webhooks]]\n",
        "[[webhooks]]\n[[webhooks.rules]]\n",
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{section}nonsense = 1")).unwrap();
        let error = Config::load(Some(file.path()), []).unwrap_err().to_string();
        let known = error.split("expected ").nth(1).unwrap();
        for key in known.split('`').skip(1).step_by(2).filter(|key| *key != "max_bytes") {
            let forms = [format!("{key} ="), format!("[{key}]"), format!(".{key}]"), format!("or {key}")];
            assert!(
                forms.iter().any(|form| shown.contains(form)),
                "README does not show `{key}` of {section}"
            );
        }
    }
}

#[test]
fn a_line_of_an_import_is_a_revocation() {
    for line in blocks(&read("README.md"), "json").iter().flat_map(|block| block.lines()) {
        serde_json::from_str::<portcullis::api::model::NewRevocation>(line).unwrap();
    }
}

#[test]
fn the_filters_keys_and_defaults_are_those_in_the_table() {
    let readme = read("README.md");
    let rows = table(&readme, "| key | default | meaning |");
    let mut keys = BTreeSet::new();
    for row in &rows {
        let (key, default) = (row[0].trim_matches('`'), row[1].trim_matches('`'));
        let top = key.split('.').next().unwrap();
        keys.insert(top.to_owned());
        let required = r#""control_plane":{"cluster":"c"}"#;
        if top != "control_plane" {
            let given = Policy::parse(format!(r#"{{{required},"{key}":{default}}}"#).as_bytes()).unwrap();
            assert_eq!(given, Policy::parse(format!("{{{required}}}").as_bytes()).unwrap(), "{key}");
        }
    }
    let unknown = Policy::parse(br#"{"nonsense":1}"#).unwrap_err().to_string();
    let known = unknown.rsplit("known here: ").next().unwrap();
    let known: BTreeSet<String> = known.split(", ").map(str::to_owned).collect();
    assert_eq!(keys, known);
}

#[test]
fn the_filters_metrics_are_those_that_are_listed() {
    let source = read("filters/revocation/src/metrics.rs");
    let names = |text: &str| -> BTreeSet<String> {
        let words = text.split(|symbol: char| !symbol.is_ascii_alphanumeric() && symbol != '_');
        words
            .filter(|word| word.starts_with("portcullis_") && *word != "portcullis_core")
            .map(str::to_owned)
            .collect()
    };
    let readme = read("README.md");
    let listed = readme.split("Counters and gauges").nth(1).unwrap().split("Alert on").next().unwrap();
    assert_eq!(names(listed), names(&source));
}

#[test]
fn what_is_linked_or_named_exists() {
    for file in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        let text = read(file);
        let links = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        let quoted = text.split('`').skip(1).step_by(2).filter(|name| {
            let starts = ["crates/", "filters/", "src/", "tests/", "envoy/", "xtask/", "proto/"];
            starts.iter().any(|start| name.starts_with(start)) && !name.contains(' ')
        });
        for name in links.chain(quoted).filter(|name| !name.contains("://")) {
            assert!(Path::new(ROOT).join(name.trim_end_matches('/')).exists(), "{file} names {name}");
        }
    }
}

#[test]
fn every_member_keeps_the_workspaces_lints() {
    for member in ["", "crates/core/", "crates/harness/", "crates/testbed/", "filters/revocation/", "xtask/"]
    {
        assert!(read(&format!("{member}Cargo.toml")).contains("[lints]\nworkspace = true"), "{member}");
    }
}
