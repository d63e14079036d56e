//! Creates topics that clients name for the first time.
//!
//! Requests for the same topic share one creation, and what is asked for within a few milliseconds goes to the
//! controllers as one command: a thousand clients that start together cost one round. Only clients with a limit on the
//! partitions they create (KIP-599) have commands of their own, within what is left to whoever asked first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::cluster::ControllerCalls;
use crate::model::ErrorCode;
use crate::partition::Replicas;
use crate::rpc::metadata::{CreatableTopic, CreateTopics, metadata_command, metadata_reply};

use super::quotas::{has_mutation_quota, mutation_quota};
use super::submit::{CONTROLLER_TIMEOUT, submit};

/// How long a round waits for more names.
const BATCH_WAIT: Duration = Duration::from_millis(5);
/// Names in one round at most.
const BATCH_TOPICS_MAX: usize = 1_000;
/// Names that may wait for a round.
const QUEUE_MAX: usize = 10_000;

struct Wanted {
    topic: CreatableTopic,
    /// Who asked.
    client_id: String,
    done: oneshot::Sender<ErrorCode>,
}

/// Asks the task that creates topics.
#[derive(Clone, Debug)]
pub struct AutoCreate {
    queue: mpsc::Sender<Wanted>,
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.topic.name)
    }
}

impl AutoCreate {
    /// Starts the task on the current runtime; it ends with the last handle.
    pub fn start(controller: ControllerCalls, replicas: Arc<Replicas>) -> Self {
        let (queue, wanted) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(run(wanted, controller, replicas));
        Self { queue }
    }

    /// Creates a topic with the cluster's default number of partitions and replicas, and waits until this broker
    /// has applied it. A topic that exists already is no error, and one that is too much for the client does not exist.
    pub async fn create(&self, name: &str, client_id: Option<&str>) -> ErrorCode {
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: -1,
            replication_factor: -1,
            ..CreatableTopic::default()
        };
        let (done, created) = oneshot::channel();
        if self.queue.send(Wanted { topic, client_id: client_id.unwrap_or_default().to_owned(), done }).await.is_err() {
            return ErrorCode::UnknownTopicOrPartition;
        }
        created.await.unwrap_or(ErrorCode::UnknownTopicOrPartition)
    }
}

async fn run(mut queue: mpsc::Receiver<Wanted>, controller: ControllerCalls, replicas: Arc<Replicas>) {
    let mut lacks_brokers = false;
    while let Some(first) = queue.recv().await {
        tokio::time::sleep(BATCH_WAIT).await;
        let mut waiting: BTreeMap<String, Vec<oneshot::Sender<ErrorCode>>> = BTreeMap::new();
        let image = replicas.image();
        // By the client that is limited, `None` for all others.
        let mut topics: BTreeMap<Option<String>, Vec<CreatableTopic>> = BTreeMap::new();
        let mut next = Some(first);
        while let Some(Wanted { topic, client_id, done }) = next {
            let others = waiting.entry(topic.name.clone()).or_default();
            if others.is_empty() {
                let limited = Some(client_id).filter(|client_id| has_mutation_quota(&image, client_id));
                topics.entry(limited).or_default().push(topic);
            }
            others.push(done);
            next = if waiting.len() < BATCH_TOPICS_MAX { queue.try_recv().ok() } else { None };
        }
        let creations = topics.into_iter().map(|(limited, topics)| create(topics, limited, &controller, &replicas));
        let results: BTreeMap<String, ErrorCode> =
            futures::future::join_all(creations).await.into_iter().flatten().collect();
        let lacked_brokers = lacks_brokers;
        lacks_brokers = results.values().any(|result| *result == ErrorCode::LeaderNotAvailable);
        if lacks_brokers && !lacked_brokers {
            tracing::warn!(
                "topics wait for more brokers to register: default.replication.factor says how many replicas they get"
            );
        }
        for (name, others) in waiting {
            let result = results.get(&name).copied().unwrap_or(ErrorCode::UnknownTopicOrPartition);
            for done in others {
                // Whoever asked may have left.
                let _ = done.send(result);
            }
        }
    }
}

async fn create(
    topics: Vec<CreatableTopic>,
    limited: Option<String>,
    controller: &ControllerCalls,
    replicas: &Replicas,
) -> BTreeMap<String, ErrorCode> {
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let quota = limited.map(|client_id| mutation_quota(Some(&client_id), true));
    let command = metadata_command::Kind::CreateTopics(CreateTopics { topics, quota, ..CreateTopics::default() });
    match submit(controller, replicas, command, CONTROLLER_TIMEOUT).await {
        Ok(reply) => match reply.kind {
            Some(metadata_reply::Kind::CreateTopics(reply)) => {
                reply.topics.into_iter().map(|topic| (topic.name, outcome(topic.error_code))).collect()
            }
            _ => BTreeMap::new(),
        },
        Err(error) => {
            tracing::warn!(?names, "cannot create topics: {error}");
            BTreeMap::new()
        }
    }
}

fn outcome(code: i32) -> ErrorCode {
    let error = i16::try_from(code).ok().and_then(ErrorCode::from_code).unwrap_or(ErrorCode::UnknownServerError);
    match error {
        ErrorCode::TopicAlreadyExists => ErrorCode::None,
        // A cluster that is starting up: the others will be there in a moment, so the client asks again.
        ErrorCode::InvalidReplicationFactor => ErrorCode::LeaderNotAvailable,
        // As in Kafka; clients ask again.
        ErrorCode::ThrottlingQuotaExceeded => ErrorCode::UnknownTopicOrPartition,
        other => other,
    }
}
