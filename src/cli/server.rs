//! `ottla server`.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::dev_cluster;
use super::exit::{Exit, conclude};
use crate::config::{ConfigError, ServerConfig, Sources, load};
use crate::node::{self, Stopped};
use crate::observability::start_logging;

const EXAMPLES: &str = "\
Examples:
  ottla server
      One combined node on localhost:9092, data in ./ottla-data.
  ottla server server.properties
      With Kafka's own properties file.
  ottla server --override listeners=PLAINTEXT://:9092 --override log.dirs=/data
      Single settings; they win over file and environment.
  KAFKA_NODE_ID=1 KAFKA_LOG_DIRS=/data ottla server
      Settings from the environment, named as for Kafka's image.

  ottla server --dev-cluster 3
      Three nodes on this machine, to play with.

Later sources win: defaults, properties file, environment, --override.
OTTLA_LOG chooses what is logged, for example OTTLA_LOG=debug.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServerArguments {
    /// A properties file.
    #[arg(value_name = "FILE", conflicts_with = "config")]
    positional: Option<PathBuf>,
    /// A properties file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one key; may be repeated.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    pub(super) overrides: Vec<String>,
    /// Runs so many nodes as a cluster on this machine, to play with; nothing is kept.
    #[arg(long, value_name = "NODES", conflicts_with_all = ["positional", "config"],
          value_parser = clap::value_parser!(u16).range(1..=7))]
    dev_cluster: Option<u16>,
    /// Stops when standard input ends.
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

impl ServerArguments {
    /// A file and what overrides it.
    pub(super) fn of_file(file: PathBuf, overrides: Vec<String>) -> Self {
        Self { positional: Some(file), config: None, overrides, dev_cluster: None, end_with_stdin: false }
    }

    pub(super) fn file(&self) -> Option<PathBuf> {
        self.positional.clone().or_else(|| self.config.clone())
    }
}

/// Runs a node until it is told to stop.
pub(super) fn run(arguments: ServerArguments) -> ExitCode {
    if let Some(nodes) = arguments.dev_cluster {
        return conclude(dev_cluster::run(nodes, &arguments.overrides));
    }
    if arguments.end_with_stdin {
        dev_cluster::end_with_stdin();
    }
    start_logging();
    let config = match gather(&arguments) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("ottla: {error}");
            return ExitCode::from(Exit::Usage as u8);
        }
    };
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    match node::run(config) {
        Ok(Stopped::Cleanly) => ExitCode::SUCCESS,
        Ok(Stopped::CutShort) => ExitCode::from(Exit::Interrupted as u8),
        Err(error) => {
            eprintln!("ottla: {error}");
            let exit = if error.is_refused_directory() { Exit::Directory } else { Exit::Failed };
            ExitCode::from(exit as u8)
        }
    }
}

/// The configuration that the arguments, the file and the environment make.
pub(super) fn gather(arguments: &ServerArguments) -> Result<ServerConfig, ConfigError> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let sources = Sources {
        file: arguments.file(),
        environment: env::vars_os().filter_map(text).collect(),
        overrides: arguments.overrides.clone(),
    };
    ServerConfig::resolve(load(&sources)?)
}
