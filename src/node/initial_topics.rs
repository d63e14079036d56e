//! Creates the topics of `ottla.create.topics` once the broker serves. One that exists stays as it is.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::ControllerCalls;
use crate::config::InitialTopic;
use crate::model::ErrorCode;
use crate::rpc::metadata::{
    ConfigEntry, CreatableTopic, CreateTopics, MetadataCommand, metadata_command, metadata_reply,
};

/// How long a topic waits for as many brokers as it asks for.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Creates the topics; what cannot be created is told in the log.
pub(super) async fn create(topics: Vec<InitialTopic>, controller: ControllerCalls) {
    let deadline = Instant::now() + PATIENCE;
    let mut waiting: Vec<CreatableTopic> = topics.iter().map(creatable).collect();
    while !waiting.is_empty() {
        let refused = match attempt(&waiting, &controller).await {
            Ok(refused) => refused,
            Err(error) => return tracing::warn!("cannot create the topics of ottla.create.topics: {error}"),
        };
        // Brokers that start together are not all counted in yet.
        let may_come = |code| code == ErrorCode::InvalidReplicationFactor && Instant::now() < deadline;
        let (later, never): (Vec<_>, Vec<_>) = refused.into_iter().partition(|(_, code, _)| may_come(*code));
        for (name, _, message) in never {
            tracing::warn!("cannot create topic {name} of ottla.create.topics: {message}");
        }
        waiting.retain(|topic| later.iter().any(|(name, ..)| *name == topic.name));
        if !waiting.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What was refused, and why.
async fn attempt(
    topics: &[CreatableTopic],
    controller: &ControllerCalls,
) -> Result<Vec<(String, ErrorCode, String)>, crate::cluster::ClusterError> {
    let create = CreateTopics { topics: topics.to_vec(), ..CreateTopics::default() };
    let command = MetadataCommand { kind: Some(metadata_command::Kind::CreateTopics(create)) };
    let reply = controller.submit(command, CALL_TIMEOUT).await?;
    let Some(metadata_reply::Kind::CreateTopics(reply)) = reply.kind else {
        return Ok(Vec::new());
    };
    let refused = reply.topics.into_iter().filter_map(|topic| {
        let code = i16::try_from(topic.error_code).ok().and_then(ErrorCode::from_code);
        match code.unwrap_or(ErrorCode::UnknownServerError) {
            ErrorCode::None => {
                tracing::info!("created topic {} of ottla.create.topics", topic.name);
                None
            }
            ErrorCode::TopicAlreadyExists => None,
            code => Some((topic.name, code, topic.error_message)),
        }
    });
    Ok(refused.collect())
}

fn creatable(topic: &InitialTopic) -> CreatableTopic {
    let policy = topic.cleanup_policy.iter();
    CreatableTopic {
        name: topic.name.clone(),
        num_partitions: topic.num_partitions,
        replication_factor: topic.replication_factor.into(),
        configs: policy
            .map(|policy| ConfigEntry { key: "cleanup.policy".to_owned(), value: Some(policy.clone()) })
            .collect(),
        ..CreatableTopic::default()
    }
}
