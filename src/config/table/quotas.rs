//! Quotas for clients and for replication.

use super::super::key::keys;
use super::reasons::JVM_CLASS;

keys! {
    /// Class that computes clients' quotas.
    Class "client.quota.callback.class" = null; low, refused(JVM_CLASS);
    /// Number of samples kept for clients' quotas.
    Int "quota.window.num" = "11"; at_least(1), low, in_force;
    /// Length in seconds of a sample for clients' quotas.
    Int "quota.window.size.seconds" = "1"; at_least(1), low, in_force;
    /// Number of samples kept for quotas on metadata changes.
    Int "controller.quota.window.num" = "11"; at_least(1), low, in_force;
    /// Length in seconds of a sample for quotas on metadata changes.
    Int "controller.quota.window.size.seconds" = "1"; at_least(1), low, in_force;
    /// Number of samples kept for replication quotas.
    Int "replication.quota.window.num" = "11"; at_least(1), low, in_force;
    /// Length in seconds of a sample for replication quotas.
    Int "replication.quota.window.size.seconds" = "1"; at_least(1), low, in_force;
    /// Number of samples kept for quotas on moves between log directories.
    Int "alter.log.dirs.replication.quota.window.num" = "11"; at_least(1), low, in_force;
    /// Length in seconds of a sample for quotas on moves between log directories.
    Int "alter.log.dirs.replication.quota.window.size.seconds" = "1"; at_least(1), low, in_force;
    /// Most bytes per second a leader sends to throttled followers.
    Long "leader.replication.throttled.rate" = "9223372036854775807"; at_least(0), cluster_wide, in_force;
    /// Most bytes per second a follower fetches for throttled partitions.
    Long "follower.replication.throttled.rate" = "9223372036854775807"; at_least(0), cluster_wide, in_force;
    /// Most bytes per second moved between log directories.
    Long "replica.alter.log.dirs.io.max.bytes.per.second" = "9223372036854775807";
        at_least(0), cluster_wide, in_force;
}
