//! `ottla version`.

use serde::Serialize;

use super::common::OutputArguments;
use super::exit::Failure;

#[derive(Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
    target: String,
}

pub(super) fn run(output: OutputArguments) -> Result<(), Failure> {
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let version = Version { name: "ottla", version: env!("CARGO_PKG_VERSION"), target };
    Ok(output.output().print(&version, |_| format!("ottla {}\n", version.version))?)
}
