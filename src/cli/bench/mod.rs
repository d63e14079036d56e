//! `ottla bench`: a simple load, for a first impression of a cluster.

mod consume;
mod figures;
mod produce;

use clap::{Args, Subcommand};

use super::common::{ClusterArguments, OutputArguments, run_async};
use super::exit::Failure;

const EXAMPLES: &str = "\
Examples:
  ottla topics create load --partitions 8
  ottla bench produce load --records 1000000 --size 1000 --compression lz4
  ottla bench produce load --connections 4 --acks 1
  ottla bench consume load

The latency is that of a batch, from its sending to its acknowledgement, or of a fetch. Client and cluster share the
machine's processors when they run on one.";

/// `ottla bench`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct BenchArguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Produces records of one size as fast as they are acknowledged.
    Produce(produce::Arguments),
    /// Reads a topic from its beginning to its end.
    Consume(consume::Arguments),
}

/// Runs it.
pub(super) fn run(arguments: &BenchArguments, output: OutputArguments) -> Result<(), Failure> {
    let output = output.output();
    run_async(async {
        match &arguments.command {
            Command::Produce(produce) => produce::run(&arguments.cluster, produce, &output).await,
            Command::Consume(consume) => consume::run(&arguments.cluster, consume, &output).await,
        }
    })
}
