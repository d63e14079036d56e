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
#[derive(Clone, PartialEq, Eq, Debug)]
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
    /// `file.delete.delay.ms`: how long a deleted file stays as `.deleted`.
    pub file_delete_delay_ms: u64,
    /// `producer.id.expiration.ms`: an idle producer id is forgotten after this.
    pub producer_id_expiration_ms: i64,
    /// Bytes of zeros kept written ahead of the end of the active segment, so that a sync need not
    /// write the file's new length. 0 writes none. Ours; for the Raft log.
    pub zero_fill_ahead_bytes: u64,
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
            file_delete_delay_ms: 60_000,
            producer_id_expiration_ms: 86_400_000,
            zero_fill_ahead_bytes: 0,
        }
    }
}
