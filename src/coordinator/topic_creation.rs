//! Creates the internal topics when they are first needed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::cluster::ControllerCalls;
use crate::metadata::TopicImage;
use crate::model::ErrorCode;
use crate::partition::Replicas;
use crate::rpc::metadata::{CreatableTopic, CreateTopics, MetadataCommand, metadata_command, metadata_reply};

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
    pub fn new(replicas: Arc<Replicas>, controller: ControllerCalls, topic: CreatableTopic) -> Self {
        Self { replicas, controller, topic, one_at_a_time: Mutex::new(()) }
    }

    /// The topic, if it exists.
    pub fn existing(&self) -> Option<Arc<TopicImage>> {
        self.replicas.image().topic_by_name(&self.topic.name).cloned()
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
        let create = CreateTopics { topics: vec![self.topic.clone()], ..CreateTopics::default() };
        let command = MetadataCommand { kind: Some(metadata_command::Kind::CreateTopics(create)) };
        let reply = match self.controller.submit(command, CREATION_TIMEOUT).await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::warn!("cannot create {}: {error}", self.topic.name);
                return Err(ErrorCode::CoordinatorNotAvailable);
            }
        };
        self.replicas.wait_for_index(reply.metadata_index).await;
        // Another broker may have been quicker: then the topic is there all the same.
        self.existing().ok_or_else(|| {
            let (name, wanted) = (&self.topic.name, self.topic.replication_factor);
            let refusal = refusal(reply.kind);
            tracing::warn!("{name} with {wanted} replicas cannot be created yet: {refusal}");
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
