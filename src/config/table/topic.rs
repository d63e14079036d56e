//! What a single topic may set; what it does not set comes from the broker's keys.

use super::super::key::keys;
use super::reasons::NOT_TIERED;

keys! {
    /// What happens to old segments: `delete`, `compact` or both.
    List "cleanup.policy" = "delete"; each_of(&["compact", "delete"]), broker_key("log.cleanup.policy"), in_force;
    /// Codec batches are stored in; `producer` keeps what the producer chose, `uncompressed` stores none.
    String "compression.type" = "producer";
        one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), broker_key("compression.type"),
        in_force;
    /// Level used when the broker compresses with gzip; -1 is the codec's own default.
    Int "compression.gzip.level" = "-1"; between_or(1, 9, -1), broker_key("compression.gzip.level"), in_force;
    /// Level used when the broker compresses with lz4.
    Int "compression.lz4.level" = "9";
        between(1, 17), broker_key("compression.lz4.level"),
        refused("The lz4 encoder has one level, which is Kafka's default; leave it unset.");
    /// Level used when the broker compresses with zstd.
    Int "compression.zstd.level" = "3"; between(-131_072, 22), broker_key("compression.zstd.level"), in_force;
    /// How long a delete marker of a compacted topic is kept, in milliseconds.
    Long "delete.retention.ms" = "86400000";
        at_least(0), broker_key("log.cleaner.delete.retention.ms"), in_force;
    /// How long a deleted file stays on disk under another name, in milliseconds.
    Long "file.delete.delay.ms" = "60000"; at_least(0), broker_key("log.segment.delete.delay.ms"), in_force;
    /// A partition is flushed to disk when this many records have come since the last flush.
    Long "flush.messages" = "9223372036854775807"; at_least(1), broker_key("log.flush.interval.messages"), in_force;
    /// A partition is flushed to disk when its oldest unflushed record is this many milliseconds old.
    Long "flush.ms" = "9223372036854775807"; at_least(0), broker_key("log.flush.interval.ms"), in_force;
    /// How many bytes of batches lie between two entries of a segment's offset index.
    Int "index.interval.bytes" = "4096"; at_least(0), broker_key("log.index.interval.bytes"), in_force;
    /// Segment size below the usual bound, in the place of segment.bytes; for tests.
    Int "internal.segment.bytes" = null; at_least(1), internal, in_force;
    /// Replicas whose leader sends at a throttled rate, as partition:broker, or `*`.
    List "leader.replication.throttled.replicas" = ""; throttled_replicas, in_force;
    /// Replicas that fetch at a throttled rate, as partition:broker, or `*`.
    List "follower.replication.throttled.replicas" = ""; throttled_replicas, in_force;
    /// How many bytes of a tiered partition stay on local disk.
    Long "local.retention.bytes" = "-2"; at_least(-2), broker_key("log.local.retention.bytes"), refused(NOT_TIERED);
    /// How long segments of a tiered partition stay on local disk, in milliseconds.
    Long "local.retention.ms" = "-2"; at_least(-2), broker_key("log.local.retention.ms"), refused(NOT_TIERED);
    /// Whether a tiered topic stops copying to remote storage.
    Boolean "remote.log.copy.disable" = "false"; refused(NOT_TIERED);
    /// Whether remote segments are deleted when tiering is switched off.
    Boolean "remote.log.delete.on.disable" = "false"; refused(NOT_TIERED);
    /// Whether old segments of the topic are moved to remote storage.
    Boolean "remote.storage.enable" = "false"; refused(NOT_TIERED);
    /// A record is compacted at the latest after this many milliseconds.
    Long "max.compaction.lag.ms" = "9223372036854775807";
        at_least(1), broker_key("log.cleaner.max.compaction.lag.ms"), in_force;
    /// Largest record batch in bytes that a producer may send.
    Int "max.message.bytes" = "1048588"; at_least(0), broker_key("message.max.bytes"), in_force;
    /// How far a record's timestamp may lie after the broker's clock, in milliseconds.
    Long "message.timestamp.after.max.ms" = "3600000";
        at_least(0), broker_key("log.message.timestamp.after.max.ms"), in_force;
    /// How far a record's timestamp may lie before the broker's clock, in milliseconds.
    Long "message.timestamp.before.max.ms" = "9223372036854775807";
        at_least(0), broker_key("log.message.timestamp.before.max.ms"), in_force;
    /// Whether a record keeps its producer's time (`CreateTime`) or gets the broker's (`LogAppendTime`).
    String "message.timestamp.type" = "CreateTime";
        one_of(&["CreateTime", "LogAppendTime"]), broker_key("log.message.timestamp.type"), in_force;
    /// Share of a compacted log that must be dirty before it is cleaned.
    Double "min.cleanable.dirty.ratio" = "0.5";
        fraction(1.0), broker_key("log.cleaner.min.cleanable.ratio"), in_force;
    /// A record stays uncompacted for at least this many milliseconds.
    Long "min.compaction.lag.ms" = "0"; at_least(0), broker_key("log.cleaner.min.compaction.lag.ms"), in_force;
    /// Smallest number of in-sync replicas with which a produce with acks=all is accepted.
    Int "min.insync.replicas" = "1"; at_least(1), broker_key("min.insync.replicas"), in_force;
    /// Whether a new segment's file is allocated at full size.
    Boolean "preallocate" = "false"; broker_key("log.preallocate"), in_force;
    /// Oldest segments are deleted while a partition is larger than this many bytes; -1 sets no bound.
    Long "retention.bytes" = "-1"; broker_key("log.retention.bytes"), in_force;
    /// Closed segments whose records are all older than this many milliseconds are deleted; -1 keeps them for ever.
    Long "retention.ms" = "604800000"; at_least(-1), broker_key("log.retention.ms"), in_force;
    /// A segment that would grow beyond this many bytes is closed and a new one begun.
    Int "segment.bytes" = "1073741824"; at_least(1_048_576), broker_key("log.segment.bytes"), in_force;
    /// Largest size in bytes of a segment's index; a full one closes the segment.
    Int "segment.index.bytes" = "10485760"; at_least(4), broker_key("log.index.size.max.bytes"), in_force;
    /// Random time in milliseconds by which a segment is closed earlier, so that not all close at once.
    Long "segment.jitter.ms" = "0"; at_least(0), broker_key("log.roll.jitter.ms"), in_force;
    /// A segment older than this many milliseconds is closed even when it is not full.
    Long "segment.ms" = "604800000"; at_least(1), broker_key("log.roll.ms"), in_force;
    /// Whether a replica outside the in-sync replicas may become leader, at the price of losing records.
    Boolean "unclean.leader.election.enable" = "false"; broker_key("unclean.leader.election.enable"), in_force;
    /// A record counts only where it is on disk: acks=1 waits for the leader's disk, and acks=all for those of all
    /// replicas in sync, so that what is acknowledged survives a power cut of all of them.
    Boolean "flush.before.ack" = "false"; broker_key("ottla.flush.before.ack"), in_force;
}
