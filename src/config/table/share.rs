//! Share groups and streams groups, which are not served.

use super::super::key::keys;
use super::reasons::{SHARE, STREAMS};

keys! {
    /// Shortest time between two assignments of a share group, in milliseconds.
    Int "group.share.assignment.interval.ms" = "1000"; at_least(0), cluster_wide, accepted(SHARE);
    /// Assignors for share groups.
    List "group.share.assignors" = "simple"; accepted(SHARE);
    /// How often a record is delivered to a share group before it is given up.
    Int "group.share.delivery.count.limit" = "5"; between(2, 10), accepted(SHARE);
    /// How often members of a share group send a heartbeat, in milliseconds.
    Int "group.share.heartbeat.interval.ms" = "5000"; at_least(1), accepted(SHARE);
    /// Pause before the state of a share group is initialised again, in milliseconds.
    Int "group.share.initialize.retry.interval.ms" = "30000"; at_least(1), low, internal, accepted(SHARE);
    /// Upper bound for a share group's assignment interval, in milliseconds.
    Int "group.share.max.assignment.interval.ms" = "15000"; at_least(0), accepted(SHARE);
    /// Upper bound for a share group's delivery count limit.
    Int "group.share.max.delivery.count.limit" = "10"; between(5, 25), accepted(SHARE);
    /// Upper bound for a share group's heartbeat interval, in milliseconds.
    Int "group.share.max.heartbeat.interval.ms" = "15000"; at_least(1), accepted(SHARE);
    /// Upper bound for a share group's locked records per partition.
    Int "group.share.max.partition.max.record.locks" = "4000"; between(2000, 10_000), accepted(SHARE);
    /// Upper bound for a share group's lock duration, in milliseconds.
    Int "group.share.max.record.lock.duration.ms" = "60000"; between(30_000, 3_600_000), accepted(SHARE);
    /// Upper bound for a share group's session time-out, in milliseconds.
    Int "group.share.max.session.timeout.ms" = "60000"; at_least(1), accepted(SHARE);
    /// Most share sessions a broker holds.
    Int "group.share.max.share.sessions" = "2000"; at_least(1), accepted(SHARE);
    /// Most members a share group may have.
    Int "group.share.max.size" = "200"; between(1, 1000), accepted(SHARE);
    /// Lower bound for a share group's assignment interval, in milliseconds.
    Int "group.share.min.assignment.interval.ms" = "0"; at_least(0), accepted(SHARE);
    /// Lower bound for a share group's delivery count limit.
    Int "group.share.min.delivery.count.limit" = "2"; between(2, 5), accepted(SHARE);
    /// Lower bound for a share group's heartbeat interval, in milliseconds.
    Int "group.share.min.heartbeat.interval.ms" = "5000"; at_least(1), accepted(SHARE);
    /// Lower bound for a share group's locked records per partition.
    Int "group.share.min.partition.max.record.locks" = "100"; between(100, 2000), accepted(SHARE);
    /// Lower bound for a share group's lock duration, in milliseconds.
    Int "group.share.min.record.lock.duration.ms" = "15000"; between(1000, 30_000), accepted(SHARE);
    /// Lower bound for a share group's session time-out, in milliseconds.
    Int "group.share.min.session.timeout.ms" = "45000"; at_least(1), accepted(SHARE);
    /// Most records of one partition a share group may hold locked.
    Int "group.share.partition.max.record.locks" = "2000"; between(100, 10_000), accepted(SHARE);
    /// Class that stores the state of share groups.
    String "group.share.persister.class.name" = "org.apache.kafka.server.share.persister.DefaultStatePersister";
        internal, accepted(SHARE);
    /// How long a record handed to a share consumer stays locked, in milliseconds.
    Int "group.share.record.lock.duration.ms" = "30000"; between(1000, 3_600_000), accepted(SHARE);
    /// Members of a share group silent for this many milliseconds leave it.
    Int "group.share.session.timeout.ms" = "45000"; at_least(1), accepted(SHARE);
    /// How long the share coordinator gathers records before it writes them, in milliseconds.
    Int "share.coordinator.append.linger.ms" = "-1"; at_least(-1), accepted(SHARE);
    /// Largest buffer in bytes the share coordinator keeps between writes.
    Int "share.coordinator.cached.buffer.max.bytes" = "1048588"; at_least(524_288), cluster_wide, accepted(SHARE);
    /// How often idle share partitions are snapshotted, in milliseconds.
    Int "share.coordinator.cold.partition.snapshot.interval.ms" = "300000"; at_least(1), low, internal, accepted(SHARE);
    /// How many bytes are read at a time when the share coordinator loads.
    Int "share.coordinator.load.buffer.size" = "5242880"; at_least(1), high, accepted(SHARE);
    /// Number of updates between two snapshots of a share partition.
    Int "share.coordinator.snapshot.update.records.per.snapshot" = "500"; between(0, 500), accepted(SHARE);
    /// Codec for records in the share state topic.
    Int "share.coordinator.state.topic.compression.codec" = "0"; high, accepted(SHARE);
    /// Smallest number of in-sync replicas of the share state topic.
    Short "share.coordinator.state.topic.min.isr" = "2"; at_least(1), high, accepted(SHARE);
    /// Number of partitions of the share state topic.
    Int "share.coordinator.state.topic.num.partitions" = "50"; at_least(1), high, accepted(SHARE);
    /// How often the share state topic is pruned, in milliseconds.
    Int "share.coordinator.state.topic.prune.interval.ms" = "300000"; at_least(1), low, internal, accepted(SHARE);
    /// Number of replicas of the share state topic.
    Short "share.coordinator.state.topic.replication.factor" = "3"; at_least(1), high, accepted(SHARE);
    /// Segment size in bytes of the share state topic.
    Int "share.coordinator.state.topic.segment.bytes" = "104857600"; at_least(1), high, accepted(SHARE);
    /// Number of threads of the share coordinator.
    Int "share.coordinator.threads" = "1"; at_least(1), accepted(SHARE);
    /// How long a write of the share coordinator waits for its replicas, in milliseconds.
    Int "share.coordinator.write.timeout.ms" = "5000"; at_least(1), high, accepted(SHARE);
    /// Shortest time between two assignments of a streams group, in milliseconds.
    Int "group.streams.assignment.interval.ms" = "1000"; at_least(0), cluster_wide, accepted(STREAMS);
    /// How often members of a streams group send a heartbeat, in milliseconds.
    Int "group.streams.heartbeat.interval.ms" = "5000"; at_least(1), accepted(STREAMS);
    /// How long a new streams group waits for more members, in milliseconds.
    Int "group.streams.initial.rebalance.delay.ms" = "3000"; at_least(0), accepted(STREAMS);
    /// Upper bound for a streams group's assignment interval, in milliseconds.
    Int "group.streams.max.assignment.interval.ms" = "15000"; at_least(0), accepted(STREAMS);
    /// Upper bound for a streams group's heartbeat interval, in milliseconds.
    Int "group.streams.max.heartbeat.interval.ms" = "15000"; at_least(1), accepted(STREAMS);
    /// Upper bound for a streams group's session time-out, in milliseconds.
    Int "group.streams.max.session.timeout.ms" = "60000"; at_least(1), accepted(STREAMS);
    /// Most members a streams group may have.
    Int "group.streams.max.size" = "2147483647"; at_least(1), accepted(STREAMS);
    /// Upper bound for a streams group's standby replicas.
    Int "group.streams.max.standby.replicas" = "2"; at_least(0), accepted(STREAMS);
    /// Lower bound for a streams group's assignment interval, in milliseconds.
    Int "group.streams.min.assignment.interval.ms" = "0"; at_least(0), accepted(STREAMS);
    /// Lower bound for a streams group's heartbeat interval, in milliseconds.
    Int "group.streams.min.heartbeat.interval.ms" = "5000"; at_least(1), accepted(STREAMS);
    /// Lower bound for a streams group's session time-out, in milliseconds.
    Int "group.streams.min.session.timeout.ms" = "45000"; at_least(1), accepted(STREAMS);
    /// Number of standby replicas per task of a streams group.
    Int "group.streams.num.standby.replicas" = "0"; at_least(0), accepted(STREAMS);
    /// Members of a streams group silent for this many milliseconds leave it.
    Int "group.streams.session.timeout.ms" = "45000"; at_least(1), accepted(STREAMS);
}
