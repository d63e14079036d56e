//! Consumer groups and the offsets they commit.

use super::super::key::keys;
use super::reasons::{GROUP_COMMIT, REGEX_REFRESH, THREADS};

keys! {
    /// Shortest session time-out a member may ask for, in milliseconds.
    Int "group.min.session.timeout.ms" = "6000"; in_force;
    /// Longest session time-out a member may ask for, in milliseconds.
    Int "group.max.session.timeout.ms" = "1800000"; in_force;
    /// How long a new group waits for more members before its first rebalance, in milliseconds.
    Int "group.initial.rebalance.delay.ms" = "3000"; in_force;
    /// Most members a classic group may have.
    Int "group.max.size" = "2147483647"; at_least(1), in_force;
    /// Group protocols the coordinator speaks.
    List "group.coordinator.rebalance.protocols" = "classic,consumer";
        each_of(&["consumer", "classic", "share", "streams"]), in_force;
    /// Number of threads of the group coordinator.
    Int "group.coordinator.threads" = "4"; at_least(1), high, accepted(THREADS);
    /// Number of threads for the group coordinator's background work.
    Int "group.coordinator.background.threads" = "2"; at_least(1), high, accepted(THREADS);
    /// How long the coordinator gathers records before it writes them, in milliseconds.
    Int "group.coordinator.append.linger.ms" = "-1"; at_least(-1), accepted(GROUP_COMMIT);
    /// Largest buffer in bytes the coordinator keeps between writes.
    Int "group.coordinator.cached.buffer.max.bytes" = "1048588";
        at_least(524_288), cluster_wide, accepted(GROUP_COMMIT);
    /// Longest text in bytes that a consumer may store with an offset.
    Int "offset.metadata.max.bytes" = "4096"; high, in_force;
    /// How long a commit waits until its replicas have it, in milliseconds.
    Int "offsets.commit.timeout.ms" = "5000"; at_least(1), high, in_force;
    /// How many bytes are read at a time when a coordinator loads its offsets.
    Int "offsets.load.buffer.size" = "5242880"; at_least(1), high, in_force;
    /// Offsets of a group without members are forgotten after this many minutes.
    Int "offsets.retention.minutes" = "10080"; at_least(1), high, in_force;
    /// How often offsets to forget are looked for, in milliseconds.
    Long "offsets.retention.check.interval.ms" = "600000"; at_least(1), high, in_force;
    /// Number of partitions of the topic that holds the offsets.
    Int "offsets.topic.num.partitions" = "50"; at_least(1), high, in_force;
    /// Number of replicas of the topic that holds the offsets; capped by the brokers the cluster is meant to have.
    Short "offsets.topic.replication.factor" = "3"; at_least(1), high, in_force;
    /// Segment size in bytes of the topic that holds the offsets.
    Int "offsets.topic.segment.bytes" = "104857600"; at_least(1), high, in_force;
    /// Codec for records in the offsets topic.
    Int "offsets.topic.compression.codec" = "0";
        high, accepted("Offsets are stored uncompressed; the records are small and soon compacted.");
    /// Assignors for groups of the consumer protocol, the first being the default.
    List "group.consumer.assignors" = "uniform,range";
        each_of(&[
            "uniform",
            "range",
            "org.apache.kafka.coordinator.group.assignor.UniformAssignor",
            "org.apache.kafka.coordinator.group.assignor.RangeAssignor",
        ]), in_force;
    /// Shortest time between two assignments of a group, in milliseconds.
    Int "group.consumer.assignment.interval.ms" = "1000"; at_least(0), cluster_wide, in_force;
    /// Lower bound for a group's assignment interval, in milliseconds.
    Int "group.consumer.min.assignment.interval.ms" = "0"; at_least(0), in_force;
    /// Upper bound for a group's assignment interval, in milliseconds.
    Int "group.consumer.max.assignment.interval.ms" = "15000"; at_least(0), in_force;
    /// How often members of the consumer protocol send a heartbeat, in milliseconds.
    Int "group.consumer.heartbeat.interval.ms" = "5000"; at_least(1), in_force;
    /// Lower bound for a group's heartbeat interval, in milliseconds.
    Int "group.consumer.min.heartbeat.interval.ms" = "5000"; at_least(1), in_force;
    /// Upper bound for a group's heartbeat interval, in milliseconds.
    Int "group.consumer.max.heartbeat.interval.ms" = "15000"; at_least(1), in_force;
    /// Members of the consumer protocol silent for this many milliseconds leave the group.
    Int "group.consumer.session.timeout.ms" = "45000"; at_least(1), in_force;
    /// Lower bound for a group's session time-out, in milliseconds.
    Int "group.consumer.min.session.timeout.ms" = "45000"; at_least(1), in_force;
    /// Upper bound for a group's session time-out, in milliseconds.
    Int "group.consumer.max.session.timeout.ms" = "60000"; at_least(1), in_force;
    /// Most members a group of the consumer protocol may have.
    Int "group.consumer.max.size" = "2147483647"; at_least(1), in_force;
    /// Whether groups may change between the classic and the consumer protocol.
    String "group.consumer.migration.policy" = "bidirectional";
        one_of_ignoring_case(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), in_force;
    /// How often subscriptions by pattern are resolved anew, in milliseconds.
    Int "group.consumer.regex.refresh.interval.ms" = "600000"; at_least(10_000), internal, accepted(REGEX_REFRESH);
}
