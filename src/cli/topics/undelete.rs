//! `ottla topics undelete`.

use clap::Args;
use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::client::ClusterClient;
use crate::client::admin::topics;
use crate::model::Uuid;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Names of the deleted topics; `ottla topics list --deleted` tells them.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Restores the topic with this id, where more than one of the name were deleted; the last one if not given.
    #[arg(long, value_name = "TOPIC_ID")]
    id: Option<Uuid>,
    /// Only asks whether the topics could be restored.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Restored {
    topic: String,
    id: String,
    partitions: Option<i32>,
    restored: bool,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    if arguments.id.is_some() && arguments.topics.len() > 1 {
        return Err(Failure::usage("--id is of one topic: name that topic alone"));
    }
    let mut restored = Vec::new();
    for name in &arguments.topics {
        let topic = topics::undelete(client, name, arguments.id, arguments.dry_run).await?;
        if !arguments.dry_run {
            // So that the next command finds it.
            client.await_topic(name, false).await?;
        }
        let id = topic.topic_id.to_string();
        restored.push(Restored { topic: topic.name, id, partitions: topic.partitions, restored: !arguments.dry_run });
    }
    let sentence = |topic: &Restored| match topic.restored {
        true => format!("Restored {} (id {}).\n", topic.topic, topic.id),
        false => format!("Could restore {} (id {}).\n", topic.topic, topic.id),
    };
    Ok(output.print(&restored, |_| restored.iter().map(sentence).collect())?)
}
