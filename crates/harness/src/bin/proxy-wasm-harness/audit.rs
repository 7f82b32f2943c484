//! What a filter needs of its host.

use proxy_wasm_harness::{Links, Module};
use serde::Serialize;

use crate::args::Audit;
use crate::{Refusal, Verdict, scene, show};

/// An audit, as JSON.
#[derive(Debug, Serialize)]
struct Findings {
    abi: Option<&'static str>,
    memory: Option<Memory>,
    /// By minor version of Envoy 1.
    links_on: Vec<(u32, Option<bool>)>,
    imports: Vec<Import>,
    exports: Vec<String>,
    sections: Vec<(String, usize)>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Memory {
    least: u64,
    most: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Import {
    module: String,
    name: String,
    r#type: String,
    links: bool,
    /// The first minor version of Envoy 1 that has it, if not all have.
    since: Option<u32>,
}

/// Audits the filter, and gives what to print.
pub(crate) fn audit(args: &Audit) -> Result<(String, Verdict), Refusal> {
    let module = scene::load(&args.filter)?;
    let audit = module.audit();
    let mut problems = audit.problems();
    if let Some(minor) = args.envoy.filter(|minor| audit.links_on(*minor) != Some(true)) {
        problems.push(format!("it does not link on Envoy 1.{minor}"));
    }
    let verdict = if problems.is_empty() { Verdict::Fine } else { Verdict::Misbehaved };
    let output = match args.json {
        true => show::json(&findings(&module, problems)),
        false => show::audit(&audit, &problems),
    };
    Ok((output, verdict))
}

fn findings(module: &Module, problems: Vec<String>) -> Findings {
    let audit = module.audit();
    let imports = audit.imports().iter().map(|import| Import {
        module: import.module.clone(),
        name: import.name.clone(),
        r#type: import.wanted.clone(),
        links: matches!(import.links, Links::Everywhere | Links::Since(_)),
        since: match import.links {
            Links::Since(minor) => Some(minor),
            _ => None,
        },
    });
    Findings {
        abi: audit.abi(),
        memory: audit.memory().map(|(least, most)| Memory { least, most }),
        links_on: (36..=40).map(|minor| (minor, audit.links_on(minor))).collect(),
        imports: imports.collect(),
        exports: module.exports(),
        sections: audit.sections().to_vec(),
        problems,
    }
}
