//! What the machines of groups of the consumer protocol go by: the topics that exist, and each group's settings.

use std::sync::{Arc, Mutex, PoisonError};

use crate::group::{Circumstances, ConsumerSettings, GroupConfig, Now, Topics};
use crate::metadata::{ClusterImage, ConfigResource};
use crate::model::TopicId;

/// Defaults and bounds of what a group may set for itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroupLimits {
    /// `group.consumer.session.timeout.ms` and its bounds.
    pub session_timeout_ms: Bounded,
    /// `group.consumer.heartbeat.interval.ms` and its bounds.
    pub heartbeat_interval_ms: Bounded,
    /// `group.consumer.assignment.interval.ms` and its bounds.
    pub assignment_interval_ms: Bounded,
}

/// A default, and the least and the most that a group may set in its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounded {
    /// For a group that sets nothing.
    pub default: i32,
    /// The least.
    pub min: i32,
    /// The most.
    pub max: i32,
}

impl Bounded {
    /// The value for a group that has set `own`. Bounds that were changed after that hold all the same.
    fn within(self, own: Option<&str>) -> i32 {
        let own = own.and_then(|own| own.trim().parse::<i32>().ok());
        own.map_or(self.default, |own| own.min(self.max).max(self.min))
    }
}

impl ConsumerGroupLimits {
    fn settings(&self, image: &ClusterImage, group_id: &str) -> ConsumerSettings {
        let resource = ConfigResource::group(group_id);
        let own = |key| image.config_value(&resource, key);
        // This one may change for all brokers while they run.
        let of_all = image.config_value(&ConfigResource::default_broker(), "group.consumer.assignment.interval.ms");
        let assignment_interval = own("consumer.assignment.interval.ms").or(of_all);
        ConsumerSettings {
            session_timeout_ms: self.session_timeout_ms.within(own("consumer.session.timeout.ms")),
            heartbeat_interval_ms: self.heartbeat_interval_ms.within(own("consumer.heartbeat.interval.ms")),
            assignment_interval_ms: self.assignment_interval_ms.within(assignment_interval),
        }
    }
}

/// Tells when the topics of the cluster have changed, and not only who leads their partitions.
#[derive(Debug, Default)]
pub(super) struct TopicVersions {
    last: Mutex<(Arc<ClusterImage>, u64)>,
}

impl TopicVersions {
    /// What a decision about a group goes by as of `image`.
    pub fn view<'a>(
        &self,
        image: Arc<ClusterImage>,
        group_id: &str,
        config: &'a GroupConfig,
        limits: &ConsumerGroupLimits,
        now: Now,
    ) -> View<'a> {
        let settings = limits.settings(&image, group_id);
        let version = self.of(&image);
        View { config, topics: KnownTopics { image, version }, settings, now }
    }

    fn of(&self, image: &Arc<ClusterImage>) -> u64 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !image.has_same_topics(&last.0) {
            *last = (image.clone(), last.1 + 1);
        }
        last.1
    }
}

/// What one decision about one group goes by.
pub(super) struct View<'a> {
    config: &'a GroupConfig,
    topics: KnownTopics,
    settings: ConsumerSettings,
    now: Now,
}

impl View<'_> {
    pub fn circumstances(&self) -> Circumstances<'_> {
        Circumstances { topics: &self.topics, config: self.config, settings: self.settings, now: self.now }
    }
}

struct KnownTopics {
    image: Arc<ClusterImage>,
    version: u64,
}

impl Topics for KnownTopics {
    fn version(&self) -> u64 {
        self.version
    }

    fn find(&self, name: &str) -> Option<(TopicId, i32)> {
        let topic = self.image.topic_by_name(name)?;
        Some((topic.id, i32::try_from(topic.partition_count()).unwrap_or(i32::MAX)))
    }

    fn name(&self, id: TopicId) -> Option<Arc<str>> {
        self.image.topic(id).map(|topic| topic.name.clone())
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.image.topics().map(|topic| topic.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_stays_within_the_bounds_of_its_broker() {
        let bounded = Bounded { default: 45, min: 40, max: 60 };
        assert_eq!([None, Some("50"), Some("1"), Some("99")].map(|own| bounded.within(own)), [45, 50, 40, 60]);
    }
}
