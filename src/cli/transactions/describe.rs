//! `ottla transactions describe`.

use clap::Args;
use serde::Serialize;

use super::spoken;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, Tone};
use crate::client::ClusterClient;
use crate::client::admin::transactions::TransactionDescription;
use crate::clock;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The transactional ids.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

#[derive(Serialize)]
struct Described {
    transactional_id: String,
    state: String,
    producer_id: i64,
    producer_epoch: i16,
    coordinator: i32,
    timeout_ms: i32,
    started_ms: Option<i64>,
    open_for_ms: Option<i64>,
    partitions: Vec<String>,
}

impl From<TransactionDescription> for Described {
    fn from(found: TransactionDescription) -> Self {
        Self {
            open_for_ms: found.started_ms.map(|started| clock::wall().0 - started),
            partitions: found.partitions.iter().map(ToString::to_string).collect(),
            transactional_id: found.transactional_id,
            state: found.state,
            producer_id: found.producer_id,
            producer_epoch: found.producer_epoch,
            coordinator: found.coordinator,
            timeout_ms: found.timeout_ms,
            started_ms: found.started_ms,
        }
    }
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let mut described: Vec<Described> = Vec::new();
    for id in &arguments.ids {
        described.push(super::described(client, id).await?.into());
    }
    Ok(output.print(&described, |output| described.iter().map(|described| text(described, output)).collect())?)
}

fn text(described: &Described, output: &Output) -> String {
    let Described { state, producer_id, producer_epoch, coordinator, .. } = described;
    let id = output.paint(&described.transactional_id, Tone::Title);
    let open = described.open_for_ms.map(|open| format!(" for {}", spoken(open))).unwrap_or_default();
    let timeout = spoken(described.timeout_ms.into());
    let written = match described.partitions.as_slice() {
        [] => String::new(),
        partitions => format!("  in {}\n", partitions.join(", ")),
    };
    format!(
        "{id}: {state}{open}, time-out {timeout}, producer {producer_id} in epoch {producer_epoch}, \
         coordinated by broker {coordinator}\n{written}"
    )
}
