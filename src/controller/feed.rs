//! The applied metadata of this voter, and the feed that brokers follow.
//!
//! The state machine writes here after every batch it applies; the leader decides over the image, and each
//! `WatchMetadata` stream reads what follows the index its broker has. The newest batches are kept in memory; a
//! broker that is further behind gets the whole image.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::watch;

use crate::metadata::ClusterImage;

/// Bytes of records kept for brokers that are behind. A snapshot serves those further back.
const KEPT_BYTES_MAX: usize = 512 << 10;

/// Records that took effect together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedBatch {
    /// Metadata index of the image before them.
    pub base_index: i64,
    /// Encoded `MetadataRecord`s.
    pub records: Arc<[Bytes]>,
}

impl FeedBatch {
    fn end_index(&self) -> i64 {
        self.base_index + i64::try_from(self.records.len()).unwrap_or(i64::MAX)
    }

    fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.len() + size_of::<Bytes>()).sum()
    }
}

/// What comes next for a broker.
#[derive(Clone, Debug)]
pub enum FeedItem {
    /// Records from the broker's index on.
    Batch(FeedBatch),
    /// The records are no longer at hand: the whole image.
    Snapshot(Arc<ClusterImage>),
}

impl FeedItem {
    /// Metadata index of the image after it.
    pub fn end_index(&self) -> i64 {
        match self {
            Self::Batch(batch) => batch.end_index(),
            Self::Snapshot(image) => image.applied_index(),
        }
    }
}

/// The applied metadata. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct AppliedMetadata {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    image: ArcSwap<ClusterImage>,
    /// Metadata index of `image`; set after it.
    index: watch::Sender<i64>,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    batches: VecDeque<FeedBatch>,
    bytes: usize,
}

impl AppliedMetadata {
    /// Starts from an image that was restored.
    pub fn new(image: Arc<ClusterImage>) -> Self {
        let index = watch::channel(image.applied_index()).0;
        Self { shared: Arc::new(Shared { image: ArcSwap::new(image), index, recent: Mutex::default() }) }
    }

    /// The newest image.
    pub fn image(&self) -> Arc<ClusterImage> {
        self.shared.image.load_full()
    }

    /// The metadata index of the newest image, as it changes.
    pub fn index_changes(&self) -> watch::Receiver<i64> {
        self.shared.index.subscribe()
    }

    /// What follows `index`; waits until there is something.
    pub async fn next(&self, index: i64) -> FeedItem {
        let mut changes = self.index_changes();
        loop {
            let reached = *changes.borrow_and_update();
            if reached > index {
                return self.item_after(index);
            }
            // No error can come: the sender lives in `self`.
            let _ = changes.changed().await;
        }
    }

    /// The state machine applied `batches`, in order, and has come to `image`.
    pub fn advance(&self, image: Arc<ClusterImage>, batches: impl IntoIterator<Item = FeedBatch>) {
        let mut recent = self.recent();
        for batch in batches {
            recent.bytes += batch.bytes();
            recent.batches.push_back(batch);
        }
        while recent.bytes > KEPT_BYTES_MAX
            && let Some(oldest) = recent.batches.pop_front()
        {
            recent.bytes -= oldest.bytes();
        }
        self.publish(image);
    }

    /// The state machine was replaced by a snapshot.
    pub fn replace(&self, image: Arc<ClusterImage>) {
        let mut recent = self.recent();
        *recent = Recent::default();
        self.publish(image);
    }

    fn publish(&self, image: Arc<ClusterImage>) {
        let index = image.applied_index();
        self.shared.image.store(image);
        self.shared.index.send_if_modified(|current| std::mem::replace(current, index) != index);
    }

    fn item_after(&self, index: i64) -> FeedItem {
        let recent = self.recent();
        let position = recent.batches.partition_point(|batch| batch.end_index() <= index);
        match recent.batches.get(position) {
            Some(batch) if batch.base_index <= index => FeedItem::Batch(batch.clone()),
            _ => FeedItem::Snapshot(self.image()),
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::rpc::metadata::{FeatureLevelRecord, MetadataRecord};

    fn applied() -> AppliedMetadata {
        AppliedMetadata::new(Arc::default())
    }

    /// Applies one batch of `count` records that are about `bytes` long.
    fn apply(applied: &AppliedMetadata, count: usize, bytes: usize) {
        let mut image = ClusterImage::clone(&applied.image());
        let base_index = image.applied_index();
        let record: MetadataRecord = FeatureLevelRecord { name: "x".repeat(bytes), level: 1 }.into();
        for _ in 0..count {
            image.replay(&record, image.applied_index() + 1).unwrap();
        }
        let records = vec![Bytes::from(record.encode_to_vec()); count].into();
        applied.advance(Arc::new(image), [FeedBatch { base_index, records }]);
    }

    async fn base_of_next(applied: &AppliedMetadata, index: i64) -> Option<i64> {
        match applied.next(index).await {
            FeedItem::Batch(batch) => Some(batch.base_index),
            FeedItem::Snapshot(_) => None,
        }
    }

    #[tokio::test]
    async fn a_follower_gets_the_batch_that_continues_its_index() {
        let applied = applied();
        for count in [2, 1, 3] {
            apply(&applied, count, 10);
        }
        assert_eq!(base_of_next(&applied, 0).await, Some(0));
        assert_eq!(base_of_next(&applied, 2).await, Some(2));
        assert_eq!(base_of_next(&applied, 3).await, Some(3));
        assert_eq!(base_of_next(&applied, 4).await, Some(3), "the rest of a batch begins with the batch");
    }

    #[tokio::test]
    async fn a_follower_that_is_too_far_behind_gets_the_image() {
        let applied = applied();
        for _ in 0..20 {
            apply(&applied, 1, KEPT_BYTES_MAX / 10);
        }
        assert_eq!(base_of_next(&applied, 0).await, None);
        assert_eq!(base_of_next(&applied, 19).await, Some(19));
    }

    #[tokio::test]
    async fn a_restored_image_is_offered_as_a_whole() {
        let restored = applied();
        apply(&restored, 5, 10);
        let applied = AppliedMetadata::new(restored.image());
        assert_eq!(base_of_next(&applied, 0).await, None);
        apply(&applied, 1, 10);
        assert_eq!(base_of_next(&applied, 5).await, Some(5));
        assert_eq!(base_of_next(&applied, 3).await, None);
    }

    #[tokio::test]
    async fn a_follower_at_the_end_waits() {
        let applied = applied();
        apply(&applied, 1, 10);
        let waiter = tokio::spawn({
            let applied = applied.clone();
            async move { base_of_next(&applied, 1).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        apply(&applied, 1, 10);
        assert_eq!(waiter.await.unwrap(), Some(1));
    }
}
