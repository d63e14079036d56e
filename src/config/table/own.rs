//! Keys of this broker's own, and keys of earlier Kafka releases that tools still ask for.

use super::super::key::keys;
use super::reasons::NO_AUTHORIZER;

keys! {
    /// Name of the cluster this node belongs to; one is made up when the first node starts without it.
    String "cluster.id" = null; in_force;
    /// Topics created when the node starts unless they exist, as name:partitions:replicas or
    /// name:partitions:replicas:cleanup.policy; `KAFKA_CREATE_TOPICS` sets it.
    String "ottla.create.topics" = ""; in_force;
    /// Where `/healthz`, `/readyz` and `/metrics` are served, as host:port; empty for nowhere. The image listens on all
    /// its addresses. When nobody set it and the port is taken, the node does without.
    String "ottla.http.listener" = "127.0.0.1:9404"; in_force;
    /// A record counts only where it is on disk, for topics that do not say otherwise by flush.before.ack.
    Boolean "ottla.flush.before.ack" = "false"; cluster_wide, in_force;
    /// Producers are refused while a log directory has fewer free bytes than this; -1 keeps a hundredth of the disk, from
    /// 256 MiB to 1 GiB and at most a twentieth, and 0 nothing.
    Long "ottla.log.dir.min.free.bytes" = "-1"; at_least(-1), cluster_wide, in_force;
    /// A deleted topic can be restored within this many milliseconds (`ottla topics undelete`); until then its records
    /// take room. 0 deletes at once and for good. Lowering it removes what was deleted longer ago.
    Long "ottla.topic.delete.retention.ms" = "0"; at_least(0), cluster_wide, in_force;
    /// A broker whose control stream broke is fenced when it has not come back within this many milliseconds.
    Int "ottla.broker.session.grace.ms" = "300"; at_least(0), in_force;
    /// Leaders move back to a broker when more than this share of what it should lead, in percent, is led elsewhere.
    Int "leader.imbalance.per.broker.percentage" = "0"; between(0, 100), in_force;
    /// Release whose protocol brokers speak among themselves; tools read the broker's version from it.
    String "inter.broker.protocol.version" = "4.3"; accepted("It is fixed; features are finalised by the controller.");
    /// Principals that may do everything.
    String "super.users" = ""; internal, accepted(NO_AUTHORIZER);
    /// Whether a resource without rules is open to everyone.
    Boolean "allow.everyone.if.no.acl.found" = "false"; internal, accepted(NO_AUTHORIZER);
}
