//! How fast replicas that are not in sync may be fed (KIP-73), and moved between data directories (KIP-113).

use super::layers::Layers;

/// The rates of one broker, and over how long they are measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplicationQuotaConfig {
    /// `leader.replication.throttled.rate` in bytes per second; `None` sets no bound.
    pub leader_rate: Option<u64>,
    /// `follower.replication.throttled.rate` in bytes per second; `None` sets no bound.
    pub follower_rate: Option<u64>,
    /// `replication.quota.window.num`: samples that a rate is measured over, at least one.
    pub window_num: usize,
    /// `replication.quota.window.size.seconds`, in milliseconds: the length of a sample, at least one second.
    pub window_size_ms: u64,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`; `None` sets no bound.
    pub mover_rate: Option<u64>,
    /// `alter.log.dirs.replication.quota.window.num`, as above.
    pub mover_window_num: usize,
    /// `alter.log.dirs.replication.quota.window.size.seconds`, as above.
    pub mover_window_size_ms: u64,
}

impl ReplicationQuotaConfig {
    /// Resolves it.
    pub fn resolve(layers: Layers<'_>) -> Self {
        // Kafka's default is the largest number there is: no bound.
        let rate = |name| Some(layers.size(name)).filter(|rate| *rate < i64::MAX as u64);
        Self {
            leader_rate: rate("leader.replication.throttled.rate"),
            follower_rate: rate("follower.replication.throttled.rate"),
            window_num: usize::try_from(layers.int("replication.quota.window.num")).unwrap_or(1),
            window_size_ms: layers.size("replication.quota.window.size.seconds").saturating_mul(1_000),
            mover_rate: rate("replica.alter.log.dirs.io.max.bytes.per.second"),
            mover_window_num: usize::try_from(layers.int("alter.log.dirs.replication.quota.window.num")).unwrap_or(1),
            mover_window_size_ms: layers
                .size("alter.log.dirs.replication.quota.window.size.seconds")
                .saturating_mul(1_000),
        }
    }
}

impl Default for ReplicationQuotaConfig {
    fn default() -> Self {
        Self::resolve(Layers::at_start(&super::StaticConfig::default()))
    }
}
