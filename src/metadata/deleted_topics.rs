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

use super::cluster_defaults::ClusterDefaults;
use super::config_image::ConfigResource;
use super::deleted_topic_image::DeletedTopic;
use super::image::ClusterImage;
use crate::config::TOPIC_DELETE_RETENTION_KEY;
use crate::model::{TopicId, Wall};

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
