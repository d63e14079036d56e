//! What lies in the brokers' log directories.

use std::collections::BTreeMap;

use crate::client::{ClusterClient, ClusterError, Target};
use crate::model::{ErrorCode, TopicPartition};
use crate::protocol::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest, DescribableLogDirTopic,
    DescribeLogDirsRequest, DescribeLogDirsResult,
};

/// The log directories of these brokers, with their replicas of `topics`, or with all they have.
pub async fn describe(
    client: &mut ClusterClient,
    brokers: &[i32],
    topics: Option<&[(String, Vec<i32>)]>,
) -> Result<BTreeMap<i32, Vec<DescribeLogDirsResult>>, ClusterError> {
    let topic = |(topic, partitions): &(String, Vec<i32>)| DescribableLogDirTopic {
        topic: topic.clone(),
        partitions: partitions.clone(),
    };
    let request = DescribeLogDirsRequest { topics: topics.map(|topics| topics.iter().map(topic).collect()) };
    let mut found = BTreeMap::new();
    for broker in brokers {
        let response = client.ask(&Target::Broker(*broker), &request, |response| response.error_code).await?;
        if response.error_code.is_error() {
            let subject = format!("the log directories of broker {broker}");
            return Err(ClusterError::refused(subject, response.error_code, None));
        }
        found.insert(*broker, response.results);
    }
    Ok(found)
}

/// Has replicas, each of a partition on a broker, move to the log directories named for them; what each is answered.
pub async fn alter(
    client: &mut ClusterClient,
    wanted: &BTreeMap<(TopicPartition, i32), String>,
) -> Result<BTreeMap<(TopicPartition, i32), ErrorCode>, ClusterError> {
    let mut requests: BTreeMap<i32, Vec<AlterReplicaLogDir>> = BTreeMap::new();
    for ((partition, broker), path) in wanted {
        let topics =
            vec![AlterReplicaLogDirTopic { name: partition.topic.to_string(), partitions: vec![partition.partition] }];
        requests.entry(*broker).or_default().push(AlterReplicaLogDir { path: path.clone(), topics });
    }
    let mut outcomes = BTreeMap::new();
    for (broker, dirs) in requests {
        let request = AlterReplicaLogDirsRequest { dirs };
        let response = client.ask(&Target::Broker(broker), &request, |_| ErrorCode::None).await?;
        for topic in response.results {
            for partition in topic.partitions {
                let name = TopicPartition::new(topic.topic_name.as_str(), partition.partition_index);
                outcomes.insert((name, broker), partition.error_code);
            }
        }
    }
    Ok(outcomes)
}

/// How far each compacted partition is cleaned, where brokers tell it: by the replica that is behind the others.
pub fn cleaned_offsets(found: &BTreeMap<i32, Vec<DescribeLogDirsResult>>) -> BTreeMap<TopicPartition, i64> {
    let mut offsets = BTreeMap::new();
    for topic in found.values().flatten().flat_map(|directory| &directory.topics) {
        for partition in topic.partitions.iter().filter(|partition| partition.cleaned_offset >= 0) {
            let cleaned = partition.cleaned_offset;
            let name = TopicPartition::new(topic.name.as_str(), partition.partition_index);
            offsets.entry(name).and_modify(|least: &mut i64| *least = cleaned.min(*least)).or_insert(cleaned);
        }
    }
    offsets
}

/// The size of each partition's largest replica, in bytes.
pub fn partition_sizes(found: &BTreeMap<i32, Vec<DescribeLogDirsResult>>) -> BTreeMap<TopicPartition, i64> {
    let mut sizes = BTreeMap::new();
    for topic in found.values().flatten().flat_map(|directory| &directory.topics) {
        for partition in topic.partitions.iter().filter(|partition| !partition.is_future_key) {
            let size = sizes.entry(TopicPartition::new(topic.name.as_str(), partition.partition_index)).or_default();
            *size = partition.partition_size.max(*size);
        }
    }
    sizes
}
