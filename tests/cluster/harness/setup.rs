//! How a node is to be started.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::{Node, PATIENCE, Process};

/// How a node is to be started.
#[derive(Clone)]
pub struct Setup {
    directory: PathBuf,
    overrides: Vec<String>,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    binary: PathBuf,
}

impl Setup {
    /// A combined node on a free port with its data in `directory/data`.
    pub fn new(directory: &Path) -> Self {
        Self::bare(directory)
            .set("listeners", "PLAINTEXT://127.0.0.1:0")
            .set("log.dirs", directory.join("data").to_str().expect("a path in UTF-8"))
            .set("ottla.http.listener", "")
            .set("group.initial.rebalance.delay.ms", "0")
    }

    /// Nothing configured at all; `directory` is the working directory.
    pub fn bare(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            overrides: Vec::new(),
            environment: Vec::new(),
            arguments: Vec::new(),
            binary: PathBuf::from(env!("CARGO_BIN_EXE_ottla")),
        }
    }

    /// Another binary than the one that was built with the tests.
    pub fn binary(mut self, binary: &Path) -> Self {
        self.binary = binary.to_owned();
        self
    }

    /// Adds `--override key=value`.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.overrides.push(format!("{key}={value}"));
        self
    }

    /// Adds an environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an argument, such as a properties file.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("server").args(&self.arguments).current_dir(&self.directory).stdin(Stdio::null());
        for pair in &self.overrides {
            command.args(["--override", pair]);
        }
        // What the person who runs the tests has set must not matter.
        for (name, _) in std::env::vars() {
            if name.starts_with("KAFKA_") || name.starts_with("OTTLA_") || name == "CLUSTER_ID" || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the node and waits until it is ready.
    pub fn start(&self) -> Node {
        Node::ready(self.spawn())
    }

    /// Starts the node without waiting for anything.
    pub fn spawn(&self) -> Process {
        let log = self.directory.join("stderr.log");
        let mut command = self.command();
        let log_file = fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log file");
        command.stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Process::new(child, lines, log)
    }

    /// Starts a node that is not expected to live, and waits for its end.
    pub fn run_to_end(&self) -> Output {
        let mut child = self.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().expect("it can be waited for").is_none() {
            if Instant::now() > deadline {
                let _ = child.kill();
                panic!("the node was expected to refuse, and runs: {:?}", child.wait_with_output());
            }
            thread::sleep(Duration::from_millis(10));
        }
        child.wait_with_output().expect("it has ended")
    }
}

/// Runs a command of the binary to its end.
pub fn ottla(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ottla")).args(arguments).stdin(Stdio::null()).output().expect("it runs")
}
