//! `ottla groups delete`.

use clap::Args;
use serde_json::json;

use crate::cli::common::confirm;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::client::ClusterClient;
use crate::client::admin::groups;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Names of the groups.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// Does not ask.
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    if !arguments.yes {
        confirm(&format!("Delete {} and its offsets?", arguments.groups.join(", "))).await?;
    }
    for group in &arguments.groups {
        if let Err(error) = groups::delete(client, group).await {
            return Err(super::explain(client, group, error).await);
        }
    }
    let deleted: Vec<_> = arguments.groups.iter().map(|group| json!({ "group": group, "deleted": true })).collect();
    Ok(output.print(&deleted, |_| arguments.groups.iter().map(|group| format!("Deleted {group}.\n")).collect())?)
}
