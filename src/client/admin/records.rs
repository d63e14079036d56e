//! Deletes the oldest records of partitions.

use std::collections::BTreeMap;

use crate::client::{ClusterClient, ClusterError, Target};
use crate::model::{ErrorCode, Offset, TopicPartition};
use crate::protocol::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic};

/// Deletes records below an offset, or with -1 all of them, and tells where each partition begins then.
pub async fn delete_before(
    client: &mut ClusterClient,
    ends: &BTreeMap<TopicPartition, Offset>,
) -> Vec<(TopicPartition, Result<Offset, ClusterError>)> {
    let timeout_ms = i32::try_from(client.options().patience.as_millis()).unwrap_or(i32::MAX);
    let mut results = Vec::new();
    for (partition, offset) in ends {
        let asked = DeleteRecordsPartition { partition_index: partition.partition, offset: *offset };
        let topic = DeleteRecordsTopic { name: partition.topic.to_string(), partitions: vec![asked] };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms };
        let answer = |response: &DeleteRecordsResponse| {
            let first = response.topics.first().and_then(|topic| topic.partitions.first());
            first.map_or((ErrorCode::UnknownServerError, -1), |found| (found.error_code, found.low_watermark))
        };
        let target = Target::Leader(partition.clone());
        let response = client.ask(&target, &request, |response| answer(response).0).await;
        let outcome = response.and_then(|response| match answer(&response) {
            (ErrorCode::None, low_watermark) => Ok(low_watermark),
            (code, _) => Err(ClusterError::refused(partition.to_string(), code, None)),
        });
        results.push((partition.clone(), outcome));
    }
    results
}
