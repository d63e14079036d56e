//! OffsetForLeaderEpoch, versions 2 to 4 (KIP-101, KIP-320).
//!
//! Where a leader epoch ends in the leader's log: a client or follower that read further in that epoch has records that
//! the log does not have. Answers the largest epoch not above the one asked for, and -1 with offset -1 for an epoch that
//! the leader does not know. Version 2 has the client's own leader epoch, which is checked; version 3 the replica id, of
//! no consequence here; version 4 is flexible.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::model::{LeaderEpoch, Offset};
use crate::partition::PartitionError;
use crate::protocol::messages::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};

/// Answers where epochs end.
pub async fn handle(context: &Context, _: Call, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter();
        OffsetForLeaderTopicResult {
            partitions: partitions.map(|asked| answer(asked.partition, end(context, &topic.topic, asked))).collect(),
            topic: topic.topic,
        }
    });
    OffsetForLeaderEpochResponse { throttle_time_ms: 0, topics: topics.collect() }
}

fn end(
    context: &Context,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<Option<(LeaderEpoch, Offset)>, PartitionError> {
    let replica = context.replicas.find(topic, asked.partition)?;
    replica.check_leader_epoch(asked.current_leader_epoch)?;
    Ok(replica.end_offset_for_epoch(LeaderEpoch(asked.leader_epoch)))
}

fn answer(partition: i32, end: Result<Option<(LeaderEpoch, Offset)>, PartitionError>) -> EpochEndOffset {
    let nothing = EpochEndOffset { partition, ..EpochEndOffset::default() };
    match end {
        Ok(Some((leader_epoch, end_offset))) => EpochEndOffset { leader_epoch: leader_epoch.0, end_offset, ..nothing },
        Ok(None) => nothing,
        Err(error) => EpochEndOffset { error_code: error.error_code(), ..nothing },
    }
}
