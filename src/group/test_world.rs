//! What tests of the consumer protocol stand on: topics that come and go, and a log that keeps what compaction would.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Circumstances, ConsumerRecord, ConsumerSettings, GroupConfig, GroupRecord, Now, Topics};
use crate::model::{TopicId, Uuid};

/// Topics by name, each with the number of its life and of its partitions.
#[derive(Clone, Debug, Default)]
pub(super) struct TestTopics {
    lives: BTreeMap<String, (u8, i32)>,
    ended: BTreeMap<String, u8>,
    version: u64,
}

impl TestTopics {
    /// Sets a topic's number of partitions; 0 deletes it, and after that it is another topic of the same name.
    pub fn set(&mut self, name: &str, partitions: i32) {
        self.version += 1;
        if partitions == 0 {
            if let Some((life, _)) = self.lives.remove(name) {
                self.ended.insert(name.to_owned(), life);
            }
        } else {
            let life = self.ended.get(name).copied().unwrap_or_default() + 1;
            self.lives.entry(name.to_owned()).or_insert((life, 0)).1 = partitions;
        }
    }

    fn id(name: &str, life: u8) -> TopicId {
        let mut bytes = [life; 16];
        bytes.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
        TopicId(Uuid(bytes))
    }

    /// A partition as people write it; a topic that is gone has a question mark.
    pub fn display(&self, (id, index): &(TopicId, i32)) -> String {
        format!("{}-{index}", self.name(*id).as_deref().unwrap_or("?"))
    }
}

impl Topics for TestTopics {
    fn version(&self) -> u64 {
        self.version
    }

    fn find(&self, name: &str) -> Option<(TopicId, i32)> {
        self.lives.get(name).map(|(life, partitions)| (Self::id(name, *life), *partitions))
    }

    fn name(&self, id: TopicId) -> Option<Arc<str>> {
        self.lives.iter().find(|(name, (life, _))| Self::id(name, *life) == id).map(|(name, _)| name.as_str().into())
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.lives.keys().map(|name| name.as_str().into()).collect()
    }
}

/// Kafka's defaults, without a pause between assignments.
pub(super) const SETTINGS: ConsumerSettings =
    ConsumerSettings { session_timeout_ms: 45_000, heartbeat_interval_ms: 5_000, assignment_interval_ms: 0 };

/// Circumstances with [`SETTINGS`].
pub(super) fn circumstances<'a>(topics: &'a dyn Topics, config: &'a GroupConfig, now: Now) -> Circumstances<'a> {
    Circumstances { topics, config, settings: SETTINGS, now }
}

/// The log of one group: the last record of each key, in the order in which these were written.
#[derive(Clone, Debug, Default)]
pub(super) struct TestLog {
    records: Vec<(String, GroupRecord)>,
}

impl TestLog {
    pub fn write(&mut self, records: &[GroupRecord]) {
        for record in records {
            let (key, is_tombstone) = key(record);
            self.records.retain(|(known, _)| *known != key);
            if !is_tombstone {
                self.records.push((key, record.clone()));
            }
        }
    }

    pub fn records(&self) -> impl Iterator<Item = &GroupRecord> {
        self.records.iter().map(|(_, record)| record)
    }

    pub fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<_> = self.records.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        keys
    }
}

fn key(record: &GroupRecord) -> (String, bool) {
    match record {
        GroupRecord::Metadata(value) => ("classic group".to_owned(), value.is_none()),
        GroupRecord::Offset { topic, partition, value } => (format!("{topic}-{partition}"), value.is_none()),
        GroupRecord::Consumer(record) => {
            let key = match record {
                ConsumerRecord::Epoch(_) => "epoch".to_owned(),
                ConsumerRecord::Subscription { member_id, .. } => format!("member {member_id}"),
                ConsumerRecord::TargetEpoch(_) => "target epoch".to_owned(),
                ConsumerRecord::Target { member_id, .. } => format!("target {member_id}"),
                ConsumerRecord::Current { member_id, .. } => format!("current {member_id}"),
                ConsumerRecord::Regex { regex, .. } => format!("regex {regex}"),
            };
            (key, !record.is_some())
        }
    }
}
