//! Creates `__consumer_offsets` when the first group appears.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::config::GroupCoordinatorConfig;
use crate::cluster::ControllerCalls;
use crate::metadata::TopicImage;
use crate::model::{CONSUMER_OFFSETS_TOPIC, ErrorCode};
use crate::partition::Replicas;
use crate::rpc::metadata::{
    ConfigEntry, CreatableTopic, CreateTopics, MetadataCommand, metadata_command, metadata_reply,
};

/// How long one request waits for the topic; a client that is told to wait asks again soon.
const CREATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Creates the topic once, however many ask.
pub(super) struct TopicCreation {
    replicas: Arc<Replicas>,
    controller: ControllerCalls,
    topic: CreatableTopic,
    one_at_a_time: Mutex<()>,
}

impl TopicCreation {
    pub fn new(replicas: Arc<Replicas>, controller: ControllerCalls, config: &GroupCoordinatorConfig) -> Self {
        Self { replicas, controller, topic: offsets_topic(config), one_at_a_time: Mutex::new(()) }
    }

    /// The topic, if it exists.
    pub fn existing(&self) -> Option<Arc<TopicImage>> {
        self.replicas.image().topic_by_name(CONSUMER_OFFSETS_TOPIC).cloned()
    }

    /// The topic; it is created if it does not exist.
    pub async fn ensure(&self) -> Result<Arc<TopicImage>, ErrorCode> {
        if let Some(topic) = self.existing() {
            return Ok(topic);
        }
        let created = async {
            let _turn = self.one_at_a_time.lock().await;
            match self.existing() {
                Some(topic) => Ok(topic),
                None => self.create().await,
            }
        };
        tokio::time::timeout(CREATION_TIMEOUT, created).await.unwrap_or(Err(ErrorCode::CoordinatorNotAvailable))
    }

    async fn create(&self) -> Result<Arc<TopicImage>, ErrorCode> {
        let create = CreateTopics { topics: vec![self.topic.clone()], validate_only: false };
        let command = MetadataCommand { kind: Some(metadata_command::Kind::CreateTopics(create)) };
        let reply = match self.controller.submit(command, CREATION_TIMEOUT).await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::warn!("cannot create {CONSUMER_OFFSETS_TOPIC}: {error}");
                return Err(ErrorCode::CoordinatorNotAvailable);
            }
        };
        self.replicas.wait_for_index(reply.metadata_index).await;
        // Another broker may have been quicker: then the topic is there all the same.
        self.existing().ok_or_else(|| {
            let wanted = self.topic.replication_factor;
            let refusal = refusal(reply.kind);
            tracing::warn!("{CONSUMER_OFFSETS_TOPIC} with {wanted} replicas cannot be created yet: {refusal}");
            ErrorCode::CoordinatorNotAvailable
        })
    }
}

fn refusal(reply: Option<metadata_reply::Kind>) -> String {
    match reply {
        Some(metadata_reply::Kind::CreateTopics(reply)) => {
            reply.topics.into_iter().next().map(|topic| topic.error_message).unwrap_or_default()
        }
        _ => String::new(),
    }
}

fn offsets_topic(config: &GroupCoordinatorConfig) -> CreatableTopic {
    let entry = |key: &str, value: String| ConfigEntry { key: key.to_owned(), value: Some(value) };
    CreatableTopic {
        name: CONSUMER_OFFSETS_TOPIC.to_owned(),
        num_partitions: config.topic_partitions,
        replication_factor: config.topic_replication_factor.into(),
        configs: vec![
            entry("cleanup.policy", "compact".to_owned()),
            entry("compression.type", "producer".to_owned()),
            entry("segment.bytes", config.topic_segment_bytes.to_string()),
        ],
        ..CreatableTopic::default()
    }
}
