//! What of the broker's configuration the coordinators need.

use std::time::Duration;

use super::consumer_view::{Bounded, ConsumerGroupLimits};
use crate::config;
use crate::group::{Assignor, ConsumerGroupConfig, GroupConfig, MigrationPolicy};
use crate::model::{CONSUMER_OFFSETS_TOPIC, TRANSACTION_STATE_TOPIC};
use crate::rpc::metadata::{ConfigEntry, CreatableTopic};
use crate::transaction::TransactionConfig;

/// Settings of the group coordinator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupCoordinatorConfig {
    /// For the machine.
    pub group: GroupConfig,
    /// What groups of the consumer protocol may set for themselves.
    pub consumer_limits: ConsumerGroupLimits,
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
        let consumer = &config.consumer;
        let bounded = |[default, min, max]: [i32; 3]| Bounded { default, min, max };
        Self {
            group: GroupConfig {
                session_timeout_ms_min: config.min_session_timeout_ms,
                session_timeout_ms_max: config.max_session_timeout_ms,
                initial_rebalance_delay_ms: config.initial_rebalance_delay_ms,
                size_max: config.max_size,
                offset_metadata_bytes_max: config.offset_metadata_max_bytes,
                offsets_retention_ms: i64::try_from(config.offsets_retention_ms).unwrap_or(i64::MAX),
                consumer: ConsumerGroupConfig {
                    enabled: consumer.enabled,
                    size_max: consumer.max_size,
                    assignors: consumer.assignors.iter().filter_map(|name| Assignor::from_name(name)).collect(),
                    migration: MigrationPolicy::from_name(&consumer.migration_policy),
                },
                ..GroupConfig::default()
            },
            consumer_limits: ConsumerGroupLimits {
                session_timeout_ms: bounded(consumer.session_timeout_ms),
                heartbeat_interval_ms: bounded(consumer.heartbeat_interval_ms),
                assignment_interval_ms: bounded(consumer.assignment_interval_ms),
            },
            commit_timeout: config.offsets_commit_timeout,
            load_buffer_bytes: config.offsets_load_buffer_bytes,
            retention_check_interval: config.offsets_retention_check_interval,
            topic_partitions: config.offsets_topic_num_partitions,
            topic_replication_factor: config.offsets_topic_replication_factor.min(expected_brokers),
            topic_segment_bytes: config.offsets_topic_segment_bytes,
        }
    }

    /// `__consumer_offsets`, as it is created.
    pub(super) fn topic(&self) -> CreatableTopic {
        internal_topic(
            CONSUMER_OFFSETS_TOPIC,
            self.topic_partitions,
            self.topic_replication_factor,
            &[("compression.type", "producer".to_owned()), ("segment.bytes", self.topic_segment_bytes.to_string())],
        )
    }
}

/// Settings of the transaction coordinator.
#[derive(Clone, PartialEq, Debug)]
pub struct TransactionCoordinatorConfig {
    /// For the machine.
    pub transaction: TransactionConfig,
    /// `request.timeout.ms`: how long an answer waits for its record to be committed, and for another broker.
    pub request_timeout: Duration,
    /// `transaction.state.log.load.buffer.size`: bytes read at a time while loading.
    pub load_buffer_bytes: usize,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`
    pub timeout_check_interval: Duration,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`
    pub expiration_check_interval: Duration,
    /// `add.partitions.to.txn.retry.backoff.ms`
    pub add_partitions_backoff: Duration,
    /// `add.partitions.to.txn.retry.backoff.max.ms`: for so long a partition is tried to be added on behalf of a
    /// Produce while the transaction before is still being ended.
    pub add_partitions_patience: Duration,
    /// The listener by which brokers reach one another.
    pub inter_broker_listener: String,
    /// `__transaction_state`, as it is created.
    pub topic: CreatableTopic,
}

impl TransactionCoordinatorConfig {
    /// From the broker's configuration; see [`GroupCoordinatorConfig::new`] about `expected_brokers`.
    pub fn new(config: &config::TransactionConfig, inter_broker_listener: String, expected_brokers: usize) -> Self {
        let expected_brokers = i16::try_from(expected_brokers.max(1)).unwrap_or(i16::MAX);
        Self {
            transaction: TransactionConfig {
                timeout_ms_max: config.max_timeout_ms,
                expiration_ms: i64::try_from(config.id_expiration_ms).unwrap_or(i64::MAX),
            },
            request_timeout: config.request_timeout,
            load_buffer_bytes: config.load_buffer_bytes,
            timeout_check_interval: config.timeout_check_interval,
            expiration_check_interval: config.expiration_check_interval,
            add_partitions_backoff: config.add_partitions_backoff,
            add_partitions_patience: config.add_partitions_patience,
            inter_broker_listener,
            topic: internal_topic(
                TRANSACTION_STATE_TOPIC,
                config.topic_num_partitions,
                config.topic_replication_factor.min(expected_brokers),
                &[
                    ("compression.type", "uncompressed".to_owned()),
                    ("segment.bytes", config.topic_segment_bytes.to_string()),
                    ("min.insync.replicas", config.topic_min_isr.to_string()),
                    ("unclean.leader.election.enable", "false".to_owned()),
                ],
            ),
        }
    }
}

/// A compacted topic with these settings.
fn internal_topic(name: &str, partitions: i32, replication_factor: i16, configs: &[(&str, String)]) -> CreatableTopic {
    let compacted = [("cleanup.policy", "compact".to_owned())];
    let entry = |(key, value): &(&str, String)| ConfigEntry { key: (*key).to_owned(), value: Some(value.clone()) };
    CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: replication_factor.into(),
        configs: compacted.iter().chain(configs).map(entry).collect(),
        ..CreatableTopic::default()
    }
}
