//! DeleteRecords, versions 0 to 2 (KIP-107).
//!
//! Moves the start of a partition's log up to an offset, -1 for the high watermark, and answers the new start. Beyond the
//! high watermark is OFFSET_OUT_OF_RANGE; a topic that is only compacted is POLICY_VIOLATION. Whole segments below the
//! new start are removed, the rest of the records can no longer be read. Version 2 is flexible. The time-out would bound
//! the wait for other replicas.

use std::sync::Arc;

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::model::Offset;
use crate::partition::{PartitionError, Replica};
use crate::protocol::messages::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};

/// Deletes records.
pub async fn handle(context: &Context, _: Call, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let replica = context.replicas.find(&topic.name, asked.partition_index);
            partitions.push(answer(asked, delete(replica, asked.offset).await));
        }
        topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
    }
    DeleteRecordsResponse { throttle_time_ms: 0, topics }
}

/// Files are renamed on the way, so it goes where blocking is allowed.
async fn delete(replica: Result<Arc<Replica>, PartitionError>, offset: Offset) -> Result<Offset, PartitionError> {
    let replica = replica?;
    let deleted = tokio::task::spawn_blocking(move || replica.delete_records(offset)).await;
    deleted.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

fn answer(asked: &DeleteRecordsPartition, deleted: Result<Offset, PartitionError>) -> DeleteRecordsPartitionResult {
    let partition_index = asked.partition_index;
    match deleted {
        Ok(low_watermark) => {
            DeleteRecordsPartitionResult { partition_index, low_watermark, ..DeleteRecordsPartitionResult::default() }
        }
        Err(error) => {
            if matches!(error, PartitionError::Log(_)) {
                tracing::error!(partition = partition_index, "cannot delete records: {error}");
            }
            let error_code = error.error_code();
            DeleteRecordsPartitionResult { partition_index, low_watermark: -1, error_code }
        }
    }
}
