//! What a group has committed, and the rules for changing it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CommittedOffset, GroupConfig, GroupRecord, Now};
use crate::model::{ErrorCode, Offset, TopicId, Uuid, Wall};

/// An OffsetCommit request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetCommit {
    /// Empty for a simple consumer.
    pub member_id: String,
    /// Set by a static member.
    pub group_instance_id: Option<String>,
    /// The generation or member epoch the member believes in; -1 for a simple consumer.
    pub generation: i32,
    /// True from version 9 on, and for offsets of transactions: the client knows what a stale member epoch is.
    pub knows_member_epochs: bool,
    /// Version 2 to 4 only: a retention time of the client's own.
    pub retention_time_ms: Option<i64>,
    /// Partitions that exist and that the client may read.
    pub partitions: Vec<OffsetCommitPartition>,
}

/// One partition of an [`OffsetCommit`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetCommitPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The topic's identity.
    pub topic_id: TopicId,
    /// The partition's index.
    pub partition: i32,
    /// The next offset to be read.
    pub offset: Offset,
    /// Leader epoch of the last consumed record, or -1.
    pub leader_epoch: i32,
    /// The client's own remark.
    pub metadata: Option<String>,
}

/// What comes of an [`OffsetCommit`] or an OffsetDelete.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OffsetCommitDecision {
    /// To be appended as one batch, then replayed.
    pub records: Vec<GroupRecord>,
    /// One for each partition of the request, in its order.
    pub errors: Vec<ErrorCode>,
}

/// Committed offsets by topic and partition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommittedOffsets {
    by_topic: BTreeMap<Arc<str>, BTreeMap<i32, CommittedOffset>>,
}

impl CommittedOffsets {
    /// True when nothing is committed.
    pub fn is_empty(&self) -> bool {
        self.by_topic.is_empty()
    }

    /// How many partitions have a committed offset.
    pub fn len(&self) -> usize {
        self.by_topic.values().map(BTreeMap::len).sum()
    }

    /// All of them, by topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32, &CommittedOffset)> {
        self.by_topic.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, offset)| (topic, *partition, offset))
        })
    }

    /// The committed offset of a partition of the topic with this identity. What was committed for another
    /// topic of the same name, since deleted, is not an answer.
    pub fn get(&self, topic: &str, topic_id: TopicId, partition: i32) -> Option<&CommittedOffset> {
        let offset = self.by_topic.get(topic)?.get(&partition)?;
        belongs_to(offset, topic_id).then_some(offset)
    }

    pub(super) fn contains(&self, topic: &str, partition: i32) -> bool {
        self.by_topic.get(topic).is_some_and(|partitions| partitions.contains_key(&partition))
    }

    /// Takes over the fact that a record states.
    pub(super) fn replay(&mut self, topic: Arc<str>, partition: i32, value: Option<CommittedOffset>) {
        match value {
            Some(_) if mutant!("first-commit-wins") && self.contains(&topic, partition) => {}
            Some(offset) => {
                self.by_topic.entry(topic).or_default().insert(partition, offset);
            }
            None => {
                if let Some(partitions) = self.by_topic.get_mut(&topic) {
                    partitions.remove(&partition);
                    if partitions.is_empty() {
                        self.by_topic.remove(&topic);
                    }
                }
            }
        }
    }

    /// Tombstones for the offsets that `doomed` picks.
    pub(super) fn tombstones(&self, doomed: impl Fn(&str, &CommittedOffset) -> bool) -> Vec<GroupRecord> {
        self.iter()
            .filter(|(topic, _, offset)| doomed(topic, offset))
            .map(|(t, p, _)| tombstone(t.clone(), p))
            .collect()
    }
}

/// Old records do not say which topic they mean.
fn belongs_to(offset: &CommittedOffset, topic_id: TopicId) -> bool {
    let unknown = |id: TopicId| id == TopicId(Uuid::ZERO);
    unknown(offset.topic_id) || unknown(topic_id) || offset.topic_id == topic_id
}

/// Removes a committed offset.
pub(super) fn tombstone(topic: Arc<str>, partition: i32) -> GroupRecord {
    GroupRecord::Offset { topic, partition, value: None }
}

/// The records of an accepted commit; a remark that is too long costs its partition only.
pub(super) fn commit(request: &OffsetCommit, config: &GroupConfig, now: Now) -> OffsetCommitDecision {
    let mut decision = OffsetCommitDecision::default();
    for partition in &request.partitions {
        let metadata = partition.metadata.as_deref().unwrap_or_default();
        // Kafka counts a string's length in UTF-16 code units.
        if metadata.encode_utf16().count() > config.offset_metadata_bytes_max {
            decision.errors.push(ErrorCode::OffsetMetadataTooLarge);
            continue;
        }
        let value = CommittedOffset {
            offset: partition.offset,
            leader_epoch: partition.leader_epoch,
            metadata: metadata.into(),
            commit_timestamp: now.wall,
            expire_timestamp: request.retention_time_ms.map(|ms| Wall(now.wall.0.saturating_add(ms))),
            topic_id: partition.topic_id,
        };
        let (topic, partition) = (partition.topic.clone(), partition.partition);
        decision.records.push(GroupRecord::Offset { topic, partition, value: Some(value) });
        decision.errors.push(ErrorCode::None);
    }
    decision
}
