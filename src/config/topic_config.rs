//! What a topic's configuration says to those that keep its records.

use super::ConfigMap;
use super::key::ConfigKey;
use super::layers::{Layers, scaled};
use super::table::topic_key;
use super::value::{self, ConfigValue};

/// The codec batches of a topic are stored in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompressionType {
    /// As the producer sent them.
    Producer,
    /// Not compressed.
    Uncompressed,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
}

/// Whose clock stamps a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, when it appends.
    LogAppendTime,
}

/// A topic's configuration in effect: its own configs over the broker's.
#[derive(Clone, PartialEq, Debug)]
pub struct TopicConfig {
    /// `cleanup.policy` has `delete`.
    pub delete: bool,
    /// `cleanup.policy` has `compact`.
    pub compact: bool,
    /// `segment.bytes`, or `internal.segment.bytes` where that is set.
    pub segment_bytes: u64,
    /// `segment.ms`.
    pub segment_ms: u64,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: u64,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u64,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u64,
    /// `retention.ms`; `None` keeps records for ever.
    pub retention_ms: Option<u64>,
    /// `retention.bytes` per partition; `None` sets no bound.
    pub retention_bytes: Option<u64>,
    /// `min.cleanable.dirty.ratio`, 0 to 1.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: u64,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: u64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: u64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: u64,
    /// `flush.messages`.
    pub flush_messages: u64,
    /// `flush.ms`.
    pub flush_ms: u64,
    /// `max.message.bytes`: the largest batch.
    pub max_message_bytes: usize,
    /// `message.timestamp.type`.
    pub message_timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub message_timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub message_timestamp_after_max_ms: i64,
    /// `compression.type`.
    pub compression_type: CompressionType,
    /// `compression.gzip.level`; `None` is the codec's default.
    pub compression_gzip_level: Option<u32>,
    /// `compression.zstd.level`.
    pub compression_zstd_level: i32,
    /// `min.insync.replicas`.
    pub min_insync_replicas: u32,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election_enable: bool,
    /// `preallocate`.
    pub preallocate: bool,
    /// `flush.before.ack`.
    pub flush_before_ack: bool,
    /// `leader.replication.throttled.replicas`, as `partition:broker` or `*`.
    pub leader_throttled_replicas: Vec<String>,
    /// `follower.replication.throttled.replicas`, as `partition:broker` or `*`.
    pub follower_throttled_replicas: Vec<String>,
}

impl TopicConfig {
    /// Resolves a topic's own configs over the broker's.
    pub fn resolve(layers: Layers<'_>, overrides: &ConfigMap) -> Self {
        let topic = Reader { layers, overrides };
        let policies = topic.list("cleanup.policy");
        Self {
            delete: policies.iter().any(|policy| policy == "delete"),
            compact: policies.iter().any(|policy| policy == "compact"),
            segment_bytes: topic.segment_bytes(),
            segment_ms: topic.size("segment.ms"),
            segment_jitter_ms: topic.size("segment.jitter.ms"),
            segment_index_bytes: topic.size("segment.index.bytes"),
            index_interval_bytes: topic.size("index.interval.bytes"),
            retention_ms: topic.size_or_unbounded("retention.ms"),
            retention_bytes: topic.size_or_unbounded("retention.bytes"),
            min_cleanable_dirty_ratio: topic.double("min.cleanable.dirty.ratio"),
            min_compaction_lag_ms: topic.size("min.compaction.lag.ms"),
            max_compaction_lag_ms: topic.size("max.compaction.lag.ms"),
            delete_retention_ms: topic.size("delete.retention.ms"),
            file_delete_delay_ms: topic.size("file.delete.delay.ms"),
            flush_messages: topic.size("flush.messages"),
            flush_ms: topic.size("flush.ms"),
            max_message_bytes: usize::try_from(topic.size("max.message.bytes")).unwrap_or(usize::MAX),
            message_timestamp_type: topic.timestamp_type(),
            message_timestamp_before_max_ms: topic.long("message.timestamp.before.max.ms"),
            message_timestamp_after_max_ms: topic.long("message.timestamp.after.max.ms"),
            compression_type: topic.compression_type(),
            compression_gzip_level: u32::try_from(topic.long("compression.gzip.level")).ok(),
            compression_zstd_level: i32::try_from(topic.long("compression.zstd.level")).unwrap_or(3),
            min_insync_replicas: u32::try_from(topic.long("min.insync.replicas")).unwrap_or(1),
            unclean_leader_election_enable: topic.boolean("unclean.leader.election.enable"),
            preallocate: topic.boolean("preallocate"),
            flush_before_ack: topic.boolean("flush.before.ack"),
            leader_throttled_replicas: topic.list("leader.replication.throttled.replicas"),
            follower_throttled_replicas: topic.list("follower.replication.throttled.replicas"),
        }
    }
}

impl Default for TopicConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        let start = super::StaticConfig::default();
        Self::resolve(Layers::at_start(&start), &ConfigMap::new())
    }
}

/// Reads topic keys: the topic's own value, else the broker key's, else the default.
struct Reader<'a> {
    layers: Layers<'a>,
    overrides: &'a ConfigMap,
}

impl Reader<'_> {
    fn value(&self, name: &str) -> ConfigValue {
        #[cfg(test)]
        super::reads::record_topic(name);
        let key: &ConfigKey = topic_key(name).unwrap_or_else(|| panic!("{name} is not in the table of topic keys"));
        if let Some(value) = self.overrides.get(name).and_then(|text| value::parse(key, text).ok()) {
            return value;
        }
        let inherited = key.broker_key.and_then(|name| self.layers.find_all(name).into_iter().next());
        let (key, text, factor) = match inherited {
            Some(found) => (found.key, found.value, found.factor),
            None => (key, key.default.unwrap_or_default(), 1),
        };
        scaled(value::parse(key, text).expect("values in the layers have been checked"), factor)
    }

    fn long(&self, name: &str) -> i64 {
        match self.value(name) {
            ConfigValue::Number(number) => number,
            other => panic!("{name} is no whole number but {other:?}"),
        }
    }

    fn segment_bytes(&self) -> u64 {
        let name = "internal.segment.bytes";
        #[cfg(test)]
        super::reads::record_topic(name);
        if self.overrides.contains_key(name) { self.size(name) } else { self.size("segment.bytes") }
    }

    fn size(&self, name: &str) -> u64 {
        u64::try_from(self.long(name)).unwrap_or(0)
    }

    /// Negative numbers set no bound.
    fn size_or_unbounded(&self, name: &str) -> Option<u64> {
        u64::try_from(self.long(name)).ok()
    }

    fn double(&self, name: &str) -> f64 {
        match self.value(name) {
            ConfigValue::Double(number) => number,
            other => panic!("{name} is no number but {other:?}"),
        }
    }

    fn boolean(&self, name: &str) -> bool {
        match self.value(name) {
            ConfigValue::Boolean(flag) => flag,
            other => panic!("{name} is no boolean but {other:?}"),
        }
    }

    fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            ConfigValue::List(items) => items,
            other => panic!("{name} is no list but {other:?}"),
        }
    }

    fn text(&self, name: &str) -> String {
        match self.value(name) {
            ConfigValue::Text(text) => text,
            other => panic!("{name} is no text but {other:?}"),
        }
    }

    fn timestamp_type(&self) -> TimestampType {
        match self.text("message.timestamp.type").as_str() {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        }
    }

    fn compression_type(&self) -> CompressionType {
        match self.text("compression.type").as_str() {
            "uncompressed" => CompressionType::Uncompressed,
            "gzip" => CompressionType::Gzip,
            "snappy" => CompressionType::Snappy,
            "lz4" => CompressionType::Lz4,
            "zstd" => CompressionType::Zstd,
            _ => CompressionType::Producer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StaticConfig;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn with_nothing_set_kafkas_defaults_hold() {
        let config = TopicConfig::default();
        assert!(config.delete && !config.compact);
        assert_eq!(config.retention_ms, Some(604_800_000));
        assert_eq!(config.retention_bytes, None);
        assert_eq!(config.segment_ms, 604_800_000);
        assert_eq!(config.segment_bytes, 1_073_741_824);
        assert_eq!(config.max_message_bytes, 1_048_588);
        assert_eq!(config.flush_ms, i64::MAX as u64);
        assert_eq!(config.compression_type, CompressionType::Producer);
        assert_eq!(config.compression_gzip_level, None);
    }

    #[test]
    fn the_nearest_layer_wins_and_finer_units_beat_coarser_ones() {
        let nothing = map(&[]);
        let start = StaticConfig::from_overrides(&[("log.retention.hours", "2"), ("log.roll.hours", "1")]);
        let at_start = Layers::at_start(&start);
        assert_eq!(TopicConfig::resolve(at_start, &nothing).retention_ms, Some(7_200_000));
        assert_eq!(TopicConfig::resolve(at_start, &nothing).segment_ms, 3_600_000);

        let finer = StaticConfig::from_overrides(&[("log.retention.hours", "2"), ("log.retention.minutes", "1")]);
        assert_eq!(TopicConfig::resolve(Layers::at_start(&finer), &nothing).retention_ms, Some(60_000));

        let cluster = map(&[("log.retention.ms", "5000")]);
        let layers = Layers { broker: &nothing, cluster: &cluster, start: &start };
        assert_eq!(TopicConfig::resolve(layers, &nothing).retention_ms, Some(5_000));

        let broker = map(&[("log.retention.ms", "4000")]);
        let layers = Layers { broker: &broker, cluster: &cluster, start: &start };
        assert_eq!(TopicConfig::resolve(layers, &nothing).retention_ms, Some(4_000));
        assert_eq!(TopicConfig::resolve(layers, &map(&[("retention.ms", "-1")])).retention_ms, None);
    }

    #[test]
    fn for_ever_in_hours_is_for_ever() {
        let start = StaticConfig::from_overrides(&[("log.retention.hours", "-1")]);
        assert_eq!(TopicConfig::resolve(Layers::at_start(&start), &map(&[])).retention_ms, None);
    }

    #[test]
    fn both_policies_hold_at_once() {
        let start = StaticConfig::default();
        let config = TopicConfig::resolve(Layers::at_start(&start), &map(&[("cleanup.policy", "compact, delete")]));
        assert!(config.compact && config.delete);
    }
}
