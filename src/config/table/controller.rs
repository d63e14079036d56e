//! The controller quorum, its timers, and the metadata log.

use super::super::key::keys;
use super::reasons::{COVERED, NO_SAMPLING, PUSHED, SNAPSHOTS};

keys! {
    /// Names of the listeners that the controllers use.
    List "controller.listener.names" = "CONTROLLER"; high, in_force;
    /// The voters of the controller quorum, as id@host:port.
    List "controller.quorum.voters" = ""; high, in_force;
    /// Addresses at which the controller quorum can be found.
    List "controller.quorum.bootstrap.servers" = ""; high, in_force;
    /// Whether a controller adds itself to the voters.
    Boolean "controller.quorum.auto.join.enable" = "false";
        low, accepted("A node named among the voters always joins by itself.");
    /// Longest time in milliseconds a controller waits for its leader before it asks for votes; a random part is taken
    /// off, and a fifth of it is the leader's heartbeat.
    Int "controller.quorum.election.timeout.ms" = "500"; at_least(0), high, in_force;
    /// Longest pause before another election, in milliseconds.
    Int "controller.quorum.election.backoff.max.ms" = "1000"; at_least(0), high, accepted(PUSHED);
    /// How long a controller fetches in vain before it becomes a candidate, in milliseconds.
    Int "controller.quorum.fetch.timeout.ms" = "2000"; at_least(0), high, accepted(PUSHED);
    /// Most bytes of metadata one fetch returns.
    Int "controller.quorum.fetch.max.bytes" = "1048576"; at_least(1), low, accepted(PUSHED);
    /// Most bytes of a snapshot one fetch returns.
    Int "controller.quorum.fetch.snapshot.max.bytes" = "1048576"; at_least(1), low, accepted(PUSHED);
    /// How long the leader gathers records before it writes them, in milliseconds.
    Int "controller.quorum.append.linger.ms" = "25";
        at_least(0),
        accepted("The leader writes one batch while it gathers the next, so there is nothing to wait for.");
    /// How long a controller waits for another one's answer, in milliseconds.
    Int "controller.quorum.request.timeout.ms" = "2000";
        at_least(0), accepted("A call within the quorum waits as long as an election takes.");
    /// How long a controller waits before it tries again, in milliseconds.
    Int "controller.quorum.retry.backoff.ms" = "20";
        at_least(0), low, accepted("Calls within the quorum are repeated with the heartbeat.");
    /// How long a broker waits for a controller's answer, in milliseconds.
    Int "controller.socket.timeout.ms" = "30000";
        accepted("A request to the controllers waits as long as the client it serves.");
    /// Controller events slower than this many milliseconds are always logged.
    Long "controller.performance.always.log.threshold.ms" = "2000"; at_least(0), internal, accepted(NO_SAMPLING);
    /// How often the slowest controller events are logged, in milliseconds.
    Long "controller.performance.sample.period.ms" = "60000"; at_least(100), internal, accepted(NO_SAMPLING);
    /// Folder for the metadata log; the first of log.dirs when not set.
    String "metadata.log.dir" = null; high, in_force;
    /// A snapshot is written after this many bytes of new metadata records.
    Long "metadata.log.max.record.bytes.between.snapshots" = "20971520"; at_least(1), high, accepted(SNAPSHOTS);
    /// A snapshot is written at the latest after this many milliseconds, if there are new records; 0 sets no time.
    Long "metadata.log.max.snapshot.interval.ms" = "3600000"; at_least(0), high, accepted(SNAPSHOTS);
    /// Size in bytes at which a segment of the metadata log is closed.
    Int "metadata.log.segment.bytes" = "1073741824"; at_least(8_388_608), high, accepted(COVERED);
    /// Age in milliseconds at which a segment of the metadata log is closed.
    Long "metadata.log.segment.ms" = "604800000"; high, accepted(COVERED);
    /// Size of metadata log and snapshots in bytes beyond which the oldest are deleted.
    Long "metadata.max.retention.bytes" = "104857600"; high, accepted(COVERED);
    /// Age in milliseconds beyond which metadata segments and snapshots are deleted.
    Long "metadata.max.retention.ms" = "604800000"; high, accepted(COVERED);
    /// How often the active controller writes an empty record when nothing happens, in milliseconds.
    Int "metadata.max.idle.interval.ms" = "500";
        at_least(0), low, accepted("The leader's heartbeat shows that the quorum works; no empty records are written.");
    /// How long a deleted metadata file stays on disk, in milliseconds.
    Long "internal.metadata.delete.delay.millis" = "60000"; low, internal, accepted(COVERED);
    /// Segment size for Kafka's own tests.
    Int "internal.metadata.log.segment.bytes" = null; low, internal, accepted(COVERED);
    /// Largest batch of metadata records in bytes.
    Int "internal.metadata.max.batch.size.in.bytes" = "8388608";
        low, internal, accepted("The leader bounds a batch by the number of commands that wait.");
}
