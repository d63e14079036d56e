//! What a single group may set; what it does not set comes from the broker's keys.

use super::super::key::keys;
use super::reasons::{SHARE, STREAMS};

keys! {
    /// Shortest time between two assignments of the group, in milliseconds.
    Int "consumer.assignment.interval.ms" = "1000";
        at_least(0), broker_key("group.consumer.assignment.interval.ms"), in_force;
    /// How often the group's members send a heartbeat, in milliseconds.
    Int "consumer.heartbeat.interval.ms" = "5000";
        at_least(1), broker_key("group.consumer.heartbeat.interval.ms"), in_force;
    /// A member silent for this many milliseconds leaves the group.
    Int "consumer.session.timeout.ms" = "45000";
        at_least(1), broker_key("group.consumer.session.timeout.ms"), in_force;
    /// Shortest time between two assignments of the share group, in milliseconds.
    Int "share.assignment.interval.ms" = "1000";
        at_least(0), broker_key("group.share.assignment.interval.ms"), accepted(SHARE);
    /// Where a share group begins that has no state yet.
    String "share.auto.offset.reset" = "latest"; accepted(SHARE);
    /// How often a record is delivered before it is given up.
    Int "share.delivery.count.limit" = "5";
        between(2, 10), broker_key("group.share.delivery.count.limit"), accepted(SHARE);
    /// How often the share group's members send a heartbeat, in milliseconds.
    Int "share.heartbeat.interval.ms" = "5000";
        at_least(1), broker_key("group.share.heartbeat.interval.ms"), accepted(SHARE);
    /// Whether the share group sees records of open transactions.
    String "share.isolation.level" = "read_uncommitted";
        one_of(&["read_committed", "read_uncommitted"]), accepted(SHARE);
    /// Most records of one partition the share group may hold locked.
    Int "share.partition.max.record.locks" = "2000";
        between(100, 10_000), broker_key("group.share.partition.max.record.locks"), accepted(SHARE);
    /// How long a record handed to a share consumer stays locked, in milliseconds.
    Int "share.record.lock.duration.ms" = "30000";
        between(1000, 3_600_000), broker_key("group.share.record.lock.duration.ms"), accepted(SHARE);
    /// Whether a share consumer may renew its lock on a record.
    Boolean "share.renew.acknowledge.enable" = "true"; accepted(SHARE);
    /// A member silent for this many milliseconds leaves the share group.
    Int "share.session.timeout.ms" = "45000";
        at_least(1), broker_key("group.share.session.timeout.ms"), accepted(SHARE);
    /// Shortest time between two assignments of the streams group, in milliseconds.
    Int "streams.assignment.interval.ms" = "1000";
        at_least(0), broker_key("group.streams.assignment.interval.ms"), accepted(STREAMS);
    /// How often the streams group's members send a heartbeat, in milliseconds.
    Int "streams.heartbeat.interval.ms" = "5000";
        at_least(1), broker_key("group.streams.heartbeat.interval.ms"), accepted(STREAMS);
    /// How long a new streams group waits for more members, in milliseconds.
    Int "streams.initial.rebalance.delay.ms" = "3000";
        at_least(0), broker_key("group.streams.initial.rebalance.delay.ms"), accepted(STREAMS);
    /// Number of standby replicas per task of the streams group.
    Int "streams.num.standby.replicas" = "0";
        at_least(0), broker_key("group.streams.num.standby.replicas"), accepted(STREAMS);
    /// A member silent for this many milliseconds leaves the streams group.
    Int "streams.session.timeout.ms" = "45000";
        at_least(1), broker_key("group.streams.session.timeout.ms"), accepted(STREAMS);
}
