//! `ottla transactions`.

mod abort;
mod describe;
mod describe_producers;
mod find_hanging;
mod force_terminate;
mod list;

use clap::{Args, Subcommand};

use super::common::{ClusterArguments, OutputArguments, run_async};
use super::exit::{Exit, Failure};
use super::time::duration;
use crate::client::admin::transactions::{self, TransactionFilter};
use crate::client::{ClusterClient, ClusterError, names_near};
use crate::model::ErrorCode;

const EXAMPLES: &str = "\
Examples:
  ottla transactions list --state Ongoing --longer-than 5m
  ottla transactions describe payments-1
      Whose it is, since when it is open, and where it has written.
  ottla transactions describe-producers orders --partition 0
  ottla transactions find-hanging
      Transactions that nobody is going to end, so that read_committed consumers wait behind them for ever.
  ottla transactions abort orders --partition 0 --start-offset 4711
      Ends one of those.
  ottla transactions force-terminate payments-1
      Ends an open transaction through its coordinator; its producer is refused from then on.";

/// `ottla transactions`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct TransactionsArguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Lists transactional ids and where their transactions stand.
    #[command(visible_alias = "ls")]
    List(list::Arguments),
    /// Tells the producer, the time and the partitions of transactional ids.
    Describe(describe::Arguments),
    /// Tells the producers that a partition remembers, and where their open transactions begin.
    DescribeProducers(describe_producers::Arguments),
    /// Finds open transactions that no coordinator is going to end.
    FindHanging(find_hanging::Arguments),
    /// Aborts a transaction that hangs, in one partition.
    Abort(abort::Arguments),
    /// Aborts what a transactional id has open, and refuses its producer from then on.
    ForceTerminate(force_terminate::Arguments),
}

/// Runs it.
pub(super) fn run(arguments: TransactionsArguments, output: OutputArguments) -> Result<(), Failure> {
    let TransactionsArguments { command, cluster } = arguments;
    let output = output.output();
    run_async(async move {
        let client = &mut cluster.connect().await?;
        match command {
            Command::List(arguments) => list::run(client, &arguments, &output).await,
            Command::Describe(arguments) => describe::run(client, &arguments, &output).await,
            Command::DescribeProducers(arguments) => describe_producers::run(client, &arguments, &output).await,
            Command::FindHanging(arguments) => find_hanging::run(client, &arguments, &output).await,
            Command::Abort(arguments) => abort::run(client, &arguments, &output).await,
            Command::ForceTerminate(arguments) => force_terminate::run(client, &arguments, &output).await,
        }
    })
}

/// Describes a transactional id; where there is none of this name, the failure has the names that look like it.
async fn described(client: &mut ClusterClient, id: &str) -> Result<transactions::TransactionDescription, Failure> {
    let error = match transactions::describe(client, id).await {
        Err(error @ ClusterError::Refused { code: ErrorCode::TransactionalIdNotFound, .. }) => error,
        described => return Ok(described?),
    };
    let known = transactions::list(client, &TransactionFilter::default()).await;
    let Ok(known) = known else { return Err(error.into()) };
    let near = names_near(id, known.iter().map(|listed| listed.transactional_id.as_str()));
    let what = match near.is_empty() {
        true => format!("there is no transactional id {id:?}"),
        false => format!("there is no transactional id {id:?}, but there is {}", near.join(", ")),
    };
    Err(Failure::new(Exit::NotFound, what).next("See the ids with: ottla transactions list."))
}

/// Reads a length of time on the command line, in milliseconds.
fn length(text: &str) -> Result<i64, String> {
    duration(text).ok_or_else(|| "write a length of time: 90s, 15m, 2h or 7d".to_owned())
}

/// A length of time as people say it: `12 s`, `3 min`, `5 h`, `2 days`.
fn spoken(milliseconds: i64) -> String {
    match milliseconds / 1000 {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_and_said() {
        assert_eq!(length("15m"), Ok(900_000));
        assert!(length("15").is_err());
        let said = [999, 119_000, 120_000, 7_200_000, 172_800_000].map(spoken);
        assert_eq!(said, ["0 s", "119 s", "2 min", "2 h", "2 days"]);
    }
}
