//! WriteTxnMarkers, versions 1 and 2.
//!
//! From the coordinator of a transaction to the leaders of its partitions: writes the marker that commits or aborts it.
//! Answered when the markers are committed. A marker of an older producer epoch is INVALID_PRODUCER_EPOCH, one of a
//! coordinator that has a successor TRANSACTION_COORDINATOR_FENCED. Version 2 tells the transaction's version (KIP-890):
//! since 2 a marker with the epoch of the open transaction is late, and refused. `ottla` tools use this API too, to end
//! transactions that hang (KIP-664).

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::model::{ErrorCode, ProducerEpoch, ProducerId, TopicPartition};
use crate::partition::MarkerRequest;
use crate::protocol::messages::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
use crate::record::{EndTransactionMarker, TransactionResult};

/// Writes markers.
pub async fn handle(context: &Context, _: Call, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let mut markers = Vec::with_capacity(request.markers.len());
    for marker in request.markers {
        let topics = marker.topics.iter();
        let partitions: Vec<TopicPartition> = topics
            .flat_map(|topic| topic.partition_indexes.iter().map(|&at| TopicPartition::new(topic.name.as_str(), at)))
            .collect();
        let outcomes = context.markers.write(marker_request(&marker), &partitions).await;
        markers.push(answer(marker, outcomes));
    }
    WriteTxnMarkersResponse { markers }
}

fn marker_request(marker: &WritableTxnMarker) -> MarkerRequest {
    let result = if marker.transaction_result { TransactionResult::Commit } else { TransactionResult::Abort };
    MarkerRequest {
        producer_id: ProducerId(marker.producer_id),
        producer_epoch: ProducerEpoch(marker.producer_epoch),
        marker: EndTransactionMarker { result, coordinator_epoch: marker.coordinator_epoch },
        transaction_version: marker.transaction_version,
        leader_epoch: None,
    }
}

fn answer(marker: WritableTxnMarker, outcomes: Vec<ErrorCode>) -> WritableTxnMarkerResult {
    let mut outcomes = outcomes.into_iter();
    let mut topics = Vec::with_capacity(marker.topics.len());
    for topic in marker.topics {
        let partitions = topic.partition_indexes.into_iter().map(|partition_index| WritableTxnMarkerPartitionResult {
            partition_index,
            error_code: outcomes.next().unwrap_or(ErrorCode::UnknownServerError),
        });
        topics.push(WritableTxnMarkerTopicResult { partitions: partitions.collect(), name: topic.name });
    }
    WritableTxnMarkerResult { producer_id: marker.producer_id, topics }
}
