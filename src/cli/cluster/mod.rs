//! `ottla cluster`.

mod api_versions;
mod health;
mod recover_quorum;
mod status;
mod voters;

use clap::{Args, Subcommand};

use super::common::{ClusterArguments, OutputArguments, run_async};
use super::exit::Failure;

const EXAMPLES: &str = "\
Examples:
  ottla cluster status
  ottla cluster status --watch
  ottla cluster status --check --json
      For scripts: exits with 1 when partitions are offline or cannot be written, or brokers are fenced.
  ottla cluster api-versions --broker 1
  ottla cluster add-controller 4
  ottla cluster remove-controller 2
  ottla cluster recover-quorum --data-dir /var/lib/ottla
      With all nodes stopped, on the one whose metadata log is longest.";

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
    /// Gives a controller that runs as an observer a vote in the metadata quorum.
    AddController(voters::Arguments),
    /// Takes a controller's vote away.
    RemoveController(voters::Arguments),
    /// Makes one node the only voter, offline, when the majority of the controllers is gone for good.
    RecoverQuorum(recover_quorum::Arguments),
}

/// Runs it.
pub(super) fn run(arguments: ClusterCommandArguments, output: OutputArguments) -> Result<(), Failure> {
    let ClusterCommandArguments { command, cluster } = arguments;
    let output = output.output();
    if let Command::RecoverQuorum(arguments) = &command {
        return recover_quorum::run(arguments, &output);
    }
    run_async(async move {
        let mut client = cluster.connect().await?;
        match command {
            Command::Status(arguments) => status::run(&mut client, &arguments, &output).await,
            Command::ApiVersions(arguments) => api_versions::run(&mut client, &arguments, &output).await,
            Command::AddController(arguments) => voters::add(&mut client, &arguments, &output).await,
            Command::RemoveController(arguments) => voters::remove(&mut client, &arguments, &output).await,
            Command::RecoverQuorum(_) => Ok(()),
        }
    })
}
