//! `ottla transactions list`.

use clap::Args;
use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output::{Output, Table};
use crate::client::ClusterClient;
use crate::client::admin::transactions::{self, TransactionFilter};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Only transactions in this state, such as Ongoing or PrepareCommit; may be repeated.
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<String>,
    /// Only transactions that are open for longer than this: 90s, 15m, 2h or 7d.
    #[arg(long, value_name = "TIME", value_parser = super::length)]
    longer_than: Option<i64>,
    /// Only ids that this regular expression fits as a whole.
    #[arg(long, value_name = "REGEX")]
    id_pattern: Option<String>,
    /// Prints only the ids.
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Serialize)]
struct Listed {
    transactional_id: String,
    state: String,
    producer_id: i64,
    coordinator: i32,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let filter = TransactionFilter {
        states: arguments.states.clone(),
        longer_than_ms: arguments.longer_than,
        id_pattern: arguments.id_pattern.clone(),
        ..TransactionFilter::default()
    };
    let found = transactions::list(client, &filter).await?.into_iter();
    let listed: Vec<Listed> = found
        .map(|found| Listed {
            transactional_id: found.transactional_id,
            state: found.state,
            producer_id: found.producer_id,
            coordinator: found.coordinator,
        })
        .collect();
    Ok(output.print(&listed, |output| match arguments.quiet {
        true => listed.iter().map(|listed| format!("{}\n", listed.transactional_id)).collect(),
        false if listed.is_empty() => "There are no transactional ids, or none that fits.\n".to_owned(),
        false => output.table(&table(&listed)),
    })?)
}

fn table(listed: &[Listed]) -> Table {
    let mut table = Table::new(&["TRANSACTIONAL ID", "STATE", "PRODUCER", "COORDINATOR"]);
    for transaction in listed {
        table.row(vec![
            transaction.transactional_id.as_str().into(),
            transaction.state.as_str().into(),
            transaction.producer_id.into(),
            transaction.coordinator.into(),
        ]);
    }
    table
}
