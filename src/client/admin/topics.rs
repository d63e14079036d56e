//! Creates, enlarges, deletes and restores topics. What topics there are is told by
//! [`ClusterClient::learn_topics`].

use std::collections::BTreeMap;

use super::configs::{self, ConfigDetail, ConfigResource};
use super::unanimous;
use crate::client::{ClusterClient, ClusterError, Target};
use crate::config::{DELETED_TOPICS, UNDELETE_KEY};
use crate::model::{ErrorCode, Uuid, Wall};
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

/// A deleted topic that can be restored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletedTopic {
    /// Its id, which it will have again.
    pub topic_id: Uuid,
    /// Its name, which may be another topic's by now.
    pub name: String,
    /// How many partitions it had.
    pub partitions: i32,
    /// How many replicas of each.
    pub replication_factor: i32,
    /// When it was deleted.
    pub deleted_at: Wall,
    /// Until when it can be restored.
    pub kept_until: Wall,
}

impl DeletedTopic {
    /// From a row of the resource `ottla:deleted`.
    fn of(topic_id: &str, value: &str) -> Option<Self> {
        let fields: BTreeMap<&str, &str> = value.split(' ').filter_map(|field| field.split_once('=')).collect();
        let number = |key: &str| fields.get(key)?.parse::<i64>().ok();
        let count = |key: &str| number(key).and_then(|count| i32::try_from(count).ok());
        Some(Self {
            topic_id: topic_id.parse().ok()?,
            name: (*fields.get("name")?).to_owned(),
            partitions: count("partitions")?,
            replication_factor: count("replicas")?,
            deleted_at: Wall(number("deleted.ms")?),
            kept_until: Wall(number("until.ms")?),
        })
    }
}

/// The deleted topics that can be restored, the one deleted last first. Only Ottla's brokers know of such.
pub async fn deleted(client: &mut ClusterClient) -> Result<Vec<DeletedTopic>, ClusterError> {
    let resource = ConfigResource::Topic(DELETED_TOPICS.to_owned());
    let rows = configs::describe(client, &resource, None, ConfigDetail::default()).await?;
    let topics = rows.iter().filter_map(|row| DeletedTopic::of(&row.name, row.value.as_deref()?));
    let mut topics: Vec<DeletedTopic> = topics.collect();
    topics.sort_by_key(|topic| std::cmp::Reverse(topic.deleted_at));
    Ok(topics)
}

/// Restores a deleted topic: the one with this id, or the one of this name that was deleted last.
pub async fn undelete(
    client: &mut ClusterClient,
    name: &str,
    topic_id: Option<Uuid>,
    validate_only: bool,
) -> Result<CreatedTopic, ClusterError> {
    let which = topic_id.map(|id| id.to_string()).unwrap_or_default();
    let configs = vec![(UNDELETE_KEY.to_owned(), which)];
    create(client, &NewTopic { name: name.to_owned(), configs, ..NewTopic::default() }, validate_only).await
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
