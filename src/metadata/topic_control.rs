//! CreateTopics and DeleteTopics. One bad topic of a request does not stop the others. What becomes of deleted topics
//! is in [`deleted_topic_control`](super::deleted_topic_control).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::config_control::check_configs;
use super::config_image::ConfigResource;
use super::deleted_topic_control::{delete, find_deleted, restore};
use super::draft::{Draft, Refusal};
use super::image::ClusterImage;
use super::mutation_quota::Allowance;
use super::placement::{Shape, place};
use super::record::{uuid_bytes, uuid_from_bytes};
use super::replay::collision_name;
use super::topic_image::{TopicImage, broker_ids, raw_ids};
use crate::config::UNDELETE_KEY;
use crate::model::{BrokerId, CLUSTER_METADATA_TOPIC, ErrorCode, TopicId, Wall, validate_topic_name};
use crate::rpc::metadata::{
    ConfigEntry, ConfigRecord, CreatableTopic, CreatableTopicResult, CreateTopics, CreateTopicsReply, DeletableTopic,
    DeleteTopics, LeaderRecoveryState, PartitionRecord, ReplicaAssignment, TopicRecord, TopicResult, TopicResults,
    deletable_topic::Topic as Named, metadata_reply::Kind as Reply,
};

/// One request makes one entry of the log, so its size has a bound.
const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// Creates topics, or only says whether it would.
pub(super) fn create_topics(draft: &mut Draft<'_>, command: &CreateTopics) -> Reply {
    let mut creation =
        Creation { draft: draft.branch(), allowance: Allowance::of(command.quota.as_ref()), now_ms: command.now_ms };
    let topics =
        results_by_name(&command.topics, |topic| &topic.name, |topic, duplicate| creation.create(topic, duplicate));
    if !command.validate_only {
        draft.merge(creation.draft);
    }
    Reply::CreateTopics(CreateTopicsReply { topics, spent: creation.allowance.spent() })
}

/// Answers for each name once, in the order of the request.
pub(super) fn results_by_name<T, R>(
    items: &[T],
    name_of: impl Fn(&T) -> &str,
    mut answer: impl FnMut(&T, bool) -> R,
) -> Vec<R> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    items.iter().for_each(|item| *counts.entry(name_of(item)).or_default() += 1);
    let mut results = Vec::new();
    for item in items {
        if let Some(count) = counts.remove(name_of(item)) {
            results.push(answer(item, count > 1));
        }
    }
    results
}

/// The topics of one request while they are created.
struct Creation<'a> {
    draft: Draft<'a>,
    allowance: Allowance,
    now_ms: i64,
}

/// What a creation has brought.
struct Created {
    topic_id: TopicId,
    partitions: usize,
    replication_factor: usize,
}

impl Creation<'_> {
    fn create(&mut self, topic: &CreatableTopic, duplicate: bool) -> CreatableTopicResult {
        let created = match duplicate {
            true => Err(Refusal::new(ErrorCode::InvalidRequest, "the request names the topic twice")),
            false => self.try_create(topic),
        };
        match created {
            Ok(Created { topic_id, partitions, replication_factor }) => CreatableTopicResult {
                name: topic.name.clone(),
                topic_id: uuid_bytes(topic_id.0),
                error_code: ErrorCode::None.code().into(),
                error_message: String::new(),
                num_partitions: partitions as i32,
                replication_factor: replication_factor as i32,
            },
            Err(refusal) => CreatableTopicResult {
                name: topic.name.clone(),
                topic_id: Default::default(),
                error_code: refusal.code.code().into(),
                error_message: refusal.message,
                num_partitions: -1,
                replication_factor: -1,
            },
        }
    }

    /// Creates the topic, or restores the deleted one of that name when the configs ask for it.
    fn try_create(&mut self, topic: &CreatableTopic) -> Result<Created, Refusal> {
        match topic.configs.iter().find(|config| config.key == UNDELETE_KEY) {
            Some(which) => self.restore(topic, which.value.as_deref().unwrap_or_default()),
            None => self.create_new(topic),
        }
    }

    fn restore(&mut self, topic: &CreatableTopic, which: &str) -> Result<Created, Refusal> {
        check_restoration(self.draft.image(), topic)?;
        let deleted = find_deleted(&self.draft, &topic.name, which, Wall(self.now_ms))?;
        let partitions = deleted.topic.partition_count();
        self.draft.check_cluster_room(partitions)?;
        self.allowance.spend(partitions)?;
        restore(&mut self.draft, &deleted);
        let replication_factor = deleted.topic.replication_factor();
        Ok(Created { topic_id: deleted.topic.id, partitions, replication_factor })
    }

    fn create_new(&mut self, topic: &CreatableTopic) -> Result<Created, Refusal> {
        let draft = &mut self.draft;
        check_name(draft.image(), &topic.name)?;
        let topic_id = unused_topic_id(draft.image(), topic)?;
        let configs = initial_configs(&topic.configs)?;
        check_configs(&ConfigResource::topic(&topic.name), &configs)?;
        let replicas = match topic.assignments.is_empty() {
            true => placed_replicas(draft, topic)?,
            false => assigned_replicas(draft, topic)?,
        };
        self.allowance.spend(replicas.len())?;
        draft.add(TopicRecord { name: topic.name.clone(), topic_id: uuid_bytes(topic_id.0) });
        for (partition, replicas) in (0..).zip(&replicas) {
            draft.add(new_partition(draft.image(), topic_id, partition, replicas));
        }
        for (key, value) in configs {
            let resource = ConfigResource::topic(&topic.name);
            let (resource_type, resource_name) = (resource.resource_type.code().into(), resource.name.to_string());
            draft.add(ConfigRecord { resource_type, resource_name, key, value: Some(value) });
        }
        let replication_factor = replicas.first().map_or(0, Vec::len);
        Ok(Created { topic_id, partitions: replicas.len(), replication_factor })
    }
}

/// A topic comes back as it was, so nothing else can be asked for with it.
fn check_restoration(image: &ClusterImage, topic: &CreatableTopic) -> Result<(), Refusal> {
    let asks_for_more = topic.configs.len() > 1 || !topic.assignments.is_empty();
    if asks_for_more || topic.num_partitions != -1 || topic.replication_factor != -1 {
        let message = "a deleted topic is restored as it was: ask for neither partitions, replicas nor other configs \
                       (-1 partitions, -1 replicas)";
        return Err(Refusal::new(ErrorCode::InvalidRequest, message));
    }
    if image.topic_id(&topic.name).is_some() {
        let message = format!(
            "Topic '{}' already exists: the name is in use again, so the deleted topic cannot have it back. Delete the \
             new one first",
            topic.name
        );
        return Err(Refusal::new(ErrorCode::TopicAlreadyExists, message));
    }
    check_name(image, &topic.name)
}

fn check_name(image: &ClusterImage, name: &str) -> Result<(), Refusal> {
    let invalid = |message| Refusal::new(ErrorCode::InvalidTopicException, message);
    validate_topic_name(name).map_err(|error| invalid(error.to_string()))?;
    if name == CLUSTER_METADATA_TOPIC {
        return Err(Refusal::new(ErrorCode::InvalidRequest, format!("{name} is the metadata quorum's own log")));
    }
    if image.topic_id(name).is_some() {
        // Scripts look for Kafka's words in what its tools print.
        return Err(Refusal::new(ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    match collision_name(name).and_then(|collision_name| image.collision_names.get(&collision_name)) {
        Some(other) => Err(invalid(format!("{name} and the existing topic {other} differ only in '.' and '_'"))),
        None => Ok(()),
    }
}

fn unused_topic_id(image: &ClusterImage, topic: &CreatableTopic) -> Result<TopicId, Refusal> {
    uuid_from_bytes(&topic.topic_id)
        .map(TopicId)
        .filter(|id| !id.0.is_zero() && image.topic(*id).is_none() && image.deleted_topic(*id).is_none())
        .ok_or_else(|| Refusal::new(ErrorCode::InvalidRequest, "the topic id is missing or already used"))
}

fn initial_configs(entries: &[ConfigEntry]) -> Result<BTreeMap<String, String>, Refusal> {
    let mut configs = BTreeMap::new();
    for ConfigEntry { key, value } in entries {
        let Some(value) = value else {
            return Err(Refusal::new(ErrorCode::InvalidConfig, format!("{key} has no value")));
        };
        configs.insert(key.clone(), value.clone());
    }
    Ok(configs)
}

fn placed_replicas(draft: &Draft<'_>, topic: &CreatableTopic) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    let or_default = |asked: i32, default: i32| if asked == -1 { default } else { asked };
    let positive = |number: i32| usize::try_from(number).ok().filter(|number| *number > 0);
    let num_partitions = or_default(topic.num_partitions, draft.defaults().num_partitions);
    let count = positive(num_partitions).ok_or_else(|| {
        Refusal::new(ErrorCode::InvalidPartitions, format!("a topic cannot have {num_partitions} partitions"))
    })?;
    let factor = or_default(topic.replication_factor, draft.defaults().default_replication_factor);
    let replication_factor = positive(factor).ok_or_else(|| {
        Refusal::new(ErrorCode::InvalidReplicationFactor, format!("the replication factor cannot be {factor}"))
    })?;
    check_room(draft, count)?;
    let shape = Shape { first_partition: 0, count, replication_factor };
    place(draft.image(), shape, topic.placement_seed).map_err(|refusal| match topic.replication_factor {
        -1 => Refusal::new(refusal.code, format!("{} (default.replication.factor)", refusal.message)),
        _ => refusal,
    })
}

/// Refuses partitions that would be too many for the request or for the cluster.
pub(super) fn check_room(draft: &Draft<'_>, count: usize) -> Result<(), Refusal> {
    if draft.partitions_added().saturating_add(count) > PARTITIONS_PER_REQUEST_MAX {
        let message = format!("one request can create at most {PARTITIONS_PER_REQUEST_MAX} partitions");
        return Err(Refusal::new(ErrorCode::PolicyViolation, message));
    }
    draft.check_cluster_room(count)
}

fn assigned_replicas(draft: &Draft<'_>, topic: &CreatableTopic) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        let message = "with an assignment of replicas, the partition count and replication factor must be -1";
        return Err(Refusal::new(ErrorCode::InvalidRequest, message));
    }
    check_room(draft, topic.assignments.len())?;
    let mut assignments: Vec<&ReplicaAssignment> = topic.assignments.iter().collect();
    assignments.sort_by_key(|assignment| assignment.partition);
    if !assignments.iter().map(|assignment| assignment.partition).eq(0..assignments.len() as i32) {
        let message = "the partitions of an assignment must be numbered from 0 without holes or doubles";
        return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
    }
    let replicas: Vec<_> = assignments.iter().map(|assignment| broker_ids(&assignment.replicas)).collect();
    let replication_factor = replicas.first().map_or(0, Vec::len);
    replicas.iter().try_for_each(|replicas| check_assignment(draft.image(), replicas, replication_factor))?;
    Ok(replicas)
}

/// Refuses replicas that a partition cannot have.
pub(super) fn check_assignment(
    image: &ClusterImage,
    replicas: &[BrokerId],
    replication_factor: usize,
) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
    let listed = format!("the assignment {:?}", raw_ids(replicas));
    if replicas.is_empty() {
        return refuse("an assignment names no replica".to_owned());
    }
    if replicas.iter().collect::<BTreeSet<_>>().len() != replicas.len() {
        return refuse(format!("{listed} names a broker twice"));
    }
    if replicas.len() != replication_factor {
        return refuse(format!("{listed} does not have the replication factor {replication_factor}"));
    }
    if let Some(unknown) = replicas.iter().find(|id| image.broker(**id).is_none()) {
        return refuse(format!("{listed} names broker {unknown}, which is not registered"));
    }
    if !replicas.iter().any(|id| image.is_active(*id)) {
        return refuse(format!("{listed} names only brokers that are fenced or about to stop"));
    }
    Ok(())
}

/// A partition in its first state: the active replicas are in sync, for there is nothing yet to lack.
pub(super) fn new_partition(
    image: &ClusterImage,
    topic_id: TopicId,
    partition: i32,
    replicas: &[BrokerId],
) -> PartitionRecord {
    let isr: Vec<BrokerId> = replicas.iter().copied().filter(|id| image.is_active(*id)).collect();
    PartitionRecord {
        topic_id: uuid_bytes(topic_id.0),
        partition,
        replicas: raw_ids(replicas),
        leader: isr.first().copied().unwrap_or(BrokerId::NONE).0,
        isr: raw_ids(&isr),
        elr: Vec::new(),
        leader_epoch: 0,
        partition_epoch: 0,
        leader_recovery_state: LeaderRecoveryState::Recovered.into(),
        last_known_leader: BrokerId::NONE.0,
        adding_replicas: Vec::new(),
        removing_replicas: Vec::new(),
    }
}

/// Deletes topics, named by name or by id.
pub(super) fn delete_topics(draft: &mut Draft<'_>, command: &DeleteTopics) -> Reply {
    let found: Vec<_> = command.topics.iter().map(|topic| find_topic(draft.image(), topic)).collect();
    let mut counts: BTreeMap<TopicId, usize> = BTreeMap::new();
    found.iter().flatten().for_each(|topic| *counts.entry(topic.id).or_default() += 1);
    let mut allowance = Allowance::of(command.quota.as_ref());
    let mut topics = Vec::new();
    for (asked, found) in command.topics.iter().zip(found) {
        let deleted = found.and_then(|topic| match counts.get(&topic.id) {
            Some(1) => allowance.spend(topic.partition_count()).map(|()| topic),
            _ => Err(Refusal::new(ErrorCode::InvalidRequest, "the request names the topic twice")),
        });
        if let Ok(topic) = &deleted {
            delete(draft, topic.id, command.now_ms);
        }
        topics.push(deletion_result(asked, deleted));
    }
    Reply::DeleteTopics(TopicResults { topics, spent: allowance.spent() })
}

fn find_topic(image: &ClusterImage, asked: &DeletableTopic) -> Result<Arc<TopicImage>, Refusal> {
    match &asked.topic {
        Some(Named::Name(name)) => image
            .topic_by_name(name)
            .ok_or_else(|| Refusal::new(ErrorCode::UnknownTopicOrPartition, format!("there is no topic {name}"))),
        Some(Named::TopicId(id)) => uuid_from_bytes(id)
            .and_then(|id| image.topic(TopicId(id)))
            .ok_or_else(|| Refusal::new(ErrorCode::UnknownTopicId, "there is no topic with this id")),
        None => Err(Refusal::new(ErrorCode::InvalidRequest, "neither a name nor an id names the topic")),
    }
    .cloned()
}

fn deletion_result(asked: &DeletableTopic, deleted: Result<Arc<TopicImage>, Refusal>) -> TopicResult {
    match deleted {
        Ok(topic) => TopicResult {
            name: Some(topic.name.to_string()),
            topic_id: uuid_bytes(topic.id.0),
            error_code: ErrorCode::None.code().into(),
            error_message: String::new(),
        },
        Err(refusal) => {
            let (name, topic_id) = match &asked.topic {
                Some(Named::Name(name)) => (Some(name.clone()), Default::default()),
                Some(Named::TopicId(id)) => (None, id.clone()),
                None => (None, Default::default()),
            };
            TopicResult { name, topic_id, error_code: refusal.code.code().into(), error_message: refusal.message }
        }
    }
}
