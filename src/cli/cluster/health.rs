//! What `ottla cluster status` tells: gathered from the brokers' answers, without printing.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::client::admin::cluster::{self, ClusterDescription};
use crate::client::{ClusterClient, ClusterError, TopicMetadata};
use crate::clock;
use crate::protocol::{DescribeQuorumPartitionResponse, DescribeQuorumReplicaState};

/// The cluster at one moment.
#[derive(Serialize)]
pub(super) struct Health {
    pub(super) cluster: String,
    pub(super) brokers: Vec<Broker>,
    /// Null where the brokers do not tell of a quorum.
    pub(super) quorum: Option<Quorum>,
    pub(super) topics: usize,
    pub(super) partitions: usize,
    pub(super) problems: Problems,
}

#[derive(Serialize)]
pub(super) struct Broker {
    pub(super) broker: i32,
    pub(super) address: String,
    pub(super) rack: Option<String>,
    pub(super) fenced: bool,
    pub(super) leaders: usize,
    pub(super) replicas: usize,
}

#[derive(Serialize)]
pub(super) struct Quorum {
    pub(super) leader: i32,
    pub(super) epoch: i32,
    pub(super) high_watermark: i64,
    pub(super) voters: Vec<Voter>,
    pub(super) observers: Vec<Voter>,
}

#[derive(Serialize)]
pub(super) struct Voter {
    pub(super) node: i32,
    pub(super) log_end: i64,
    /// Entries behind the leader; null where the leader does not know.
    pub(super) lag: Option<i64>,
    /// How long ago it had everything; null where the leader does not know.
    pub(super) caught_up_ms_ago: Option<i64>,
}

/// Partitions by what is wrong with them, as `topic-partition`.
#[derive(Serialize, Default)]
pub(super) struct Problems {
    /// Nobody leads them.
    pub(super) offline: Vec<String>,
    /// Fewer in-sync replicas than min.insync.replicas: produce with acks=all is refused.
    pub(super) under_min_isr: Vec<String>,
    /// Fewer in-sync replicas than replicas.
    pub(super) under_replicated: Vec<String>,
    pub(super) fenced_brokers: Vec<i32>,
}

impl Health {
    /// Asks the cluster.
    pub(super) async fn ask(client: &mut ClusterClient) -> Result<Self, ClusterError> {
        client.learn_topics(None).await?;
        let topics = client.metadata().topics.clone();
        let described = cluster::describe(client).await?;
        let quorum = cluster::quorum(client).await?;
        let names: Vec<String> = topics.keys().cloned().collect();
        let minimums = cluster::min_insync_replicas(client, &names).await?;
        let mut problems = problems(&topics, &minimums);
        let fenced = described.brokers.iter().filter(|broker| broker.is_fenced);
        problems.fenced_brokers = fenced.map(|broker| broker.broker_id).collect();
        Ok(Self {
            cluster: described.cluster_id.clone(),
            brokers: brokers(described, &topics),
            quorum: quorum.map(|quorum| Quorum::of(quorum, clock::wall().0)),
            topics: topics.len(),
            partitions: topics.values().map(|topic| topic.partitions.len()).sum(),
            problems,
        })
    }

    /// True when every partition can be read and written and every broker is there.
    pub(super) fn is_well(&self) -> bool {
        let Problems { offline, under_min_isr, under_replicated: _, fenced_brokers } = &self.problems;
        offline.is_empty() && under_min_isr.is_empty() && fenced_brokers.is_empty()
    }
}

impl Quorum {
    fn of(quorum: DescribeQuorumPartitionResponse, now: i64) -> Self {
        let leader = quorum.leader_id;
        let ends = quorum.current_voters.iter();
        let end = ends.filter(|voter| voter.replica_id == leader).map(|voter| voter.log_end_offset).next();
        let voter = |state: DescribeQuorumReplicaState| {
            let known = Some(state.log_end_offset).filter(|end| *end >= 0);
            let leads = state.replica_id == leader;
            let caught_up = Some(state.last_caught_up_timestamp).filter(|time| *time >= 0 && !leads);
            Voter {
                node: state.replica_id,
                log_end: state.log_end_offset,
                lag: known.zip(end).map(|(own, end)| (end - own).max(0)),
                caught_up_ms_ago: caught_up.map(|time| (now - time).max(0)),
            }
        };
        Self {
            leader,
            epoch: quorum.leader_epoch,
            high_watermark: quorum.high_watermark,
            voters: quorum.current_voters.into_iter().map(voter).collect(),
            observers: quorum.observers.into_iter().map(voter).collect(),
        }
    }
}

fn brokers(described: ClusterDescription, topics: &BTreeMap<String, TopicMetadata>) -> Vec<Broker> {
    let partitions = || topics.values().flat_map(|topic| &topic.partitions);
    let broker = |broker: crate::protocol::DescribeClusterBroker| {
        let id = broker.broker_id;
        Broker {
            broker: id,
            address: format!("{}:{}", broker.host, broker.port),
            rack: broker.rack,
            fenced: broker.is_fenced,
            leaders: partitions().filter(|partition| partition.leader_id == id).count(),
            replicas: partitions().filter(|partition| partition.replica_nodes.contains(&id)).count(),
        }
    };
    described.brokers.into_iter().map(broker).collect()
}

fn problems(topics: &BTreeMap<String, TopicMetadata>, minimums: &BTreeMap<String, usize>) -> Problems {
    let mut problems = Problems::default();
    for (name, topic) in topics {
        for partition in &topic.partitions {
            let place = || format!("{name}-{}", partition.partition_index);
            let in_sync = partition.isr_nodes.len();
            if partition.leader_id < 0 {
                problems.offline.push(place());
            }
            if minimums.get(name).is_some_and(|minimum| in_sync < *minimum) {
                problems.under_min_isr.push(place());
            }
            if in_sync < partition.replica_nodes.len() {
                problems.under_replicated.push(place());
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::MetadataResponsePartition;

    fn partition(leader_id: i32, isr: &[i32]) -> MetadataResponsePartition {
        MetadataResponsePartition {
            leader_id,
            replica_nodes: vec![1, 2, 3],
            isr_nodes: isr.to_vec(),
            ..MetadataResponsePartition::default()
        }
    }

    #[test]
    fn each_partition_is_counted_where_it_belongs() {
        let mut partitions =
            vec![partition(1, &[1, 2, 3]), partition(1, &[1, 2]), partition(1, &[1]), partition(-1, &[])];
        for (index, partition) in (0..).zip(&mut partitions) {
            partition.partition_index = index;
        }
        let topic = TopicMetadata { partitions, ..TopicMetadata::default() };
        let topics = BTreeMap::from([("t".to_owned(), topic)]);
        let found = problems(&topics, &BTreeMap::from([("t".to_owned(), 2)]));
        assert_eq!(found.offline, ["t-3"]);
        assert_eq!(found.under_min_isr, ["t-2", "t-3"]);
        assert_eq!(found.under_replicated, ["t-1", "t-2", "t-3"]);
    }
}
