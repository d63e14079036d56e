//! `ottla transactions force-terminate`.

use clap::Args;
use serde_json::json;

use crate::cli::common::confirm;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::client::ClusterClient;
use crate::client::admin::transactions;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The transactional id.
    #[arg(value_name = "ID")]
    id: String,
    /// Does not ask.
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let id = &arguments.id;
    // An id that nobody uses would come into being.
    let described = super::described(client, id).await?;
    if !arguments.yes {
        let state = described.state;
        confirm(&format!("{id} is {state}. Abort what is open, and refuse its producer from now on?")).await?;
    }
    transactions::force_terminate(client, id).await?;
    let done = json!({ "transactional_id": id, "terminated": true });
    Ok(output.print(&done, |_| format!("{id} has no open transaction, and its producer is refused.\n"))?)
}
