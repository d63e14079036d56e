//! Groups of the consumer protocol (KIP-848): what handlers call about them, and the topics and settings that their
//! machines go by.

use std::sync::{Arc, Mutex, PoisonError};

use super::group_coordinator::GroupCoordinator;
use super::groups::{Environment, Groups, group_error, now};
use super::host::Shard;
use crate::group::{
    Circumstances, ConsumerGroupDescription, ConsumerHeartbeat, ConsumerHeartbeatReply, ConsumerSettings, Rebalance,
    Refusal, Topics,
};
use crate::metadata::{ClusterImage, ConfigResource};
use crate::model::{ErrorCode, TopicId};

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
        ConsumerSettings {
            session_timeout_ms: self.session_timeout_ms.within(own("consumer.session.timeout.ms")),
            heartbeat_interval_ms: self.heartbeat_interval_ms.within(own("consumer.heartbeat.interval.ms")),
            assignment_interval_ms: self.assignment_interval_ms.within(own("consumer.assignment.interval.ms")),
        }
    }
}

/// Tells when the topics of the cluster have changed, and not only who leads their partitions.
#[derive(Debug, Default)]
pub(super) struct TopicVersions {
    last: Mutex<(Arc<ClusterImage>, u64)>,
}

impl TopicVersions {
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
    environment: &'a Environment,
    topics: KnownTopics,
    settings: ConsumerSettings,
}

impl<'a> View<'a> {
    pub fn of(environment: &'a Environment, group_id: &str) -> Self {
        let image = environment.replicas.image();
        let settings = environment.limits.settings(&image, group_id);
        let version = environment.topic_versions.of(&image);
        Self { environment, topics: KnownTopics { image, version }, settings }
    }

    pub fn circumstances(&self) -> Circumstances<'_> {
        Circumstances { topics: &self.topics, config: &self.environment.config, settings: self.settings, now: now() }
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

impl GroupCoordinator {
    /// ConsumerGroupHeartbeat: the answer, once what it says is committed to the log.
    pub async fn consumer_heartbeat(
        &self,
        group_id: &str,
        request: &ConsumerHeartbeat,
    ) -> Result<ConsumerHeartbeatReply, Refusal> {
        let decide = |shard: &mut Shard<Groups>| {
            let decided = shard.decide(group_id, |group, around| group.consumer_heartbeat(request, around));
            // An answer may also rest on what was written before.
            (decided, shard.written())
        };
        let (decided, written) = self.with(group_id, decide).map_err(refused)?;
        let reply = decided?;
        self.committed(&written, group_error).await.map_err(refused)?;
        Ok(reply)
    }

    /// ConsumerGroupDescribe, with the reason of the last rebalance; `None` for a group that does not exist or has
    /// another protocol.
    pub fn describe_consumer_group(
        &self,
        group_id: &str,
    ) -> Result<Option<(ConsumerGroupDescription, Option<Rebalance>)>, ErrorCode> {
        self.with(group_id, |shard| {
            let group = shard.machine.get(group_id)?;
            let description = group.consumer()?.describe(shard.machine.config());
            Some((description, group.last_rebalance().cloned()))
        })
    }
}

fn refused(error: ErrorCode) -> Refusal {
    Refusal::new(error, "")
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
