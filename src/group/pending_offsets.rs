//! Offsets that count once their transactions are committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::CommittedOffset;
use crate::model::ProducerId;

type ByPartition = BTreeMap<(Arc<str>, i32), CommittedOffset>;

/// What open transactions would commit, by producer. Within one the last offset of a partition holds, and an offset
/// that is committed plainly holds against all that were pending before it, as if they had been committed before.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PendingOffsets {
    by_producer: BTreeMap<ProducerId, ByPartition>,
}

impl PendingOffsets {
    /// True when no transaction would change an offset.
    pub fn is_empty(&self) -> bool {
        self.by_producer.is_empty()
    }

    /// True when an open transaction would change this partition's offset.
    pub fn contains(&self, topic: &str, partition: i32) -> bool {
        if mutant!("open-transactions-leave-offsets-stable") {
            return false;
        }
        self.by_producer.values().flat_map(BTreeMap::keys).any(|(name, index)| **name == *topic && *index == partition)
    }

    pub(super) fn add(&mut self, producer_id: ProducerId, topic: Arc<str>, partition: i32, offset: CommittedOffset) {
        self.by_producer.entry(producer_id).or_default().insert((topic, partition), offset);
    }

    pub(super) fn take(&mut self, producer_id: ProducerId) -> ByPartition {
        self.by_producer.remove(&producer_id).unwrap_or_default()
    }

    pub(super) fn overtake(&mut self, topic: &str, partition: i32) {
        self.by_producer.retain(|_, offsets| {
            offsets.retain(|(name, index), _| **name != *topic || *index != partition);
            !offsets.is_empty()
        });
    }
}
