//! What a log is told, in the words of Kafka's topic configuration.

/// `cleanup.policy`; both may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanupPolicy {
    /// Old segments are deleted by time and size.
    pub delete: bool,
    /// The newest record of each key is kept.
    pub compact: bool,
}

/// The settings of one log. The defaults are Kafka's.
#[derive(Clone, PartialEq, Debug)]
pub struct LogConfig {
    /// `segment.bytes`: a segment file grows no larger.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment is rolled when its records span more than this.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: a random part of this is taken off `segment_ms`, so that partitions do not roll together.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: a segment is rolled when an index would grow past this.
    pub segment_index_bytes: u64,
    /// `index.interval.bytes`: bytes of batches between two index entries.
    pub index_interval_bytes: u64,
    /// `retention.ms`; −1 keeps for ever.
    pub retention_ms: i64,
    /// `retention.bytes`; −1 keeps all.
    pub retention_bytes: i64,
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `min.cleanable.dirty.ratio`: a compacted log is cleaned once more than this share of it is not yet.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: younger records are not compacted away.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: older records are compacted, however small their share.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long a tombstone is kept, from the first cleaning that meets it.
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`: how long a deleted file stays as `.deleted`.
    pub file_delete_delay_ms: u64,
    /// `preallocate`: room for a whole segment is taken when it begins.
    pub preallocate: bool,
    /// `producer.id.expiration.ms`: an idle producer id is forgotten after this.
    pub producer_id_expiration_ms: i64,
    /// Bytes of zeros kept written ahead of the end of the active segment, so that a sync need not
    /// write the file's new length. 0 writes none. Ours; for the Raft log.
    pub zero_fill_ahead_bytes: u64,
}

impl LogConfig {
    /// After how long a segment is rolled: what is in the active one cannot be compacted.
    pub(super) fn roll_ms(&self) -> i64 {
        if self.cleanup_policy.compact { self.segment_ms.min(self.max_compaction_lag_ms) } else { self.segment_ms }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 7 * 24 * 3_600_000,
            retention_bytes: -1,
            cleanup_policy: CleanupPolicy { delete: true, compact: false },
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 86_400_000,
            file_delete_delay_ms: 60_000,
            preallocate: false,
            producer_id_expiration_ms: 86_400_000,
            zero_fill_ahead_bytes: 0,
        }
    }
}
