//! What of the broker's configuration the group coordinator needs.

use std::time::Duration;

use crate::config;
use crate::group::GroupConfig;

/// Settings of the group coordinator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupCoordinatorConfig {
    /// For the machine.
    pub group: GroupConfig,
    /// `offsets.commit.timeout.ms`: how long an answer waits for its record to be committed.
    pub commit_timeout: Duration,
    /// `offsets.load.buffer.size`: bytes read at a time while loading.
    pub load_buffer_bytes: usize,
    /// `offsets.retention.check.interval.ms`
    pub retention_check_interval: Duration,
    /// `offsets.topic.num.partitions`
    pub topic_partitions: i32,
    /// `offsets.topic.replication.factor`, but not more than the brokers the cluster is meant to have.
    pub topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`
    pub topic_segment_bytes: u64,
}

impl GroupCoordinatorConfig {
    /// From the broker's configuration. `expected_brokers` is how many brokers the cluster is meant to have, not
    /// how many are up: a cold start must not pin the offsets to the first broker that happens to be there.
    pub fn new(config: &config::GroupConfig, expected_brokers: usize) -> Self {
        let expected_brokers = i16::try_from(expected_brokers.max(1)).unwrap_or(i16::MAX);
        Self {
            group: GroupConfig {
                session_timeout_ms_min: config.min_session_timeout_ms,
                session_timeout_ms_max: config.max_session_timeout_ms,
                initial_rebalance_delay_ms: config.initial_rebalance_delay_ms,
                size_max: config.max_size,
                offset_metadata_bytes_max: config.offset_metadata_max_bytes,
                offsets_retention_ms: i64::try_from(config.offsets_retention_ms).unwrap_or(i64::MAX),
                ..GroupConfig::default()
            },
            commit_timeout: config.offsets_commit_timeout,
            load_buffer_bytes: config.offsets_load_buffer_bytes,
            retention_check_interval: config.offsets_retention_check_interval,
            topic_partitions: config.offsets_topic_num_partitions,
            topic_replication_factor: config.offsets_topic_replication_factor.min(expected_brokers),
            topic_segment_bytes: config.offsets_topic_segment_bytes,
        }
    }
}
