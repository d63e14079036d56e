//! `ottla topics delete`.

use clap::Args;
use serde::Serialize;

use crate::cli::common::confirm;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::client::ClusterClient;
use crate::client::admin::topics;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Names of the topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Does not ask.
    #[arg(short, long)]
    yes: bool,
    /// Is content when a topic does not exist.
    #[arg(long)]
    if_exists: bool,
}

#[derive(Serialize)]
struct Deleted {
    topic: String,
    deleted: bool,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let known = client.learn_topics(None).await?;
    for topic in &arguments.topics {
        if !arguments.if_exists {
            known.topic(topic)?;
        }
    }
    let there = |topic: &String| known.topics.contains_key(topic);
    let (found, missing): (Vec<String>, Vec<String>) = arguments.topics.iter().cloned().partition(there);
    if !arguments.yes && !found.is_empty() {
        confirm(&format!("Delete {} and all of its records?", found.join(", "))).await?;
    }
    for topic in &found {
        topics::delete(client, topic).await?;
    }
    let mut result: Vec<Deleted> = found.into_iter().map(|topic| Deleted { topic, deleted: true }).collect();
    result.extend(missing.into_iter().map(|topic| Deleted { topic, deleted: false }));
    let sentence = |topic: &Deleted| match topic.deleted {
        true => format!("Deleted {}.\n", topic.topic),
        false => format!("There is no {}.\n", topic.topic),
    };
    Ok(output.print(&result, |_| result.iter().map(sentence).collect())?)
}
