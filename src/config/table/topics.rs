//! How topics are created, and what is allowed at their creation.

use super::super::key::keys;
use super::reasons::JVM_CLASS;

keys! {
    /// Whether a topic is created when a client first asks for it.
    Boolean "auto.create.topics.enable" = "true"; high, in_force;
    /// Number of partitions of a topic that is created without one.
    Int "num.partitions" = "1"; at_least(1), in_force;
    /// Number of replicas of a topic that is created without one.
    Int "default.replication.factor" = "1"; in_force;
    /// Smallest number of in-sync replicas with which a produce with acks=all is accepted.
    Int "min.insync.replicas" = "1"; at_least(1), high, cluster_wide, in_force;
    /// Whether topics may be deleted.
    Boolean "delete.topic.enable" = "true"; high, in_force;
    /// Class that may veto the creation of a topic.
    Class "create.topic.policy.class.name" = null; low, refused(JVM_CLASS);
    /// Class that may veto a change of configuration.
    Class "alter.config.policy.class.name" = null; low, refused(JVM_CLASS);
}
