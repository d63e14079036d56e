//! Transactions and the topic that holds their states.

use super::super::key::keys;

keys! {
    /// Longest time-out a transactional producer may ask for, in milliseconds.
    Int "transaction.max.timeout.ms" = "900000"; at_least(1), high, in_force;
    /// Whether a partition checks with the coordinator that a transaction is open.
    Boolean "transaction.partition.verification.enable" = "true"; low, cluster_wide, in_force;
    /// Whether producers may take part in a two-phase commit of another system.
    Boolean "transaction.two.phase.commit.enable" = "false"; low,
        refused("A transaction of two-phase commit never times out, and no such one is served.");
    /// How often transactions past their time-out are aborted, in milliseconds.
    Int "transaction.abort.timed.out.transaction.cleanup.interval.ms" = "10000";
        at_least(1), low, in_force;
    /// How often expired transactional ids are removed, in milliseconds.
    Int "transaction.remove.expired.transaction.cleanup.interval.ms" = "3600000";
        at_least(1), low, in_force;
    /// How many bytes are read at a time when a transaction coordinator loads.
    Int "transaction.state.log.load.buffer.size" = "5242880"; at_least(1), high, in_force;
    /// Smallest number of in-sync replicas of the transaction state topic.
    Int "transaction.state.log.min.isr" = "2"; at_least(1), high, in_force;
    /// Number of partitions of the transaction state topic.
    Int "transaction.state.log.num.partitions" = "50"; at_least(1), high, in_force;
    /// Number of replicas of the transaction state topic.
    Short "transaction.state.log.replication.factor" = "3"; at_least(1), high, in_force;
    /// Segment size in bytes of the transaction state topic.
    Int "transaction.state.log.segment.bytes" = "104857600"; at_least(1), high, in_force;
    /// A transactional id unused for this many milliseconds is forgotten.
    Int "transactional.id.expiration.ms" = "604800000"; at_least(1), high, in_force;
    /// First pause before a partition is added to a transaction again, in milliseconds.
    Int "add.partitions.to.txn.retry.backoff.ms" = "20"; at_least(1), high, in_force;
    /// Longest time adding a partition to a transaction is tried again, in milliseconds.
    Int "add.partitions.to.txn.retry.backoff.max.ms" = "100"; at_least(0), high, in_force;
}
