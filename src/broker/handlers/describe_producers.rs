//! DescribeProducers, version 0 (KIP-664).
//!
//! The idempotent and transactional producers whose state a partition keeps, for finding hanging transactions. Answered
//! by every replica with what it has; a broker without one says NOT_LEADER_OR_FOLLOWER.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::log::ProducerInfo;
use crate::partition::PartitionError;
use crate::protocol::messages::{
    DescribeProducersPartitionResponse, DescribeProducersRequest, DescribeProducersResponse,
    DescribeProducersTopicResponse, ProducerState,
};

/// Describes producers.
pub async fn handle(context: &Context, _: Call, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter();
        DescribeProducersTopicResponse {
            partitions: partitions.map(|&index| answer(index, producers(context, &topic.name, index))).collect(),
            name: topic.name,
        }
    });
    DescribeProducersResponse { throttle_time_ms: 0, topics: topics.collect() }
}

fn producers(context: &Context, topic: &str, partition: i32) -> Result<Vec<ProducerInfo>, PartitionError> {
    Ok(context.replicas.find(topic, partition)?.describe_producers())
}

fn answer(
    partition_index: i32,
    producers: Result<Vec<ProducerInfo>, PartitionError>,
) -> DescribeProducersPartitionResponse {
    let nothing =
        DescribeProducersPartitionResponse { partition_index, ..DescribeProducersPartitionResponse::default() };
    match producers {
        Ok(producers) => DescribeProducersPartitionResponse {
            active_producers: producers.into_iter().map(state).collect(),
            ..nothing
        },
        Err(error) => DescribeProducersPartitionResponse {
            error_code: error.error_code(),
            error_message: Some(error.to_string()),
            ..nothing
        },
    }
}

fn state(producer: ProducerInfo) -> ProducerState {
    ProducerState {
        producer_id: producer.producer_id.0,
        producer_epoch: producer.producer_epoch.0.into(),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.current_txn_start_offset.unwrap_or(-1),
    }
}
