//! What the cluster keeps of one topic that is deleted and can be restored.

use std::sync::Arc;

use super::config_image::ConfigImage;
use super::record::uuid_bytes;
use super::topic_image::TopicImage;
use crate::model::Wall;
use crate::rpc::metadata::SetTopicAsideRecord;

/// A topic as it was when it was deleted.
#[derive(Clone, PartialEq, Debug)]
pub struct DeletedTopic {
    /// The topic with its partitions.
    pub topic: Arc<TopicImage>,
    /// The keys that were set on it.
    pub configs: Arc<ConfigImage>,
    /// By the clock of the controller that decided.
    pub deleted_at: Wall,
    /// Of the record that set it aside.
    pub(super) metadata_index: i64,
}

impl DeletedTopic {
    /// Until when it can be restored where deleted topics are kept for so many milliseconds.
    pub fn kept_until(&self, retention_ms: i64) -> Wall {
        Wall(self.deleted_at.0.saturating_add(retention_ms))
    }

    pub(super) fn to_record(&self) -> SetTopicAsideRecord {
        let (topic_id, metadata_index) = (uuid_bytes(self.topic.id.0), self.metadata_index);
        SetTopicAsideRecord { topic_id, deleted_ms: self.deleted_at.0, metadata_index }
    }
}
