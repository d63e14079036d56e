//! How followers copy, how long they may lag, and who becomes leader.

use super::super::key::keys;
use super::reasons::{CHECKPOINTS, ONE_FETCHER, SYSTEM_BUFFERS};

keys! {
    /// A follower that has not caught up for this many milliseconds leaves the in-sync replicas.
    Long "replica.lag.time.max.ms" = "30000"; high, in_force;
    /// Fewest bytes a follower's fetch waits for.
    Int "replica.fetch.min.bytes" = "1"; high, in_force;
    /// Most bytes per partition a follower fetches at a time; a single larger batch still comes whole.
    Int "replica.fetch.max.bytes" = "1048576"; at_least(0), in_force;
    /// Most bytes a follower fetches at a time over all partitions.
    Int "replica.fetch.response.max.bytes" = "10485760"; at_least(0), in_force;
    /// Longest time a follower's fetch waits at the leader, in milliseconds.
    Int "replica.fetch.wait.max.ms" = "500"; high, in_force;
    /// How long a follower waits after a failed fetch, in milliseconds.
    Int "replica.fetch.backoff.ms" = "1000"; at_least(0), in_force;
    /// How often high watermarks are written to their checkpoint file, in milliseconds.
    Long "replica.high.watermark.checkpoint.interval.ms" = "5000"; high, accepted(CHECKPOINTS);
    /// Receive buffer in bytes of a follower's connection to a leader.
    Int "replica.socket.receive.buffer.bytes" = "65536"; high, accepted(SYSTEM_BUFFERS);
    /// How long a follower waits for a leader's answer, in milliseconds.
    Int "replica.socket.timeout.ms" = "30000"; high, in_force;
    /// How the replica that a consumer reads from is chosen: the leader, or an in-sync one in the consumer's rack
    /// (KIP-392). Null is the leader.
    String "replica.selector.class" = null;
        one_of(&["org.apache.kafka.common.replica.RackAwareReplicaSelector", "org.apache.kafka.common.replica.LeaderSelector"]),
        in_force;
    /// Number of threads that fetch from each leader.
    Int "num.replica.fetchers" = "1"; at_least(1), high, cluster_wide, accepted(ONE_FETCHER);
    /// Whether a replica outside the in-sync replicas may become leader, at the price of losing records.
    Boolean "unclean.leader.election.enable" = "false"; high, cluster_wide, in_force;
    /// How often partitions without a leader are looked for, in milliseconds.
    Long "unclean.leader.election.interval.ms" = "300000";
        at_least(1), internal,
        accepted("An election is decided as soon as the cluster's state allows it, without a timer.");
    /// Whether leadership moves back to the preferred replica by itself.
    Boolean "auto.leader.rebalance.enable" = "true"; high, in_force;
    /// How often the balance of leaders is checked, in seconds.
    Long "leader.imbalance.check.interval.seconds" = "300"; at_least(1), high, in_force;
}
