//! Kafka's tool names: what the tools print and how they end is what Apache Kafka 4.3.1's own do.
//!
//! `tests/golden/kafka-4.3.1/tools/*.transcript` were written by running the commands with Kafka's tools against Kafka:
//! `scripts/kafka-tools-compare` does it again. They run here against a node of the test's own, in the order of their
//! names, so that a later one finds what an earlier one made.
//!
//! A transcript is a list of commands (`$ `), each with what it reads (`< `), then what it prints and, unless it
//! succeeds, its exit code. A comment `# differs: why` above a command says that only the exit code is Kafka's; such
//! comments are the list of differences in docs/tools.md. Ids, times and addresses are replaced by words, see [`Setting::normalise`].
//!
//! OTTLA_TEST_BOOTSTRAP and OTTLA_TEST_TOOLS name another broker and another folder of tools; with
//! UPDATE_GOLDENFILES the transcripts are written anew.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::harness::{Node, Setup};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/kafka-4.3.1/tools");
/// Partitions as Kafka left them.
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/kafka-4.3.1/data");

/// One command of a transcript.
struct Invocation {
    line: String,
    stdin: String,
    /// What follows: what it printed, and its exit code unless it is 0.
    outcome: String,
    /// Comments above it.
    comments: String,
}

impl Invocation {
    /// What is wrong with an outcome, if anything is.
    fn difference(&self, outcome: &str) -> Option<String> {
        let (expected, outcome) = (self.outcome.trim_end(), outcome.trim_end());
        // What is not Ottla has nothing to differ in.
        let differs = self.comments.contains("# differs: ") && std::env::var_os("OTTLA_TEST_TOOLS").is_none();
        match (differs, expected == outcome) {
            (false, true) => None,
            (true, false) if exit_code(expected) == exit_code(outcome) => None,
            (true, true) => Some("is as in Kafka: take the comment \"differs\" away".to_owned()),
            _ => Some(format!("--- Kafka\n{expected}\n--- here\n{outcome}")),
        }
    }
}

fn exit_code(outcome: &str) -> Option<&str> {
    outcome.lines().last().filter(|line| line.starts_with("[exit status: "))
}

/// The broker that is asked and the folder where the tools are.
struct Setting {
    bootstrap: String,
    tools: PathBuf,
    scratch: TempDir,
    _node: Option<Node>,
}

impl Setting {
    fn new() -> Self {
        let scratch = tempfile::tempdir().expect("a directory");
        let (bootstrap, node) = match std::env::var("OTTLA_TEST_BOOTSTRAP") {
            Ok(bootstrap) => (bootstrap, None),
            Err(_) => {
                let node = Setup::new(scratch.path()).set("node.id", "1").set("min.insync.replicas", "1").start();
                (node.address(), Some(node))
            }
        };
        let tools = std::env::var_os("OTTLA_TEST_TOOLS").map(PathBuf::from).unwrap_or_else(|| link(scratch.path()));
        Self { bootstrap, tools, scratch, _node: node }
    }

    fn run(&self, invocation: &Invocation) -> String {
        let line = invocation.line.replace("BROKER", &self.bootstrap).replace("FILES", &format!("{GOLDEN}/files"));
        let line = line.replace("DATA/", &format!("{DATA}/"));
        let line = line.replace("SCRATCH", self.scratch.path().to_str().expect("a path in UTF-8"));
        let words = words(&line);
        let mut child = Command::new(self.tools.join(&words[0]))
            .args(&words[1..])
            .current_dir(self.scratch.path())
            .env_remove("KAFKA_OPTS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", words[0]));
        // A tool that reads nothing may have ended already.
        let _ = child.stdin.take().expect("piped").write_all(invocation.stdin.as_bytes());
        let output = child.wait_with_output().expect("it ends");
        let mut outcome = self.normalise(&String::from_utf8_lossy(&output.stdout));
        if !output.status.success() {
            if !outcome.is_empty() && !outcome.ends_with('\n') {
                outcome.push('\n');
            }
            writeln!(outcome, "[{}]", output.status).expect("writing to a string");
        }
        if std::env::var_os("OTTLA_TEST_STDERR").is_some() {
            eprintln!("$ {}\n{outcome}{}", invocation.line, String::from_utf8_lossy(&output.stderr));
        }
        outcome
    }

    /// Replaces what differs from run to run.
    fn normalise(&self, text: &str) -> String {
        let port = self.bootstrap.rsplit(':').next().expect("host:port");
        let text = text
            .replace(&self.bootstrap, "BROKER")
            .replace(port, "PORT")
            .replace(&format!("{GOLDEN}/files"), "FILES")
            .replace(DATA, "DATA");
        let text = text.replace(self.scratch.path().to_str().expect("a path in UTF-8"), "/SCRATCH");
        let mut normal = String::new();
        let mut titles = Vec::new();
        for line in text.split_inclusive('\n') {
            let cells: Vec<&str> = line.split('\t').map(str::trim).collect();
            if FIRST_TITLES.contains(&cells[0]) {
                titles = cells;
            }
            match titles.is_empty() {
                true => normal.push_str(&normalise_line(line)),
                false => normal.push_str(&normalise_row(&titles, line)),
            }
        }
        normal
    }
}

/// Texts that stand before a value which no two runs have in common.
const BEFORE_VARYING: [&str; 11] = [
    "TopicId: ",
    "CreateTime:",
    "LogAppendTime:",
    "Cluster ID: ",
    "ClusterId:              ",
    "LeaderEpoch:            ",
    "HighWatermark:          ",
    "directory.id=",
    "\"logDir\":\"",
    "\"log_dirs\":[\"/",
    "\"size\":",
];

/// The first titles of tables that have columns which no two runs have in common, and the titles of these columns.
const FIRST_TITLES: [&str; 4] = ["TransactionalId", "CoordinatorId", "ProducerId", "Topic"];
const VARYING_COLUMNS: [&str; 4] =
    ["ProducerId", "LastTimestamp", "CurrentTransactionStartTimeMs", "TransactionDurationMs"];

/// A row of a table with tabs; cells keep no blanks behind them where one of them varies.
fn normalise_row(titles: &[&str], line: &str) -> String {
    let cells: Vec<&str> = line.split('\t').collect();
    let varies = |column: usize| titles.get(column).is_some_and(|title| VARYING_COLUMNS.contains(title));
    let is_heading = cells.iter().zip(titles).all(|(cell, title)| cell.trim() == *title);
    if is_heading || !(0..titles.len()).any(varies) {
        return line.to_owned();
    }
    let cell = |(column, cell): (usize, &&str)| match varies(column) && cell.trim() != "None" {
        true => "…".to_owned(),
        false => cell.trim_end_matches(' ').to_owned(),
    };
    cells.iter().enumerate().map(cell).collect::<Vec<_>>().join("\t")
}

/// Where configurations stand in an order that means nothing.
const BEFORE_CONFIGS: &str = "Configs: ";

/// In lines with measurements.
const MEASURED: [&str; 2] = [" records sent, ", "20"];

fn normalise_line(line: &str) -> String {
    let mut line = line.to_owned();
    for word in BEFORE_VARYING {
        let mut from = 0;
        while let Some(at) = line[from..].find(word).map(|at| from + at + word.len()) {
            let end = |c: char| c.is_whitespace() || matches!(c, ',' | '"' | '}');
            let value = line[at..].split(end).next().unwrap_or_default().len();
            line.replace_range(at..at + value, "…");
            from = at;
        }
    }
    if let Some((before, configs)) = line.split_once(BEFORE_CONFIGS) {
        let mut configs: Vec<&str> = configs.trim_end().split(',').collect();
        configs.sort_unstable();
        line = format!("{before}{BEFORE_CONFIGS}{}\n", configs.join(","));
    }
    if line.contains(MEASURED[0]) || line.starts_with(MEASURED[1]) {
        line = without_numbers(&line);
    }
    line
}

/// Puts N for each number.
fn without_numbers(line: &str) -> String {
    let mut text = String::new();
    for c in line.replace("NaN", "0").chars() {
        match c {
            '0'..='9' | '.' if text.ends_with('N') => {}
            '0'..='9' => text.push('N'),
            c => text.push(c),
        }
    }
    text
}

/// Links to the binary under Kafka's names, made by the binary itself.
fn link(directory: &Path) -> PathBuf {
    let tools = directory.join("bin");
    let status = Command::new(env!("CARGO_BIN_EXE_ottla")).args(["tools", "link"]).arg(&tools).status();
    assert!(status.expect("it runs").success());
    tools
}

/// Splits a line at blanks; quotes keep words together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![];
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (None, ' ') => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == c => quote = None,
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn parse(text: &str) -> Vec<Invocation> {
    let mut invocations: Vec<Invocation> = Vec::new();
    let mut comments = String::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("#") {
            writeln!(comments, "#{comment}").expect("writing to a string");
        } else if let Some(command) = line.strip_prefix("$ ") {
            let comments = std::mem::take(&mut comments);
            invocations.push(Invocation {
                line: command.to_owned(),
                stdin: String::new(),
                outcome: String::new(),
                comments,
            });
        } else if let Some(last) = invocations.last_mut() {
            match line.strip_prefix("< ") {
                Some(input) if last.outcome.is_empty() => writeln!(last.stdin, "{input}"),
                _ => writeln!(last.outcome, "{line}"),
            }
            .expect("writing to a string");
        }
    }
    invocations
}

fn print(invocation: &Invocation, outcome: &str) -> String {
    let mut text = invocation.comments.clone();
    writeln!(text, "$ {}", invocation.line).expect("writing to a string");
    for line in invocation.stdin.lines() {
        writeln!(text, "< {line}").expect("writing to a string");
    }
    text.push_str(outcome.trim_end());
    if !outcome.trim_end().is_empty() {
        text.push('\n');
    }
    text.push('\n');
    text
}

fn transcripts() -> Vec<PathBuf> {
    let entries = fs::read_dir(GOLDEN).expect("the transcripts");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|it| it == "transcript")).collect();
    paths.sort();
    paths
}

#[test]
fn kafkas_tool_names_print_and_end_as_kafkas_tools_do() {
    let setting = Setting::new();
    let only = std::env::var("OTTLA_TEST_TRANSCRIPT").unwrap_or_default();
    let mut differences = String::new();
    let mut count = 0;
    for path in transcripts().iter().filter(|path| path.to_str().is_some_and(|path| path.contains(&only))) {
        let mut written = String::new();
        for invocation in parse(&fs::read_to_string(path).expect("a transcript")) {
            let outcome = setting.run(&invocation);
            count += 1;
            if let Some(difference) = invocation.difference(&outcome) {
                writeln!(differences, "\n$ {}\n{difference}", invocation.line).expect("writing to a string");
            }
            written.push_str(&print(&invocation, &outcome));
        }
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            fs::write(path, written).expect("the transcript is written");
        }
    }
    assert!(count >= 60 || !only.is_empty(), "{count} invocations");
    assert!(differences.is_empty() || std::env::var_os("UPDATE_GOLDENFILES").is_some(), "{differences}");
}
