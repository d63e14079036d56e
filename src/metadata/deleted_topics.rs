//! Topics that are deleted and can be restored.
//!
//! ```text
//!            DeleteTopics              the retention is over
//!   exists ──────────────▶ set aside ───────────────────────▶ gone
//!      ▲                       │
//!      └───────────────────────┘
//!        CreateTopics with UNDELETE
//! ```
//!
//! A topic that is set aside does not exist for anybody: its name is free, nobody leads its partitions, no broker that
//! comes or goes changes them, and they count against no limit. The image keeps it as it was when it was deleted, and
//! the brokers keep its logs.

use std::sync::Arc;

use super::draft::ClusterDefaults;
use super::image::{ClusterImage, ConfigImage, ConfigResource};
use super::record::uuid_bytes;
use super::topic_image::TopicImage;
use crate::config::TOPIC_DELETE_RETENTION_KEY;
use crate::model::{TopicId, Wall};
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

impl ClusterImage {
    /// A topic that is deleted and can be restored, by its id.
    pub fn deleted_topic(&self, id: TopicId) -> Option<&Arc<DeletedTopic>> {
        self.deleted_topics.get(&id)
    }

    /// All of them, by id.
    pub fn deleted_topics(&self) -> impl Iterator<Item = &Arc<DeletedTopic>> {
        self.deleted_topics.values()
    }

    /// True when both keep the same deleted topics. As cheap as [`ClusterImage::has_same_topics`], and as careful.
    pub fn has_same_deleted_topics(&self, other: &Self) -> bool {
        self.deleted_topics.ptr_eq(&other.deleted_topics)
    }

    /// How long deleted topics are kept, in milliseconds: as set for all brokers, else as in the properties of the
    /// deciding controller.
    pub fn topic_delete_retention_ms(&self, defaults: &ClusterDefaults) -> i64 {
        self.config_value(&ConfigResource::default_broker(), TOPIC_DELETE_RETENTION_KEY)
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(defaults.topic_delete_retention_ms)
    }

    /// Deleted topics whose time to be restored is over.
    pub fn expired_topics(&self, defaults: &ClusterDefaults, now: Wall) -> impl Iterator<Item = &Arc<DeletedTopic>> {
        let retention_ms = self.topic_delete_retention_ms(defaults);
        self.deleted_topics().filter(move |deleted| deleted.kept_until(retention_ms) <= now)
    }
}
