//! AlterReplicaLogDirs, versions 1 and 2.
//!
//! Has replicas of this broker move to the data directories that are named for them (KIP-113), and answers at once; how
//! far they are is told by DescribeLogDirs. The directory that a replica is in ends its move, another one takes the
//! place of the one it moves to. A replica that is not here is REPLICA_NOT_AVAILABLE, and goes where it was asked to if it
//! comes later. LOG_DIR_NOT_FOUND for what is none of `log.dirs`, KAFKA_STORAGE_ERROR for what is offline,
//! INVALID_TOPIC_EXCEPTION for a name that leaves no room for what the copy is called. Version 2 is flexible.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::model::{ErrorCode, TopicPartition};
use crate::partition::Replicas;
use crate::protocol::messages::{
    AlterReplicaLogDir, AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};

/// Begins and ends moves.
pub async fn handle(context: &Context, _: Call, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    let replicas = Arc::clone(&context.replicas);
    // A disk that hangs must not hang those who share this thread.
    let moved = tokio::task::spawn_blocking(move || move_all(&replicas, &request.dirs));
    let codes = moved.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    let mut results: BTreeMap<Arc<str>, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
    for (partition, error_code) in codes {
        let result = AlterReplicaLogDirPartitionResult { partition_index: partition.partition, error_code };
        results.entry(partition.topic).or_default().push(result);
    }
    let result = |(topic_name, partitions): (Arc<str>, _)| AlterReplicaLogDirTopicResult {
        topic_name: topic_name.to_string(),
        partitions,
    };
    AlterReplicaLogDirsResponse {
        results: results.into_iter().map(result).collect(),
        ..AlterReplicaLogDirsResponse::default()
    }
}

/// A partition that is named for two directories goes to the one named last, as in Kafka.
fn move_all(replicas: &Replicas, dirs: &[AlterReplicaLogDir]) -> BTreeMap<TopicPartition, ErrorCode> {
    let mut wanted = BTreeMap::new();
    for dir in dirs {
        for topic in &dir.topics {
            let name: Arc<str> = Arc::from(topic.name.as_str());
            let partitions = topic.partitions.iter().map(|index| TopicPartition::new(Arc::clone(&name), *index));
            wanted.extend(partitions.map(|partition| (partition, dir.path.as_str())));
        }
    }
    let outcome = |(partition, path): (TopicPartition, &str)| {
        let error_code = match replicas.move_replica(&partition, path) {
            Ok(()) => ErrorCode::None,
            Err(refusal) => {
                tracing::debug!(%partition, "does not move to {path}: {refusal}");
                refusal.error_code()
            }
        };
        (partition, error_code)
    };
    wanted.into_iter().map(outcome).collect()
}
