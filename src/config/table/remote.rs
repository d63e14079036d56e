//! Tiered storage, which is not served.

use super::super::key::keys;
use super::reasons::REMOTE;

keys! {
    /// Whether old segments may be moved to remote storage.
    Boolean "remote.log.storage.system.enable" = "false"; refused("Tiered storage is not served.");
    /// Whether a new follower begins at the last offset held remotely.
    Boolean "follower.fetch.last.tiered.offset.enable" = "false"; cluster_wide, accepted(REMOTE);
    /// How many bytes of a tiered partition stay on local disk.
    Long "log.local.retention.bytes" = "-2"; at_least(-2), cluster_wide, accepted(REMOTE);
    /// How long segments of a tiered partition stay on local disk, in milliseconds.
    Long "log.local.retention.ms" = "-2"; at_least(-2), cluster_wide, accepted(REMOTE);
    /// Longest time a fetch waits for remote storage, in milliseconds.
    Int "remote.fetch.max.wait.ms" = "500"; at_least(1), cluster_wide, accepted(REMOTE);
    /// Longest time ListOffsets waits for remote storage, in milliseconds.
    Long "remote.list.offsets.request.timeout.ms" = "30000"; at_least(1), cluster_wide, accepted(REMOTE);
    /// Space in bytes for indexes fetched from remote storage.
    Long "remote.log.index.file.cache.total.size.bytes" = "1073741824";
        at_least(1), low, cluster_wide, accepted(REMOTE);
    /// How long a fetched index stays cached, in milliseconds.
    Long "remote.log.index.file.cache.ttl.ms" = "900000"; at_least(-1), low, internal, accepted(REMOTE);
    /// Number of threads that copy segments to remote storage.
    Int "remote.log.manager.copier.thread.pool.size" = "10"; at_least(1), cluster_wide, accepted(REMOTE);
    /// Most bytes per second copied to remote storage.
    Long "remote.log.manager.copy.max.bytes.per.second" = "9223372036854775807";
        at_least(1), cluster_wide, accepted(REMOTE);
    /// Number of samples kept for the copy quota.
    Int "remote.log.manager.copy.quota.window.num" = "11"; at_least(1), accepted(REMOTE);
    /// Length in seconds of a sample for the copy quota.
    Int "remote.log.manager.copy.quota.window.size.seconds" = "1"; at_least(1), accepted(REMOTE);
    /// Number of threads that delete expired remote segments.
    Int "remote.log.manager.expiration.thread.pool.size" = "10"; at_least(1), cluster_wide, accepted(REMOTE);
    /// Most bytes per second read from remote storage.
    Long "remote.log.manager.fetch.max.bytes.per.second" = "9223372036854775807";
        at_least(1), cluster_wide, accepted(REMOTE);
    /// Number of samples kept for the remote read quota.
    Int "remote.log.manager.fetch.quota.window.num" = "11"; at_least(1), accepted(REMOTE);
    /// Length in seconds of a sample for the remote read quota.
    Int "remote.log.manager.fetch.quota.window.size.seconds" = "1"; at_least(1), accepted(REMOTE);
    /// Number of threads that follow remote metadata on followers.
    Int "remote.log.manager.follower.thread.pool.size" = "2"; at_least(1), cluster_wide, accepted(REMOTE);
    /// How often remote storage tasks run, in milliseconds.
    Long "remote.log.manager.task.interval.ms" = "30000"; at_least(1), low, accepted(REMOTE);
    /// Longest pause before a remote storage task runs again, in milliseconds.
    Long "remote.log.manager.task.retry.backoff.max.ms" = "30000"; at_least(1), low, internal, accepted(REMOTE);
    /// First pause before a remote storage task runs again, in milliseconds.
    Long "remote.log.manager.task.retry.backoff.ms" = "500"; at_least(1), low, internal, accepted(REMOTE);
    /// Random share added to the pauses of remote storage tasks.
    Double "remote.log.manager.task.retry.jitter" = "0.2"; fraction(0.5), low, internal, accepted(REMOTE);
    /// Number of threads for remote storage tasks.
    Int "remote.log.manager.thread.pool.size" = "2"; at_least(1), accepted(REMOTE);
    /// Largest custom metadata in bytes a storage plug-in may return.
    Int "remote.log.metadata.custom.metadata.max.bytes" = "128"; at_least(0), low, accepted(REMOTE);
    /// Class that stores the metadata of remote segments.
    String "remote.log.metadata.manager.class.name" =
        "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager";
        non_empty, accepted(REMOTE);
    /// Class path of the remote metadata plug-in.
    String "remote.log.metadata.manager.class.path" = null; accepted(REMOTE);
    /// Prefix of the remote metadata plug-in's own keys.
    String "remote.log.metadata.manager.impl.prefix" = "rlmm.config."; non_empty, accepted(REMOTE);
    /// Listener the remote metadata plug-in connects to.
    String "remote.log.metadata.manager.listener.name" = null; non_empty, accepted(REMOTE);
    /// Most reads from remote storage that may wait.
    Int "remote.log.reader.max.pending.tasks" = "100"; at_least(1), accepted(REMOTE);
    /// Number of threads that read from remote storage.
    Int "remote.log.reader.threads" = "10"; at_least(1), cluster_wide, accepted(REMOTE);
    /// Class that stores segments remotely.
    String "remote.log.storage.manager.class.name" = null; non_empty, accepted(REMOTE);
    /// Class path of the remote storage plug-in.
    String "remote.log.storage.manager.class.path" = null; accepted(REMOTE);
    /// Prefix of the remote storage plug-in's own keys.
    String "remote.log.storage.manager.impl.prefix" = "rsm.config."; non_empty, accepted(REMOTE);
}
