//! What README.md says is so.

use std::path::Path;
use std::process::Command;

use proxy_wasm_harness::artifact;

fn readme() -> String {
    std::fs::read_to_string("README.md").unwrap()
}

/// The fenced blocks in order: the language, and what is in it.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    text.split("\n```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap()).collect()
}

/// The words of a command line in which nothing but single quotes is special.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// Fuel depends on the compiler; everything else is to be as shown.
fn without_fuel(text: &str) -> Vec<String> {
    let line = |line: &str| match line.split_once(" fuel ") {
        Some((before, after)) => format!("{before} fuel N{}", after.trim_start_matches(char::is_numeric)),
        None => line.to_owned(),
    };
    text.trim_end().lines().map(line).collect()
}

#[test]
fn every_command_prints_what_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("gate.wasm"), artifact::build("examples/gate").unwrap()).unwrap();
    let readme = readme();
    let blocks = blocks(&readme);
    let mut shown = 0;
    for (index, (_, line)) in blocks.iter().enumerate().filter(|(_, (language, _))| *language == "sh") {
        let words = words(line);
        match words[0].as_str() {
            "proxy-wasm-harness" => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_proxy-wasm-harness"));
                let output = command.args(&words[1..]).current_dir(dir.path()).output().unwrap();
                let says = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
                if let Some(("text", expected)) = blocks.get(index + 1) {
                    assert_eq!(without_fuel(&says), without_fuel(expected), "{line}\n{says}");
                    shown += 1;
                } else {
                    assert!(output.status.success(), "{line}{says}");
                }
            }
            "cargo" if words[1] == "install" => {
                assert_eq!(words[2..], ["--path", "crates/harness", "--features", "cli"]);
            }
            "cargo" => {
                let start = ["test", "-p", "proxy-wasm-harness", "--test", "it"];
                assert_eq!((&words[1..6], words.len()), (&start.map(str::to_owned)[..], 9), "{line}");
                let tests = std::fs::read_to_string("tests/it/examples.rs").unwrap();
                assert!(tests.contains(&format!("fn {}", words[6])), "{line}");
            }
            // The scenarios' own tests see to it.
            _ => assert!(line.contains("cargo xtask test"), "what is this?\n{line}"),
        }
    }
    assert!(shown >= 3, "{shown}");
}

#[test]
fn the_test_that_is_shown_is_the_examples() {
    let readme = readme();
    let shown = blocks(&readme).into_iter().find(|(language, _)| *language == "rust").unwrap().1;
    let test = std::fs::read_to_string("examples/gate/test.rs").unwrap();
    assert_eq!(shown.trim_end(), test.trim_end());
    assert!(test.lines().count() < 30);
}

#[test]
fn what_is_linked_exists() {
    let readme = readme();
    let links: Vec<_> = readme.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(!links.is_empty());
    for link in links.iter().filter(|link| !link.contains("://") && !link.starts_with('#')) {
        assert!(Path::new(link).exists(), "README.md links {link}");
    }
}
