//! What of the broker's configuration a group needs.

use super::Assignor;

/// Limits and delays of groups; Kafka's property names are in the comments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`: how long the first members of an empty group wait for more.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`
    pub size_max: usize,
    /// `offset.metadata.max.bytes`
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// Bytes of protocol metadata that one member may bring. More could never be persisted, because all of a
    /// group's metadata is one record; 1 MiB is what the offsets topic accepts.
    pub member_metadata_bytes_max: usize,
    /// Bytes of protocol metadata that a whole group may hold in memory.
    pub group_metadata_bytes_max: usize,
    /// Members that were told their id (KIP-394) and have not come back with it.
    pub pending_members_max: usize,
    /// For groups of the consumer protocol.
    pub consumer: ConsumerGroupConfig,
}

/// Limits of groups of the consumer protocol (KIP-848).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroupConfig {
    /// True when `group.coordinator.rebalance.protocols` has `consumer`.
    pub enabled: bool,
    /// `group.consumer.max.size`
    pub size_max: usize,
    /// `group.consumer.assignors`; the first is for members that ask for none.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`
    pub migration: MigrationPolicy,
}

/// Which changes of protocol are allowed (`group.consumer.migration.policy`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MigrationPolicy {
    /// From classic to consumer.
    pub upgrade: bool,
    /// From consumer to classic.
    pub downgrade: bool,
}

impl MigrationPolicy {
    /// The policy of this name, in any case; none is named `DISABLED`.
    pub fn from_name(name: &str) -> Self {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        let both = is("BIDIRECTIONAL");
        Self { upgrade: both || is("UPGRADE"), downgrade: both || is("DOWNGRADE") }
    }
}

impl Default for ConsumerGroupConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            size_max: i32::MAX as usize,
            assignors: Assignor::ALL.to_vec(),
            migration: MigrationPolicy { upgrade: true, downgrade: true },
        }
    }
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            size_max: i32::MAX as usize,
            offset_metadata_bytes_max: 4096,
            offsets_retention_ms: 10_080 * 60_000,
            member_metadata_bytes_max: 1024 * 1024,
            group_metadata_bytes_max: 32 * 1024 * 1024,
            pending_members_max: 10_000,
            consumer: ConsumerGroupConfig::default(),
        }
    }
}
