//! What the other modules need to know, one struct per module, each resolved from the layers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::layers::Layers;
use super::value::split_list;

fn milliseconds(layers: Layers<'_>, name: &str) -> Duration {
    Duration::from_millis(layers.size(name))
}

/// Bounds of the Kafka listeners and of what a client may ask for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetworkConfig {
    /// `socket.request.max.bytes`.
    pub request_max_bytes: usize,
    /// `socket.receive.buffer.bytes`; `None` leaves it to the operating system.
    pub receive_buffer_bytes: Option<usize>,
    /// `socket.send.buffer.bytes`; `None` leaves it to the operating system.
    pub send_buffer_bytes: Option<usize>,
    /// `socket.listen.backlog.size`.
    pub listen_backlog_size: i32,
    /// `connections.max.idle.ms`; `None` never closes a connection for being idle.
    pub connections_max_idle: Option<Duration>,
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.connections.per.ip`.
    pub max_connections_per_ip: usize,
    /// `max.connections.per.ip.overrides`, for those items that are addresses.
    pub max_connections_per_ip_overrides: BTreeMap<IpAddr, usize>,
    /// `max.connection.creation.rate`, per second.
    pub max_connection_creation_rate: u32,
    /// `queued.max.request.bytes`; `None` leaves the bound to the broker.
    pub queued_max_request_bytes: Option<usize>,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_session_slots: usize,
    /// `replica.selector.class` names the rack-aware one.
    pub rack_aware_reads: bool,
    /// `max.request.partition.size.limit`.
    pub max_request_partitions: usize,
    /// `quota.window.num`.
    pub quota_window_num: usize,
    /// `quota.window.size.seconds`.
    pub quota_window_size: Duration,
}

impl NetworkConfig {
    /// Resolves it.
    pub fn resolve(layers: Layers<'_>) -> Self {
        let count = |name: &str| usize::try_from(layers.size(name)).unwrap_or(usize::MAX);
        let or_default = |name: &str| usize::try_from(layers.long(name)).ok();
        Self {
            request_max_bytes: count("socket.request.max.bytes"),
            receive_buffer_bytes: or_default("socket.receive.buffer.bytes"),
            send_buffer_bytes: or_default("socket.send.buffer.bytes"),
            listen_backlog_size: layers.int("socket.listen.backlog.size"),
            connections_max_idle: u64::try_from(layers.long("connections.max.idle.ms")).ok().map(Duration::from_millis),
            max_connections: count("max.connections"),
            max_connections_per_ip: count("max.connections.per.ip"),
            max_connections_per_ip_overrides: ip_overrides(
                &layers.text("max.connections.per.ip.overrides").unwrap_or_default(),
            ),
            max_connection_creation_rate: u32::try_from(layers.size("max.connection.creation.rate"))
                .unwrap_or(u32::MAX),
            queued_max_request_bytes: or_default("queued.max.request.bytes"),
            fetch_max_bytes: count("fetch.max.bytes"),
            rack_aware_reads: layers
                .text("replica.selector.class")
                .is_some_and(|class| class.ends_with(".RackAwareReplicaSelector")),
            fetch_session_slots: count("max.incremental.fetch.session.cache.slots"),
            max_request_partitions: count("max.request.partition.size.limit"),
            quota_window_num: count("quota.window.num"),
            quota_window_size: Duration::from_secs(layers.size("quota.window.size.seconds")),
        }
    }
}

/// Items of `address:count`; the address may be IPv6, so the last colon splits.
fn ip_overrides(text: &str) -> BTreeMap<IpAddr, usize> {
    let parse = |item: String| {
        let (address, count) = item.rsplit_once(':')?;
        Some((address.trim_matches(['[', ']']).parse().ok()?, count.trim().parse().ok()?))
    };
    split_list(text).into_iter().filter_map(parse).collect()
}

/// What the cleaning of compacted topics may use, beyond each topic's own configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct CleanerConfig {
    /// `log.cleaner.enable`.
    pub enabled: bool,
    /// `log.cleaner.backoff.ms`.
    pub backoff: Duration,
    /// `log.cleaner.dedupe.buffer.size`.
    pub keys_bytes_max: usize,
    /// `log.cleaner.io.max.bytes.per.second`, read and written.
    pub bytes_per_second_max: f64,
}

impl CleanerConfig {
    /// Resolves it.
    pub fn resolve(layers: Layers<'_>) -> Self {
        Self {
            enabled: layers.boolean("log.cleaner.enable"),
            backoff: milliseconds(layers, "log.cleaner.backoff.ms"),
            keys_bytes_max: usize::try_from(layers.size("log.cleaner.dedupe.buffer.size")).unwrap_or(usize::MAX),
            bytes_per_second_max: layers.double("log.cleaner.io.max.bytes.per.second"),
        }
    }
}

/// What the keeper of this broker's partitions needs beyond each topic's own configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `num.recovery.threads.per.data.dir`.
    pub recovery_threads: usize,
    /// `num.replica.alter.log.dirs.threads`; `None` takes one for each directory.
    pub mover_threads: Option<usize>,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: u64,
    /// `replica.lag.time.max.ms`.
    pub replica_lag_time_max_ms: u64,
    /// `log.dir.failure.timeout.ms`.
    pub directory_failure_timeout: Duration,
    /// `ottla.log.dir.min.free.bytes`; `None` leaves it to the broker.
    pub min_free_bytes: Option<u64>,
}

impl LogConfig {
    /// Resolves it.
    pub fn resolve(layers: Layers<'_>) -> Self {
        Self {
            retention_check_interval: milliseconds(layers, "log.retention.check.interval.ms"),
            recovery_threads: usize::try_from(layers.size("num.recovery.threads.per.data.dir")).unwrap_or(1).max(1),
            mover_threads: layers
                .long_or_null("num.replica.alter.log.dirs.threads")
                .and_then(|n| usize::try_from(n).ok()),
            producer_id_expiration_ms: layers.size("producer.id.expiration.ms"),
            replica_lag_time_max_ms: layers.size("replica.lag.time.max.ms"),
            directory_failure_timeout: milliseconds(layers, "log.dir.failure.timeout.ms"),
            min_free_bytes: u64::try_from(layers.long("ottla.log.dir.min.free.bytes")).ok(),
        }
    }
}

/// How followers fetch from leaders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FollowerConfig {
    /// `replica.fetch.min.bytes`.
    pub fetch_min_bytes: i32,
    /// `replica.fetch.max.bytes`, per partition.
    pub fetch_max_bytes: i32,
    /// `replica.fetch.response.max.bytes`.
    pub fetch_response_max_bytes: i32,
    /// `replica.fetch.wait.max.ms`.
    pub fetch_wait_max_ms: i32,
    /// `replica.fetch.backoff.ms`.
    pub fetch_backoff: Duration,
    /// `replica.socket.timeout.ms`.
    pub socket_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`.
    pub connect_timeout: Duration,
}

impl FollowerConfig {
    /// Resolves it.
    pub fn resolve(layers: Layers<'_>) -> Self {
        Self {
            fetch_min_bytes: layers.int("replica.fetch.min.bytes"),
            fetch_max_bytes: layers.int("replica.fetch.max.bytes"),
            fetch_response_max_bytes: layers.int("replica.fetch.response.max.bytes"),
            fetch_wait_max_ms: layers.int("replica.fetch.wait.max.ms"),
            fetch_backoff: milliseconds(layers, "replica.fetch.backoff.ms"),
            socket_timeout: milliseconds(layers, "replica.socket.timeout.ms"),
            connect_timeout: milliseconds(layers, "socket.connection.setup.timeout.ms"),
        }
    }
}

/// A broker's side of the control plane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterConfig {
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `broker.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `initial.broker.registration.timeout.ms`.
    pub registration_timeout: Duration,
}

impl ClusterConfig {
    /// Resolves it.
    pub fn resolve(layers: Layers<'_>) -> Self {
        Self {
            heartbeat_interval: milliseconds(layers, "broker.heartbeat.interval.ms"),
            session_timeout: milliseconds(layers, "broker.session.timeout.ms"),
            registration_timeout: milliseconds(layers, "initial.broker.registration.timeout.ms"),
        }
    }
}

/// How topics are created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicCreationConfig {
    /// `auto.create.topics.enable`.
    pub auto_create_enable: bool,
    /// `delete.topic.enable`.
    pub delete_enable: bool,
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `ottla.topic.delete.retention.ms`.
    pub delete_retention_ms: i64,
}

impl TopicCreationConfig {
    /// Resolves it.
    pub fn resolve(layers: Layers<'_>) -> Self {
        Self {
            auto_create_enable: layers.boolean("auto.create.topics.enable"),
            delete_enable: layers.boolean("delete.topic.enable"),
            num_partitions: layers.int("num.partitions"),
            default_replication_factor: i16::try_from(layers.int("default.replication.factor")).unwrap_or(i16::MAX),
            delete_retention_ms: layers.long(super::TOPIC_DELETE_RETENTION_KEY),
        }
    }
}

/// Consumer groups and the topic of their offsets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`.
    pub max_size: usize,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.commit.timeout.ms`.
    pub offsets_commit_timeout: Duration,
    /// `offsets.load.buffer.size`.
    pub offsets_load_buffer_bytes: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: u64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
    /// `offsets.topic.num.partitions`.
    pub offsets_topic_num_partitions: i32,
    /// `offsets.topic.replication.factor`, before it is capped by the brokers the cluster is meant to have.
    pub offsets_topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub offsets_topic_segment_bytes: u64,
    /// For groups of the consumer protocol.
    pub consumer: ConsumerGroupConfig,
}

/// Groups of the consumer protocol (KIP-848). Three numbers are a default with the least and the most that a group
/// may set in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroupConfig {
    /// True when `group.coordinator.rebalance.protocols` has `consumer`.
    pub enabled: bool,
    /// `group.consumer.session.timeout.ms`, `min` and `max`.
    pub session_timeout_ms: [i32; 3],
    /// `group.consumer.heartbeat.interval.ms`, `min` and `max`.
    pub heartbeat_interval_ms: [i32; 3],
    /// `group.consumer.assignment.interval.ms`, `min` and `max`.
    pub assignment_interval_ms: [i32; 3],
    /// `group.consumer.max.size`.
    pub max_size: usize,
    /// `group.consumer.assignors`.
    pub assignors: Vec<String>,
    /// `group.consumer.migration.policy`.
    pub migration_policy: String,
}

impl ConsumerGroupConfig {
    fn resolve(layers: Layers<'_>) -> Self {
        let bounded = |[name, min, max]: [&str; 3]| [layers.int(name), layers.int(min), layers.int(max)];
        Self {
            enabled: layers.list("group.coordinator.rebalance.protocols").iter().any(|name| name == "consumer"),
            session_timeout_ms: bounded([
                "group.consumer.session.timeout.ms",
                "group.consumer.min.session.timeout.ms",
                "group.consumer.max.session.timeout.ms",
            ]),
            heartbeat_interval_ms: bounded([
                "group.consumer.heartbeat.interval.ms",
                "group.consumer.min.heartbeat.interval.ms",
                "group.consumer.max.heartbeat.interval.ms",
            ]),
            assignment_interval_ms: bounded([
                "group.consumer.assignment.interval.ms",
                "group.consumer.min.assignment.interval.ms",
                "group.consumer.max.assignment.interval.ms",
            ]),
            max_size: usize::try_from(layers.size("group.consumer.max.size")).unwrap_or(usize::MAX),
            assignors: layers.list("group.consumer.assignors"),
            migration_policy: layers.text("group.consumer.migration.policy").unwrap_or_default(),
        }
    }
}

impl GroupConfig {
    /// Resolves it.
    pub fn resolve(layers: Layers<'_>) -> Self {
        let count = |name: &str| usize::try_from(layers.size(name)).unwrap_or(usize::MAX);
        Self {
            min_session_timeout_ms: layers.int("group.min.session.timeout.ms"),
            max_session_timeout_ms: layers.int("group.max.session.timeout.ms"),
            initial_rebalance_delay_ms: layers.int("group.initial.rebalance.delay.ms"),
            max_size: count("group.max.size"),
            offset_metadata_max_bytes: count("offset.metadata.max.bytes"),
            offsets_commit_timeout: milliseconds(layers, "offsets.commit.timeout.ms"),
            offsets_load_buffer_bytes: count("offsets.load.buffer.size"),
            offsets_retention_ms: layers.size("offsets.retention.minutes").saturating_mul(60_000),
            offsets_retention_check_interval: milliseconds(layers, "offsets.retention.check.interval.ms"),
            offsets_topic_num_partitions: layers.int("offsets.topic.num.partitions"),
            offsets_topic_replication_factor: i16::try_from(layers.int("offsets.topic.replication.factor"))
                .unwrap_or(i16::MAX),
            offsets_topic_segment_bytes: layers.size("offsets.topic.segment.bytes"),
            consumer: ConsumerGroupConfig::resolve(layers),
        }
    }
}

/// What the transaction coordinator needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionConfig {
    /// `transaction.max.timeout.ms`.
    pub max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`.
    pub id_expiration_ms: u64,
    /// `request.timeout.ms`.
    pub request_timeout: Duration,
    /// `transaction.state.log.load.buffer.size`.
    pub load_buffer_bytes: usize,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub timeout_check_interval: Duration,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub expiration_check_interval: Duration,
    /// `add.partitions.to.txn.retry.backoff.ms`.
    pub add_partitions_backoff: Duration,
    /// `add.partitions.to.txn.retry.backoff.max.ms`.
    pub add_partitions_patience: Duration,
    /// `transaction.partition.verification.enable`.
    pub partition_verification: bool,
    /// `transaction.state.log.num.partitions`.
    pub topic_num_partitions: i32,
    /// `transaction.state.log.replication.factor`, before it is capped by the brokers the cluster is meant to have.
    pub topic_replication_factor: i16,
    /// `transaction.state.log.min.isr`.
    pub topic_min_isr: i32,
    /// `transaction.state.log.segment.bytes`.
    pub topic_segment_bytes: u64,
}

impl TransactionConfig {
    /// Resolves it.
    pub fn resolve(layers: Layers<'_>) -> Self {
        Self {
            max_timeout_ms: layers.int("transaction.max.timeout.ms"),
            id_expiration_ms: layers.size("transactional.id.expiration.ms"),
            request_timeout: milliseconds(layers, "request.timeout.ms"),
            load_buffer_bytes: usize::try_from(layers.size("transaction.state.log.load.buffer.size"))
                .unwrap_or(usize::MAX),
            timeout_check_interval: milliseconds(layers, "transaction.abort.timed.out.transaction.cleanup.interval.ms"),
            expiration_check_interval: milliseconds(
                layers,
                "transaction.remove.expired.transaction.cleanup.interval.ms",
            ),
            add_partitions_backoff: milliseconds(layers, "add.partitions.to.txn.retry.backoff.ms"),
            add_partitions_patience: milliseconds(layers, "add.partitions.to.txn.retry.backoff.max.ms"),
            partition_verification: layers.boolean("transaction.partition.verification.enable"),
            topic_num_partitions: layers.int("transaction.state.log.num.partitions"),
            topic_replication_factor: i16::try_from(layers.int("transaction.state.log.replication.factor"))
                .unwrap_or(i16::MAX),
            topic_min_isr: layers.int("transaction.state.log.min.isr"),
            topic_segment_bytes: layers.size("transaction.state.log.segment.bytes"),
        }
    }
}

macro_rules! defaults {
    ($($name:ident)*) => {
        $(impl Default for $name {
            /// What holds when nothing is configured.
            fn default() -> Self {
                Self::resolve(Layers::at_start(&super::StaticConfig::default()))
            }
        })*
    };
}

defaults!(NetworkConfig LogConfig CleanerConfig FollowerConfig ClusterConfig TopicCreationConfig GroupConfig TransactionConfig);
