//! `ottla topics`.

mod alter;
mod create;
mod delete;
mod describe;
mod list;
mod undelete;

use clap::{Args, Subcommand};

use super::common::{ClusterArguments, OutputArguments, run_async};
use super::exit::Failure;

const EXAMPLES: &str = "\
Examples:
  ottla topics create orders --partitions 6 --config retention.ms=86400000
  ottla topics list
  ottla topics describe orders
  ottla topics alter orders --partitions 12 --config retention.ms=3600000
  ottla topics delete orders --yes
  ottla topics list --deleted
  ottla topics undelete orders";

/// `ottla topics`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct TopicsArguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Creates topics.
    Create(create::Arguments),
    /// Lists topics.
    #[command(visible_alias = "ls")]
    List(list::Arguments),
    /// Tells partitions, replicas, sizes and configuration.
    Describe(describe::Arguments),
    /// Adds partitions, changes configuration.
    Alter(alter::Arguments),
    /// Deletes topics with all their records.
    #[command(visible_alias = "rm")]
    Delete(delete::Arguments),
    /// Restores deleted topics within ottla.topic.delete.retention.ms.
    Undelete(undelete::Arguments),
}

/// Runs it.
pub(super) fn run(arguments: TopicsArguments, output: OutputArguments) -> Result<(), Failure> {
    let TopicsArguments { command, cluster } = arguments;
    let output = output.output();
    run_async(async move {
        let mut client = cluster.connect().await?;
        match command {
            Command::Create(arguments) => create::run(&mut client, &arguments, &output).await,
            Command::List(arguments) => list::run(&mut client, &arguments, &output).await,
            Command::Describe(arguments) => describe::run(&mut client, &arguments, &output).await,
            Command::Alter(arguments) => alter::run(&mut client, &arguments, &output).await,
            Command::Delete(arguments) => delete::run(&mut client, &arguments, &output).await,
            Command::Undelete(arguments) => undelete::run(&mut client, &arguments, &output).await,
        }
    })
}
