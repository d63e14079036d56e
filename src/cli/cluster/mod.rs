//! `ottla cluster`.

mod api_versions;
mod health;
mod status;

use clap::{Args, Subcommand};

use super::common::{ClusterArguments, OutputArguments, run_async};
use super::exit::Failure;

const EXAMPLES: &str = "\
Examples:
  ottla cluster status
  ottla cluster status --watch
  ottla cluster status --check --json
      For scripts: exits with 1 when partitions are offline or cannot be written, or brokers are fenced.
  ottla cluster api-versions --broker 1";

/// `ottla cluster`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ClusterCommandArguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Tells brokers, controllers and troubled partitions at a glance.
    Status(status::Arguments),
    /// Tells which versions of each API the brokers serve.
    ApiVersions(api_versions::Arguments),
}

/// Runs it.
pub(super) fn run(arguments: ClusterCommandArguments, output: OutputArguments) -> Result<(), Failure> {
    let ClusterCommandArguments { command, cluster } = arguments;
    let output = output.output();
    run_async(async move {
        let mut client = cluster.connect().await?;
        match command {
            Command::Status(arguments) => status::run(&mut client, &arguments, &output).await,
            Command::ApiVersions(arguments) => api_versions::run(&mut client, &arguments, &output).await,
        }
    })
}
