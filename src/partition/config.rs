//! What a topic's configuration means to its replicas.

use std::sync::Arc;

use crate::config::{self, ConfigMap, Layers, StaticConfig, TopicConfig};
use crate::log::{CleanupPolicy, LogConfig};
use crate::metadata::{ClusterImage, ConfigImage, ConfigResource};
use crate::model::BrokerId;
use crate::record::{Codec, ProduceRules, TimestampType, TopicCompression};

use super::throttle::ThrottledReplicas;

/// The settings of one replica.
#[derive(Clone, PartialEq, Debug)]
pub struct ReplicaConfig {
    /// What the log goes by.
    pub log: Arc<LogConfig>,
    /// What batches must satisfy.
    pub produce_rules: ProduceRules,
    /// `min.insync.replicas`; never more than the topic has replicas.
    pub min_insync_replicas: usize,
    /// `flush.messages`.
    pub flush_messages: i64,
    /// `flush.ms`.
    pub flush_ms: u64,
    /// `flush.before.ack`.
    pub flush_before_ack: bool,
    /// `transaction.partition.verification.enable`: a transaction's first write is checked with its coordinator.
    pub verifies_transactions: bool,
    /// Whose followers are fed at a limited rate while they are not in sync, where this broker leads.
    pub throttled_as_leader: ThrottledReplicas,
    /// Which replicas here fetch at a limited rate while they are not in sync.
    pub throttled_as_follower: ThrottledReplicas,
}

impl ReplicaConfig {
    /// From a topic's configuration in effect, for a replica on `broker`. `producer_id_expiration_ms` is
    /// `producer.id.expiration.ms`.
    pub fn new(topic: &TopicConfig, broker: BrokerId, producer_id_expiration_ms: i64) -> Self {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let log = LogConfig {
            segment_bytes: topic.segment_bytes,
            segment_ms: signed(topic.segment_ms),
            segment_jitter_ms: signed(topic.segment_jitter_ms),
            segment_index_bytes: topic.segment_index_bytes,
            index_interval_bytes: topic.index_interval_bytes,
            retention_ms: topic.retention_ms.map_or(-1, signed),
            retention_bytes: topic.retention_bytes.map_or(-1, signed),
            cleanup_policy: CleanupPolicy { delete: topic.delete, compact: topic.compact },
            min_cleanable_dirty_ratio: topic.min_cleanable_dirty_ratio,
            min_compaction_lag_ms: signed(topic.min_compaction_lag_ms),
            max_compaction_lag_ms: signed(topic.max_compaction_lag_ms),
            delete_retention_ms: signed(topic.delete_retention_ms),
            file_delete_delay_ms: topic.file_delete_delay_ms,
            preallocate: topic.preallocate,
            producer_id_expiration_ms,
            ..LogConfig::default()
        };
        let produce_rules = ProduceRules {
            message_bytes_max: topic.max_message_bytes,
            compression: compression(topic),
            compacted: topic.compact,
            timestamp_type: match topic.message_timestamp_type {
                config::TimestampType::CreateTime => TimestampType::CreateTime,
                config::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
            },
            timestamp_before_max_ms: topic.message_timestamp_before_max_ms,
            timestamp_after_max_ms: topic.message_timestamp_after_max_ms,
            ..ProduceRules::default()
        };
        Self {
            log: Arc::new(log),
            produce_rules,
            min_insync_replicas: usize::try_from(topic.min_insync_replicas).unwrap_or(usize::MAX),
            flush_messages: signed(topic.flush_messages),
            flush_ms: topic.flush_ms,
            flush_before_ack: topic.flush_before_ack,
            verifies_transactions: true,
            throttled_as_leader: ThrottledReplicas::parse(&topic.leader_throttled_replicas, broker),
            throttled_as_follower: ThrottledReplicas::parse(&topic.follower_throttled_replicas, broker),
        }
    }
}

fn compression(topic: &TopicConfig) -> TopicCompression {
    let codec = |codec, level| TopicCompression::Codec { codec, level };
    match topic.compression_type {
        config::CompressionType::Producer => TopicCompression::Producer,
        config::CompressionType::Uncompressed => codec(Codec::None, None),
        config::CompressionType::Gzip => {
            codec(Codec::Gzip, topic.compression_gzip_level.and_then(|level| i32::try_from(level).ok()))
        }
        config::CompressionType::Snappy => codec(Codec::Snappy, None),
        config::CompressionType::Lz4 => codec(Codec::Lz4, None),
        config::CompressionType::Zstd => codec(Codec::Zstd, Some(topic.compression_zstd_level)),
    }
}

/// A broker's configuration in effect: what it was started with, under what the metadata has set since.
#[derive(Clone, Debug)]
pub struct BrokerLayers<'a> {
    broker_id: BrokerId,
    broker: Option<Arc<ConfigImage>>,
    cluster: Option<Arc<ConfigImage>>,
    start: &'a StaticConfig,
}

static NOTHING: ConfigMap = ConfigMap::new();

impl BrokerLayers<'_> {
    /// For the functions of `config`.
    pub fn layers(&self) -> Layers<'_> {
        Layers {
            broker: self.broker.as_deref().unwrap_or(&NOTHING),
            cluster: self.cluster.as_deref().unwrap_or(&NOTHING),
            start: self.start,
        }
    }

    /// A topic's configuration in effect.
    pub fn topic_config(&self, image: &ClusterImage, topic: &str) -> TopicConfig {
        let own = image.config(&ConfigResource::topic(topic));
        TopicConfig::resolve(self.layers(), own.map_or(&NOTHING, |own| own))
    }

    /// A replica's configuration in effect.
    pub fn replica_config(&self, image: &ClusterImage, topic: &str) -> ReplicaConfig {
        let expiration = config::effective_broker_value(self.layers(), "producer.id.expiration.ms");
        let expiration = expiration.and_then(|text| text.parse().ok());
        let verifies_transactions = config::TransactionConfig::resolve(self.layers()).partition_verification;
        let expiration = expiration.unwrap_or(LogConfig::default().producer_id_expiration_ms);
        let config = ReplicaConfig::new(&self.topic_config(image, topic), self.broker_id, expiration);
        ReplicaConfig { verifies_transactions, ..config }
    }
}

/// The configuration in effect at the broker `broker_id`, started with `start`, as of `image`.
pub fn broker_layers<'a>(image: &ClusterImage, broker_id: BrokerId, start: &'a StaticConfig) -> BrokerLayers<'a> {
    BrokerLayers {
        broker_id,
        broker: image.config(&ConfigResource::broker(broker_id)).cloned(),
        cluster: image.config(&ConfigResource::default_broker()).cloned(),
        start,
    }
}
