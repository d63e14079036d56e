//! What is counted while replicas work, for the metrics to tell.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::metadata::{ImageDelta, PartitionImage};
use crate::model::BrokerId;

/// What passes through one replica, counted since it was opened.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) messages_in: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
}

impl Traffic {
    pub(super) fn on_append(&self, messages: u64, bytes: u64) {
        self.messages_in.fetch_add(messages, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn on_fetched(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// How often the replicas in sync have changed, of partitions led here.
#[derive(Debug, Default)]
pub(super) struct IsrChanges {
    pub(super) shrinks: AtomicU64,
    pub(super) expands: AtomicU64,
}

impl IsrChanges {
    /// Counts what a change of the metadata brings for `broker`.
    pub(super) fn on_change(&self, delta: &ImageDelta, broker: BrokerId) {
        for (_, _, before, now) in delta.changed_partitions() {
            let Some(before) = before.filter(|_| now.leader == broker) else { continue };
            let lacks = |of: &PartitionImage, other: &PartitionImage| of.isr.iter().any(|id| !other.isr.contains(id));
            self.shrinks.fetch_add(u64::from(lacks(before, now)), Ordering::Relaxed);
            self.expands.fetch_add(u64::from(lacks(now, before)), Ordering::Relaxed);
        }
    }
}
