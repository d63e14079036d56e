//! `ottla topics create`.

use clap::Args;
use serde::Serialize;

use crate::cli::common::key_value;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::client::admin::topics::{self, NewTopic};
use crate::client::{ClusterClient, ClusterError};
use crate::model::ErrorCode;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Names of the topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Partitions of each topic; the brokers' num.partitions if not given.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Replicas of each partition; the brokers' default.replication.factor if not given.
    #[arg(short, long, visible_alias = "replication-factor", value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replicas: Option<i16>,
    /// Sets a key of the topic's configuration; may be repeated.
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
    configs: Vec<(String, String)>,
    /// Leaves a topic alone that exists already.
    #[arg(long)]
    if_not_exists: bool,
    /// Only asks whether the topics could be created.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Created {
    topic: String,
    id: Option<String>,
    partitions: Option<i32>,
    replication_factor: Option<i16>,
    created: bool,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let mut created = Vec::new();
    for name in &arguments.topics {
        created.push(create(client, arguments, name).await?);
    }
    Ok(output.print(&created, |_| created.iter().map(sentence).collect())?)
}

async fn create(client: &mut ClusterClient, arguments: &Arguments, name: &str) -> Result<Created, Failure> {
    let new = NewTopic {
        name: name.to_owned(),
        partitions: arguments.partitions,
        replication_factor: arguments.replicas,
        configs: arguments.configs.clone(),
        ..NewTopic::default()
    };
    let existing =
        || Created { topic: name.to_owned(), id: None, partitions: None, replication_factor: None, created: false };
    match topics::create(client, &new, arguments.dry_run).await {
        Err(ClusterError::Refused { code: ErrorCode::TopicAlreadyExists, .. }) if arguments.if_not_exists => {
            Ok(existing())
        }
        Err(error) => Err(error.into()),
        Ok(topic) => {
            if !arguments.dry_run {
                // So that the next command finds it: brokers learn of a topic a moment after its creation.
                client.await_topic(name, false).await?;
            }
            Ok(Created {
                topic: topic.name,
                id: (!topic.topic_id.is_zero()).then(|| topic.topic_id.to_string()),
                partitions: topic.partitions,
                replication_factor: topic.replication_factor,
                created: !arguments.dry_run,
            })
        }
    }
}

fn sentence(topic: &Created) -> String {
    let count = |number: i64, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    let size = match (topic.partitions, topic.replication_factor) {
        (Some(partitions), Some(replicas)) => {
            let partitions = count(i64::from(partitions), "partition");
            format!(" with {partitions}, {} each", count(i64::from(replicas), "replica"))
        }
        _ => String::new(),
    };
    match (topic.created, size.is_empty()) {
        (true, _) => format!("Created {}{size}.\n", topic.topic),
        (false, false) => format!("Could create {}{size}.\n", topic.topic),
        (false, true) => format!("{} exists already.\n", topic.topic),
    }
}
