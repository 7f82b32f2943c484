//! `cargo xtask test`: every test, on a real Envoy too.

use std::fs;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cargo::{become_command, cargo, target_dir};
use crate::wheel::Wheel;
use crate::{debian, envoy, filter, npm, oci};

/// Kubernetes' own schemas, and a program that checks manifests against them.
const KUBERNETES_VALIDATE: Wheel =
    Wheel { package: "kubernetes-validate", version: "1.37.0", size: "about 10 MB" };

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    become_command(&mut command(args)?)
}

/// `cargo test` with what the tests need from outside.
pub(crate) fn command(args: &[String]) -> Result<Command> {
    let envoy = envoy::find()?;
    let filter = filter::build()?;
    let image = target_dir().join("image");
    let digest = oci::write(&fs::read(&filter)?, &image)?;
    let mut test = cargo(["test"]);
    test.args(args).env("ENVOY", envoy).env("PORTCULLIS_FILTER", filter);
    test.env("FILTER_IMAGE", image).env("FILTER_IMAGE_DIGEST", digest);
    // Cargo builds it for the tests of the root package, before any test runs.
    test.env("PORTCULLIS_BIN", target_dir().join("debug/portcullis"));
    for (variable, program) in [
        ("OIDC_PROVIDER", npm::oidc_provider()),
        ("DOCKER_REGISTRY", debian::REGISTRY.find()),
        ("SKOPEO", debian::SKOPEO.find()),
        ("PROMETHEUS", debian::PROMETHEUS.find()),
        ("PROMTOOL", debian::PROMTOOL.find()),
        ("KUBERNETES_VALIDATE", KUBERNETES_VALIDATE.program("kubernetes-validate")),
    ] {
        match program {
            Ok(path) => {
                test.env(variable, path);
            }
            // A few tests need it, and say so; the others are worth running.
            Err(error) => eprintln!("warning: the tests that need {variable} will fail: {error:#}"),
        }
    }
    Ok(test)
}
