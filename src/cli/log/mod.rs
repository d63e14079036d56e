//! `ottla log`: looks into the files of a log, without a broker.

mod dump;
mod indexes;
mod segment;

use clap::{Args, Subcommand};

use super::common::OutputArguments;
use super::exit::Failure;

const EXAMPLES: &str = "\
Examples:
  ottla log dump ottla-data/orders-0
      All segments, indexes and snapshots of a partition.
  ottla log dump ottla-data/orders-0/00000000000000000000.log --records
  ottla log dump ottla-data/orders-0 --json | jq .base_offset

Reads Kafka's files as well as Ottla's: the formats are the same. Files may be read while a broker runs; the last
batch can then be one that is still being written.";

/// `ottla log`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct LogArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Prints batches, records, index entries and producers of files.
    Dump(dump::Arguments),
}

/// Runs it.
pub(super) fn run(arguments: &LogArguments, output: OutputArguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Dump(arguments) => dump::run(arguments, output),
    }
}
