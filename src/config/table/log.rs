//! Where logs lie, when they roll, are flushed, cleaned and deleted.

use super::super::key::keys;
use super::reasons::CHECKPOINTS;

keys! {
    /// Folder for the logs, used when log.dirs is not set.
    List "log.dir" = "./ottla-data"; high, in_force;
    /// Folders for the logs.
    List "log.dirs" = null; high, stand_ins(&[("log.dir", 1)]), in_force;
    /// Log directories that get no new partitions.
    List "cordoned.log.dirs" = "";
        per_broker, refused("New partitions go to the directory with the fewest; none can be kept from getting some.");
    /// How long a broker may keep a failed log directory to itself before it stops, in milliseconds.
    Long "log.dir.failure.timeout.ms" = "30000";
        at_least(1), low, in_force;
    /// A segment that would grow beyond this many bytes is closed and a new one begun.
    Int "log.segment.bytes" = "1073741824"; at_least(1_048_576), high, cluster_wide, in_force;
    /// A segment older than this many milliseconds is closed even when it is not full.
    Long "log.roll.ms" = null; high, cluster_wide, stand_ins(&[("log.roll.hours", 3_600_000)]), in_force;
    /// Like log.roll.ms, in hours; the finer unit wins.
    Int "log.roll.hours" = "168"; at_least(1), high, in_force;
    /// Random time in milliseconds by which a segment is closed earlier, so that not all close at once.
    Long "log.roll.jitter.ms" = null; high, cluster_wide, stand_ins(&[("log.roll.jitter.hours", 3_600_000)]), in_force;
    /// Like log.roll.jitter.ms, in hours; the finer unit wins.
    Int "log.roll.jitter.hours" = "0"; at_least(0), high, in_force;
    /// Closed segments whose records are all older than this many milliseconds are deleted; -1 keeps them for ever.
    Long "log.retention.ms" = null;
        high, cluster_wide, stand_ins(&[("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)]),
        in_force;
    /// Like log.retention.ms, in minutes; the finer unit wins.
    Int "log.retention.minutes" = null; high, in_force;
    /// Like log.retention.ms, in hours; the finer units win.
    Int "log.retention.hours" = "168"; high, in_force;
    /// Oldest segments are deleted while a partition is larger than this many bytes; -1 sets no bound.
    Long "log.retention.bytes" = "-1"; high, cluster_wide, in_force;
    /// How often segments are checked for deletion, in milliseconds.
    Long "log.retention.check.interval.ms" = "300000"; at_least(1), in_force;
    /// What happens to old segments: `delete`, `compact` or both.
    List "log.cleanup.policy" = "delete"; each_of(&["compact", "delete"]), cluster_wide, in_force;
    /// How long a deleted file stays on disk under another name, in milliseconds.
    Long "log.segment.delete.delay.ms" = "60000"; at_least(0), high, cluster_wide, in_force;
    /// How many bytes of batches lie between two entries of a segment's offset index.
    Int "log.index.interval.bytes" = "4096"; at_least(0), cluster_wide, in_force;
    /// Largest size in bytes of a segment's index; a full one closes the segment.
    Int "log.index.size.max.bytes" = "10485760"; at_least(4), cluster_wide, in_force;
    /// Whether a new segment's file is allocated at full size.
    Boolean "log.preallocate" = "false"; cluster_wide, in_force;
    /// A partition is flushed to disk when this many records have come since the last flush.
    Long "log.flush.interval.messages" = "9223372036854775807"; at_least(1), high, cluster_wide, in_force;
    /// A partition is flushed to disk when its oldest unflushed record is this many milliseconds old.
    Long "log.flush.interval.ms" = null;
        high, cluster_wide, stand_ins(&[("log.flush.scheduler.interval.ms", 1)]), in_force;
    /// Stands in for log.flush.interval.ms when that is not set, in milliseconds.
    Long "log.flush.scheduler.interval.ms" = "9223372036854775807"; high, in_force;
    /// How often recovery points are written to their checkpoint file, in milliseconds.
    Int "log.flush.offset.checkpoint.interval.ms" = "60000"; at_least(0), high, accepted(CHECKPOINTS);
    /// How often log start offsets are written to their checkpoint file, in milliseconds.
    Int "log.flush.start.offset.checkpoint.interval.ms" = "60000"; at_least(0), high, accepted(CHECKPOINTS);
    /// How long after the start the log's background work begins, in milliseconds.
    Long "log.initial.task.delay.ms" = "30000";
        at_least(0), low, internal,
        accepted("The first round of retention comes after one interval, long after the start.");
    /// Whether a record keeps its producer's time (`CreateTime`) or gets the broker's (`LogAppendTime`).
    String "log.message.timestamp.type" = "CreateTime";
        one_of(&["CreateTime", "LogAppendTime"]), cluster_wide, in_force;
    /// How far a record's timestamp may lie before the broker's clock, in milliseconds.
    Long "log.message.timestamp.before.max.ms" = "9223372036854775807"; at_least(0), cluster_wide, in_force;
    /// How far a record's timestamp may lie after the broker's clock, in milliseconds.
    Long "log.message.timestamp.after.max.ms" = "3600000"; at_least(0), cluster_wide, in_force;
    /// Largest record batch in bytes that a producer may send.
    Int "message.max.bytes" = "1048588"; at_least(0), high, cluster_wide, in_force;
    /// Codec batches are stored in; `producer` keeps what the producer chose, `uncompressed` stores none.
    String "compression.type" = "producer";
        one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), high, cluster_wide, in_force;
    /// Level used when the broker compresses with gzip; -1 is the codec's own default.
    Int "compression.gzip.level" = "-1"; between_or(1, 9, -1), cluster_wide, in_force;
    /// Level used when the broker compresses with lz4.
    Int "compression.lz4.level" = "9";
        between(1, 17), cluster_wide,
        accepted("The lz4 encoder knows one level; what it writes is read by every client.");
    /// Level used when the broker compresses with zstd.
    Int "compression.zstd.level" = "3"; between(-131_072, 22), cluster_wide, in_force;
    /// Whether compacted topics are cleaned.
    Boolean "log.cleaner.enable" = "true"; in_force;
    /// Number of threads that clean compacted topics.
    Int "log.cleaner.threads" = "1"; at_least(0), cluster_wide,
        accepted("One thread cleans, the dirtiest log first.");
    /// How long the cleaner sleeps when there is nothing to clean, in milliseconds.
    Long "log.cleaner.backoff.ms" = "15000"; at_least(0), cluster_wide, in_force;
    /// Memory in bytes for finding duplicate keys.
    Long "log.cleaner.dedupe.buffer.size" = "134217728"; cluster_wide, in_force;
    /// Memory in bytes for the cleaner's reading and writing.
    Int "log.cleaner.io.buffer.size" = "524288"; at_least(0), cluster_wide,
        accepted("The cleaner reads a megabyte at a time, or a batch that is larger.");
    /// How full the cleaner's table of keys may become.
    Double "log.cleaner.io.buffer.load.factor" = "0.9"; cluster_wide,
        accepted("The table of keys grows as it is filled, up to log.cleaner.dedupe.buffer.size.");
    /// Most bytes per second the cleaner reads and writes.
    Double "log.cleaner.io.max.bytes.per.second" = "1.7976931348623157E308"; cluster_wide, in_force;
    /// How long a delete marker of a compacted topic is kept, in milliseconds.
    Long "log.cleaner.delete.retention.ms" = "86400000"; at_least(0), cluster_wide, in_force;
    /// Share of a compacted log that must be dirty before it is cleaned.
    Double "log.cleaner.min.cleanable.ratio" = "0.5"; fraction(1.0), cluster_wide, in_force;
    /// A record stays uncompacted for at least this many milliseconds.
    Long "log.cleaner.min.compaction.lag.ms" = "0"; at_least(0), cluster_wide, in_force;
    /// A record is compacted at the latest after this many milliseconds.
    Long "log.cleaner.max.compaction.lag.ms" = "9223372036854775807"; at_least(1), cluster_wide, in_force;
    /// Number of threads that load and recover logs at start.
    Int "num.recovery.threads.per.data.dir" = "2"; at_least(1), high, in_force;
    /// Number of threads that move replicas between log directories.
    Int "num.replica.alter.log.dirs.threads" = null;
        high, in_force;
    /// A partition forgets an idempotent producer that has been silent for this many milliseconds.
    Int "producer.id.expiration.ms" = "86400000"; at_least(1), low, cluster_wide, in_force;
    /// How often partitions look for producers to forget, in milliseconds.
    Int "producer.id.expiration.check.interval.ms" = "600000";
        at_least(1), low, internal, accepted("Producers are forgotten whenever segments are checked for deletion.");
}
