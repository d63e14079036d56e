//! Why some keys change nothing here, where several keys share the reason.

pub(super) const REGEX_REFRESH: &str = "Expressions are resolved anew as soon as the topics have changed.";
pub(super) const COVERED: &str = "The metadata log is cut behind each snapshot, so it stays small by itself.";
pub(super) const GROUP_COMMIT: &str = "Records of a group are appended as they are decided, without a buffer.";
pub(super) const JVM_CLASS: &str = "Names a Java class, and leaving its rules out would be worse than not starting.";
pub(super) const JVM_PLUGIN: &str = "Names a Java class; this broker loads none and does without.";
pub(super) const NO_AUTHORIZER: &str = "Read only by an authorizer, which is refused.";
pub(super) const NO_SAMPLES: &str = "Metrics are plain counters and gauges; whoever reads them does the sampling.";
pub(super) const NO_SAMPLING: &str = "Controller events are traced, not sampled.";
pub(super) const NOT_TIERED: &str = "Tiered storage is not served.";
pub(super) const PURGATORY: &str =
    "Waiting requests are removed the moment they are answered; there is nothing to purge.";
pub(super) const PUSHED: &str =
    "The quorum's leader sends to its followers; nobody fetches, and elections back off by random waits.";
pub(super) const REMOTE: &str = "Read only where tiered storage is enabled, which is refused.";
pub(super) const SASL: &str = "Read only by SASL listeners, which refuse to start.";
pub(super) const SHARE: &str = "Share groups are not served, so no client can depend on it.";
pub(super) const SSL: &str = "Read only by SSL listeners, which refuse to start.";
pub(super) const STREAMS: &str = "Streams groups are not served, so no client can depend on it.";
pub(super) const THREADS: &str = "The runtime sizes its own threads: two for control, one per core for data.";
pub(super) const TOKENS: &str = "Read only where delegation tokens are enabled, which is refused.";
pub(super) const CHECKPOINTS: &str = "Checkpoints are written after each round of flushes, which is at least as often.";
pub(super) const ONE_FETCHER: &str = "One connection per leader fetches for all of its partitions.";
pub(super) const ONE_TRY: &str =
    "Each try has socket.connection.setup.timeout.ms; waiting longer for a dead broker helps nobody.";
pub(super) const SYSTEM_BUFFERS: &str = "The operating system sizes this buffer by the connection's speed.";
pub(super) const SNAPSHOTS: &str =
    "A snapshot follows every ten thousand records of metadata, which bounds their bytes as well.";
