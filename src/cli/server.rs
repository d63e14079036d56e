//! `ottla server`.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::exit::Exit;
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
}

impl ServerArguments {
    /// A file and what overrides it.
    pub(super) fn of_file(file: PathBuf, overrides: Vec<String>) -> Self {
        Self { positional: Some(file), config: None, overrides }
    }

    pub(super) fn file(&self) -> Option<PathBuf> {
        self.positional.clone().or_else(|| self.config.clone())
    }
}

/// Runs a node until it is told to stop.
pub(super) fn run(arguments: ServerArguments) -> ExitCode {
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
