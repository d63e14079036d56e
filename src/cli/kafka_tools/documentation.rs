//! Writes docs/tools.md from the tables of options, the options that Kafka's tools have, and the transcripts.
//!
//! `UPDATE_GOLDENFILES=1 cargo test --lib kafka_tools::documentation` writes it anew; without the variable a stale page
//! fails. `tests/golden/kafka-4.3.1/tools/options.txt` was read from the real tools' --help by
//! `scripts/kafka-tools-compare options`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::TOOLS;
use super::options::{Opt, Served, SubCommand, Takes, Tool};

const PAGE: &str = "docs/tools.md";
const GOLDEN: &str = "tests/golden/kafka-4.3.1/tools";

const HEAD: &str = "\
# Kafka's command-line tools

Made by a test from the tables in `src/cli/kafka_tools/` and the transcripts in `tests/golden/kafka-4.3.1/tools/`; do
not edit.

The binary behaves as a tool of Kafka when it is called by the tool's name, with or without `.sh`:

```sh
ottla tools link /usr/local/bin          # makes the links
kafka-topics.sh --bootstrap-server localhost:9092 --list
ottla tools run kafka-topics --version   # the same without a link
```

Options, standard output and exit codes are those of Apache Kafka 4.3.1: the same commands are run with Kafka's tools
against Kafka (`scripts/kafka-tools-compare`) and with these against Ottla (`cargo test --test cluster kafka_tools`).
What differs is listed at the end. Standard error is for people and differs: it has no Java stack traces, and an
unreachable broker is told at once instead of after a minute. Only PLAINTEXT listeners can be reached so far: another
`security.protocol` in a `--command-config` file is refused. Three things are deliberately otherwise:

- kafka-console-producer ends with exit code 1 when records could not be stored; Kafka's ends with 0.
- kafka-console-consumer without `--group` joins no group; Kafka's leaves a group `console-consumer-N` behind.
- kafka-server-start ends as `ottla server` does: with exit code 2 for a wrong configuration, where Kafka has 1.
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn served(served: Served) -> String {
    match served {
        Served::Yes => "yes".to_owned(),
        Served::WithoutEffect(why) => format!("accepted without effect: {why}"),
        Served::No(why) => format!("no: {why}"),
    }
}

fn option_row(page: &mut String, command: Option<&SubCommand>, option: &Opt) {
    let name = command.map(|command| format!("{} ", command.name)).unwrap_or_default();
    let value = match option.takes {
        Takes::Nothing => String::new(),
        Takes::Value(value) => format!(" {value}"),
        Takes::Maybe(value) => format!(" [{value}]"),
        Takes::Many(value) => format!(" {value} …"),
    };
    let short = option.short.map(|letter| format!(", -{letter}")).unwrap_or_default();
    let state = served(match command.map(|command| command.served) {
        Some(refused @ Served::No(_)) => refused,
        _ => option.served,
    });
    writeln!(page, "| `{name}--{}{short}{value}` | {} | {state} |", option.name, option.about).unwrap();
}

fn tool_section(page: &mut String, tool: &Tool) {
    write!(page, "\n## {}\n\n| option | what for | served |\n|---|---|---|\n", tool.name).unwrap();
    tool.options.iter().for_each(|option| option_row(page, None, option));
    for command in tool.commands {
        writeln!(page, "| `{}` | {} | {} |", command.name, command.about, served(command.served)).unwrap();
        command.options.iter().for_each(|option| option_row(page, Some(command), option));
    }
}

/// The comments in the transcripts, each with the command that it is about.
fn differences() -> String {
    let mut paths: Vec<_> =
        std::fs::read_dir(root().join(GOLDEN)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "transcript"));
    paths.sort();
    let (mut list, mut commands) = (String::new(), 0);
    for path in paths {
        let mut why = None;
        for line in std::fs::read_to_string(path).unwrap().lines() {
            if let Some(reason) = line.strip_prefix("# differs: ") {
                why = Some(reason.to_owned());
            } else if let Some(command) = line.strip_prefix("$ ") {
                commands += 1;
                if let Some(why) = why.take() {
                    let command = command.replace(" --bootstrap-server BROKER", "");
                    writeln!(list, "- `{command}`: {why}.").unwrap();
                }
            }
        }
    }
    let different = list.lines().count();
    format!(
        "\n## Differences\n\nOf {commands} commands that are compared, {} print exactly what Kafka's print, and all end \
         with the same exit code. The others:\n\n{list}",
        commands - different
    )
}

#[test]
fn the_page_tells_what_is_served() {
    let mut page = HEAD.to_owned();
    TOOLS.iter().for_each(|tool| tool_section(&mut page, tool));
    page.push_str(&differences());
    let path = root().join(PAGE);
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let current = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(current == page, "{PAGE} is stale: run UPDATE_GOLDENFILES=1 cargo test --lib kafka_tools::documentation");
}

#[test]
fn every_option_of_kafkas_tools_is_in_a_table_and_no_other() {
    let names: BTreeSet<&str> = TOOLS.iter().map(|tool| tool.name).collect();
    let golden = read(&format!("{GOLDEN}/options.txt"));
    let of_tools = |line: &&str| names.contains(line.split(' ').next().unwrap_or_default());
    let expected: BTreeSet<String> = golden.lines().filter(of_tools).map(str::to_owned).collect();
    let mut here = BTreeSet::new();
    for tool in TOOLS {
        // Left out where Kafka's page of options does not name them.
        let hidden = |name: &str| tool.name == "kafka-server-start" && matches!(name, "help" | "daemon");
        here.extend(tool.options.iter().filter(|it| !hidden(it.name)).map(|it| format!("{} --{}", tool.name, it.name)));
        for command in tool.commands {
            here.insert(format!("{} {}", tool.name, command.name));
            here.insert(format!("{} {} --help", tool.name, command.name));
            here.extend(command.options.iter().map(|it| format!("{} {} --{}", tool.name, command.name, it.name)));
        }
    }
    let missing: Vec<_> = expected.difference(&here).collect();
    let invented: Vec<_> = here.difference(&expected).collect();
    assert!(missing.is_empty() && invented.is_empty(), "missing: {missing:#?}\ninvented: {invented:#?}");
}
