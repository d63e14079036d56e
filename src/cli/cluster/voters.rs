//! `ottla cluster add-controller` and `ottla cluster remove-controller`.

use clap::Args;
use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::client::ClusterClient;
use crate::client::admin::voters;
use crate::model::Uuid;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The controller's node.id.
    #[arg(value_name = "NODE")]
    node: i32,
    /// Its directory.id, where several directories had the same node.id.
    #[arg(long, value_name = "ID")]
    directory_id: Option<Uuid>,
}

#[derive(Serialize)]
struct Changed {
    node: i32,
    votes: bool,
}

pub(super) async fn add(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    voters::add(client, arguments.node, arguments.directory_id).await?;
    let changed = Changed { node: arguments.node, votes: true };
    Ok(output.print(&changed, |_| format!("Controller {} votes.\n", arguments.node))?)
}

pub(super) async fn remove(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    voters::remove(client, arguments.node, arguments.directory_id).await?;
    let changed = Changed { node: arguments.node, votes: false };
    Ok(output
        .print(&changed, |_| format!("Controller {} has no vote any more; it can be stopped.\n", arguments.node))?)
}
