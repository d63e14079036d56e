//! `ottla topics alter`.

use clap::{ArgGroup, Args};

use crate::cli::common::key_value;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::client::ClusterClient;
use crate::client::admin::configs::{self, ConfigChange, ConfigResource};
use crate::client::admin::topics;

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("change").required(true).multiple(true)))]
pub(super) struct Arguments {
    /// The topic.
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// How many partitions it is to have in all. Partitions cannot be taken away.
    #[arg(short, long, value_name = "N", group = "change", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Sets a key of its configuration; may be repeated.
    #[arg(short, long = "config", value_name = "KEY=VALUE", group = "change", value_parser = key_value)]
    configs: Vec<(String, String)>,
    /// Takes a key away, so that the default is in force; may be repeated.
    #[arg(long = "unset", value_name = "KEY", group = "change")]
    unset: Vec<String>,
    /// Only asks whether the changes could be made.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let topic = &arguments.topic;
    client.learn_topics(Some(std::slice::from_ref(topic))).await?;
    let set = arguments.configs.iter().map(|(key, value)| (key.clone(), ConfigChange::Set(value.clone())));
    let unset = arguments.unset.iter().map(|key| (key.clone(), ConfigChange::Unset));
    let changes: Vec<_> = set.chain(unset).collect();
    // What can be refused goes first, so that a refusal leaves the topic as it was.
    if !changes.is_empty() {
        configs::alter(client, &ConfigResource::Topic(topic.clone()), &changes, true).await?;
    }
    if let Some(partitions) = arguments.partitions {
        topics::enlarge(client, topic, partitions, &[], arguments.dry_run).await?;
    }
    if !changes.is_empty() && !arguments.dry_run {
        configs::alter(client, &ConfigResource::Topic(topic.clone()), &changes, false).await?;
    }
    let verb = if arguments.dry_run { "Could alter" } else { "Altered" };
    let result = serde_json::json!({ "topic": topic, "altered": !arguments.dry_run });
    Ok(output.print(&result, |_| format!("{verb} {topic}.\n"))?)
}
