//! `ottla groups`.

mod delete;
mod describe;
mod list;
mod reset_offsets;

use clap::{Args, Subcommand};

use super::common::{ClusterArguments, OutputArguments, run_async};
use super::exit::Failure;
use crate::client::{ClusterClient, ClusterError, admin, names_near};
use crate::model::ErrorCode;

const EXAMPLES: &str = "\
Examples:
  ottla groups list
  ottla groups describe billing
      Offsets, lag, and who reads what.
  ottla groups reset-offsets billing --topic orders --to-earliest
      Shows what would change; --execute changes it.
  ottla groups reset-offsets billing --all-topics --shift-by -100 --execute
  ottla groups delete billing --yes";

/// `ottla groups`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct GroupsArguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Lists groups.
    #[command(visible_alias = "ls")]
    List(list::Arguments),
    /// Tells offsets, lag, members and their partitions.
    Describe(describe::Arguments),
    /// Moves the offsets of a group that has no members.
    ResetOffsets(reset_offsets::Arguments),
    /// Deletes groups that have no members, with their offsets.
    #[command(visible_alias = "rm")]
    Delete(delete::Arguments),
}

/// Runs it.
pub(super) fn run(arguments: GroupsArguments, output: OutputArguments) -> Result<(), Failure> {
    let GroupsArguments { command, cluster } = arguments;
    let output = output.output();
    run_async(async move {
        let mut client = cluster.connect().await?;
        match command {
            Command::List(arguments) => list::run(&mut client, &arguments, &output).await,
            Command::Describe(arguments) => describe::run(&mut client, &arguments, &output).await,
            Command::ResetOffsets(arguments) => reset_offsets::run(&mut client, &arguments, &output).await,
            Command::Delete(arguments) => delete::run(&mut client, &arguments, &output).await,
        }
    })
}

/// The failure for an error about a group; where there is no such group, with the names that look like it.
async fn explain(client: &mut ClusterClient, group: &str, error: ClusterError) -> Failure {
    if !matches!(error, ClusterError::Refused { code: ErrorCode::GroupIdNotFound, .. }) {
        return error.into();
    }
    let known = admin::groups::list(client).await.unwrap_or_default();
    let near = names_near(group, known.iter().map(|group| group.group_id.as_str()));
    let what = match near.is_empty() {
        true => format!("there is no group {group:?}"),
        false => format!("there is no group {group:?}, but there is {}", near.join(", ")),
    };
    Failure::new(super::exit::Exit::NotFound, what).next("See the groups with: ottla groups list.")
}
