//! Creates, enlarges and deletes topics. What topics there are is told by
//! [`ClusterClient::learn_topics`].

use super::unanimous;
use crate::client::{ClusterClient, ClusterError, Target};
use crate::model::{ErrorCode, Uuid};
use crate::protocol::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreatePartitionsAssignment,
    CreatePartitionsRequest, CreatePartitionsTopic, CreateTopicsRequest, DeleteTopicState, DeleteTopicsRequest,
};

/// A topic to create.
#[derive(Clone, Default, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; the brokers' default if `None`.
    pub partitions: Option<i32>,
    /// How many replicas of each; the brokers' default if `None`.
    pub replication_factor: Option<i16>,
    /// The brokers of each partition from 0 on, instead of the two numbers; the first leads. Empty to let the cluster
    /// place them.
    pub assignment: Vec<Vec<i32>>,
    /// Configuration of its own.
    pub configs: Vec<(String, String)>,
}

/// A topic that was created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedTopic {
    /// Its name.
    pub name: String,
    /// Its id; zero from brokers that do not tell it.
    pub topic_id: Uuid,
    /// How many partitions; `None` from brokers that do not tell it.
    pub partitions: Option<i32>,
    /// How many replicas of each; `None` from brokers that do not tell it.
    pub replication_factor: Option<i16>,
}

/// Creates a topic, or with `validate_only` asks whether it could be.
pub async fn create(
    client: &mut ClusterClient,
    topic: &NewTopic,
    validate_only: bool,
) -> Result<CreatedTopic, ClusterError> {
    let by_assignment = !topic.assignment.is_empty();
    let assignment = |(index, brokers): (usize, &Vec<i32>)| CreatableReplicaAssignment {
        partition_index: i32::try_from(index).unwrap_or(i32::MAX),
        broker_ids: brokers.clone(),
    };
    let config =
        |(name, value): &(String, String)| CreatableTopicConfig { name: name.clone(), value: Some(value.clone()) };
    let creatable = CreatableTopic {
        name: topic.name.clone(),
        num_partitions: topic.partitions.filter(|_| !by_assignment).unwrap_or(-1),
        replication_factor: topic.replication_factor.filter(|_| !by_assignment).unwrap_or(-1),
        assignments: topic.assignment.iter().enumerate().map(assignment).collect(),
        configs: topic.configs.iter().map(config).collect(),
    };
    let request = CreateTopicsRequest { topics: vec![creatable], timeout_ms: timeout_ms(client), validate_only };
    let response = client
        .ask(&Target::Controller, &request, |response| unanimous(response.topics.iter().map(|topic| topic.error_code)))
        .await?;
    let subject = format!("topic {:?}", topic.name);
    let result = one(response.topics, &subject)?;
    refuse(&subject, result.error_code, result.error_message)?;
    Ok(CreatedTopic {
        name: result.name,
        topic_id: result.topic_id,
        partitions: Some(result.num_partitions).filter(|count| *count >= 0),
        replication_factor: Some(result.replication_factor).filter(|count| *count >= 0),
    })
}

/// Gives a topic more partitions: `count` in all. `assignment` has the brokers of each new partition, or is empty.
pub async fn enlarge(
    client: &mut ClusterClient,
    topic: &str,
    count: i32,
    assignment: &[Vec<i32>],
    validate_only: bool,
) -> Result<(), ClusterError> {
    let brokers = |broker_ids: &Vec<i32>| CreatePartitionsAssignment { broker_ids: broker_ids.clone() };
    let assignments = (!assignment.is_empty()).then(|| assignment.iter().map(brokers).collect());
    let topics = vec![CreatePartitionsTopic { name: topic.to_owned(), count, assignments }];
    let request = CreatePartitionsRequest { topics, timeout_ms: timeout_ms(client), validate_only };
    let response = client
        .ask(&Target::Controller, &request, |response| unanimous(response.results.iter().map(|topic| topic.error_code)))
        .await?;
    let subject = format!("topic {topic:?}");
    let result = one(response.results, &subject)?;
    refuse(&subject, result.error_code, result.error_message)
}

/// Deletes a topic and all of its records.
pub async fn delete(client: &mut ClusterClient, topic: &str) -> Result<(), ClusterError> {
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: Some(topic.to_owned()), ..DeleteTopicState::default() }],
        topic_names: vec![topic.to_owned()],
        timeout_ms: timeout_ms(client),
    };
    let response = client
        .ask(&Target::Controller, &request, |response| {
            unanimous(response.responses.iter().map(|topic| topic.error_code))
        })
        .await?;
    let subject = format!("topic {topic:?}");
    let result = one(response.responses, &subject)?;
    refuse(&subject, result.error_code, result.error_message)
}

/// What the broker is told as its time limit: this client's own.
fn timeout_ms(client: &ClusterClient) -> i32 {
    i32::try_from(client.options().patience.as_millis()).unwrap_or(i32::MAX)
}

/// The answer about the one thing that was asked.
fn one<T>(answers: Vec<T>, subject: &str) -> Result<T, ClusterError> {
    let missing = || {
        let message = Some("the broker's answer leaves it out".to_owned());
        ClusterError::refused(subject, ErrorCode::UnknownServerError, message)
    };
    answers.into_iter().next().ok_or_else(missing)
}

fn refuse(subject: &str, code: ErrorCode, message: Option<String>) -> Result<(), ClusterError> {
    if code.is_error() { Err(ClusterError::refused(subject, code, message)) } else { Ok(()) }
}
