//! What the deciding controller's properties say about the whole cluster.

/// What holds for the whole cluster unless something more special says otherwise. From the properties of
/// the deciding controller; the dynamic default of all brokers goes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDefaults {
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i32,
    /// `min.insync.replicas`. Written down by the first controller that leads; from then on no other counts.
    pub min_insync_replicas: i32,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election_enable: bool,
    /// How many partitions the cluster may hold in all.
    pub partition_count_max: usize,
    /// `ottla.topic.delete.retention.ms`.
    pub topic_delete_retention_ms: i64,
}

impl Default for ClusterDefaults {
    fn default() -> Self {
        Self {
            num_partitions: 1,
            default_replication_factor: 1,
            min_insync_replicas: 1,
            unclean_leader_election_enable: false,
            partition_count_max: 200_000,
            topic_delete_retention_ms: 0,
        }
    }
}
