//! `kafka-server-start`: runs a node from a properties file, as `ottla server` does.

use super::super::server::{self, ServerArguments};
use super::failure::Failure;
use super::options::{Given, HELP, Opt, Style, Tool, VERSION};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-server-start",
    about: "USAGE: kafka-server-start.sh server.properties [--override property=value]*",
    style: Style::JoptSimple,
    options: &[
        Opt::flag("daemon", "Runs the server in the background.")
            .not_served("let a service manager run it, or the shell with &"),
        HELP,
        Opt::value("override", "key=value", "Sets one key over the file; may be repeated."),
        VERSION,
    ],
    commands: &[],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    let [file] = given.words.as_slice() else {
        let what = match given.words.as_slice() {
            [] => TOOL.about.to_owned(),
            [_, rest @ ..] => format!("Found non argument parameters: {}", rest.join(",")),
        };
        return Err(given.usage(what));
    };
    // Kafka ends with 1 here; everything else that can be wrong has the exit codes of `ottla server`.
    std::fs::metadata(file).map_err(|error| Failure::said(format!("cannot read {file}: {error}")))?;
    let overrides = given.values("override").map(str::to_owned).collect();
    Err(Failure::Ended(server::run(ServerArguments::of_file(file.into(), overrides))))
}
